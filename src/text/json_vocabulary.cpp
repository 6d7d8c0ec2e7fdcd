#include "text/json_vocabulary.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace exa {
namespace {

using Json = nlohmann::json;

class Reader : public nlohmann::json_sax<Json> {
 public:
  Reader(VocabularyFile kind, TokenizerParts& parts) : kind_(kind), parts_(parts) {}

  Json take() { return std::move(root_); }

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_float(number_float_t value, const string_t&) override { return scalar(value); }
  bool binary(binary_t&) override { return scalar(nullptr); }
  bool number_integer(number_integer_t value) override {
    if (place_ == Place::kVocabulary) fail("an id from 0 to 2097151", std::to_string(value));
    return scalar(value);
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::kVocabulary) return scalar(value);
    if (value >= static_cast<number_unsigned_t>(TokenizerParts::kMaxVocabulary)) {
      fail("an id from 0 to 2097151", std::to_string(value));
    }
    parts_.ordinary.push_back({key_text_, static_cast<TokenId>(value)});
    return true;
  }
  bool string(string_t& value) override {
    if (place_ == Place::kMerges) {
      parts_.add_merge_line(value);
      return true;
    }
    if (place_ == Place::kMergePair) {
      if (n_in_pair_ == 2) fail("two strings", "a third");
      (n_in_pair_++ == 0 ? pair_.left : pair_.right) = parts_.keep(value);
      return true;
    }
    return scalar(std::move(value));
  }
  bool key(string_t& value) override {
    if (place_ == Place::kVocabulary) {
      key_text_ = parts_.keep(value);
    } else {
      key_ = std::move(value);
    }
    return true;
  }

  bool start_object(std::size_t) override {
    const bool whole_file = kind_ == VocabularyFile::kVocabJson && stack_.empty();
    if (place_ == Place::kTree && (whole_file || (in_model() && key_ == "vocab"))) {
      place_ = Place::kVocabulary;
      return true;
    }
    return open(Json::object());
  }
  bool end_object() override {
    if (place_ == Place::kVocabulary) {
      place_ = Place::kTree;
      return true;
    }
    stack_.pop_back();
    return true;
  }
  bool start_array(std::size_t) override {
    if (place_ == Place::kTree && in_model() && key_ == "merges") {
      place_ = Place::kMerges;
      return true;
    }
    if (place_ == Place::kMerges) {
      place_ = Place::kMergePair;
      n_in_pair_ = 0;
      return true;
    }
    return open(Json::array());
  }
  bool end_array() override {
    if (place_ == Place::kMergePair) {
      if (n_in_pair_ != 2) fail("two strings", std::to_string(n_in_pair_));
      parts_.merges.push_back(pair_);
      place_ = Place::kMerges;
    } else if (place_ == Place::kMerges) {
      place_ = Place::kTree;
    } else {
      stack_.pop_back();
    }
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    std::string_view what = error.what();
    if (const std::size_t end = what.find("] "); end != std::string_view::npos) what.remove_prefix(end + 2);
    throw Error(ErrorKind::kBadInput, "expected valid JSON, found: " + std::string(what),
                parts_.where + ", byte " + std::to_string(position));
  }

 private:
  enum class Place { kTree, kVocabulary, kMerges, kMergePair };
  static constexpr std::size_t kMaxDepth = 64;

  bool in_model() const {
    return kind_ == VocabularyFile::kTokenizerJson && stack_.size() == 2 && model_ == stack_.back();
  }

  [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
    std::string path = kind_ == VocabularyFile::kVocabJson ? "" : "model.";
    if (place_ == Place::kVocabulary) {
      path = (path.empty() ? "entry" : path + "vocab") + "[\"" + std::string(parts_.text(key_text_)) + "\"]";
    } else {
      path += "merges[" + std::to_string(parts_.merges.size()) + "]";
    }
    throw Error(ErrorKind::kBadInput, "expected " + expected + ", found " + found,
                parts_.where + ", " + path);
  }

  Json* insert(Json&& value) {
    if (place_ == Place::kVocabulary) fail("an id", value.type_name());
    if (place_ != Place::kTree) fail("a merge: \"a b\" or [\"a\", \"b\"]", value.type_name());
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[key_] = std::move(value));
  }
  bool scalar(Json&& value) {
    insert(std::move(value));
    return true;
  }
  bool open(Json&& container) {
    if (stack_.size() >= kMaxDepth) {
      throw Error(ErrorKind::kBadInput, "expected nesting of at most 64, found more", parts_.where);
    }
    const bool is_model =
        stack_.size() == 1 && stack_.back() == &root_ && root_.is_object() && key_ == "model";
    stack_.push_back(insert(std::move(container)));
    if (is_model) model_ = stack_.back();
    return true;
  }

  VocabularyFile kind_;
  TokenizerParts& parts_;
  Json root_;
  std::vector<Json*> stack_;  // the open containers of the tree
  const Json* model_ = nullptr;
  std::string key_;
  Place place_ = Place::kTree;
  TokenizerParts::Text key_text_{};
  TokenizerParts::Merge pair_{};
  int n_in_pair_ = 0;
};

}  // namespace

TokenizerParts::Text TokenizerParts::keep(std::string_view kept) {
  if (arena.size() + kept.size() > 0xFFFFFFFF) {
    throw Error(ErrorKind::kUnsupported, "expected less than 4 GiB of token text, found more", where);
  }
  const Text result{static_cast<std::uint32_t>(arena.size()), static_cast<std::uint32_t>(kept.size())};
  arena.append(kept);
  return result;
}

void TokenizerParts::add_merge_line(std::string_view line) {
  const std::size_t space = line.find(' ', 1);
  if (line.empty() || space == std::string_view::npos || space + 1 == line.size()) {
    throw Error(ErrorKind::kBadInput,
                "expected two tokens and a space between them, found \"" + std::string(line) + "\"",
                where + ", merge " + std::to_string(merges.size()));
  }
  const Text left = keep(line.substr(0, space));
  merges.push_back({left, keep(line.substr(space + 1))});
}

nlohmann::json read_vocabulary_file(std::string_view text, VocabularyFile kind, TokenizerParts& parts) {
  parts.arena.reserve(text.size() / 2);
  Reader reader(kind, parts);
  Json::sax_parse(text.begin(), text.end(), &reader);
  return reader.take();
}

}  // namespace exa
