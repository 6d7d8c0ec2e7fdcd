// The one loop over tile registers: four sums, two tiles by two, for a product of bf16 or of int8.
//
// A macro, because the instruction is text of one assembler statement. Ownership and threads: the including
// unit has set up its thread's tiles, eight of 16 rows by 64 bytes.
// Source: Intel SDM volume 2, TDPBF16PS, TDPBSSD; the order of loads and products from kernels
// specification 3.3.
#pragma once

#include <cstddef>
#include <cstdint>

// Defines void NAME(a, b, n_steps, c): C tiles [2 of tokens][2 of rows], 16 × 16 of Sum, = sums over n_steps
// of A tiles [n_steps][2 of tokens] times B tiles [n_steps][2 of rows], which INSTRUCTION multiplies. Tiles 0
// to 3 are C, 4 and 5 B, 6 and 7 A. One statement, so that nothing comes between.
#define EXA_TILE_PRODUCTS(NAME, Sum, INSTRUCTION)                                                         \
  void NAME(const std::byte* a, const std::byte* b, std::int64_t n_steps, Sum* c) {                       \
    __asm__ volatile(                                                                                     \
        "tilezero %%tmm0\n\t"                                                                             \
        "tilezero %%tmm1\n\t"                                                                             \
        "tilezero %%tmm2\n\t"                                                                             \
        "tilezero %%tmm3\n\t"                                                                             \
        "test %[n], %[n]\n\t"                                                                             \
        "jz 2f\n"                                                                                         \
        "1:\n\t"                                                                                          \
        "tileloadd (%[b],%[row],1), %%tmm4\n\t"                                                           \
        "tileloadd (%[a],%[row],1), %%tmm6\n\t" INSTRUCTION                                               \
        " %%tmm4, %%tmm6, %%tmm0\n\t"                                                                     \
        "tileloadd 1024(%[b],%[row],1), %%tmm5\n\t" INSTRUCTION                                           \
        " %%tmm5, %%tmm6, %%tmm1\n\t"                                                                     \
        "tileloadd 1024(%[a],%[row],1), %%tmm7\n\t" INSTRUCTION " %%tmm4, %%tmm7, %%tmm2\n\t" INSTRUCTION \
        " %%tmm5, %%tmm7, %%tmm3\n\t"                                                                     \
        "add $2048, %[a]\n\t"                                                                             \
        "add $2048, %[b]\n\t"                                                                             \
        "dec %[n]\n\t"                                                                                    \
        "jnz 1b\n"                                                                                        \
        "2:\n\t"                                                                                          \
        "tilestored %%tmm0, (%[c],%[row],1)\n\t"                                                          \
        "tilestored %%tmm1, 1024(%[c],%[row],1)\n\t"                                                      \
        "tilestored %%tmm2, 2048(%[c],%[row],1)\n\t"                                                      \
        "tilestored %%tmm3, 3072(%[c],%[row],1)"                                                          \
        : [a] "+r"(a), [b] "+r"(b), [n] "+r"(n_steps)                                                     \
        : [c] "r"(c), [row] "r"(std::int64_t{64})                                                         \
        : "memory", "cc");                                                                                \
  }
