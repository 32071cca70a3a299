// Decoding of what all memory instructions share: the state space, hints for caches, and the address operand.
#pragma once

#include "exec/form.h"

namespace sim {

/// Puts the space into the flags; generic when none is said.
void take_space(Form& form, bool needed);
/// Hints change nothing here.
void take_cache_hints(Form& form);
/// op[1], immediate, cache; true when the address is known at load.
bool set_address(Form& form, const ptx::Operand& address);

}  // namespace sim
