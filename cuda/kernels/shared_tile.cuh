// bf16 tiles in shared memory: rows of kChunks 16-byte chunks, permuted so that eight rows of one chunk column lie in
// eight different bank groups (ldmatrix is then free of bank conflicts, and so are the copies that fill the tile).
//
// ldmatrix loads 8x8 tiles: lane l names row l % 8 of tile l / 8; then lane l holds elements 2 (l % 4) and + 1 of row l / 4,
// or, transposed, of column l / 4.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

/// Byte offset of a chunk. kChunks is 2, 4 or a multiple of 8.
template <int kChunks>
__device__ __forceinline__ uint32_t chunk_offset(int row, int chunk) {
  static_assert(kChunks == 2 || kChunks == 4 || kChunks % 8 == 0, "rows of 2, 4, 8, 16 ... chunks");
  const int flip = kChunks == 2 ? (row >> 2) & 1 : kChunks == 4 ? (row >> 1) & 3 : row & 7;
  return static_cast<uint32_t>((row * kChunks + (chunk ^ flip)) * 16);
}

__device__ __forceinline__ void load_tiles(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ void load_tiles_transposed(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

}  // namespace toolgrad::cuda
