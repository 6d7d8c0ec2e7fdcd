#include <gtest/gtest.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <random>

#include "base/error.h"
#include "base/file.h"
#include "formats/checkpoint.h"
#include "formats/gguf_builder.h"
#include "formats/scratch_folder.h"
#include "text/tokenizer.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

const std::filesystem::path kModels = std::filesystem::path(EXAONE_SOURCE_DIR) / "tests/data/models";

Json sound() {
  return Json::parse(read_text_file(kModels / "tiny-exaone4_5/tokenizer.json", 1 << 20));
}

class Hostile : public testing::Test {
 protected:
  Tokenizer load(const std::string& text) {
    return Tokenizer::from_json_file(folder_.write("tokenizer.json", text));
  }

  // Loading must fail with this kind and name all of `words`.
  void expect_refused(const std::string& text, ErrorKind kind, const std::vector<std::string>& words) {
    try {
      load(text);
      ADD_FAILURE() << "accepted; expected an error with " << testing::PrintToString(words);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      const std::string what = error.what();
      for (const std::string& word : words) EXPECT_NE(what.find(word), std::string::npos) << what;
    }
  }
  void expect_refused(const char* pointer, const Json& value, ErrorKind kind,
                      const std::vector<std::string>& words) {
    Json json = sound();
    json[Json::json_pointer(pointer)] = value;
    expect_refused(json.dump(), kind, words);
  }

  test::ScratchFolder folder_;
};

TEST_F(Hostile, TheSoundFileLoads) {
  EXPECT_GT(load(sound().dump()).vocab_size(), 300u);
}

TEST_F(Hostile, NotJson) {
  const std::string text = sound().dump();
  expect_refused("", ErrorKind::kBadInput, {"JSON"});
  expect_refused("[1, 2]", ErrorKind::kBadInput, {"object"});
  expect_refused("null", ErrorKind::kBadInput, {"object"});
  expect_refused(text.substr(0, text.size() / 2), ErrorKind::kBadInput, {"JSON", "byte"});
  expect_refused("{\"model\": \"\xFF\"}", ErrorKind::kBadInput, {"JSON"});
  expect_refused(std::string(100'000, '['), ErrorKind::kBadInput, {"nesting"});
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "{\"model\":";
  expect_refused(deep, ErrorKind::kBadInput, {"nesting"});
}

TEST_F(Hostile, WrongTypes) {
  expect_refused("/model", 3, ErrorKind::kBadInput, {"model", "object"});
  expect_refused("/model/vocab", Json::array({1}), ErrorKind::kBadInput, {"model.vocab"});
  expect_refused("/model/vocab", Json::object(), ErrorKind::kBadInput, {"model.vocab"});
  expect_refused("/model/vocab/a", "1", ErrorKind::kBadInput, {"vocab[\"a\"]", "id", "string"});
  expect_refused("/model/vocab/a", -1, ErrorKind::kBadInput, {"vocab[\"a\"]", "-1"});
  expect_refused("/model/vocab/a", 1.5, ErrorKind::kBadInput, {"vocab[\"a\"]"});
  expect_refused("/model/vocab/a", Json::array(), ErrorKind::kBadInput, {"vocab[\"a\"]"});
  expect_refused("/model/vocab/a", Json::object(), ErrorKind::kBadInput, {"vocab[\"a\"]"});
  expect_refused("/model/merges", "x", ErrorKind::kBadInput, {"model.merges"});
  expect_refused("/model/merges/3", 7, ErrorKind::kBadInput, {"merges[3]"});
  expect_refused("/model/merges/3", Json::array({"a"}), ErrorKind::kBadInput, {"merges[3]"});
  expect_refused("/model/merges/3", Json::array({"a", "b", "c"}), ErrorKind::kBadInput, {"merges[3]"});
  expect_refused("/model/merges/3", Json::array({"a", 1}), ErrorKind::kBadInput, {"merges[3]"});
  expect_refused("/model/merges/3", Json::object(), ErrorKind::kBadInput, {"merges[3]"});
  expect_refused("/model/merges/3", "ab", ErrorKind::kBadInput, {"merge 3"});
  expect_refused("/model/ignore_merges", "yes", ErrorKind::kBadInput, {"ignore_merges", "boolean"});
  expect_refused("/added_tokens", 3, ErrorKind::kBadInput, {"added_tokens", "array"});
  expect_refused("/added_tokens/2", 3, ErrorKind::kBadInput, {"added_tokens[2]"});
  expect_refused("/added_tokens/2/id", "2", ErrorKind::kBadInput, {"added_tokens[2].id"});
  expect_refused("/added_tokens/2/content", nullptr, ErrorKind::kBadInput, {"added_tokens[2].content"});
  expect_refused("/pre_tokenizer", 1, ErrorKind::kBadInput, {"pre_tokenizer"});
}

TEST_F(Hostile, ContradictionsAndNumbersOutOfRange) {
  expect_refused("/model/vocab/a", 2097152, ErrorKind::kBadInput, {"2097152"});
  expect_refused("/model/vocab/a", 18446744073709551615u, ErrorKind::kBadInput, {"18446744073709551615"});
  expect_refused("/added_tokens/2/id", 4000000000u, ErrorKind::kBadInput, {"added_tokens[2].id"});
  const Json json = sound();
  expect_refused("/model/vocab/a", json["model"]["vocab"]["b"], ErrorKind::kBadInput, {"one token for id"});
  expect_refused("/added_tokens/2/id", json["added_tokens"][1]["id"], ErrorKind::kBadInput,
                 {"one added token"});
  expect_refused("/added_tokens/2/content", "[other]", ErrorKind::kBadInput, {"[other]"});
  expect_refused("/model/merges/3", Json::array({"qzqz", "q"}), ErrorKind::kBadInput, {"qzqz", "merge 3"});
  expect_refused("/model/merges/3", "q qzqz", ErrorKind::kBadInput, {"qzqz", "merge 3"});
  expect_refused("/model/merges/3", json["model"]["merges"][2], ErrorKind::kBadInput, {"same pair"});
  Json without = json;
  without["model"]["vocab"].erase("a");
  expect_refused(without.dump(), ErrorKind::kBadInput, {"byte 97"});
  Json twice = json;
  twice["added_tokens"].push_back(
      {{"id", 5000}, {"content", "  "}, {"special", false}, {"normalized", false}});
  expect_refused(twice.dump(), ErrorKind::kBadInput, {"once"});
  twice["added_tokens"].back()["content"] = "";
  expect_refused(twice.dump(), ErrorKind::kBadInput, {"1 to 1024 bytes"});
  twice["added_tokens"].back()["content"] = std::string(2000, 'x');
  expect_refused(twice.dump(), ErrorKind::kBadInput, {"1 to 1024 bytes"});
  twice["added_tokens"].back()["content"] = "a";
  expect_refused(twice.dump(), ErrorKind::kBadInput, {"one id for \"a\""});
}

// A merge may not make a control token out of what a user typed.
TEST_F(Hostile, MergesCannotMakeAddedTokens) {
  Json json = sound();
  json["model"]["vocab"]["<t"] = 5000;
  json["added_tokens"].push_back({{"id", 5000}, {"content", "<t"}, {"special", true}, {"normalized", false}});
  json["model"]["merges"].push_back(Json::array({"<", "t"}));
  expect_refused(json.dump(), ErrorKind::kBadInput, {"<t"});
}

TEST_F(Hostile, UnknownKindsAreNamed) {
  const auto kind = ErrorKind::kUnsupported;
  expect_refused("/model/type", "Unigram", kind, {"model.type", "Unigram"});
  expect_refused("/model/dropout", 0.1, kind, {"dropout"});
  expect_refused("/model/byte_fallback", true, kind, {"byte_fallback"});
  expect_refused("/model/end_of_word_suffix", "</w>", kind, {"end_of_word_suffix"});
  expect_refused("/normalizer", Json{{"type", "Lowercase"}}, kind, {"normalizer", "Lowercase"});
  expect_refused("/pre_tokenizer", nullptr, kind, {"pre_tokenizer"});
  expect_refused("/pre_tokenizer", Json{{"type", "Whitespace"}}, kind, {"Whitespace"});
  expect_refused("/pre_tokenizer/pretokenizers/0/pattern/Regex", R"(\w+)", kind, {"\\\\w+"});
  expect_refused("/pre_tokenizer/pretokenizers/0/behavior", "Removed", kind, {"Removed"});
  expect_refused("/pre_tokenizer/pretokenizers/1/add_prefix_space", true, kind, {"add_prefix_space"});
  expect_refused("/decoder", Json{{"type", "WordPiece"}}, kind, {"decoder", "WordPiece"});
  for (const char* flag : {"lstrip", "rstrip", "single_word"}) {
    expect_refused((std::string("/added_tokens/2/") + flag).c_str(), true, kind, {flag, "added_tokens[2]"});
  }
}

// Random damage: an error of ours, or a tokenizer that works.
TEST_F(Hostile, RandomDamage) {
  const std::string text = sound().dump();
  std::mt19937 random(11);
  int n_loaded = 0;
  for (int round = 0; round < 300; ++round) {
    std::string damaged = text;
    for (std::size_t n = 1 + random() % 3; n > 0; --n) {
      damaged[random() % damaged.size()] = static_cast<char>("0123456789\"{}[],:az \xFF"[random() % 20]);
    }
    try {
      const Tokenizer tokenizer = load(damaged);
      tokenizer.decode(tokenizer.encode("Hello, 세계! [BOS] <think>  x", true));
      ++n_loaded;
    } catch (const Error& error) {
      EXPECT_TRUE(error.kind() == ErrorKind::kBadInput || error.kind() == ErrorKind::kUnsupported)
          << error.what();
    }
  }
  EXPECT_GT(n_loaded, 0);
}

std::vector<std::string> byte_tokens() {
  const Json vocab = sound()["model"]["vocab"];
  std::vector<std::string> tokens(vocab.size());
  for (const auto& [text, id] : vocab.items()) tokens[id.get<std::size_t>()] = text;
  tokens.resize(120 + 256);
  return tokens;
}

test::GgufBuilder gguf(const std::vector<std::string>& tokens, const std::vector<std::int32_t>& types,
                       const std::vector<std::string>& merges, std::string_view pre = "exaone4",
                       std::string_view model = "gpt2") {
  test::GgufBuilder file;
  file.key("general.architecture", "exaone4");
  file.key("tokenizer.ggml.model", model);
  file.key("tokenizer.ggml.pre", pre);
  file.strings("tokenizer.ggml.tokens", tokens);
  std::string bytes;
  for (const std::int32_t type : types) bytes += test::le(type);
  file.array("tokenizer.ggml.token_type", test::kI32, types.size(), bytes);
  file.strings("tokenizer.ggml.merges", merges);
  return file;
}

class HostileGguf : public Hostile {
 protected:
  Tokenizer load(const test::GgufBuilder& file) {
    return Tokenizer::from_checkpoint(Checkpoint::open(folder_.write("model.gguf", file.bytes())));
  }
  void expect_refused(const test::GgufBuilder& file, ErrorKind kind, const std::vector<std::string>& words) {
    try {
      load(file);
      ADD_FAILURE() << "accepted; expected an error with " << testing::PrintToString(words);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      const std::string what = error.what();
      for (const std::string& word : words) EXPECT_NE(what.find(word), std::string::npos) << what;
    }
  }

  std::vector<std::string> tokens_ = byte_tokens();
  std::vector<std::int32_t> types_ = std::vector<std::int32_t>(tokens_.size(), 1);

  void SetUp() override {
    std::fill(types_.begin(), types_.begin() + 120, 3);
    std::fill(types_.begin() + 4, types_.begin() + 42, 4);
  }
};

TEST_F(HostileGguf, TheSoundFileLoads) {
  tokens_.push_back("ab");
  tokens_.push_back("[PAD377]");
  types_.insert(types_.end(), {1, 5});
  const Tokenizer tokenizer = load(gguf(tokens_, types_, {"a b"}));
  EXPECT_EQ(tokenizer.encode("ab  ", true), (std::vector<TokenId>{376, 33}));
  EXPECT_EQ(tokenizer.kind(377), TokenKind::kUnused);
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{376, 377}), "ab");
  EXPECT_EQ(load(gguf(tokens_, types_, {"a b"}, "exaone")).encode("\uFF41b", true),
            (std::vector<TokenId>{376}));
}

TEST_F(HostileGguf, BrokenArrays) {
  expect_refused(gguf(tokens_, types_, {"a b"}), ErrorKind::kBadInput, {"ab", "merge 0"});
  expect_refused(gguf(tokens_, types_, {"ab"}), ErrorKind::kBadInput, {"merge 0"});
  expect_refused(gguf(tokens_, types_, {" "}), ErrorKind::kBadInput, {"merge 0"});
  expect_refused(gguf(tokens_, types_, {""}), ErrorKind::kBadInput, {"merge 0"});
  expect_refused(gguf({}, {}, {}), ErrorKind::kBadInput, {"tokenizer.ggml.tokens"});
  auto types = types_;
  types.pop_back();
  expect_refused(gguf(tokens_, types, {}), ErrorKind::kBadInput, {"token_type", "376", "375"});
  types = types_;
  types[7] = 99;
  expect_refused(gguf(tokens_, types, {}), ErrorKind::kUnsupported, {"token_type", "99", "token 7"});
  auto tokens = tokens_;
  tokens[3] = "bad \xFF";
  expect_refused(gguf(tokens, types_, {}), ErrorKind::kBadInput, {"added token 3", "UTF-8"});
  tokens = tokens_;
  tokens[300] = tokens[301];
  expect_refused(gguf(tokens, types_, {}), ErrorKind::kBadInput, {"300", "301"});
  expect_refused(gguf(tokens_, types_, {}, "llama-bpe"), ErrorKind::kUnsupported,
                 {"tokenizer.ggml.pre", "llama-bpe"});
  expect_refused(gguf(tokens_, types_, {}, "exaone4", "llama"), ErrorKind::kUnsupported,
                 {"tokenizer.ggml.model"});
  for (const std::uint32_t id : {376u, 4294967295u}) {
    auto file = gguf(tokens_, types_, {});
    file.key("tokenizer.ggml.eos_token_id", test::kU32, id);
    expect_refused(file, ErrorKind::kBadInput, {std::to_string(id)});
  }
  test::GgufBuilder none;
  none.key("general.architecture", "exaone4");
  expect_refused(none, ErrorKind::kBadInput, {"no tokenizer"});
}

// What a user may send: one letter, one space, marks, markup, a sentence without end. A megabyte each.
TEST(HostileText, AMegabyteOfAnything) {
  for (const char* model : {"tiny-exaone4", "tiny-exaone4_5"}) {
    const Tokenizer tokenizer = Tokenizer::from_json_file(kModels / model / "tokenizer.json");
    const std::clock_t start = std::clock();
    for (const char* unit : {"a", " ", "\t", "\n", "\n ", "\u0301", "\u0301\u0323", "가", "the end of ", "<",
                             "<think", "[unused", "'", "1", "\uFF1C"}) {
      std::string text;
      while (text.size() < 1 << 20) text += unit;
      const auto ids = tokenizer.encode(text, true);
      EXPECT_EQ(tokenizer.encode(text, false), ids);
      EXPECT_FALSE(ids.empty());
    }
    EXPECT_LT(std::clock() - start, 120 * CLOCKS_PER_SEC);
  }
}

}  // namespace
}  // namespace exa
