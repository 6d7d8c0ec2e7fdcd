#include "convert/tokenizer_keys.h"

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/tokenizer_parts.h"

namespace exa {
namespace {

using nlohmann::ordered_json;

enum TokenType : std::int32_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

TokenizerParts read_parts(const Checkpoint& checkpoint) {
  const std::string folder = checkpoint.path().string() + "/";
  if (const auto json = checkpoint.side_file("tokenizer.json")) {
    return read_tokenizer_json(*json, folder + "tokenizer.json");
  }
  const auto vocab = checkpoint.side_file("vocab.json");
  const auto merges = checkpoint.side_file("merges.txt");
  const auto config = checkpoint.side_file("tokenizer_config.json");
  if (!vocab || !merges || !config) {
    throw Error(ErrorKind::kBadInput,
                "no tokenizer in this folder: expected tokenizer.json, or vocab.json, merges.txt and "
                "tokenizer_config.json",
                checkpoint.path().string());
  }
  TokenizerParts parts = read_vocab_and_merges(*vocab, folder + "vocab.json", *merges, folder + "merges.txt");
  read_tokenizer_config(*config, folder + "tokenizer_config.json", true, parts);
  return parts;
}

// Added tokens of this form are control tokens even where their file does not say so.
bool looks_like_control(std::string_view text) {
  return text.starts_with("<|") && text.ends_with("|>");
}

struct Tokens {
  std::vector<std::string> texts;
  std::vector<std::int32_t> types;
};

Tokens list_tokens(const TokenizerParts& parts, std::int64_t vocab) {
  const auto size = static_cast<std::size_t>(vocab);
  Tokens tokens{std::vector<std::string>(size), std::vector<std::int32_t>(size, kUnused)};
  const auto put = [&](TokenId id, std::string_view text, TokenType type) {
    if (id < 0 || static_cast<std::size_t>(id) >= size) {
      throw Error(
          ErrorKind::kBadInput,
          "token id is " + std::to_string(id) + ", expected less than vocab_size = " + std::to_string(vocab),
          parts.where);
    }
    tokens.texts[static_cast<std::size_t>(id)] = text;
    tokens.types[static_cast<std::size_t>(id)] = type;
  };
  for (const auto& token : parts.ordinary) put(token.id, parts.text(token.printable), kNormal);
  for (const auto& token : parts.added) {
    put(token.id, token.text, token.control || looks_like_control(token.text) ? kControl : kUserDefined);
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (tokens.types[i] == kUnused) tokens.texts[i] = "[PAD" + std::to_string(i) + "]";
  }
  return tokens;
}

std::optional<TokenId> added_id(const TokenizerParts& parts, std::string_view text) {
  for (const auto& token : parts.added) {
    if (token.text == text) return token.id;
  }
  return std::nullopt;
}

// A number, or a list of which the first counts.
std::optional<std::int64_t> config_id(const ordered_json& config, const std::string& key) {
  if (!config.is_object()) return std::nullopt;
  const auto found = config.find(key);
  if (found != config.end()) {
    const ordered_json& value = found->is_array() && !found->empty() ? found->front() : *found;
    if (value.is_number_integer()) return value.get<std::int64_t>();
  }
  const auto text = config.find("text_config");
  return text == config.end() ? std::nullopt : config_id(*text, key);
}

void add_special_ids(const TokenizerParts& parts, const ordered_json& tokenizer_config,
                     const Checkpoint& checkpoint, std::int64_t vocab, GgufMetadata& metadata) {
  struct Special {
    const char* huggingface;
    const char* gguf;
  };
  constexpr std::array<Special, 7> kSpecials = {{{"bos", "bos"},
                                                 {"eos", "eos"},
                                                 {"unk", "unknown"},
                                                 {"sep", "seperator"},
                                                 {"pad", "padding"},
                                                 {"cls", "cls"},
                                                 {"mask", "mask"}}};
  for (const Special& special : kSpecials) {
    const std::string prefix = special.huggingface;
    std::optional<std::int64_t> id;
    if (tokenizer_config.is_object()) {
      const auto entry = tokenizer_config.find(prefix + "_token");
      if (entry != tokenizer_config.end()) {
        const ordered_json* text = &*entry;
        if (entry->is_object() && entry->contains("content")) text = &(*entry)["content"];
        if (text->is_string()) id = added_id(parts, text->get_ref<const std::string&>());
      }
    }
    if (!id) id = config_id(checkpoint.config(), prefix + "_token_id");
    if (!id) continue;
    if (*id < 0 || *id >= vocab) {
      throw Error(ErrorKind::kBadInput,
                  prefix + "_token_id is " + std::to_string(*id) +
                      ", expected 0 to less than vocab_size = " + std::to_string(vocab),
                  (checkpoint.path() / "config.json").string());
    }
    metadata.set_u32("tokenizer.ggml." + std::string(special.gguf) + "_token_id",
                     static_cast<std::uint32_t>(*id));
  }
  for (const char* which : {"bos", "eos", "sep"}) {
    const std::string key = "add_" + std::string(which) + "_token";
    if (!tokenizer_config.is_object()) break;
    const auto entry = tokenizer_config.find(key);
    if (entry == tokenizer_config.end() || !entry->is_boolean()) continue;
    metadata.set_bool("tokenizer.ggml." + key, entry->get<bool>());
  }
}

}  // namespace

void add_tokenizer_keys(const Checkpoint& checkpoint, std::int64_t vocab, GgufMetadata& metadata) {
  const TokenizerParts parts = read_parts(checkpoint);
  const Tokens tokens = list_tokens(parts, vocab);
  metadata.set_string("tokenizer.ggml.model", "gpt2");
  metadata.set_string("tokenizer.ggml.pre", name(parts.splitter));
  metadata.set_strings("tokenizer.ggml.tokens", tokens.texts);
  metadata.set_i32s("tokenizer.ggml.token_type", tokens.types);
  std::vector<std::string> merges;
  merges.reserve(parts.merges.size());
  for (const auto& merge : parts.merges) {
    merges.push_back(std::string(parts.text(merge.left)) + " " + std::string(parts.text(merge.right)));
  }
  metadata.set_strings("tokenizer.ggml.merges", merges);

  const ordered_json tokenizer_config = checkpoint.side_json("tokenizer_config.json");
  add_special_ids(parts, tokenizer_config, checkpoint, vocab, metadata);
  if (const auto chat_template = checkpoint.chat_template()) {
    metadata.set_string("tokenizer.chat_template", *chat_template);
  }
}

}  // namespace exa
