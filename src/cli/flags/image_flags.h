// The flags of pictures, wherever a command takes them.
//
// Ownership and threads: a free function; used on the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <string>

namespace exa {

// --image-min-tokens --image-max-tokens --image-jail. Mode: an enum of kAuto, kOn and kOff. All must outlive
// the command; 0 tokens mean the model's own limit.
template <typename Mode>
void add_image_flags(CLI::App& command, std::int64_t& min_tokens, std::int64_t& max_tokens, Mode& jail) {
  constexpr std::int64_t kMostTokens = 16384;
  command.add_option("--image-min-tokens", min_tokens, "Fewest tokens of a picture (default: the model's)")
      ->check(CLI::Range(std::int64_t{1}, kMostTokens));
  command.add_option("--image-max-tokens", max_tokens, "Most tokens of a picture (default: the model's)")
      ->check(CLI::Range(std::int64_t{1}, kMostTokens));
  const std::map<std::string, Mode> words = {{"auto", Mode::kAuto}, {"on", Mode::kOn}, {"off", Mode::kOff}};
  command
      .add_option("--image-jail", jail,
                  "Decode pictures in a process without rights: auto (as far as the system can), on or off")
      ->transform(CLI::CheckedTransformer(words).description("{auto,on,off}"))
      ->type_name("TEXT")
      ->default_str("auto");
}

}  // namespace exa
