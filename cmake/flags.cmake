# The warnings, hardening and floating-point rules that every target of the project shares.
add_library(exaone_flags INTERFACE)
target_compile_options(exaone_flags INTERFACE
  -Wall -Wextra -Wshadow
  # What clang calls a conversion is judged by clang-tidy; g++ 12 reports std::string operator+ wrongly (GCC bug 105329).
  $<$<CXX_COMPILER_ID:GNU>:-Wconversion;-Werror;-Wno-restrict>
  # Each rounding is written in the source: the compiler may not fuse a*b+c on its own.
  -ffp-contract=off
  -fstack-protector-strong -fstack-clash-protection
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
target_compile_definitions(exaone_flags INTERFACE _GLIBCXX_ASSERTIONS)
target_link_options(exaone_flags INTERFACE -Wl,-z,relro,-z,now -Wl,-z,noexecstack)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(exaone_flags INTERFACE -march=x86-64-v2 -mtune=generic -fcf-protection=full)
endif()

if(EXAONE_SANITIZE)
  target_compile_options(exaone_flags INTERFACE -fsanitize=${EXAONE_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(exaone_flags INTERFACE -fsanitize=${EXAONE_SANITIZE})
  if(EXAONE_SANITIZE MATCHES "undefined")
    target_compile_options(exaone_flags INTERFACE -fno-sanitize-recover=all)
  endif()
else()
  target_compile_options(exaone_flags INTERFACE $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
endif()
