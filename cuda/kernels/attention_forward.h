// Parameters of attention_forward.cu: causal grouped-query attention over paged keys and values.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

constexpr int kAttentionTile = 64;                   // keys of one online-softmax step: two pages, anchored at key 0
constexpr int kAttentionChunk = 8 * kAttentionTile;  // keys that one chain of steps covers; chunks are merged in order
constexpr int kPrefillThreads = 128, kPrefillRows = 64;  // a warp has 16 query tokens of one head
constexpr int kDecodeThreads = 32, kDecodeRows = 16;     // one warp: the query heads of one KV head, token by token
constexpr int kDecodeTokens = 4;  // a sequence with at most this many query tokens belongs to the decode kernel
constexpr int kMergeThreads = 32;

/// K or V of one tile, with the head size rounded up to kD.
template <int kD>
inline constexpr int kAttentionTileBytes = kAttentionTile* kD * 2;

/// Paged keys and values and which pages hold which sequence: KvPages and SequenceMap of engine/ops.h.
struct PagedKv {
  const uint16_t* keys;    // page: [G, D, 32]
  const uint16_t* values;  // page: [G, 32, D]
  int64_t page_stride;
  const int32_t *q_start, *kv_len, *page_start, *page_table;
  int32_t G, D, H;
};

struct AttentionForwardParams {
  PagedKv kv;
  const float* q;    // [T, H, D]
  float* out;        // [T, H, D]
  float* lse;        // [T, H] or null
  float* parts;      // [S, part_tokens, H, chunks, D + 2]: unscaled output, then maximum and sum; null when chunks is 1
  float scale_log2;  // scale * log2(e)
  int32_t chunks, part_tokens;  // of the longest sequence; of the longest run of query tokens, up to kDecodeTokens
  int32_t query_tiles, decode_tiles;  // blocks along the queries of a sequence (prefill) or of a KV head (decode)
};

}  // namespace toolgrad::cuda

// clang-format off
#define TOOLGRAD_ATTENTION_FORWARD_KERNEL(X, kD)                                                                        \
  X(attention_forward, attention_prefill_##kD, ::toolgrad::cuda::AttentionForwardParams,                                \
    ::toolgrad::cuda::kPrefillThreads, 2 * ::toolgrad::cuda::kAttentionTileBytes<kD>)                                  \
  X(attention_forward, attention_decode_##kD, ::toolgrad::cuda::AttentionForwardParams,                                 \
    ::toolgrad::cuda::kDecodeThreads, 4 * ::toolgrad::cuda::kAttentionTileBytes<kD>)
#define TOOLGRAD_ATTENTION_FORWARD_KERNELS(X)                                                                           \
  TOOLGRAD_ATTENTION_FORWARD_KERNEL(X, 16)                                                                              \
  TOOLGRAD_ATTENTION_FORWARD_KERNEL(X, 32)                                                                              \
  TOOLGRAD_ATTENTION_FORWARD_KERNEL(X, 64)                                                                              \
  TOOLGRAD_ATTENTION_FORWARD_KERNEL(X, 128)                                                                             \
  X(attention_forward, attention_merge, ::toolgrad::cuda::AttentionForwardParams, ::toolgrad::cuda::kMergeThreads, 0)
// clang-format on
