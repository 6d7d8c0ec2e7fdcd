// EXAONE 3.0, 3.5 and Deep: what reads a sublayer's input is normed, queries and keys are not, and every
// layer rotates and sees everything.
//
// Ownership and threads: a constant.
// Source: exaone-models specification 1.4, 2.5, 2.8, 7.5; transformers' renaming of `exaone` checkpoints to
// its Llama (conversion_mapping.py).
#pragma once

#include "model/arch/family.h"

namespace exa {

extern const Family kExaone3;

}  // namespace exa
