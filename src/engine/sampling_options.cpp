#include "engine/sampling_options.h"

#include <chrono>
#include <cmath>
#include <optional>
#include <string>

#include "base/error.h"

namespace exa {
namespace {

enum class Low { kIncluded, kExcluded };

struct Field {
  const char* name;
  std::optional<double> SamplingOptions::*value;
  double low;
  Low low_kind;
  double high;
};

constexpr Field kFields[] = {
    {"temperature", &SamplingOptions::temperature, 0, Low::kIncluded, 100},
    {"top_p", &SamplingOptions::top_p, 0, Low::kExcluded, 1},
    {"min_p", &SamplingOptions::min_p, 0, Low::kIncluded, 1},
    {"repetition_penalty", &SamplingOptions::repetition_penalty, 0, Low::kExcluded, 100},
    {"presence_penalty", &SamplingOptions::presence_penalty, -2, Low::kIncluded, 2},
    {"frequency_penalty", &SamplingOptions::frequency_penalty, -2, Low::kIncluded, 2},
};
constexpr std::int64_t kHighestTopK = std::int64_t{1} << 31;
constexpr double kHighestBias = 100;

std::string text(double value) {
  if (std::isnan(value)) return "not a number";
  std::string digits = std::to_string(value);
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.back() == '.') digits.pop_back();
  return digits;
}

[[noreturn]] void refuse(const std::string& field, const std::string& found, const std::string& expected) {
  throw Error(ErrorKind::kUsage, field + " is " + found + ", expected " + expected);
}

}  // namespace

SamplingCard sampling_card(const Tokenizer& tokenizer) {
  const std::optional<TokenId> eos = tokenizer.eos();
  const bool angled =
      eos ? tokenizer.token_bytes(*eos) == "<|endofturn|>" : tokenizer.find("<|endofturn|>").has_value();
  return angled ? SamplingCard::kExaone45 : SamplingCard::kExaone40;
}

SamplingOptions sampling_defaults(SamplingCard card, const StatedSampling& stated, bool thinking) {
  SamplingOptions values;
  switch (card) {
    case SamplingCard::kExaone40:
      values.temperature = thinking ? 0.6 : 0.0;
      values.top_p = thinking ? 0.95 : 1.0;
      values.presence_penalty = 0.0;
      break;
    case SamplingCard::kExaone45:
      values.temperature = 1.0;
      values.top_p = 0.95;
      values.presence_penalty = 1.5;
      break;
  }
  values.top_k = 0;
  values.min_p = 0.0;
  values.repetition_penalty = 1.0;
  values.frequency_penalty = 0.0;

  const auto state = [](const auto& from, auto& to) {
    if (from) to = from;
  };
  state(stated.temperature, values.temperature);
  state(stated.top_k, values.top_k);
  state(stated.top_p, values.top_p);
  state(stated.min_p, values.min_p);
  state(stated.repetition_penalty, values.repetition_penalty);
  state(stated.presence_penalty, values.presence_penalty);
  state(stated.frequency_penalty, values.frequency_penalty);
  if (stated.do_sample == false) values.temperature = 0.0;
  return values;
}

void check_sampling(const SamplingOptions& options, std::int64_t vocab) {
  for (const Field& field : kFields) {
    const std::optional<double>& value = options.*field.value;
    if (!value) continue;
    const bool low = field.low_kind == Low::kIncluded ? *value >= field.low : *value > field.low;
    if (!low || !(*value <= field.high)) {
      refuse(field.name, text(*value),
             (field.low_kind == Low::kIncluded ? "" : "more than ") + text(field.low) + " to " +
                 text(field.high));
    }
  }
  if (options.top_k && (*options.top_k < 0 || *options.top_k > kHighestTopK)) {
    refuse("top_k", std::to_string(*options.top_k), "0 to " + std::to_string(kHighestTopK));
  }
  for (const auto& [id, bias] : options.logit_bias) {
    if (id < 0 || id >= vocab) {
      refuse("logit_bias", "for token " + std::to_string(id), "a token of 0 to " + std::to_string(vocab - 1));
    }
    if (!(std::abs(bias) <= kHighestBias)) {
      refuse("logit_bias of token " + std::to_string(id), text(bias),
             text(-kHighestBias) + " to " + text(kHighestBias));
    }
  }
}

SamplingValues effective_sampling(const SamplingOptions& request, const SamplingOptions& defaults) {
  const auto pick = [&](auto field, auto off) {
    const auto& own = request.*field;
    const auto& other = defaults.*field;
    return own ? *own : other ? *other : off;
  };
  SamplingValues values;
  values.temperature = pick(&SamplingOptions::temperature, 0.0);
  values.top_k = pick(&SamplingOptions::top_k, std::int64_t{0});
  values.top_p = pick(&SamplingOptions::top_p, 1.0);
  values.min_p = pick(&SamplingOptions::min_p, 0.0);
  values.repetition_penalty = pick(&SamplingOptions::repetition_penalty, 1.0);
  values.presence_penalty = pick(&SamplingOptions::presence_penalty, 0.0);
  values.frequency_penalty = pick(&SamplingOptions::frequency_penalty, 0.0);
  values.logit_bias.assign(request.logit_bias.begin(), request.logit_bias.end());
  values.seed = request.seed
                    ? *request.seed
                    : static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  return values;
}

}  // namespace exa
