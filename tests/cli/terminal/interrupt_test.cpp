#include "cli/terminal/interrupt.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>

namespace exa {
namespace {

std::string woken_by(const WakeOnSignal& wake) {
  std::string letters;
  char letter = 0;
  while (read(wake.fd(), &letter, 1) == 1) letters += letter;
  return letters;
}

// A Ctrl-C that comes between an answer and the next prompt may not end the program.
TEST(Interrupt, StopsTheAnswerWhileThereIsOneAndWakesTheReaderBeforeAndAfter) {
  install_signal_handlers();
  const WakeOnSignal wake;
  std::raise(SIGINT);
  EXPECT_EQ(woken_by(wake), "i");
  {
    CancelToken token;
    const CancelOnInterrupt scope(token);
    std::raise(SIGINT);
    EXPECT_TRUE(token.cancelled());
    EXPECT_EQ(woken_by(wake), "");
    std::raise(SIGWINCH);
  }
  std::raise(SIGINT);
  EXPECT_EQ(woken_by(wake), "wi");
}

TEST(InterruptDeathTest, ASecondOneEndsTheProgramWith130) {
  const auto twice = [] {
    install_signal_handlers();
    const WakeOnSignal wake;
    CancelToken token;
    const CancelOnInterrupt scope(token);
    std::raise(SIGINT);
    std::raise(SIGINT);
  };
  EXPECT_EXIT(twice(), testing::ExitedWithCode(130), "");
}

}  // namespace
}  // namespace exa
