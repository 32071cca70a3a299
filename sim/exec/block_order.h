// Checks of accesses against those of other warps (shared memory) and of other blocks (global memory).
//
// In global memory every two bytes (every byte, where single ones are written) remember the serial of the block that wrote them last. A fence gives the block a new
// serial and marks the old one as fenced. A plain read of what another block of the same launch wrote without a fence,
// or a write over it with another value, depends on timing: a fault. An .nc load of anything this launch wrote is one,
// too. This is stricter than holding writes back until the fence: it does not need the unlucky order to happen.
#pragma once

#include "exec/access.h"

namespace sim {

/// A serial for writes of the block; its number starts a new stretch of the block's program.
uint32_t take_serial(Run& run, uint64_t block, bool fenced);
/// What the warp wrote so far is before what it writes from now on: for the other warps of its block, which learn of it by a
/// strong access to shared memory, and with `all` for all blocks.
void fence(Warp& warp, bool all);

/// Reads and atomics are checked and writes are marked; a write over another block's bytes becomes a suspect.
void check_block_order(Warp& warp, const Instr& instr, const Access& access, const uint64_t* addresses, uint32_t bytes,
                       Use use);
/// After the store: raises for a suspect whose bytes changed.
void settle_suspects(Warp& warp, const Instr& instr);
/// One lane's access to shared memory, against other warps and lanes.
void check_shared(Warp& warp, const Instr& instr, int lane, uint32_t at, uint32_t bytes, Use use);
/// The same for the lanes of the mask.
void check_shared(Warp& warp, const Instr& instr, uint32_t mask, const uint64_t* at, uint32_t bytes, Use use);

}  // namespace sim
