// The paged KV cache: new keys (transposed) and values, rounded to bf16 (nearest even), zeroed pages, copied pages.
//
// One block writes what one sequence's new tokens put into one page of one KV head; nobody else writes there, and slots
// that are not new keep their bits. Keys go through shared memory: rows are read along D and written along the slots, 64
// bytes for each d of a full page. Reads 8 and writes 4 bytes per element of k and v: bound by memory; a decoding step
// writes single slots of keys, 2 useful bytes in a sector of 32. D is even.
#include "kernels/bf16.cuh"
#include "kernels/kv_write.h"

namespace toolgrad::cuda {
namespace {

// Two neighbours a, b of an array: one 4-byte store when both are wanted.
__device__ __forceinline__ void store_pair(uint16_t* to, float a, float b, bool first, bool second) {
  const uint32_t pair = pack_bf16(a, b);
  if (first && second)
    *reinterpret_cast<uint32_t*>(to) = pair;
  else if (first)
    to[0] = static_cast<uint16_t>(pair & 0xffffu);
  else if (second)
    to[1] = static_cast<uint16_t>(pair >> 16);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kKvWriteThreads) kv_write_pages(const KvWriteParams p) {
  __shared__ float tile[kKvSlots][kKvWriteColumns + 1];
  const int g = static_cast<int>(blockIdx.x % p.G);
  const int span = static_cast<int>(blockIdx.x / p.G % p.spans), s = static_cast<int>(blockIdx.x / p.G / p.spans);
  const int begin = p.q_start[s], length = p.kv_len[s];
  const int position0 = length - (p.q_start[s + 1] - begin);  // of the first new token
  const int page_index = position0 / kKvSlots + span, page_position = page_index * kKvSlots;
  if (page_position >= length) return;
  const int low = position0 > page_position ? position0 - page_position : 0;  // new slots are [low, high)
  const int high = length - page_position < kKvSlots ? length - page_position : kKvSlots;
  if (low >= high) return;  // no new tokens at all
  const int64_t page = p.page_table[p.page_start[s] + page_index];
  // Row of k and v of slot 0, were it new.
  const int64_t row0 = static_cast<int64_t>(begin) + (page_position - position0);

  uint16_t* keys = p.keys + page * p.page_stride + static_cast<int64_t>(g) * p.D * kKvSlots;
  for (int d0 = 0; d0 < p.D; d0 += kKvWriteColumns) {
    const int columns = p.D - d0 < kKvWriteColumns ? p.D - d0 : kKvWriteColumns;
    for (int i = threadIdx.x; i < (high - low) * kKvWriteColumns; i += kKvWriteThreads) {
      const int slot = low + i / kKvWriteColumns, d = i % kKvWriteColumns;
      if (d < columns) tile[slot][d] = p.k[((row0 + slot) * p.G + g) * p.D + d0 + d];
    }
    __syncthreads();
    const int pair0 = low / 2, pairs = (high + 1) / 2 - pair0;
    for (int i = threadIdx.x; i < columns * pairs; i += kKvWriteThreads) {
      const int d = i / pairs, slot = 2 * (pair0 + i % pairs);
      const bool first = slot >= low, second = slot + 1 < high;
      store_pair(keys + (d0 + d) * kKvSlots + slot, first ? tile[slot][d] : 0.0f, second ? tile[slot + 1][d] : 0.0f,
                 first, second);
    }
    __syncthreads();
  }

  uint16_t* values = p.values + page * p.page_stride + static_cast<int64_t>(g) * p.D * kKvSlots;
  const int pairs = p.D / 2;
  for (int i = threadIdx.x; i < (high - low) * pairs; i += kKvWriteThreads) {
    const int slot = low + i / pairs, d = 2 * (i % pairs);
    const float* v = p.v + ((row0 + slot) * p.G + g) * p.D + d;
    store_pair(values + slot * p.D + d, v[0], v[1], true, true);
  }
}

extern "C" __global__ void __launch_bounds__(kKvWriteThreads) kv_zero_pages(const KvZeroParams p) {
  const int side = static_cast<int>(blockIdx.x % 2);
  const int layer = static_cast<int>(blockIdx.x / 2 % p.layers), i = static_cast<int>(blockIdx.x / 2 / p.layers);
  uint16_t* page = (side == 0 ? p.keys : p.values) + layer * p.layer_stride + p.fresh[i] * p.page_stride;
  for (int64_t at = 8 * threadIdx.x; at < p.page_stride; at += 8 * kKvWriteThreads)
    *reinterpret_cast<uint4*>(page + at) = make_uint4(0, 0, 0, 0);
}

// Runs of slots: keys have one of 32 per (g, d), values one of 32 * D per g. Both are moved eight elements at a time.
extern "C" __global__ void __launch_bounds__(kKvWriteThreads) kv_copy_pages(const KvCopyParams p) {
  const bool is_key = blockIdx.x % 2 == 0;
  const int layer = static_cast<int>(blockIdx.x / 2 % p.layers), i = static_cast<int>(blockIdx.x / 2 / p.layers);
  uint16_t* layer0 = (is_key ? p.keys : p.values) + layer * p.layer_stride;
  const uint16_t* from = layer0 + p.from[i] * p.page_stride;
  uint16_t* to = layer0 + p.to[i] * p.page_stride;
  const int run = is_key ? kKvSlots : kKvSlots * p.D, used = is_key ? p.slots[i] : p.slots[i] * p.D;
  const int runs = is_key ? p.G * p.D : p.G, groups = run / 8;
  for (int at = threadIdx.x; at < runs * groups; at += kKvWriteThreads) {
    const int first = 8 * (at % groups), left = used - first;
    if (left <= 0) continue;
    const int64_t offset = static_cast<int64_t>(at / groups) * run + first;
    if (left >= 8) {
      *reinterpret_cast<uint4*>(to + offset) = *reinterpret_cast<const uint4*>(from + offset);
    } else {
      for (int j = 0; j < left; ++j) to[offset + j] = from[offset + j];
    }
  }
}

}  // namespace toolgrad::cuda
