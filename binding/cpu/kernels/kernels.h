// One free function per op of engine/ops.h in the namespace of its ISA build, and the table through which the backend
// calls them. binding/cpu/kernels/<op>.cc defines the functions; each file is compiled once per ISA.
//
// Rule: kernel files define nothing outside namespace toolgrad::TOOLGRAD_ISA or an anonymous one inside it, and use no
// standard container or algorithm: a template of `std` emitted here would carry this ISA's instructions under a shared
// name.
#pragma once

#include "cpu/scratch.h"
#include "engine/ops.h"
#include "engine/thread_pool.h"

namespace toolgrad {

/// The kernels of one ISA build. A field per op, in the order of ops.h.
struct KernelTable {
  void (*pack)(const float* src, PackedMatrix dst, ThreadPool&);
  void (*unpack)(PackedMatrix src, float* dst, ThreadPool&);
  void (*linear_forward)(const LinearForward* ops, int64_t count, ThreadPool&, Scratch&);
  void (*gated_forward)(const GatedForward&, ThreadPool&, Scratch&);
  void (*linear_backward_input)(const LinearBackwardInput&, ThreadPool&, Scratch&);
  void (*linear_backward_weight)(const LinearBackwardWeight&, ThreadPool&, Scratch&);
  void (*low_rank_forward)(const LowRankForward&, ThreadPool&, Scratch&);
  void (*low_rank_backward)(const LowRankBackward&, ThreadPool&, Scratch&);
  void (*rms_norm_forward)(const RmsNormForward&, ThreadPool&, Scratch&);
  void (*rms_norm_backward)(const RmsNormBackward&, ThreadPool&, Scratch&);
  void (*rope)(const Rope&, ThreadPool&, Scratch&);
  void (*kv_write)(const KvWrite&, ThreadPool&, Scratch&);
  void (*attention_forward)(const AttentionForward&, ThreadPool&, Scratch&);
  void (*attention_backward)(const AttentionBackward&, ThreadPool&, Scratch&);
  void (*swiglu_forward)(const SwigluForward&, ThreadPool&, Scratch&);
  void (*swiglu_backward)(const SwigluBackward&, ThreadPool&, Scratch&);
  void (*embedding_forward)(const EmbeddingForward&, ThreadPool&, Scratch&);
  void (*embedding_backward)(const EmbeddingBackward&, ThreadPool&, Scratch&);
  void (*head_forward)(const HeadForward&, ThreadPool&, Scratch&);
  void (*head_backward)(const HeadBackward&, ThreadPool&, Scratch&);
  // uniforms: [R] in [0, 1). Returns the first row without a usable distribution (NaN, +inf, or all -inf), or -1.
  int64_t (*sample)(const Sample&, const double* uniforms, ThreadPool&, Scratch&);
  void (*adamw)(const AdamW&, ThreadPool&, Scratch&);
  double (*sum_of_squares)(const float* x, int64_t n, ThreadPool&, Scratch&);
  bool (*all_finite)(const float* x, int64_t n, ThreadPool&, Scratch&);
};

}  // namespace toolgrad

#define TOOLGRAD_DECLARE_KERNELS(isa)                                              \
  namespace toolgrad::isa {                                                        \
  void pack(const float* src, PackedMatrix dst, ThreadPool&);                      \
  void unpack(PackedMatrix src, float* dst, ThreadPool&);                          \
  void linear_forward(const LinearForward*, int64_t, ThreadPool&, Scratch&);       \
  void gated_forward(const GatedForward&, ThreadPool&, Scratch&);                  \
  void linear_backward_input(const LinearBackwardInput&, ThreadPool&, Scratch&);   \
  void linear_backward_weight(const LinearBackwardWeight&, ThreadPool&, Scratch&); \
  void low_rank_forward(const LowRankForward&, ThreadPool&, Scratch&);             \
  void low_rank_backward(const LowRankBackward&, ThreadPool&, Scratch&);           \
  void rms_norm_forward(const RmsNormForward&, ThreadPool&, Scratch&);             \
  void rms_norm_backward(const RmsNormBackward&, ThreadPool&, Scratch&);           \
  void rope(const Rope&, ThreadPool&, Scratch&);                                   \
  void kv_write(const KvWrite&, ThreadPool&, Scratch&);                            \
  void attention_forward(const AttentionForward&, ThreadPool&, Scratch&);          \
  void attention_backward(const AttentionBackward&, ThreadPool&, Scratch&);        \
  void swiglu_forward(const SwigluForward&, ThreadPool&, Scratch&);                \
  void swiglu_backward(const SwigluBackward&, ThreadPool&, Scratch&);              \
  void embedding_forward(const EmbeddingForward&, ThreadPool&, Scratch&);          \
  void embedding_backward(const EmbeddingBackward&, ThreadPool&, Scratch&);        \
  void head_forward(const HeadForward&, ThreadPool&, Scratch&);                    \
  void head_backward(const HeadBackward&, ThreadPool&, Scratch&);                  \
  int64_t sample(const Sample&, const double* uniforms, ThreadPool&, Scratch&);    \
  void adamw(const AdamW&, ThreadPool&, Scratch&);                                 \
  double sum_of_squares(const float* x, int64_t n, ThreadPool&, Scratch&);         \
  bool all_finite(const float* x, int64_t n, ThreadPool&, Scratch&);               \
  const KernelTable& kernel_table();                                               \
  }

#ifdef TOOLGRAD_ISA
TOOLGRAD_DECLARE_KERNELS(TOOLGRAD_ISA)
#endif
