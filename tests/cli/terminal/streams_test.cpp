#include "cli/terminal/streams.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/error.h"

namespace exa {
namespace {

// Standard input of this process while it lives: the given bytes through a pipe.
class InputOf {
 public:
  explicit InputOf(const std::string& bytes) : before_(dup(STDIN_FILENO)) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    EXPECT_EQ(write(ends[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
  }
  ~InputOf() {
    dup2(before_, STDIN_FILENO);
    close(before_);
  }
  InputOf(const InputOf&) = delete;
  InputOf& operator=(const InputOf&) = delete;

 private:
  int before_;
};

std::vector<std::string> lines_of(const std::string& bytes) {
  const InputOf input(bytes);
  LineReader reader;
  std::vector<std::string> lines;
  std::string line;
  while (reader.next(line)) lines.push_back(line);
  EXPECT_FALSE(reader.next(line));
  return lines;
}

TEST(Streams, ReadsAllInput) {
  const InputOf input(std::string("a\0b\n", 4));
  EXPECT_EQ(read_all_input(), std::string("a\0b\n", 4));
}

TEST(Streams, ReadsLines) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(lines_of(""), Lines{});
  EXPECT_EQ(lines_of("one"), Lines{"one"});
  EXPECT_EQ(lines_of("one\n"), Lines{"one"});
  EXPECT_EQ(lines_of("one\n\n둘\n"), (Lines{"one", "", "둘"}));
  EXPECT_EQ(lines_of("\nlast"), (Lines{"", "last"}));
}

TEST(Streams, ALineThatIsNotUtf8IsRefusedWithItsOffset) {
  const InputOf input("one\n\xed\x95\x9c\xff\n");
  LineReader reader;
  std::string line;
  ASSERT_TRUE(reader.next(line));
  try {
    reader.next(line);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_STREQ(error.what(), "standard input: invalid UTF-8 at byte 7");
  }
}

TEST(Streams, RequireUtf8NamesTheOffset) {
  EXPECT_NO_THROW(require_utf8("안녕", "--prompt"));
  try {
    require_utf8("a\xc3", "--prompt");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "--prompt: invalid UTF-8 at byte 1");
  }
}

TEST(Streams, NothingDrivesTheTerminal) {
  EXPECT_EQ(for_terminal("안녕\tworld\n"), "안녕\tworld\n");
  EXPECT_EQ(for_terminal("a\x1b[31mb"), "a\ufffd[31mb");
  EXPECT_EQ(for_terminal("\r\a\x7f"), "\ufffd\ufffd\ufffd");
  EXPECT_EQ(for_terminal("\u009b31m\u00a0é"), "\ufffd31m\u00a0é");
  EXPECT_EQ(for_terminal(""), "");
}

TEST(Streams, OneLineOfAnything) {
  EXPECT_EQ(one_line("a\nb\x1b[m\xff\xc3"), "a\\nb\ufffd[m\ufffd\ufffd");
  EXPECT_EQ(one_line("한글\t끝"), "한글\\t끝");
}

}  // namespace
}  // namespace exa
