// Names of repositories taken apart, and the front matter of model cards.
#include "convert/model_card.h"

#include <gtest/gtest.h>

namespace exa {
namespace {

TEST(ModelId, PublishedNames) {
  const ModelId dense = parse_model_id("LGAI-EXAONE/EXAONE-4.0-1.2B", 1.28e9);
  EXPECT_EQ(dense.organization, "LGAI-EXAONE");
  EXPECT_EQ(dense.basename, "EXAONE-4.0");
  EXPECT_EQ(dense.size_label, "1.2B");
  EXPECT_EQ(dense.version, "");
  const ModelId moe = parse_model_id("K-EXAONE-236B-A23B", 237e9);
  EXPECT_EQ(moe.basename, "K-EXAONE");
  EXPECT_EQ(moe.size_label, "236B-A23B");
}

TEST(ModelId, FoldersThatSayLittle) {
  for (const char* name : {"exaone4-dense", "exaone4_5", "x", ""}) {
    const ModelId id = parse_model_id(name, 3e6);
    EXPECT_EQ(id.full_name, name);
    EXPECT_EQ(id.basename + id.size_label + id.version + id.finetune, "") << name;
  }
}

TEST(ModelId, VersionsAndOtherParts) {
  const ModelId id = parse_model_id("name-7b-chat-v2-128k", 7e9);
  EXPECT_EQ(id.basename, "name");
  EXPECT_EQ(id.size_label, "7B");
  EXPECT_EQ(id.finetune, "chat-128k");
  EXPECT_EQ(id.version, "v2");
}

TEST(Title, WordsButNotVersions) {
  EXPECT_EQ(title("exaone4-dense"), "Exaone4 Dense");
  EXPECT_EQ(title("exaone4_5"), "Exaone4_5");
  EXPECT_EQ(title("EXAONE-4.0-1.2b-v2"), "EXAONE 4.0 1.2b v2");
}

TEST(ModelCard, FrontMatter) {
  const ModelCard card = parse_model_card(
      "---\nbase_model: LGAI-EXAONE/EXAONE-4.0-32B\nlicense: other\nlicense_name: 'exaone'\n# note\n"
      "language:\n- en\n- \"ko\"\ntags: [a, b]\nnested:\n  x: 1\n---\nlicense: not this\n");
  EXPECT_EQ(card_values(card, "base_model"), std::vector<std::string>{"LGAI-EXAONE/EXAONE-4.0-32B"});
  EXPECT_EQ(card_values(card, "license"), std::vector<std::string>{"other"});
  EXPECT_EQ(card_values(card, "license_name"), std::vector<std::string>{"exaone"});
  EXPECT_EQ(card_values(card, "language"), (std::vector<std::string>{"en", "ko"}));
  EXPECT_EQ(card_values(card, "tags"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(card_values(card, "absent").empty());
  EXPECT_TRUE(parse_model_card("# a readme\n---\nlicense: x\n---\n").empty());
  EXPECT_TRUE(parse_model_card("---\nlicense: x\n").empty());
}

}  // namespace
}  // namespace exa
