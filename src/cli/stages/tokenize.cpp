#include "cli/stages/tokenize.h"

#include <charconv>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/flags/model_flag.h"
#include "cli/terminal/streams.h"
#include "formats/checkpoint.h"
#include "json/read.h"
#include "text/tokenizer.h"

namespace exa {
namespace {

struct TokenizeOptions {
  std::filesystem::path model;
  bool jsonl = false;
  bool detokenize = false;
  bool no_parse_special = false;
};

// Ids separated by white space, anywhere on the lines.
std::vector<TokenId> read_ids(std::string_view text) {
  std::vector<TokenId> ids;
  std::size_t line = 1;
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    if (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n') {
      line += *p == '\n';
      ++p;
      continue;
    }
    TokenId id = 0;
    const auto [after, error] = std::from_chars(p, end, id);
    const bool ended = after == end || *after == ' ' || *after == '\t' || *after == '\r' || *after == '\n';
    if (error != std::errc() || !ended) {
      const std::string_view rest(p, static_cast<std::size_t>(end - p));
      throw Error(
          ErrorKind::kBadInput,
          "expected a token id, found \"" + std::string(rest.substr(0, rest.find_first_of(" \t\r\n"))) + "\"",
          "standard input, line " + std::to_string(line));
    }
    ids.push_back(id);
    p = after;
  }
  return ids;
}

std::string answer_line(const Tokenizer& tokenizer, const TokenizeOptions& options, const std::string& line) {
  const nlohmann::ordered_json request = read_json(line, "");
  const char* const key = options.detokenize ? "ids" : "text";
  const auto expect = [](bool holds, const std::string& expected, const std::string& found) {
    if (!holds) throw Error(ErrorKind::kBadInput, "expected " + expected + ", found " + found);
  };
  expect(request.is_object() && request.contains(key), "an object with the key \"" + std::string(key) + "\"",
         request.is_object() ? "none" : request.type_name());
  const nlohmann::ordered_json& value = request[key];
  if (!options.detokenize) {
    expect(value.is_string(), "a string for \"text\"", value.type_name());
    return nlohmann::json{
        {"ids", tokenizer.encode(value.get_ref<const std::string&>(), !options.no_parse_special)}}
        .dump();
  }
  expect(value.is_array(), "an array for \"ids\"", value.type_name());
  std::vector<TokenId> ids;
  for (const nlohmann::ordered_json& id : value) {
    expect(id.is_number_unsigned() && id.get<std::uint64_t>() < tokenizer.vocab_size(),
           "ids from 0 to " + std::to_string(tokenizer.vocab_size() - 1), id.dump(-1, ' ', true));
    ids.push_back(id.get<TokenId>());
  }
  return nlohmann::json{{"text", tokenizer.decode(ids)}}.dump();
}

void tokenize_lines(const Tokenizer& tokenizer, const TokenizeOptions& options) {
  LineReader lines;
  std::size_t number = 0;
  for (std::string line; lines.next(line);) {
    ++number;
    if (line.empty()) continue;
    const std::string where = "standard input, line " + std::to_string(number);
    try {
      // Line by line, so that somebody who waits for an answer gets it.
      write_out(answer_line(tokenizer, options, line) + "\n");
    } catch (const nlohmann::json::exception& error) {
      throw Error(ErrorKind::kBadInput, "expected valid JSON, found: " + std::string(error.what()), where);
    } catch (const Error& error) {
      throw Error(error.kind(), error.message(),
                  error.where().empty() ? where : where + ", " + error.where());
    }
  }
}

void tokenize_all(const Tokenizer& tokenizer, const TokenizeOptions& options) {
  const std::string input = read_all_input();
  std::string out;
  if (options.detokenize) {
    out = tokenizer.decode(read_ids(input));
  } else {
    for (const TokenId id : tokenizer.encode(input, !options.no_parse_special)) {
      if (!out.empty()) out += ' ';
      out += std::to_string(id);
    }
    out += '\n';
  }
  write_out(out);
}

}  // namespace

Tokenizer open_tokenizer(const std::filesystem::path& path) {
  if (path.extension() == ".json") return Tokenizer::from_json_file(path);
  return Tokenizer::from_checkpoint(Checkpoint::open(path));
}

void add_tokenize(CLI::App& app) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command = app.add_subcommand("tokenize", "Turn text on stdin into token ids, or ids into text");
  add_model_option(*command, options->model, "A .gguf file, a Hugging Face folder or a tokenizer.json");
  command->add_flag(
      "--jsonl", options->jsonl,
      R"(One JSON object a line: {"text": …} gives {"ids": […]}, with --detokenize the reverse)");
  command->add_flag("--detokenize", options->detokenize, "Ids to text");
  command->add_flag("--no-parse-special", options->no_parse_special,
                    "Control tokens and tags in the text stay text, as in what a user wrote");
  command->callback([options] {
    const Tokenizer tokenizer = open_tokenizer(options->model);
    if (options->jsonl) {
      tokenize_lines(tokenizer, *options);
    } else {
      tokenize_all(tokenizer, *options);
    }
  });
}

}  // namespace exa
