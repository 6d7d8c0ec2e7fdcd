// Times encode on one text: tokenizer_bench TOKENIZER TEXT_FILE [ROUNDS]. Prints the load time, then one line
// a round: bytes, tokens, a hash of the ids, seconds of this core. TOKENIZER is a tokenizer.json or a
// checkpoint. tools/bench/tokenizer_speed.py runs it.
#include <time.h>

#include <charconv>
#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "formats/checkpoint.h"
#include "text/tokenizer.h"

namespace {

// Time this thread has had a core: other programs' load does not count.
double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

int run(const std::string& tokenizer_path, const char* text_path, int rounds) {
  const double start = cpu_seconds();
  const exa::Tokenizer tokenizer =
      tokenizer_path.ends_with(".json")
          ? exa::Tokenizer::from_json_file(tokenizer_path)
          : exa::Tokenizer::from_checkpoint(exa::Checkpoint::open(tokenizer_path));
  std::printf("load_s %.6f\n", cpu_seconds() - start);
  const std::string text = exa::read_text_file(text_path, std::uint64_t{1} << 31);
  for (int round = 0; round < rounds; ++round) {
    const double begin = cpu_seconds();
    const auto ids = tokenizer.encode(text, true);
    const double seconds = cpu_seconds() - begin;
    std::uint64_t hash = 0;
    for (const exa::TokenId id : ids) hash = hash * 1000003 + static_cast<std::uint64_t>(id);
    std::printf("encode %zu %zu %llu %.6f\n", text.size(), ids.size(), static_cast<unsigned long long>(hash),
                seconds);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 1;
  if (argc == 4) std::from_chars(argv[3], argv[3] + std::strlen(argv[3]), rounds);
  if (argc < 3 || argc > 4 || rounds < 1) {
    std::fputs("usage: tokenizer_bench TOKENIZER TEXT_FILE [ROUNDS]\n", stderr);
    return 1;
  }
  try {
    return run(argv[1], argv[2], rounds);
  } catch (const exa::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return exa::exit_code(error.kind());
  }
}
