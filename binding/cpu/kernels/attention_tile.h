// The products of attention on small tiles, C[M, N] = (C or 0) + A[M, K] B[K, N], and a key/value page as fp32 tiles.
//
// Every element of C is ONE fma chain over k, ascending, whatever the register blocking: rows may be computed alone or
// together, chains may be cut at any k and continued, B may be fp32 or bf16 (widened exactly) - the bits are the same.
// A is read element-wise with two strides, so a transposed A costs nothing. No memory of its own.
#pragma once

#include "cpu/kernels/simd.h"
#include "engine/ops.h"

namespace toolgrad::TOOLGRAD_ISA {

// Register blocking: up to kTileRows rows, and as many vectors of columns as leave room for the operands.
#if defined(__AVX512F__)
constexpr int kTileRows = 8;
constexpr int tile_vecs(int rows) {
  return rows <= 5 ? 4 : 2;  // at most 20 accumulators of 32 registers
}
#elif defined(__AVX2__)
constexpr int kTileRows = 6;
constexpr int tile_vecs(int rows) {
  return rows <= 2 ? 2 : 1;  // a vector is two registers: at most 12 accumulators of 16
}
#else
constexpr int kTileRows = 2;
constexpr int tile_vecs(int) {
  return 1;  // a vector is four registers
}
#endif

struct TileA {
  const float* data;
  int64_t row, k;  // strides in elements
};
template <class T>
struct TileB {
  const T* data;
  int64_t k;  // stride in elements
};
struct TileC {
  float* data;
  int64_t row;  // stride in elements
};

TOOLGRAD_INLINE Vec load_tile(const float* p) {
  return load(p);
}
TOOLGRAD_INLINE Vec load_tile(const uint16_t* p) {
  return load_bf16(p);
}
TOOLGRAD_INLINE Vec load_tile_partial(const float* p, int n) {
  return load_partial(p, n);
}
TOOLGRAD_INLINE Vec load_tile_partial(const uint16_t* p, int n) {
  return load_bf16_partial(p, n);
}

namespace {

// R rows, kVecs vectors of columns; the vectors are full, or (kPartial, one vector) have `lanes` columns. kAhead: what lies
// `ahead` elements behind B is fetched into L2.
template <int R, int kVecs, bool kPartial, bool kAhead, class T>
TOOLGRAD_INLINE void multiply_block(TileA a, TileB<T> b, int64_t ahead, TileC c, int64_t K, bool accumulate,
                                    int lanes) {
  constexpr int kLineVecs = 64 / (kLanes * static_cast<int>(sizeof(T)));  // vectors of B in a cache line
  Vec sum[R][kVecs];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < kVecs; ++v) {
      const float* from = c.data + r * c.row + v * kLanes;
      sum[r][v] = !accumulate ? zero() : kPartial ? load_partial(from, lanes) : load(from);
    }
  for (int64_t k = 0; k < K; ++k) {
    Vec column[kVecs];
    for (int v = 0; v < kVecs; ++v) {
      const T* from = b.data + k * b.k + v * kLanes;
      if constexpr (kAhead)
        if (v % kLineVecs == 0) __builtin_prefetch(from + ahead, 0, 2);
      column[v] = kPartial ? load_tile_partial(from, lanes) : load_tile(from);
    }
    for (int r = 0; r < R; ++r) {
      const Vec row = broadcast(a.data[r * a.row + k * a.k]);
      for (int v = 0; v < kVecs; ++v) sum[r][v] = fma(row, column[v], sum[r][v]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < kVecs; ++v) {
      float* to = c.data + r * c.row + v * kLanes;
      if (kPartial)
        store_partial(to, sum[r][v], lanes);
      else
        store(to, sum[r][v]);
    }
}

template <int R, bool kAhead, class T>
__attribute__((noinline)) void multiply_rows(TileA a, TileB<T> b, int64_t ahead, TileC c, int64_t N, int64_t K,
                                             bool accumulate) {
  constexpr int kVecs = tile_vecs(R);
  int64_t n = 0;
  const auto block = [&]<int kWide, bool kPartial>(int lanes) {
    multiply_block<R, kWide, kPartial, kAhead>(a, TileB<T>{b.data + n, b.k}, ahead, TileC{c.data + n, c.row}, K,
                                               accumulate, lanes);
  };
  for (; n + kVecs * kLanes <= N; n += kVecs * kLanes) block.template operator()<kVecs, false>(kLanes);
  if constexpr (kVecs > 2) {
    for (; n + 2 * kLanes <= N; n += 2 * kLanes) block.template operator()<2, false>(kLanes);
  }
  for (; n + kLanes <= N; n += kLanes) block.template operator()<1, false>(kLanes);
  if (n < N) block.template operator()<1, true>(static_cast<int>(N - n));
}

template <bool kAhead, class T>
void multiply_strips(TileA a, TileB<T> b, int64_t ahead, TileC c, int64_t M, int64_t N, int64_t K, bool accumulate) {
  while (M > 0) {
    int64_t rows = M < kTileRows ? M : kTileRows;
    switch (rows) {
#if defined(__AVX2__)
#if defined(__AVX512F__)
      case 8:
        multiply_rows<8, kAhead>(a, b, ahead, c, N, K, accumulate);
        break;
      case 7:
        multiply_rows<7, kAhead>(a, b, ahead, c, N, K, accumulate);
        break;
#endif
      case 6:
        multiply_rows<6, kAhead>(a, b, ahead, c, N, K, accumulate);
        break;
      case 5:
        multiply_rows<5, kAhead>(a, b, ahead, c, N, K, accumulate);
        break;
      case 4:
        multiply_rows<4, kAhead>(a, b, ahead, c, N, K, accumulate);
        break;
      case 3:
        multiply_rows<3, kAhead>(a, b, ahead, c, N, K, accumulate);
        break;
#endif
      case 2:
        multiply_rows<2, kAhead>(a, b, ahead, c, N, K, accumulate);
        break;
      default:
        multiply_rows<1, kAhead>(a, b, ahead, c, N, K, accumulate);
        rows = 1;
    }
    a.data += rows * a.row;
    c.data += rows * c.row;
    M -= rows;
  }
}

// C[M, N] = (accumulate ? C : 0) + A[M, K] B[K, N].
template <class T>
void multiply(TileA a, TileB<T> b, TileC c, int64_t M, int64_t N, int64_t K, bool accumulate) {
  multiply_strips<false>(a, b, 0, c, M, N, K, accumulate);
}
// The same; what lies `ahead` elements behind B is fetched meanwhile (0: nothing).
template <class T>
void multiply_ahead(TileA a, TileB<T> b, int64_t ahead, TileC c, int64_t M, int64_t N, int64_t K, bool accumulate) {
  ahead == 0 ? multiply_strips<false>(a, b, 0, c, M, N, K, accumulate)
             : multiply_strips<true>(a, b, ahead, c, M, N, K, accumulate);
}

// The first `count` elements of `from`, widened.
TOOLGRAD_INLINE void widen(const float* from, float* to, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load(from + i));
  if (i < count)
    store_partial(to + i, load_partial(from + i, static_cast<int>(count - i)), static_cast<int>(count - i));
}
TOOLGRAD_INLINE void widen(const uint16_t* from, float* to, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load_bf16(from + i));
  for (; i < count; ++i) to[i] = widen_bf16(from[i]);
}

// to[c, r] = from[r, c] for rows r and columns c; `to` has row stride to_row.
TOOLGRAD_INLINE void transpose(const float* from, int64_t rows, int64_t columns, float* to, int64_t to_row) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) to[c * to_row + r] = from[r * columns + c];
}

// sum_d a[d] * b[d] in one fixed order of D.
TOOLGRAD_INLINE float dot(const float* a, const float* b, int64_t D) {
  Vec sum = zero();
  int64_t d = 0;
  for (; d + kLanes <= D; d += kLanes) sum = fma(load(a + d), load(b + d), sum);
  if (d < D) {
    const int n = static_cast<int>(D - d);
    sum = fma(load_partial(a + d, n), load_partial(b + d, n), sum);
  }
  return sum_lanes(sum);
}

}  // namespace
}  // namespace toolgrad::TOOLGRAD_ISA
