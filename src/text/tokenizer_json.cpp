#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/json_vocabulary.h"
#include "text/tokenizer_parts.h"

namespace exa {
namespace {

using Json = nlohmann::json;

// A value of the document with its path, for messages that name it.
class Node {
 public:
  Node(const Json& value, std::string path, const std::string& where)
      : value_(&value), path_(std::move(path)), where_(&where) {}

  bool is_null() const { return value_->is_null(); }
  bool is_string() const { return value_->is_string(); }
  bool is_object() const { return value_->is_object(); }
  std::size_t size() const { return value_->size(); }

  // null where the object lacks the key.
  Node operator[](const std::string& key) const {
    static const Json kNull;
    expect(value_->is_object(), "an object");
    const auto found = value_->find(key);
    return Node(found == value_->end() ? kNull : *found, path_.empty() ? key : path_ + "." + key, *where_);
  }
  Node operator[](std::size_t index) const {
    return Node((*value_)[index], path_ + "[" + std::to_string(index) + "]", *where_);
  }
  const Node& array() const {
    expect(value_->is_array(), "an array");
    return *this;
  }
  const std::string& string() const {
    expect(value_->is_string(), "a string");
    return value_->get_ref<const std::string&>();
  }
  bool boolean(bool if_null) const {
    if (is_null()) return if_null;
    expect(value_->is_boolean(), "a boolean");
    return value_->get<bool>();
  }
  TokenId id() const {
    expect(value_->is_number_unsigned() &&
               value_->get<std::uint64_t>() < static_cast<std::uint64_t>(TokenizerParts::kMaxVocabulary),
           "an id from 0 to 2097151");
    return value_->get<TokenId>();
  }
  const Json& json() const { return *value_; }

  void expect(bool holds, const std::string& expected) const {
    if (!holds) throw Error(ErrorKind::kBadInput, "expected " + expected + ", found " + found(), at());
  }
  [[noreturn]] void unsupported(const std::string& expected) const {
    throw Error(ErrorKind::kUnsupported, "expected " + expected + ", found " + found(), at());
  }
  void require(bool holds, const std::string& expected) const {
    if (!holds) unsupported(expected);
  }

 private:
  std::string at() const { return path_.empty() ? *where_ : *where_ + ", " + path_; }
  std::string found() const {
    if (value_->is_null()) return "nothing";
    constexpr std::size_t kShown = 300;
    std::string text = value_->dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() > kShown) text = std::string(value_->type_name()) + " " + text.substr(0, kShown) + "…";
    return text;
  }

  const Json* value_;
  std::string path_;
  const std::string* where_;
};

enum class Stage { kIsolateNumbers, kGpt2, kSuperword };

bool isolates(const Node& split) {
  return split["behavior"].is_string() && split["behavior"].string() == "Isolated" &&
         !split["invert"].boolean(false);
}

void read_stages(const Node& pre, bool is_part, std::vector<Stage>& stages) {
  const std::string& type = pre["type"].string();
  if (type == "Sequence" && !is_part) {
    const Node list = pre["pretokenizers"].array();
    for (std::size_t i = 0; i < list.size(); ++i) read_stages(list[i], true, stages);
  } else if (type == "ByteLevel") {
    pre["add_prefix_space"].require(!pre["add_prefix_space"].boolean(true), "false");
    if (pre["use_regex"].boolean(true)) stages.push_back(Stage::kGpt2);
  } else if (type == "Digits") {
    pre["individual_digits"].require(pre["individual_digits"].boolean(false), "true");
    stages.push_back(Stage::kIsolateNumbers);
  } else if (type == "Split") {
    const Node pattern = pre["pattern"]["Regex"];
    pre.require(pattern.is_string() && isolates(pre), "a Split by a Regex with behavior Isolated");
    const std::string& regex = pattern.string();
    if (regex == kGpt2Expression) {
      stages.push_back(Stage::kGpt2);
    } else if (regex == kSuperwordExpression) {
      stages.push_back(Stage::kSuperword);
    } else if (regex == R"(\p{N})") {
      stages.push_back(Stage::kIsolateNumbers);
    } else {
      pattern.unsupported("the expression of EXAONE 3.x, 4.0 or 4.5");
    }
  } else {
    pre.unsupported("a pre_tokenizer of EXAONE 3.x, 4.0 or 4.5");
  }
}

SplitterKind read_splitter(const Node& pre) {
  pre.require(!pre.is_null(), "a pre_tokenizer of EXAONE 3.x, 4.0 or 4.5");
  std::vector<Stage> stages;
  read_stages(pre, false, stages);
  if (stages == std::vector{Stage::kGpt2}) return SplitterKind::kExaone4;
  if (stages == std::vector{Stage::kIsolateNumbers, Stage::kGpt2}) return SplitterKind::kExaone;
  if (stages == std::vector{Stage::kSuperword}) return SplitterKind::kExaoneMoe;
  pre.unsupported("a pre_tokenizer of EXAONE 3.x, 4.0 or 4.5");
}

Normalization read_normalization(const Node& normalizer, bool is_part = false) {
  if (normalizer.is_null()) return Normalization::kNone;
  const std::string& type = normalizer["type"].string();
  if (type == "NFC") return Normalization::kNfc;
  if (type == "NFKC") return Normalization::kNfkc;
  if (type == "Sequence" && !is_part) {
    const Node list = normalizer["normalizers"].array();
    if (list.size() == 0) return Normalization::kNone;
    if (list.size() == 1) return read_normalization(list[0], true);
  }
  normalizer.unsupported("no normalizer, NFC or NFKC");
}

TokenizerParts::Added read_added(const Node& token, TokenId id) {
  for (const char* flag : {"single_word", "lstrip", "rstrip"}) {
    token[flag].require(!token[flag].boolean(false), "false (" + std::string(flag) + " of an added token)");
  }
  const bool control = token["special"].boolean(false);
  return {token["content"].string(), id, control, token["normalized"].boolean(!control)};
}

bool is_empty_or_null(const Node& node) {
  return node.is_null() || (node.is_string() && node.string().empty());
}

}  // namespace

TokenizerParts read_tokenizer_json(std::string_view text, const std::string& where) {
  TokenizerParts parts;
  parts.where = where;
  const Json document = read_vocabulary_file(text, VocabularyFile::kTokenizerJson, parts);
  const Node root(document, "", where);
  root.expect(document.is_object(), "an object");

  const Node model = root["model"];
  model.expect(model.is_object(), "an object");
  model["type"].require(model["type"].is_null() || model["type"].json() == "BPE", "\"BPE\"");
  model["dropout"].require(model["dropout"].is_null() || model["dropout"].json() == 0.0, "no dropout");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    model[affix].require(is_empty_or_null(model[affix]), "none (" + std::string(affix) + ")");
  }
  model["byte_fallback"].require(!model["byte_fallback"].boolean(false), "false");
  parts.ignore_merges = model["ignore_merges"].boolean(false);
  // Where they are anything but containers they stayed in the tree.
  model["vocab"].expect(model["vocab"].is_null() && !parts.ordinary.empty(), "an object of text and ids");
  model["merges"].expect(model["merges"].is_null(), "an array");

  parts.splitter = read_splitter(root["pre_tokenizer"]);
  parts.normalization = read_normalization(root["normalizer"]);
  const Node decoder = root["decoder"];
  decoder.require(decoder.is_object() && decoder["type"].json() == "ByteLevel",
                  "a decoder of type ByteLevel");
  const Node added = root["added_tokens"];
  if (!added.is_null()) {
    const Node list = added.array();
    for (std::size_t i = 0; i < list.size(); ++i)
      parts.added.push_back(read_added(list[i], list[i]["id"].id()));
  }
  return parts;
}

TokenizerParts read_vocab_and_merges(std::string_view vocab_json, const std::string& vocab_where,
                                     std::string_view merges_txt, const std::string& merges_where) {
  TokenizerParts parts;
  parts.where = vocab_where;
  const Json rest = read_vocabulary_file(vocab_json, VocabularyFile::kVocabJson, parts);
  Node(rest, "", vocab_where).expect(rest.is_null() && !parts.ordinary.empty(), "an object of text and ids");
  parts.where = merges_where;
  for (bool first = true; !merges_txt.empty(); first = false) {
    const std::size_t end = merges_txt.find('\n');
    std::string_view line = merges_txt.substr(0, end);
    merges_txt.remove_prefix(end == std::string_view::npos ? merges_txt.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (first && line.starts_with("#version"))) continue;
    parts.add_merge_line(line);
  }
  return parts;
}

void read_tokenizer_config(std::string_view text, const std::string& where, bool with_added_tokens,
                           TokenizerParts& parts) {
  Json document;
  try {
    document = Json::parse(text);
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kBadInput, "expected valid JSON, found: " + std::string(error.what()), where);
  }
  const Node root(document, "", where);
  root.expect(document.is_object(), "an object");
  const auto token_text = [&root](const char* key) -> std::string {
    const Node token = root[key];
    if (token.is_null()) return "";
    return token.is_object() ? token["content"].string() : token.string();
  };
  parts.bos_text = token_text("bos_token");
  parts.eos_text = token_text("eos_token");
  if (!with_added_tokens || root["added_tokens_decoder"].is_null()) return;
  const Node added = root["added_tokens_decoder"];
  added.expect(added.is_object(), "an object");
  for (const auto& [key, token] : added.json().items()) {
    TokenId id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    added[key].expect(error == std::errc() && end == key.data() + key.size() && id >= 0 &&
                          id < TokenizerParts::kMaxVocabulary,
                      "an id from 0 to 2097151 as the key");
    parts.added.push_back(read_added(added[key], id));
  }
}

}  // namespace exa
