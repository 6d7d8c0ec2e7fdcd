// A regular expression (PCRE2) that is searched for in tensor names.
//
// Ownership and threads: owns the compiled expression; one thread.
// Source: PCRE2's manual. Matching work is limited, so no expression can hang the program.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace exa {

class NamePattern {
 public:
  // Errors: kUsage with the place and PCRE2's reason.
  explicit NamePattern(std::string pattern);

  const std::string& text() const { return text_; }
  // True where the expression matches anywhere in the name. Errors: kUsage where it takes too much work.
  bool matches(std::string_view name) const;

 private:
  std::string text_;
  std::shared_ptr<void> code_;
};

}  // namespace exa
