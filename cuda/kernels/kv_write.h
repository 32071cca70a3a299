// Parameters of kv_write.cu: new keys and values into their pages.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

constexpr int kKvWriteThreads = 256;
constexpr int kKvSlots = 32;         // engine/ops.h kKvPageSize
constexpr int kKvWriteColumns = 64;  // of a head, in shared memory at once

/// New tokens of sequence s are rows q_start[s] .. q_start[s + 1] - 1, its last ones; page p holds keys [G, D, 32] and
/// values [G, 32, D].
struct KvWriteParams {
  const float *k, *v;       // [T, G, D]
  uint16_t *keys, *values;  // page 0
  int64_t page_stride;      // elements
  const int32_t *q_start, *kv_len, *page_start, *page_table;
  int32_t G, D;
  int32_t spans;  // pages that one sequence's new tokens can touch at most; block = (s * spans + span) * G + g
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_KV_WRITE_KERNELS(X) \
  X(kv_write, kv_write_pages, ::toolgrad::cuda::KvWriteParams, ::toolgrad::cuda::kKvWriteThreads, 0)
