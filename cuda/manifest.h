// The manifest of the GPU kernels: one line per entry point, from which the typed launch stubs come.
//
// Every entry takes exactly one parameter, a plain struct by value, declared in the kernel's header beside its list:
// X(module, entry, Params, threads, static_asserted maximum of dynamic shared memory in bytes). `module` is the .cu file.
// cuda/kernels/<module>.h is C++17 that both nvcc and the host compiler read. A new kernel file adds its list here.
#pragma once

#include "kernels/adamw.h"
#include "kernels/advantages.h"
#include "kernels/attention_backward.h"
#include "kernels/attention_forward.h"
#include "kernels/cast.h"
#include "kernels/embedding.h"
#include "kernels/head_backward.h"
#include "kernels/head_forward.h"
#include "kernels/kv_pages.h"
#include "kernels/kv_write.h"
#include "kernels/linear_backward_input.h"
#include "kernels/linear_backward_weight.h"
#include "kernels/linear_f32.h"
#include "kernels/linear_forward.h"
#include "kernels/linear_gated.h"
#include "kernels/move_rows.h"
#include "kernels/pack.h"
#include "kernels/policy_loss.h"
#include "kernels/reduce.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/sample.h"
#include "kernels/swiglu.h"

// clang-format off
#define TOOLGRAD_KERNELS(X) \
  TOOLGRAD_ADAMW_KERNELS(X) \
  TOOLGRAD_ADVANTAGES_KERNELS(X) \
  TOOLGRAD_ATTENTION_BACKWARD_KERNELS(X) \
  TOOLGRAD_ATTENTION_FORWARD_KERNELS(X) \
  TOOLGRAD_CAST_KERNELS(X) \
  TOOLGRAD_EMBEDDING_KERNELS(X) \
  TOOLGRAD_HEAD_BACKWARD_KERNELS(X) \
  TOOLGRAD_HEAD_FORWARD_KERNELS(X) \
  TOOLGRAD_KV_PAGES_KERNELS(X) \
  TOOLGRAD_KV_WRITE_KERNELS(X) \
  TOOLGRAD_LINEAR_BACKWARD_INPUT_KERNELS(X) \
  TOOLGRAD_LINEAR_BACKWARD_WEIGHT_KERNELS(X) \
  TOOLGRAD_LINEAR_F32_KERNELS(X) \
  TOOLGRAD_LINEAR_FORWARD_KERNELS(X) \
  TOOLGRAD_LINEAR_GATED_KERNELS(X) \
  TOOLGRAD_MOVE_ROWS_KERNELS(X) \
  TOOLGRAD_PACK_KERNELS(X) \
  TOOLGRAD_POLICY_LOSS_KERNELS(X) \
  TOOLGRAD_REDUCE_KERNELS(X) \
  TOOLGRAD_RMS_NORM_KERNELS(X) \
  TOOLGRAD_ROPE_KERNELS(X) \
  TOOLGRAD_SAMPLE_KERNELS(X) \
  TOOLGRAD_SWIGLU_KERNELS(X)
// clang-format on

namespace toolgrad::cuda {

/// What the host knows of an entry point before it is loaded.
struct KernelInfo {
  int index;  // in the manifest
  const char* module;
  const char* entry;
  int threads;       // of a block, always this many
  int shared_bytes;  // dynamic shared memory, always this much
  int parameter_bytes;
};

/// A kernel and the type of its parameter: launch() accepts no other.
template <class Params>
struct Kernel {
  using Parameters = Params;
  KernelInfo info;
};

namespace kernel_index {
enum : int {
#define TOOLGRAD_KERNEL_INDEX(module, entry, Params, threads, shared) entry,
  TOOLGRAD_KERNELS(TOOLGRAD_KERNEL_INDEX)
#undef TOOLGRAD_KERNEL_INDEX
      count
};
}  // namespace kernel_index

namespace kernels {
#define TOOLGRAD_KERNEL_STUB(module, entry, Params, threads, shared) \
  inline constexpr Kernel<Params> entry{                             \
      {kernel_index::entry, #module, #entry, (threads), (shared), static_cast<int>(sizeof(Params))}};
TOOLGRAD_KERNELS(TOOLGRAD_KERNEL_STUB)
#undef TOOLGRAD_KERNEL_STUB
}  // namespace kernels

/// All of them, by index.
inline constexpr KernelInfo kKernels[] = {
#define TOOLGRAD_KERNEL_INFO(module, entry, Params, threads, shared) kernels::entry.info,
    TOOLGRAD_KERNELS(TOOLGRAD_KERNEL_INFO)
#undef TOOLGRAD_KERNEL_INFO
};

}  // namespace toolgrad::cuda
