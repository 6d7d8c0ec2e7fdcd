// Sanitizers look at every access once; what repeats the same code for numbers' sake is repeated less under
// them.
#pragma once

namespace exa::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace exa::test
