// Parameters of attention_backward.cu: gradients of causal attention over whole sequences.
#pragma once

#include <cstdint>

#include "kernels/attention_forward.h"

namespace toolgrad::cuda {

constexpr int kBackwardThreads = 128;  // four warps: 16 keys each (keys kernel), 16 queries each (queries kernel)
constexpr int kBackwardRows = 64;      // keys, or queries, of a block
constexpr int kStatsThreads = 128, kStatsRows = kStatsThreads / 32;

/// Queries of one step of the keys kernel: fewer where the sums of dK and dV fill the registers.
template <int kD>
inline constexpr int kBackwardQueries = kD <= 64 ? 64 : 32;
/// One stage of its pipeline: q and dout of the step, and (lse, delta) of its rows.
template <int kD>
inline constexpr int kBackwardStageBytes = kBackwardQueries<kD>*(2 * kD * 2 + 8);
template <int kD>
inline constexpr int kBackwardKeysBytes = 2 * kAttentionTileBytes<kD> + 2 * kBackwardStageBytes<kD>;
/// Two stages of one page of K and V.
template <int kD>
inline constexpr int kBackwardQueriesBytes = 2 * kAttentionTileBytes<kD>;

struct AttentionBackwardParams {
  PagedKv kv;
  const uint16_t *q, *dout;             // [T, H, D] bf16
  const float *dout_exact, *out, *lse;  // [T, H, D], [T, H, D], [T, H]
  float* stats;                         // [H, T] pairs: lse in units of log2, sum of dout * out
  float* dq;                            // [T, H, D]
  float *dk, *dv;                       // [T, G, D]
  int64_t T;
  int32_t tiles;  // of kBackwardRows in the longest sequence
  float scale, scale_log2;
};

}  // namespace toolgrad::cuda

// clang-format off
#define TOOLGRAD_ATTENTION_BACKWARD_KERNEL(X, kD)                                                                       \
  X(attention_backward, attention_backward_keys_##kD, ::toolgrad::cuda::AttentionBackwardParams,                        \
    ::toolgrad::cuda::kBackwardThreads, ::toolgrad::cuda::kBackwardKeysBytes<kD>)                                       \
  X(attention_backward, attention_backward_queries_##kD, ::toolgrad::cuda::AttentionBackwardParams,                     \
    ::toolgrad::cuda::kBackwardThreads, ::toolgrad::cuda::kBackwardQueriesBytes<kD>)
#define TOOLGRAD_ATTENTION_BACKWARD_KERNELS(X)                                                                          \
  X(attention_backward, attention_backward_stats, ::toolgrad::cuda::AttentionBackwardParams,                            \
    ::toolgrad::cuda::kStatsThreads, 0)                                                                                 \
  TOOLGRAD_ATTENTION_BACKWARD_KERNEL(X, 16)                                                                             \
  TOOLGRAD_ATTENTION_BACKWARD_KERNEL(X, 32)                                                                             \
  TOOLGRAD_ATTENTION_BACKWARD_KERNEL(X, 64)                                                                             \
  TOOLGRAD_ATTENTION_BACKWARD_KERNEL(X, 128)
// clang-format on
