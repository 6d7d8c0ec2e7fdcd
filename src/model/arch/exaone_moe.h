// K-EXAONE: norms before the sublayers, a mixture of experts. Converted and quantized, not run.
//
// Ownership and threads: a constant.
// Source: exaone-models specification 1.1, 2.4, 2.8, 3.1, 7.4; transformers' modular_exaone_moe.py.
#pragma once

#include "model/arch/family.h"

namespace exa {

extern const Family kExaoneMoe;

}  // namespace exa
