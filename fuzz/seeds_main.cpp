// Runs a fuzz harness over files, for builds without libFuzzer: `NAME_seeds FILE|FOLDER...`. Each file is fed whole, then cut
// at every eighth of its length and with each of 64 bytes spread over it flipped: so that a harness that no longer builds or
// holds shows in the ordinary tests. Deterministic.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;

std::size_t run_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::uint8_t> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::size_t n_inputs = 0;
  const auto run = [&](std::size_t size) {
    // A copy of its own, so that AddressSanitizer sees a read past its end.
    const std::vector<std::uint8_t> input(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    LLVMFuzzerTestOneInput(input.data(), input.size());
    ++n_inputs;
  };
  run(bytes.size());
  for (std::size_t eighth = 0; eighth < 8; ++eighth) run(bytes.size() * eighth / 8);
  for (std::size_t i = 0; i < 64 && i < bytes.size(); ++i) {
    std::uint8_t& byte = bytes[bytes.size() * i / 64];
    const std::uint8_t before = byte;
    byte = static_cast<std::uint8_t>(before ^ (1u << (i % 8)));
    run(bytes.size());
    byte = before;
  }
  return n_inputs;
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t n_inputs = 0;
  for (int i = 1; i < argc; ++i) {
    if (!fs::is_directory(argv[i])) {
      n_inputs += run_file(argv[i]);
      continue;
    }
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(argv[i])) {
      if (entry.is_regular_file()) n_inputs += run_file(entry.path());
    }
  }
  std::printf("%zu inputs\n", n_inputs);
  return n_inputs == 0 ? 1 : 0;
}
