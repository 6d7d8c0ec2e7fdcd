#include "cli/stages/grammar_check.h"

#include <array>
#include <bit>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "cli/stages/tokenize.h"
#include "cli/terminal/streams.h"
#include "engine/sampler.h"
#include "formats/checkpoint.h"
#include "grammar/grammar.h"
#include "grammar/grammar_state.h"
#include "grammar/token_masks.h"
#include "json/read.h"
#include "text/tokenizer.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kMostFileBytes = 1 << 20;

struct CheckOptions {
  std::filesystem::path schema;
  std::filesystem::path grammar;
  std::optional<std::string> regex;
  std::vector<std::string> choices;
  bool jsonl = false;
  std::filesystem::path model;
  std::int64_t samples = 0;
  std::int64_t max_tokens = 2000;
  std::uint64_t seed = 0;
};

// Follows a text of JSON: whether the next character belongs to a string.
class InString {
 public:
  explicit InString(bool inside) : inside_(inside) {}

  void take(std::string_view text) {
    for (const char c : text) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '"') {
        inside_ = !inside_;
      } else {
        escaped_ = inside_ && c == '\\';
      }
    }
  }
  bool inside() const { return inside_; }

 private:
  bool inside_;
  bool escaped_ = false;
};

// How much a token does for an end, inside and outside of a JSON string: random texts of recursive schemas
// would rarely come to theirs.
constexpr std::size_t kRanks = 5;

std::size_t rank_inside(std::string_view symbols) {
  InString string(true);
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    string.take(symbols.substr(i, 1));
    if (string.inside()) continue;
    if (i > 0) return 2;
    return symbols.find_first_not_of("}]", 1) == std::string_view::npos ? 4 : 3;
  }
  // Few as they are, one of them is soon what a pattern still wants.
  return symbols.size() == 1 && symbols[0] > ' ' && symbols[0] <= '~' ? 1 : 0;
}

std::size_t rank_outside(std::string_view symbols) {
  if (symbols.empty()) return 4;  // an end token
  if (symbols.find_first_not_of("}]") == std::string_view::npos) return 3;
  return symbols.find_first_of("{[\"") == std::string_view::npos ? 1 : 0;
}

// Writes texts by choosing among the allowed tokens, each as likely as any other; past a quarter of the
// tokens among those that close what is open.
class RandomWriter {
 public:
  RandomWriter(const std::filesystem::path& model, std::uint64_t seed)
      : tokenizer_(open_tokenizer(model)),
        vocabulary_(std::make_shared<const TokenMasks>(tokenizer_)),
        seed_(seed),
        allowed_(vocabulary_->n_words()) {
    for (auto& ranks : closing_) ranks.assign(kRanks, std::vector<std::uint64_t>(vocabulary_->n_words()));
    for (std::size_t id = 0; id < vocabulary_->vocab_size(); ++id) {
      const std::string_view symbols = vocabulary_->symbols(static_cast<TokenId>(id));
      const std::uint64_t bit = std::uint64_t{1} << (id % 64);
      closing_[0][rank_outside(symbols)][id / 64] |= bit;
      closing_[1][rank_inside(symbols)][id / 64] |= bit;
    }
  }

  // {"text": …, "ended": …}; ended: by an end token, within max_tokens.
  Json write(const std::shared_ptr<BoundGrammar>& grammar, std::int64_t max_tokens) {
    GrammarState state(grammar);
    std::vector<TokenId> ids;
    InString string(false);
    while (static_cast<std::int64_t>(ids.size()) < max_tokens) {
      state.mask(allowed_);
      if (static_cast<std::int64_t>(ids.size()) * 4 > max_tokens) keep_closing(closing_[string.inside()]);
      const std::optional<TokenId> id = choose();
      if (!id || !state.accept(*id)) {
        throw Error(ErrorKind::kInternal, "the grammar allows no token after " + tokenizer_.decode(ids));
      }
      if (state.ended()) break;
      ids.push_back(*id);
      string.take(vocabulary_->symbols(*id));
    }
    return {{"text", tokenizer_.decode(ids)}, {"ended", state.ended()}};
  }

  const std::shared_ptr<const TokenMasks>& vocabulary() const { return vocabulary_; }

 private:
  // Leaves of allowed_ the tokens that do most for an end.
  void keep_closing(const std::vector<std::vector<std::uint64_t>>& closing) {
    for (std::size_t rank = kRanks; rank-- > 0;) {
      std::vector<std::uint64_t> best = allowed_;
      std::uint64_t any = 0;
      for (std::size_t i = 0; i < best.size(); ++i) any |= best[i] &= closing[rank][i];
      if (any == 0) continue;
      allowed_ = std::move(best);
      return;
    }
  }

  std::optional<TokenId> choose() {
    std::size_t n = 0;
    for (const std::uint64_t word : allowed_) n += static_cast<std::size_t>(std::popcount(word));
    if (n == 0) return std::nullopt;
    auto left = static_cast<std::size_t>(uniform_at(seed_, n_drawn_++) * static_cast<double>(n));
    for (std::size_t i = 0;; ++i) {
      std::uint64_t word = allowed_[i];
      const auto here = static_cast<std::size_t>(std::popcount(word));
      if (left >= here) {
        left -= here;
        continue;
      }
      for (; left > 0; --left) word &= word - 1;
      return static_cast<TokenId>(i * 64 + static_cast<std::size_t>(std::countr_zero(word)));
    }
  }

  Tokenizer tokenizer_;
  std::shared_ptr<const TokenMasks> vocabulary_;
  std::uint64_t seed_;
  std::uint64_t n_drawn_ = 0;
  std::vector<std::uint64_t> allowed_;
  std::array<std::vector<std::vector<std::uint64_t>>, 2>
      closing_;  // [in a string][rank]: the tokens of that rank
};

Grammar grammar_of(const CheckOptions& options) {
  if (!options.schema.empty())
    return Grammar::from_json_schema(read_text_file(options.schema, kMostFileBytes));
  if (!options.grammar.empty()) return Grammar::from_gbnf(read_text_file(options.grammar, kMostFileBytes));
  if (options.regex) return Grammar::from_regex(*options.regex);
  if (!options.choices.empty()) return Grammar::from_choices(options.choices);
  throw Error(ErrorKind::kUsage,
              "expected --schema, --grammar, --regex, --choices or --jsonl, found none of them");
}

[[noreturn]] void refuse(const std::string& key, const std::string& expected, const Json& found) {
  throw Error(ErrorKind::kBadInput, "expected " + expected + ", found " + found.type_name(), key);
}

const std::string& text_of(const Json& value, const std::string& place) {
  if (!value.is_string()) refuse(place, "a text", value);
  return value.get_ref<const std::string&>();
}

std::vector<std::string> texts_of(const Json& list, const std::string& place) {
  if (!list.is_array()) refuse(place, "an array of texts", list);
  std::vector<std::string> texts;
  for (const Json& text : list) texts.push_back(text_of(text, place + "[" + std::to_string(texts.size()) + "]"));
  return texts;
}

Grammar grammar_of(const Json& request) {
  if (request.contains("schema")) return Grammar::from_json_schema(request["schema"].dump());
  if (request.contains("grammar")) return Grammar::from_gbnf(text_of(request["grammar"], "grammar"));
  if (request.contains("regex")) return Grammar::from_regex(text_of(request["regex"], "regex"));
  if (request.contains("choices")) return Grammar::from_choices(texts_of(request["choices"], "choices"));
  throw Error(ErrorKind::kBadInput, "expected the key schema, grammar, regex or choices, found none of them");
}

Json answer(const Json& request, const CheckOptions& options, RandomWriter* writer) {
  Json out = Json::object();
  try {
    const Grammar grammar = grammar_of(request);
    out["states"] = grammar.n_states();
    if (request.contains("texts")) {
      out["accepted"] = Json::array();
      for (const std::string& text : texts_of(request["texts"], "texts")) {
        out["accepted"].push_back(grammar.matches(text));
      }
    }
    if (writer && options.samples > 0) {
      const auto bound = std::make_shared<BoundGrammar>(grammar, writer->vocabulary());
      out["samples"] = Json::array();
      for (std::int64_t i = 0; i < options.samples; ++i) {
        out["samples"].push_back(writer->write(bound, options.max_tokens));
      }
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUnsupported && error.kind() != ErrorKind::kBadInput) throw;
    out["error"] = error.what();
    out["unsupported"] = error.kind() == ErrorKind::kUnsupported;
  }
  return out;
}

void check_requests(const CheckOptions& options, RandomWriter* writer) {
  LineReader lines;
  std::size_t number = 0;
  for (std::string line; lines.next(line);) {
    ++number;
    if (line.empty()) continue;
    const std::string where = "standard input, line " + std::to_string(number);
    const Json request = read_json(line, where);
    if (!request.is_object()) refuse(where, "an object", request);
    const Json out = answer(request, options, writer);
    write_out(out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
}

void check(const CheckOptions& options) {
  std::unique_ptr<RandomWriter> writer;
  if (options.samples > 0) {
    if (options.model.empty()) throw Error(ErrorKind::kUsage, "expected --model with --samples, found none");
    writer = std::make_unique<RandomWriter>(options.model, options.seed);
  }
  if (options.jsonl) return check_requests(options, writer.get());
  const Grammar grammar = grammar_of(options);
  if (writer) {
    const auto bound = std::make_shared<BoundGrammar>(grammar, writer->vocabulary());
    for (std::int64_t i = 0; i < options.samples; ++i) {
      const Json sample = writer->write(bound, options.max_tokens);
      write_out(sample.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    }
    return;
  }
  LineReader lines;
  for (std::string line; lines.next(line);) write_out(grammar.matches(line) ? "accept\n" : "reject\n");
}

}  // namespace

void add_grammar_check(CLI::App& app) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* command = app.add_subcommand(
      "grammar-check", "Say of each line on stdin whether a schema or grammar lets it through");
  command->add_option("--schema", options->schema, "A file with a JSON schema");
  command->add_option("--grammar", options->grammar, "A file with a GBNF grammar");
  command->add_option("--regex", options->regex, "A regular expression that must match the whole line");
  command->add_option("--choices", options->choices, "Texts of which one must stand on the line");
  command->add_flag("--jsonl", options->jsonl,
                    R"(Requests on stdin instead, one a line: {"schema": …, "texts": […]}; also "grammar", )"
                    R"("regex", "choices")");
  command->add_option("-m,--model", options->model, "For --samples: a model or a tokenizer.json");
  command->add_option("--samples", options->samples, "Write so many random texts that satisfy it");
  command->add_option("--max-tokens", options->max_tokens,
                      "The most tokens of a random text; past a quarter of them it closes what is open");
  command->add_option("--seed", options->seed, "Of the random texts");
  command->callback([options] { check(*options); });
}

}  // namespace exa
