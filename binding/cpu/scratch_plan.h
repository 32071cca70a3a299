// What the CPU's kernels will take of their scratch memory, before they run.
//
// Kernels size their slots themselves, from what an op runs over. The sizes that grow with a pass or a model are repeated
// here, in the same terms; a test compares the sum with what Scratch holds after real passes.
#pragma once

#include <cstdint>

#include "cpu/cpu.h"
#include "engine/memory_plan.h"
#include "engine/model_shape.h"

namespace toolgrad {

/// Bytes that all slots together hold after such a pass with weights of this dtype on `threads` threads.
int64_t scratch_bytes(const ModelShape& shape, DType weights, const Pass& pass, int threads, Isa isa);

}  // namespace toolgrad
