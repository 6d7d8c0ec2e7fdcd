// The pack cache: what is found is what was packed, whatever happened to the file meanwhile.
#include "model/pack_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "base/threads.h"
#include "kernels/backend.h"
#include "model/weight_settler.h"
#include "model/weights.h"

namespace exa {
namespace {

namespace fs = std::filesystem;

class PackCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "exaone-pack-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    model_ = folder_ / "model.gguf";
    fs::copy_file(fs::path(EXAONE_SOURCE_DIR) / "tests/data/models/tiny-exaone4/tiny-exaone4.Q8_0.gguf",
                  model_);
    cache_.emplace(folder_ / "cache", PackCache::Limits{.least_bytes = 0});
  }
  void TearDown() override { fs::remove_all(folder_); }

  Weights load(const PackCache* cache, Pages pages = Pages::kSmall) {
    return load_weights(Checkpoint::open(model_), read_config(Checkpoint::open(model_)), *backend_,
                        Precision::kProduction, {.pages = pages, .cache = cache, .pool = &pool_});
  }
  void write(const Weights& weights) {
    const auto writer = cache_->write(weights.fingerprint, weights.pack, *weights.region);
    ASSERT_TRUE(writer);
    while (writer->step()) {
    }
    writer->commit();
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    if (!fs::exists(folder_ / "cache")) return found;
    for (const auto& entry : fs::directory_iterator(folder_ / "cache")) found.push_back(entry.path());
    return found;
  }

  static std::vector<const Matrix*> matrices(const Weights& w) {
    std::vector<const Matrix*> all{&w.embedding};
    for (const LayerWeights& l : w.layers) {
      all.insert(all.end(), {&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down});
    }
    if (w.head) all.push_back(&*w.head);
    return all;
  }
  static void expect_same(const Weights& a, const Weights& b) {
    const auto left = matrices(a);
    const auto right = matrices(b);
    ASSERT_EQ(left.size(), right.size());
    for (std::size_t i = 0; i < left.size(); ++i) {
      EXPECT_EQ(left[i]->type, right[i]->type);
      EXPECT_EQ(left[i]->n_rows, right[i]->n_rows);
      EXPECT_EQ(left[i]->row_block_bytes, right[i]->row_block_bytes);
      ASSERT_EQ(left[i]->bytes.size_bytes(), right[i]->bytes.size_bytes());
      EXPECT_EQ(std::memcmp(left[i]->bytes.data(), right[i]->bytes.data(), left[i]->bytes.size_bytes()), 0);
    }
  }

  ThreadPool pool_{1};
  std::unique_ptr<Backend> backend_ = make_cpu_backend(pool_);
  fs::path folder_;
  fs::path model_;
  std::optional<PackCache> cache_;
};

TEST_F(PackCacheTest, FindsWhatWasWritten) {
  const Weights packed = load(&*cache_);
  EXPECT_FALSE(packed.from_cache);
  EXPECT_TRUE(files().empty());
  write(packed);
  ASSERT_EQ(files().size(), 1U);
  const Weights found = load(&*cache_);
  EXPECT_TRUE(found.from_cache);
  expect_same(packed, found);
  EXPECT_FALSE(load(nullptr).from_cache);
}

TEST_F(PackCacheTest, AFileReplacesTheMemoryItWasWrittenFrom) {
  Weights packed = load(&*cache_);
  write(packed);
  const Weights again = load(nullptr);
  EXPECT_TRUE(cache_->adopt(packed.fingerprint, *packed.region, [] {}));
  expect_same(again, packed);
}

TEST_F(PackCacheTest, BrokenFilesAreReplaced) {
  const Weights packed = load(&*cache_);
  write(packed);
  const fs::path file = files().at(0);
  const std::string whole = read_text_file(file, 1U << 30);
  const auto expect_repacked = [&](const std::string& bytes, const std::string& what) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    const Weights weights = load(&*cache_);
    EXPECT_FALSE(weights.from_cache) << what;
    EXPECT_TRUE(files().empty()) << what;
    expect_same(packed, weights);
  };
  for (std::size_t i = 0; i < 64; ++i) {
    const std::size_t n = whole.size() * i / 64;
    expect_repacked(whole.substr(0, n), "cut at " + std::to_string(n));
  }
  expect_repacked(whole + "x", "one byte more");
  std::uint64_t n_described = 0;  // bytes behind the front's 24
  std::memcpy(&n_described, whole.data() + 8, sizeof n_described);
  ASSERT_LT(n_described, kHugePageBytes);
  for (std::size_t at = 0; at < 24 + n_described; at += 5) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    expect_repacked(bytes, "byte " + std::to_string(at));
  }
  std::string empty_blocks = whole;
  std::fill(empty_blocks.begin() + static_cast<std::ptrdiff_t>(kHugePageBytes), empty_blocks.end(), '\0');
  expect_repacked(empty_blocks, "blocks that were lost");
  expect_repacked(std::string(whole.size(), '\0'), "zeros");
  // One bit, wherever it is: most stand where no row block is compared.
  const std::size_t n_data = whole.size() - kHugePageBytes;
  for (std::size_t i = 0; i < 40; ++i) {
    const std::size_t at = kHugePageBytes + n_data * i / 40;
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    expect_repacked(bytes, "data byte " + std::to_string(at));
  }
  std::string page = whole;
  for (std::size_t i = 0; i < 4096; ++i) {
    char& byte = page[kHugePageBytes + n_data / 2 + i];
    byte = static_cast<char>(byte ^ 0x11);
  }
  expect_repacked(page, "a page in the middle");
  std::ofstream(file, std::ios::binary | std::ios::trunc) << whole;
  EXPECT_TRUE(load(&*cache_).from_cache);
}

TEST_F(PackCacheTest, AnotherModelIsNeverServed) {
  write(load(&*cache_));
  struct stat before {};
  ASSERT_EQ(::stat(model_.c_str(), &before), 0);
  std::string bytes = read_text_file(model_, 1U << 30);
  const auto put_back = [&] {  // same inode, size and time of change of contents
    std::fstream(model_, std::ios::binary | std::ios::in | std::ios::out)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    const timespec times[] = {before.st_atim, before.st_mtim};
    ASSERT_EQ(::utimensat(AT_FDCWD, model_.c_str(), times, 0), 0);
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  bytes[bytes.size() - 40] = static_cast<char>(bytes[bytes.size() - 40] ^ 1);
  put_back();
  const Weights changed = load(&*cache_);
  EXPECT_FALSE(changed.from_cache);
  write(changed);
  const Weights found = load(&*cache_);
  EXPECT_TRUE(found.from_cache);
  expect_same(load(nullptr), found);
}

TEST_F(PackCacheTest, AFileUnderAnothersNameIsNotServed) {
  const Weights packed = load(&*cache_);
  write(packed);
  const fs::path file = files().at(0);
  // A model that differs in its numbers only; its pack gets the name and description of the first one's.
  const std::string description = read_text_file(file, 1U << 30).substr(0, kHugePageBytes);
  std::string bytes = read_text_file(model_, 1U << 30);
  for (std::size_t i = bytes.size() / 2; i < bytes.size(); i += 16)
    bytes[i] = static_cast<char>(bytes[i] ^ 1);
  std::ofstream(model_, std::ios::binary | std::ios::trunc) << bytes;
  const Weights other = load(&*cache_);
  EXPECT_FALSE(other.from_cache);
  const std::string kept = read_text_file(file, 1U << 30);
  write(other);
  for (const fs::path& path : files()) {
    if (path == file) continue;
    std::string mixed =
        read_text_file(path, 1U << 30).substr(0, kHugePageBytes) + kept.substr(kHugePageBytes);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << mixed;
  }
  EXPECT_FALSE(load(&*cache_).from_cache);
}

TEST_F(PackCacheTest, FilesThatOthersMayWriteAreNotRead) {
  for (const fs::perms others : {fs::perms::others_write, fs::perms::group_write}) {
    write(load(&*cache_));
    EXPECT_TRUE(load(&*cache_).from_cache);
    fs::permissions(files().at(0), others, fs::perm_options::add);
    EXPECT_FALSE(load(&*cache_).from_cache);
    EXPECT_TRUE(files().empty());
  }
}

TEST_F(PackCacheTest, AFileOfAnotherUserIsNotRead) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  write(load(&*cache_));
  ASSERT_EQ(::chown(files().at(0).c_str(), 65534, 65534), 0);
  EXPECT_FALSE(load(&*cache_).from_cache);
}

TEST_F(PackCacheTest, FileAndFolderAreTheirOwnersAlone) {
  const mode_t mask = ::umask(0);
  write(load(&*cache_));
  ::umask(mask);
  EXPECT_EQ(fs::status(files().at(0)).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(fs::status(folder_ / "cache").permissions(), fs::perms::owner_all);
}

TEST_F(PackCacheTest, TheSameWeightsMakeTheSameBytes) {
  write(load(&*cache_));
  const std::string first = read_text_file(files().at(0), 1U << 30);
  fs::remove(files().at(0));
  write(load(&*cache_));
  EXPECT_EQ(read_text_file(files().at(0), 1U << 30), first);
}

// Read through the weights found in the cache, or put in place of those that were packed.
TEST_F(PackCacheTest, AFileThatIsCutEndsTheProcessInASentence) {
  const auto read_all = [](const Weights& weights) {
    const volatile std::byte* const bytes = weights.region->data();
    for (std::size_t i = 0; i < weights.embedding.bytes.size_bytes(); i += 512) static_cast<void>(bytes[i]);
  };
  write(load(&*cache_));
  const fs::path file = files().at(0);
  const std::string line =
      "^exaone: .*" + file.filename().string() + ": the pack cache's file was cut while it was in use\n$";
  EXPECT_EXIT(
      {
        const Weights weights = load(&*cache_);
        fs::resize_file(file, kHugePageBytes);
        read_all(weights);
      },
      ::testing::ExitedWithCode(5), line);
  fs::remove(file);
  EXPECT_EXIT(
      {
        const Weights weights = load(&*cache_);
        write(weights);
        if (!cache_->adopt(weights.fingerprint, *weights.region, [] {})) ::_exit(1);
        fs::resize_file(file, kHugePageBytes);
        read_all(weights);
      },
      ::testing::ExitedWithCode(5), line);
}

TEST_F(PackCacheTest, AnotherBusErrorIsLeftToWhoeverWasThere) {
  write(load(&*cache_));
  const fs::path other = folder_ / "other";
  std::ofstream(other) << std::string(8192, 'x');
  EXPECT_EXIT(
      {
        ::signal(SIGBUS, [](int) { ::_exit(9); });
        const Weights weights = load(&*cache_);
        const int fd = ::open(other.c_str(), O_RDONLY);
        const auto* const mapped =
            static_cast<const volatile char*>(::mmap(nullptr, 8192, PROT_READ, MAP_SHARED, fd, 0));
        fs::resize_file(other, 0);
        static_cast<void>(mapped[0]);
      },
      ::testing::ExitedWithCode(9), "");
}

TEST_F(PackCacheTest, ADamagedFileIsNotPutInPlace) {
  const Weights packed = load(&*cache_);
  write(packed);
  const fs::path file = files().at(0);
  std::string bytes = read_text_file(file, 1U << 30);
  char& last = bytes[bytes.size() - 5000];
  last = static_cast<char>(last ^ 1);
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  EXPECT_FALSE(cache_->adopt(packed.fingerprint, *packed.region, [] {}));
  expect_same(load(nullptr), packed);
}

TEST_F(PackCacheTest, SmallPacksGetNoFile) {
  const PackCache choosy(folder_ / "cache", PackCache::Limits{.least_bytes = std::uint64_t{1} << 40});
  const Weights packed = load(&choosy);
  EXPECT_EQ(choosy.write(packed.fingerprint, packed.pack, *packed.region), nullptr);
  EXPECT_TRUE(files().empty());
}

TEST_F(PackCacheTest, TheLongestUnusedGoesFirst) {
  write(load(&*cache_));
  const std::uint64_t size = fs::file_size(files().at(0));
  cache_.emplace(folder_ / "cache",
                 PackCache::Limits{.least_bytes = 0, .most_bytes = 2 * size + kHugePageBytes});
  std::vector<PackFingerprint> prints{load(&*cache_).fingerprint};
  for (int i = 0; i < 2; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (i == 1) {
      EXPECT_TRUE(cache_->find(prints[0], pool_));  // the first is used again: the second goes
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    const fs::path copy = folder_ / "copy.gguf";
    fs::copy_file(model_, copy);
    fs::rename(copy, model_);
    const Weights weights = load(&*cache_);
    EXPECT_FALSE(weights.from_cache);
    write(weights);
    prints.push_back(weights.fingerprint);
  }
  EXPECT_EQ(files().size(), 2U);
  EXPECT_TRUE(cache_->find(prints[0], pool_));
  EXPECT_FALSE(cache_->find(prints[1], pool_));
  EXPECT_TRUE(cache_->find(prints[2], pool_));

  cache_.emplace(folder_ / "cache", PackCache::Limits{.least_bytes = 0, .most_bytes = size / 2});
  const Weights weights = load(nullptr);
  EXPECT_EQ(cache_->write(PackFingerprint{}, weights.pack, *weights.region), nullptr);
  EXPECT_EQ(files().size(), 2U) << "nothing goes for a file that does not fit anyway";
}

TEST_F(PackCacheTest, AKilledWriterLeavesNothing) {
  const Weights packed = load(&*cache_);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto writer = cache_->write(packed.fingerprint, packed.pack, *packed.region);
    if (writer) writer->step();
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  for (const fs::path& file : files()) EXPECT_TRUE(file.filename().string().starts_with("."));
  EXPECT_FALSE(load(&*cache_).from_cache);
}

TEST_F(PackCacheTest, AFolderThatMayNotBeWrittenCostsNothing) {
  std::ofstream(folder_ / "file") << "x";
  const PackCache cache(folder_ / "file" / "cache", PackCache::Limits{.least_bytes = 0});
  Weights weights = load(&cache);
  EXPECT_FALSE(weights.from_cache);
  WeightSettler settler(weights, &cache);
  settler.start();
  settler.finish_in_child();
  expect_same(load(nullptr), weights);
}

TEST_F(PackCacheTest, TheSettlerWritesWhileTheWeightsAreRead) {
  Weights weights = load(&*cache_);
  const Weights same = load(nullptr);
  {
    WeightSettler settler(weights, &*cache_);
    settler.start();
    settler.start();
    for (int i = 0; i < 2000 && files().empty(); ++i) {
      expect_same(same, weights);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  EXPECT_EQ(files().size(), 1U);
  expect_same(same, weights);
  EXPECT_TRUE(load(&*cache_).from_cache);
}

TEST_F(PackCacheTest, ThePausedSettlerWaits) {
  Weights weights = load(&*cache_);
  WeightSettler settler(weights, &*cache_);
  {
    const auto paused = settler.pause();
    settler.start();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_TRUE(files().empty());
  }
  for (int i = 0; i < 2000 && files().empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(files().size(), 1U);
}

TEST_F(PackCacheTest, AChildFinishesTheFile) {
  Weights weights = load(&*cache_);
  {
    WeightSettler settler(weights, &*cache_);
    settler.start();
    settler.finish_in_child();
  }
  for (int i = 0; i < 2000 && files().empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(files().size(), 1U);
  EXPECT_TRUE(load(&*cache_).from_cache);
}

TEST(PackCacheOfUser, FollowsTheEnvironment) {
  struct Kept {
    explicit Kept(const char* its_name) : name(its_name) {
      if (const char* const old = std::getenv(name)) value = old;
    }
    ~Kept() { value ? ::setenv(name, value->c_str(), 1) : ::unsetenv(name); }
    const char* name;
    std::optional<std::string> value;
  };
  const Kept cache("XDG_CACHE_HOME");
  const Kept home("HOME");
  ::setenv("XDG_CACHE_HOME", "relative", 1);
  ::setenv("HOME", "", 1);
  EXPECT_FALSE(PackCache::of_user());
  ::setenv("XDG_CACHE_HOME", "/nowhere", 1);
  EXPECT_TRUE(PackCache::of_user());
}

}  // namespace
}  // namespace exa
