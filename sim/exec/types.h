// Decoding of the arithmetic that integers and floating-point numbers share by name.
#pragma once

#include "exec/form.h"

namespace sim {

/// One, two or three sources of the same type as the result.
void one_operand(Form& form, ptx::Type type, Handler handler);
void two_operands(Form& form, ptx::Type type, Handler handler);
void three_operands(Form& form, ptx::Type type, Handler handler);

void integer_add(Form& form, ptx::Type type, bool minus);
void integer_multiply(Form& form, ptx::Type type, bool add);
void integer_mad_with_carry(Form& form);
void integer_least_most(Form& form, ptx::Type type, bool least_of);
void integer_divide(Form& form, ptx::Type type);
void integer_sign(Form& form, ptx::Type type, bool negate);

/// f16, bf16 and their pairs; `what` is the opcode.
bool half_arithmetic(Form& form, ptx::Type type, const std::string& what);

}  // namespace sim
