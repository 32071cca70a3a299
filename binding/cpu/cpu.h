// The CPU backend: Ops on host memory, one kernel build per ISA chosen at load, spread over one ThreadPool.
#pragma once

#include <memory>
#include <string>

#include "engine/ops.h"
#include "engine/thread_pool.h"

namespace toolgrad {

enum class Isa { kPortable, kAvx2, kAvx512, kAvx512Bf16 };

Isa best_isa();  // what this processor (and operating system) supports
// "portable" | "avx2" | "avx512" | "avx512bf16"; throws Error("ERR_ISA") with the accepted names
Isa isa_from_name(const std::string&);
const char* isa_name(Isa);
Isa isa_from_environment();  // TOOLGRAD_ISA when set and supported (else Error("ERR_ISA")), or best_isa()

// Ops::product_dtype() of that build.
DType cpu_product_dtype(Isa, DType weights);

// The backend for one ISA; throws Error("ERR_ISA") when this processor lacks it. The pool must outlive the ops.
std::unique_ptr<Ops> make_cpu_ops(Isa, ThreadPool&);

}  // namespace toolgrad
