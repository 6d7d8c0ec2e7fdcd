#include "engine/answer_split.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace exa {
namespace {

struct Parts {
  std::string reasoning;
  std::string content;
  bool operator==(const Parts&) const = default;
};

Parts split(const std::vector<std::string>& pushes, bool in_reasoning) {
  Parts parts;
  AnswerSplit splitter(in_reasoning);
  for (const std::string& text : pushes) splitter.push(text, parts.reasoning, parts.content);
  splitter.finish(parts.reasoning, parts.content);
  return parts;
}

TEST(AnswerSplit, UsualAnswers) {
  EXPECT_EQ(split({"I think.\n</think>\n\nYes."}, true), (Parts{"I think.", "Yes."}));
  EXPECT_EQ(split({"Yes."}, false), (Parts{"", "Yes."}));
  EXPECT_EQ(split({"\n\nYes.  \n"}, false), (Parts{"", "Yes."}));
  EXPECT_EQ(split({"a  b\n\nc"}, false), (Parts{"", "a  b\n\nc"}));
  EXPECT_EQ(split({""}, true), (Parts{"", ""}));
}

TEST(AnswerSplit, AMissingEndLeavesAllInReasoning) {
  EXPECT_EQ(split({"still thinking "}, true), (Parts{"still thinking", ""}));
  EXPECT_EQ(split({"still </thi"}, true), (Parts{"still </thi", ""}));
}

TEST(AnswerSplit, OneSpuriousOpeningTagIsDropped) {
  EXPECT_EQ(split({"<think>\nr</think>c"}, true), (Parts{"r", "c"}));
  EXPECT_EQ(split({" \n<think>r</think>c"}, false), (Parts{"r", "c"}));
  EXPECT_EQ(split({"<think><think>r</think>c"}, true), (Parts{"<think>r", "c"}));
  EXPECT_EQ(split({"r<think></think><think>c"}, true), (Parts{"r<think>", "<think>c"}));
  EXPECT_EQ(split({"a <think> b"}, false), (Parts{"", "a <think> b"}));
}

TEST(AnswerSplit, TextLikeTagsStaysText) {
  EXPECT_EQ(split({"</think> in content"}, false), (Parts{"", "</think> in content"}));
  EXPECT_EQ(split({"a < b </ think> <</think>>"}, true), (Parts{"a < b </ think> <", ">"}));
  EXPECT_EQ(split({"r</think></think>c"}, true), (Parts{"r", "</think>c"}));
  EXPECT_EQ(split({"</think></think>"}, true), (Parts{"", "</think>"}));
  EXPECT_EQ(split({"</thin</think>c"}, true), (Parts{"</thin", "c"}));
}

TEST(AnswerSplit, SaysWhereItStands) {
  Parts parts;
  AnswerSplit splitter(true);
  splitter.push("r </thi", parts.reasoning, parts.content);
  EXPECT_TRUE(splitter.in_reasoning());
  EXPECT_EQ(parts.reasoning, "r");
  splitter.push("nk>\n", parts.reasoning, parts.content);
  EXPECT_FALSE(splitter.in_reasoning());
  splitter.push("now", parts.reasoning, parts.content);
  EXPECT_EQ(parts.content, "now");
}

TEST(AnswerSplit, EveryCutEqualsTheWhole) {
  const std::vector<std::string> pieces = {"<think>", "</think>", "<", "/",  "think", ">",  " ",
                                           "\n",      "한",       "a", "</", "<th",   "\t", "k>"};
  std::mt19937 generator(17);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::size_t n = generator() % 12; n > 0; --n) text += pieces[generator() % pieces.size()];
    for (const bool in_reasoning : {false, true}) {
      const Parts whole = split({text}, in_reasoning);
      std::vector<std::string> bytes;
      for (const char c : text) bytes.emplace_back(1, c);
      ASSERT_EQ(split(bytes, in_reasoning), whole) << text;
      for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        ASSERT_EQ(split({text.substr(0, cut), text.substr(cut)}, in_reasoning), whole)
            << text << " cut at " << cut;
      }
    }
  }
}

}  // namespace
}  // namespace exa
