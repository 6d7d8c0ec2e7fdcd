#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/loaded_tokenizer.h"

namespace exa {
namespace {

enum class GgufTokenType : std::int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5
};

std::optional<TokenId> gguf_id(const Checkpoint& checkpoint, const char* key) {
  const auto id = checkpoint.get_u64(key);
  if (!id) return std::nullopt;
  if (*id >= static_cast<std::uint64_t>(TokenizerParts::kMaxVocabulary)) {
    throw Error(ErrorKind::kBadInput, "expected an id from 0 to 2097151, found " + std::to_string(*id),
                checkpoint.path().string() + ", " + key);
  }
  return static_cast<TokenId>(*id);
}

TokenizerParts read_gguf(const Checkpoint& checkpoint) {
  const std::string file = checkpoint.path().string();
  const auto at = [&file](const char* key) { return file + ", " + key; };
  constexpr const char* kModel = "tokenizer.ggml.model";
  constexpr const char* kPre = "tokenizer.ggml.pre";
  constexpr const char* kTokens = "tokenizer.ggml.tokens";
  constexpr const char* kTypes = "tokenizer.ggml.token_type";
  constexpr const char* kMerges = "tokenizer.ggml.merges";

  TokenizerParts parts;
  parts.where = file;
  const std::string* model = checkpoint.get_string(kModel);
  if (!model)
    throw Error(ErrorKind::kBadInput, "no tokenizer in this file: expected the key " + std::string(kModel),
                file);
  if (*model != "gpt2") {
    throw Error(ErrorKind::kUnsupported, "expected \"gpt2\", found \"" + *model + "\"", at(kModel));
  }
  const std::string* pre = checkpoint.get_string(kPre);
  const auto splitter = pre ? splitter_from_name(*pre) : std::nullopt;
  if (!splitter) {
    throw Error(ErrorKind::kUnsupported,
                "expected \"exaone\", \"exaone4\" or \"exaone-moe\", found " +
                    (pre ? "\"" + *pre + "\"" : std::string("nothing")),
                at(kPre));
  }
  parts.splitter = *splitter;
  // GGUF has no key for the normaliser: it goes with the generation.
  if (*splitter == SplitterKind::kExaone) parts.normalization = Normalization::kNfkc;
  if (*splitter == SplitterKind::kExaoneMoe) parts.normalization = Normalization::kNfc;

  const auto* tokens = checkpoint.get_strings(kTokens);
  const auto types = checkpoint.get_integers(kTypes);
  const auto* merges = checkpoint.get_strings(kMerges);
  if (!tokens) throw Error(ErrorKind::kBadInput, "expected an array of strings, found nothing", at(kTokens));
  if (!types) throw Error(ErrorKind::kBadInput, "expected an array of integers, found nothing", at(kTypes));
  if (!merges) throw Error(ErrorKind::kBadInput, "expected an array of strings, found nothing", at(kMerges));
  if (tokens->empty() || tokens->size() > static_cast<std::size_t>(TokenizerParts::kMaxVocabulary)) {
    throw Error(ErrorKind::kBadInput, "expected 1 to 2097152 tokens, found " + std::to_string(tokens->size()),
                at(kTokens));
  }
  if (types->size() != tokens->size()) {
    throw Error(ErrorKind::kBadInput,
                "expected " + std::to_string(tokens->size()) + " types, one a token, found " +
                    std::to_string(types->size()),
                at(kTypes));
  }
  parts.min_vocabulary = tokens->size();
  parts.ordinary.reserve(tokens->size());
  for (std::size_t i = 0; i < tokens->size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    switch (static_cast<GgufTokenType>((*types)[i])) {
      case GgufTokenType::kNormal:
        parts.ordinary.push_back({parts.keep((*tokens)[i]), id});
        break;
      case GgufTokenType::kUnknown:
      case GgufTokenType::kControl:
        parts.added.push_back({(*tokens)[i], id, true, false});
        break;
      case GgufTokenType::kUserDefined:
        parts.added.push_back({(*tokens)[i], id, false, false});
        break;
      case GgufTokenType::kUnused:
        break;
      default:
        throw Error(ErrorKind::kUnsupported,
                    "expected token types 1 to 5, found " + std::to_string((*types)[i]) + " for token " +
                        std::to_string(i),
                    at(kTypes));
    }
  }
  parts.where = at(kMerges);
  parts.merges.reserve(merges->size());
  for (const std::string& merge : *merges) parts.add_merge_line(merge);
  parts.where = file;
  parts.bos = gguf_id(checkpoint, "tokenizer.ggml.bos_token_id");
  if (const auto eos = gguf_id(checkpoint, "tokenizer.ggml.eos_token_id")) parts.eos.push_back(*eos);
  return parts;
}

// An id, or a list of ids of which the first counts most; nothing where the key is absent or null.
std::vector<TokenId> config_ids(const nlohmann::ordered_json& config, const char* key,
                                const std::string& where) {
  if (!config.is_object()) return {};
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return {};
  std::vector<TokenId> ids;
  const auto add = [&](const nlohmann::ordered_json& id) {
    if (!id.is_number_unsigned() ||
        id.get<std::uint64_t>() >= static_cast<std::uint64_t>(TokenizerParts::kMaxVocabulary)) {
      throw Error(ErrorKind::kBadInput,
                  "expected an id from 0 to 2097151, found " + std::string(id.type_name()),
                  where + ", " + key);
    }
    ids.push_back(id.get<TokenId>());
  };
  if (found->is_array()) {
    for (const auto& id : *found) add(id);
  } else {
    add(*found);
  }
  return ids;
}

TokenizerParts read_folder(const Checkpoint& checkpoint) {
  const std::string folder = checkpoint.path().string() + "/";
  const auto config = checkpoint.side_file("tokenizer_config.json");
  TokenizerParts parts;
  if (const auto json = checkpoint.side_file("tokenizer.json")) {
    parts = read_tokenizer_json(*json, folder + "tokenizer.json");
    if (config) read_tokenizer_config(*config, folder + "tokenizer_config.json", false, parts);
  } else {
    const auto vocab = checkpoint.side_file("vocab.json");
    const auto merges = checkpoint.side_file("merges.txt");
    if (!vocab || !merges || !config) {
      throw Error(ErrorKind::kBadInput,
                  "no tokenizer in this folder: expected tokenizer.json, or vocab.json, merges.txt "
                  "and tokenizer_config.json",
                  checkpoint.path().string());
    }
    parts = read_vocab_and_merges(*vocab, folder + "vocab.json", *merges, folder + "merges.txt");
    read_tokenizer_config(*config, folder + "tokenizer_config.json", true, parts);
  }
  // generation_config.json is what decides for Hugging Face's generate(), then config.json.
  parts.eos = config_ids(checkpoint.generation_config(), "eos_token_id", folder + "generation_config.json");
  if (parts.eos.empty()) parts.eos = config_ids(checkpoint.config(), "eos_token_id", folder + "config.json");
  const auto& whole = checkpoint.config();
  if (parts.eos.empty() && whole.is_object() && whole.contains("text_config")) {
    parts.eos = config_ids(whole["text_config"], "eos_token_id", folder + "config.json, text_config");
  }
  return parts;
}

}  // namespace

Tokenizer Tokenizer::from_checkpoint(const Checkpoint& checkpoint) {
  const TokenizerParts parts =
      checkpoint.format() == CheckpointFormat::kGguf ? read_gguf(checkpoint) : read_folder(checkpoint);
  return Tokenizer(std::make_unique<Impl>(Impl{LoadedTokenizer::assemble(parts)}));
}

}  // namespace exa
