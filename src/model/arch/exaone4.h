// EXAONE 4.0 and the text half of EXAONE 4.5.
//
// Ownership and threads: a constant.
// Source: exaone-models specification 1.1, 2.3, 2.8, 3.1, 7.3; transformers' modular_exaone4.py (defaults).
#pragma once

#include "model/arch/family.h"

namespace exa {

extern const Family kExaone4;

}  // namespace exa
