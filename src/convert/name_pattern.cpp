#define PCRE2_CODE_UNIT_WIDTH 8
#include "convert/name_pattern.h"

#include <pcre2.h>

#include <array>
#include <new>

#include "base/error.h"

namespace exa {
namespace {

constexpr std::uint32_t kMatchLimit = 100'000;
constexpr std::uint32_t kHeapLimitKib = 4096;

std::string reason(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

Error usage(const std::string& pattern, const std::string& message) {
  return Error(ErrorKind::kUsage, message + ", expected a regular expression", "\"" + pattern + "\"");
}

}  // namespace

NamePattern::NamePattern(std::string pattern) : text_(std::move(pattern)) {
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(), PCRE2_NEVER_UTF,
                                   &error, &at, nullptr);
  if (code == nullptr) throw usage(text_, reason(error) + " at character " + std::to_string(at));
  code_ = std::shared_ptr<void>(code, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
}

bool NamePattern::matches(std::string_view name) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free);
  const std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> limits(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  if (!match || !limits) throw std::bad_alloc();
  pcre2_set_match_limit(limits.get(), kMatchLimit);
  pcre2_set_depth_limit(limits.get(), kMatchLimit);
  pcre2_set_heap_limit(limits.get(), kHeapLimitKib);
  const int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0, 0,
                                match.get(), limits.get());
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0) throw usage(text_, reason(found) + " on \"" + std::string(name) + "\"");
  return true;
}

}  // namespace exa
