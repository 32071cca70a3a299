// New keys (transposed) and values into the paged KV cache, rounded to bf16 (nearest even).
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
#pragma unroll 2
    for (int i = threadIdx.x; i < (high - low) * kKvWriteColumns; i += kKvWriteThreads) {
      const int slot = low + i / kKvWriteColumns, d = i % kKvWriteColumns;
      if (d < columns) tile[slot][d] = p.k[((row0 + slot) * p.G + g) * p.D + d0 + d];
    }
    __syncthreads();
    const int pair0 = low / 2, pairs = (high + 1) / 2 - pair0;
#pragma unroll 2
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
#pragma unroll 2
  for (int i = threadIdx.x; i < (high - low) * pairs; i += kKvWriteThreads) {
    const int slot = low + i / pairs, d = 2 * (i % pairs);
    const float* v = p.v + ((row0 + slot) * p.G + g) * p.D + d;
    store_pair(values + slot * p.D + d, v[0], v[1], true, true);
  }
}

}  // namespace toolgrad::cuda
