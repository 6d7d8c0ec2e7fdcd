#include "images/jail.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "images/image_files.h"

namespace exa::test {
namespace {

const ImageHeader kSmall{ImageFormat::kPng, 2, 2, 1};
const std::byte kNoFile[1] = {};

void spin() {
  for (std::atomic<int> i = 0;;) i.fetch_add(1);
}

Image two_by_two() {
  return {2, 2, std::vector<std::uint8_t>(12, 7)};
}

// The decoder answers pictures of the "file" {0} and does `attack` for any other.
ImageJail planted(std::function<void()> attack, ImageJail::Limits limits = {}) {
  return ImageJail(
      ImageJailMode::kOn, limits,
      [attack = std::move(attack)](std::span<const std::byte> file, const ImageHeader&, const std::string&) {
        if (file[0] != std::byte{0}) attack();
        return two_by_two();
      });
}

void expect_killed(ImageJail& jail) {
  const std::byte attack[] = {std::byte{1}};
  try {
    jail.decode(attack, kSmall, "X");
    ADD_FAILURE() << "decoded, expected the worker to be killed";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput) << error.what();
    EXPECT_NE(std::string_view(error.what()).find("stopped"), std::string_view::npos) << error.what();
  }
  EXPECT_EQ(jail.decode(kNoFile, kSmall, "X").rgb, two_by_two().rgb);  // the jail lives
}

TEST(ImageJail, DecodesAsWithoutIt) {
  ImageJail jail(ImageJailMode::kOn);
  for (const char* name :
       {"jpeg-420.jpg", "jpeg-444-progressive.jpg", "jpeg-cmyk.jpg", "png-interlaced.png", "png-palette4.png",
        "webp-alpha.webp", "webp-lossless.webp", "gif-large.gif", "jpeg-exif6.jpg"}) {
    const std::vector<std::byte> file = file_bytes(kImages / name);
    const ImageHeader header = read_image_header(file, {}, name);
    EXPECT_EQ(most_difference(jail.decode(file, header, name), decode(file)), 0) << name;
  }
}

TEST(ImageJail, SaysWhatTheDecoderSays) {
  for (const ImageJailMode mode : {ImageJailMode::kAuto, ImageJailMode::kOn, ImageJailMode::kOff}) {
    ImageJail jail(mode);
    for (const char* name : {"jpeg-420.jpg", "gif-plain.gif", "png-rgba.png"}) {
      std::vector<std::byte> file = file_bytes(kImages / name);
      const ImageHeader header = read_image_header(file, {}, name);
      file.resize(file.size() / 2);
      try {
        jail.decode(file, header, name);
        ADD_FAILURE() << name;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
        EXPECT_NE(std::string_view(error.what()).find(name), std::string_view::npos) << error.what();
        EXPECT_EQ(std::string_view(error.what()).find("stopped"), std::string_view::npos) << error.what();
      }
    }
  }
}

TEST(ImageJail, AWorkerThatOpensAFileIsKilled) {
  ImageJail jail = planted([] { ::open("/etc/hostname", O_RDONLY); });
  expect_killed(jail);
}

TEST(ImageJail, AWorkerThatMakesASocketIsKilled) {
  ImageJail jail = planted([] { ::socket(AF_INET, SOCK_STREAM, 0); });
  expect_killed(jail);
}

TEST(ImageJail, AWorkerThatStartsAProgramIsKilled) {
  ImageJail jail = planted([] { ::execl("/bin/true", "true", nullptr); });
  expect_killed(jail);
}

TEST(ImageJail, AWorkerThatForksOrSignalsIsKilled) {
  ImageJail forking = planted([] { ::fork(); });
  expect_killed(forking);
  ImageJail signalling = planted([] { ::kill(::getppid(), SIGKILL); });
  expect_killed(signalling);
}

TEST(ImageJail, AWorkerThatCrashesOrEndsEarlyIsAnError) {
  ImageJail crashing = planted([] { ::raise(SIGSEGV); });
  expect_killed(crashing);
  ImageJail ending = planted([] { ::_exit(0); });
  expect_killed(ending);
  ImageJail lying(ImageJailMode::kOn, {},
                  [](std::span<const std::byte> file, const ImageHeader&, const std::string&) {
                    Image image = two_by_two();
                    if (file[0] != std::byte{0}) image.rgb.resize(5);
                    return image;
                  });
  expect_killed(lying);
}

TEST(ImageJail, AWorkerThatNeverEndsIsKilled) {
  ImageJail::Limits limits;
  limits.cpu_seconds = 1;
  ImageJail jail = planted(spin, limits);
  expect_killed(jail);
  limits.wall_milliseconds = 100;
  ImageJail impatient = planted(spin, limits);
  const std::byte attack[] = {std::byte{1}};
  EXPECT_THROW(impatient.decode(attack, kSmall, "X"), Error);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(ImageJail, AWorkerThatWantsAllMemoryIsAnError) {
  ImageJail::Limits limits;
  limits.memory_bytes = std::size_t{64} << 20;
  ImageJail jail = planted([] { const std::vector<std::byte> much(std::size_t{1} << 30); }, limits);
  const std::byte attack[] = {std::byte{1}};
  try {
    jail.decode(attack, kSmall, "X");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMemory) << error.what();
  }
}
#endif

TEST(ImageJail, AKilledJailIsMadeAnew) {
  ImageJail jail = planted([] {});
  std::ifstream children("/proc/self/task/" + std::to_string(::getpid()) + "/children");
  pid_t child = 0;
  if (!(children >> child)) GTEST_SKIP() << "this kernel does not list children";
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(jail.decode(kNoFile, kSmall, "X").rgb, two_by_two().rgb);
}

TEST(ImageJail, SeveralThreads) {
  ImageJail jail(ImageJailMode::kOn);
  const std::vector<std::byte> file = file_bytes(kImages / "gif-large.gif");
  const ImageHeader header = read_image_header(file, {}, "X");
  const Image expected = decode(file);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 5; ++k) EXPECT_EQ(most_difference(jail.decode(file, header, "X"), expected), 0);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace exa::test
