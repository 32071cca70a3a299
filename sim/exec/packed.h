// Two numbers in one register: 16-bit integers, and the 8-bit floating-point formats.
#pragma once

#include "exec/form.h"

namespace sim {

/// add, min and max of .u16x2 and .s16x2; false for other types. `what` is the opcode.
bool paired_integers(Form& form, const std::string& what);
/// cvt to and from .e4m3x2 and .e5m2x2; false for other types.
bool eight_bit_conversion(Form& form);

}  // namespace sim
