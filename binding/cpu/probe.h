// The machine's own peaks, measured: what the bench holds kernels against.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/cpu.h"
#include "engine/thread_pool.h"

namespace toolgrad {

/// Floating-point operations per second of multiply-adds in registers (a multiply-add counts as two) as products with weights
/// of this dtype do them, over all threads of the pool; one entry per run. Each run takes about `seconds`.
std::vector<double> probe_flops(Isa isa, DType numbers, ThreadPool& pool, int runs, double seconds);

/// Bytes per second read from an array of `bytes` that was written before, over all threads; one entry per run. Larger
/// than the caches: the memory's rate. Error{"ERR_OUT_OF_MEMORY"}.
std::vector<double> probe_read_rate(Isa isa, ThreadPool& pool, int runs, int64_t bytes);

}  // namespace toolgrad
