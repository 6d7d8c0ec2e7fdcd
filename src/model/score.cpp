#include "model/score.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"

namespace exa {

void score(Decoder& decoder, KvCache& cache, std::span<const std::int32_t> ids,
           std::span<const std::int32_t> positions, std::int64_t chunk, const OnLogits& on_logits, Role role,
           std::span<const GivenRow> given) {
  const std::int64_t vocab = decoder.config().vocab;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab) {
      throw Error(ErrorKind::kBadInput,
                  "token id " + std::to_string(ids[i]) + ", expected 0 to " + std::to_string(vocab - 1),
                  "ids[" + std::to_string(i) + "]");
    }
  }
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const bool ascending = i == 0 || positions[i] > positions[i - 1];
    if (!ascending || positions[i] < 0 || static_cast<std::size_t>(positions[i]) >= ids.size()) {
      throw Error(ErrorKind::kBadInput,
                  "position " + std::to_string(positions[i]) + ", expected ascending ones below " +
                      std::to_string(ids.size()),
                  "positions[" + std::to_string(i) + "]");
    }
  }
  chunk = std::clamp<std::int64_t>(chunk, 1, decoder.max_rows());
  std::size_t done = 0;
  std::vector<std::int32_t> rows;
  std::vector<GivenRow> given_here;
  for (std::size_t begin = 0; begin < ids.size(); begin += static_cast<std::size_t>(chunk)) {
    const std::size_t n = std::min(static_cast<std::size_t>(chunk), ids.size() - begin);
    rows.clear();
    for (std::size_t i = done; i < positions.size() && static_cast<std::size_t>(positions[i]) < begin + n;
         ++i) {
      rows.push_back(positions[i] - static_cast<std::int32_t>(begin));
    }
    given_here.clear();
    for (; !given.empty() && given.front().row < static_cast<std::int64_t>(begin + n);
         given = given.subspan(1)) {
      given_here.push_back({given.front().row - static_cast<std::int64_t>(begin), given.front().values});
    }
    const StepSlice slice{.cache = &cache,
                          .ids = ids.subspan(begin, n),
                          .logits_rows = rows,
                          .given_rows = given_here,
                          .role = role};
    cache.reserve(static_cast<std::int64_t>(n));
    const std::span<const float> logits = decoder.step({&slice, 1});
    for (std::size_t i = 0; i < rows.size(); ++i) {
      on_logits(done++, logits.subspan(i * static_cast<std::size_t>(vocab), static_cast<std::size_t>(vocab)));
    }
  }
}

}  // namespace exa
