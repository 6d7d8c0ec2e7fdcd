#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>

namespace exa {
namespace {

constexpr std::size_t kLanes = 16;

// Below it only tokens of equal logit share the probability in fp32: the same as greedy but for ties.
constexpr double kLowestTemperature = 1e-6;

// Candidates this many times the temperature below the highest logit weigh less than e^-12 each; they are
// looked at only where the ones above do not suffice.
constexpr float kNearNats = 12.0f;

struct Scan {
  float highest;
  bool finite;
};

// Lanes side by side, so that the compiler keeps them in vector registers.
Scan scan(std::span<const float> logits) {
  float highest[kLanes];
  std::uint32_t exponent[kLanes] = {};
  std::fill_n(highest, kLanes, logits[0]);
  const float* const x = logits.data();
  const std::size_t whole = logits.size() / kLanes * kLanes;
  const auto take = [&](std::size_t lane, float value) {
    highest[lane] = value > highest[lane] ? value : highest[lane];
    exponent[lane] = std::max(exponent[lane], std::bit_cast<std::uint32_t>(value) & 0x7f800000u);
  };
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) take(lane, x[i + lane]);
  }
  for (std::size_t i = whole; i < logits.size(); ++i) take(0, x[i]);
  return {*std::max_element(highest, highest + kLanes),
          *std::max_element(exponent, exponent + kLanes) != 0x7f800000u};
}

// e^x for -87 <= x <= 0 within 2 ulp. x = n ln 2 + r, |r| <= ln 2 / 2, a polynomial for e^r.
inline float exp_of(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693145752f;  // its low bits are zero: n · kLn2High is exact
  constexpr float kLn2Low = 1.42860677e-6f;
  constexpr float kRound = 12582912.0f;  // 1.5 · 2^23: adding it rounds to an integer
  const float shifted = x * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const std::uint32_t scale = (std::bit_cast<std::uint32_t>(shifted) - 0x4b400000u + 127u) << 23;
  return p * std::bit_cast<float>(scale);
}

// weights = e^((logits − highest) / temperature), at least 1e-38. Two loops, so that the compiler vectorizes
// both.
void weigh(std::span<const float> logits, float highest, float inverse_temperature, float* weights) {
  const float* const x = logits.data();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float exponent = (x[i] - highest) * inverse_temperature;
    weights[i] = exponent < -87.0f ? -87.0f : exponent;
  }
  for (std::size_t i = 0; i < logits.size(); ++i) weights[i] = exp_of(weights[i]);
}

double sum(std::span<const float> values) {
  double lanes[kLanes] = {};
  const std::size_t whole = values.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += static_cast<double>(values[i + lane]);
  }
  double total = 0;
  for (const double lane : lanes) total += lane;
  for (std::size_t i = whole; i < values.size(); ++i) total += static_cast<double>(values[i]);
  return total;
}

std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

double uniform_at(std::uint64_t seed, std::uint64_t position) {
  constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15u;
  // A stream a seed, its state mixed so that seeds in sequence are not shifts of one another.
  const std::uint64_t state = mix(seed + kGolden);
  const std::uint64_t bits = mix(state + (position + 1) * kGolden);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

void Sampler::accept(TokenId id) {
  const auto at = std::lower_bound(counts_.begin(), counts_.end(), id,
                                   [](const auto& entry, TokenId wanted) { return entry.first < wanted; });
  if (at != counts_.end() && at->first == id) {
    ++at->second;
  } else {
    counts_.insert(at, {id, 1});
  }
}

std::span<const float> Sampler::adjust(std::span<const float> logits) {
  const bool penalized =
      !counts_.empty() &&
      (values_.repetition_penalty != 1 || values_.presence_penalty != 0 || values_.frequency_penalty != 0);
  if (!penalized && values_.logit_bias.empty()) return logits;
  adjusted_.assign(logits.begin(), logits.end());
  const auto change = [&](TokenId id, auto&& formula) {
    const auto i = static_cast<std::size_t>(id);
    if (id >= 0 && i < adjusted_.size()) {
      adjusted_[i] = static_cast<float>(formula(static_cast<double>(adjusted_[i])));
    }
  };
  for (const auto& [id, bias] : values_.logit_bias) {
    change(id, [bias = bias](double logit) { return logit + bias; });
  }
  if (penalized) {
    for (const auto& [id, count] : counts_) {
      change(id, [this, count = count](double logit) {
        const double r = values_.repetition_penalty;
        const double scaled = logit < 0 ? logit * r : logit / r;
        return scaled - values_.presence_penalty - values_.frequency_penalty * static_cast<double>(count);
      });
    }
  }
  return adjusted_;
}

std::optional<std::span<const float>> Sampler::restrict_to(GrammarState& grammar,
                                                           std::span<const float> logits) {
  allowed_.resize((grammar.vocab_size() + 63) / 64);
  grammar.mask(allowed_);
  if (logits.data() != adjusted_.data()) adjusted_.assign(logits.begin(), logits.end());
  bool any = false;
  for (std::size_t first = 0; first < adjusted_.size(); first += 64) {
    const std::uint64_t word = first / 64 < allowed_.size() ? allowed_[first / 64] : 0;
    const std::size_t n = std::min<std::size_t>(64, adjusted_.size() - first);
    for (std::size_t i = 0; i < n && word != ~std::uint64_t{0}; ++i) {
      if ((word >> i & 1) == 0) adjusted_[first + i] = -std::numeric_limits<float>::infinity();
    }
    any = any || (n == 64 ? word : word & ((std::uint64_t{1} << n) - 1)) != 0;
  }
  if (!any) return std::nullopt;
  return adjusted_;
}

std::optional<TokenId> Sampler::sample(std::span<const float> logits, std::int64_t position,
                                       GrammarState* grammar) {
  if (logits.empty()) return std::nullopt;
  logits = adjust(logits);
  Scan found = scan(logits);
  if (!found.finite) return std::nullopt;
  if (grammar) {
    const auto allowed = restrict_to(*grammar, logits);
    if (!allowed) return std::nullopt;
    logits = *allowed;
    found.highest = *std::max_element(logits.begin(), logits.end());
  }
  if (values_.temperature < kLowestTemperature || values_.top_k == 1) {
    return static_cast<TokenId>(std::find(logits.begin(), logits.end(), found.highest) - logits.begin());
  }
  return draw(logits, found.highest, position);
}

// The last token, in the order of before(), that top-k and top-p keep of order_, which holds enough of the
// front for both. total_weight: of all tokens. Top-p's front part ends with the token whose weight brings the
// sum to the share.
Sampler::Candidate Sampler::last_kept(double total_weight) {
  const auto weight = [this](const Candidate& c) {
    return static_cast<double>(weights_[static_cast<std::size_t>(c.id)]);
  };
  const auto at = [this](std::size_t i) { return order_.begin() + static_cast<std::ptrdiff_t>(i); };
  std::size_t end = order_.size();
  if (values_.top_k > 0) {
    if (static_cast<std::uint64_t>(values_.top_k) < end) {
      end = static_cast<std::size_t>(values_.top_k);
      std::nth_element(at(0), at(end - 1), order_.end(), before);
    }
    total_weight = 0;
    for (std::size_t i = 0; i < end; ++i) total_weight += weight(order_[i]);
  }
  if (values_.top_p >= 1) return *std::max_element(at(0), at(end), before);

  // Halving by rank: the crossing lies in [low, end), the tokens before low weigh `passed`.
  const double share = values_.top_p * total_weight;
  std::size_t low = 0;
  double passed = 0;
  while (end - low > 32) {
    const std::size_t middle = low + (end - low) / 2;
    std::nth_element(at(low), at(middle), at(end), before);
    double half = 0;
    for (std::size_t i = low; i < middle; ++i) half += weight(order_[i]);
    if (passed + half >= share) {
      end = middle;
    } else {
      passed += half;
      low = middle;
    }
  }
  std::sort(at(low), at(end), before);
  while (low + 1 < end && passed + weight(order_[low]) < share) passed += weight(order_[low++]);
  return order_[low];
}

TokenId Sampler::draw(std::span<const float> logits, float highest, std::int64_t position) {
  const auto inverse_temperature = static_cast<float>(1 / values_.temperature);
  weights_.resize(logits.size());
  weigh(logits, highest, inverse_temperature, weights_.data());
  candidates_.reserve(logits.size());
  const auto gather = [&](float lowest) {
    candidates_.clear();
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (logits[i] >= lowest) candidates_.push_back({logits[i], static_cast<TokenId>(i)});
    }
  };
  const auto weight = [this](const Candidate& c) {
    return static_cast<double>(weights_[static_cast<std::size_t>(c.id)]);
  };

  constexpr float kEverything = -std::numeric_limits<float>::max();
  const bool by_rank = values_.top_k > 0 && static_cast<std::uint64_t>(values_.top_k) < logits.size();
  Candidate last{kEverything, std::numeric_limits<TokenId>::max()};
  if (by_rank || values_.top_p < 1) {
    const double total = sum(weights_);
    gather(highest - kNearNats * static_cast<float>(values_.temperature));
    double near = 0;
    for (const Candidate& c : candidates_) near += weight(c);
    const bool enough = by_rank ? candidates_.size() >= static_cast<std::uint64_t>(values_.top_k)
                                : near >= values_.top_p * total;
    if (!enough) gather(kEverything);
    order_.reserve(logits.size());
    order_.assign(candidates_.begin(), candidates_.end());
    last = last_kept(total);
  } else {
    gather(kEverything);
  }

  const auto kept = [&](const Candidate& c) { return !before(last, c) && weight(c) >= values_.min_p; };
  double total = 0;
  for (const Candidate& c : candidates_) {
    if (kept(c)) total += weight(c);
  }
  const double target = total * uniform_at(values_.seed, static_cast<std::uint64_t>(position));
  double passed = 0;
  TokenId drawn = 0;
  for (const Candidate& c : candidates_) {
    if (!kept(c)) continue;
    drawn = c.id;
    passed += weight(c);
    if (passed > target) break;
  }
  return drawn;
}

}  // namespace exa
