// Keys and values of one attention tile (one or two pages of 32 keys) from their pages into swizzled shared memory.
//
// Keys lie [page][d][32 keys], values [key][d]. What lies past the sequence's last key or past the head size becomes
// zero and is not read, so neither stale slots of a page nor its neighbours matter.
#pragma once

#include <cstdint>

#include "kernels/attention_forward.h"
#include "kernels/cp_async.cuh"
#include "kernels/shared_tile.cuh"

namespace toolgrad::cuda {

constexpr int kPageKeys = 32;  // engine/ops.h kKvPageSize
constexpr int kKeyChunks = kPageKeys / 8;

/// Where element (page, d, key chunk) of a key tile lies.
template <int kD>
__device__ __forceinline__ uint32_t key_offset(int page, int d, int chunk) {
  return static_cast<uint32_t>(page * kD * kPageKeys * 2) + chunk_offset<kKeyChunks>(d, chunk);
}

/// The pages of one sequence and KV head.
struct SequencePages {
  const int32_t* pages;
  const uint16_t *keys, *values;  // of the head in page 0
  int64_t page_stride;
  int D, length;  // length: keys of the sequence

  __device__ __forceinline__ SequencePages(const PagedKv& kv, int sequence, int g)
      : pages(kv.page_table + kv.page_start[sequence]),
        keys(kv.keys + static_cast<int64_t>(g) * kv.D * kPageKeys),
        values(kv.values + static_cast<int64_t>(g) * kv.D * kPageKeys),
        page_stride(kv.page_stride),
        D(kv.D),
        length(kv.kv_len[sequence]) {}
};

/// Tiles of one page are of pages that the sequence has; of two, the second may be missing. Both page by page, a thread stepping along the rows of one chunk column; the steps are rolled, for their addresses
/// would otherwise fill the registers of a whole loop.
template <int kD, int kThreads, int kPages = 2>
__device__ __forceinline__ void fetch_keys(const SequencePages& s, int tile, uint32_t to) {
  constexpr int kRowStep = kThreads / kKeyChunks < kD ? kThreads / kKeyChunks : kD;
  constexpr int kPagesAtOnce = kThreads / kKeyChunks / kRowStep;
  static_assert(kRowStep % 8 == 0 && kD % kRowStep == 0 && kPagesAtOnce <= 2, "the permutation repeats every 8 rows");
  const int at = static_cast<int>(threadIdx.x) / kKeyChunks, chunk = static_cast<int>(threadIdx.x) % kKeyChunks;
  const int row = at % kRowStep;
#pragma unroll
  for (int page0 = 0; page0 < kPages; page0 += kPagesAtOnce) {
    const int page = page0 + at / kRowStep;
    if (kPagesAtOnce > kPages && page >= kPages) continue;
    const int left = s.length - (tile * kPages * kPageKeys + page * kPageKeys + chunk * 8);
    const int bytes = left <= 0 ? 0 : left < 8 ? 2 * left : 16;
    const uint16_t* from = s.keys + row * kPageKeys + chunk * 8;
    if (bytes > 0) from += s.pages[tile * kPages + page] * s.page_stride;
    uint32_t place = to + key_offset<kD>(page, row, chunk);
#pragma unroll 2
    for (int i = 0; i < kD / kRowStep; ++i) {
      copy_async(place, from, row + i * kRowStep < s.D ? bytes : 0);
      from += kRowStep * kPageKeys;
      place += kRowStep * kKeyChunks * 16;
    }
  }
}

template <int kD, int kThreads, int kPages = 2>
__device__ __forceinline__ void fetch_values(const SequencePages& s, int tile, uint32_t to) {
  constexpr int kChunks = kD / 8, kRowStep = kThreads / kChunks < kPageKeys ? kThreads / kChunks : kPageKeys;
  constexpr int kPagesAtOnce = kThreads / kChunks / kRowStep;
  static_assert(kPageKeys % kRowStep == 0 && kPagesAtOnce <= 2, "whole pages");
  const int at = static_cast<int>(threadIdx.x) / kChunks, chunk = static_cast<int>(threadIdx.x) % kChunks;
  const int row = at % kRowStep;
#pragma unroll
  for (int page0 = 0; page0 < kPages; page0 += kPagesAtOnce) {
    const int page = page0 + at / kRowStep;
    if (kPagesAtOnce > kPages && page >= kPages) continue;
    const int left = s.length - (tile * kPages * kPageKeys + page * kPageKeys);  // keys of the page
    const uint16_t* from = s.values + row * s.D + chunk * 8;
    if (kPages == 1 || left > 0) from += s.pages[tile * kPages + page] * s.page_stride;
    const bool inside = chunk * 8 < s.D;
#pragma unroll 2
    for (int i = 0; i < kPageKeys / kRowStep; ++i) {
      const int key = row + i * kRowStep;
      copy_async(to + chunk_offset<kChunks>(page * kPageKeys + key, chunk), from, inside && key < left ? 16 : 0);
      from += kRowStep * s.D;
    }
  }
}

}  // namespace toolgrad::cuda
