// The register tiles all matrix products share: MR rows by NP vectors of 16 columns, one fp32 FMA chain per element.
//
// tile() advances c[r][p] += a[r][i] * b[p][i] for i = 0..depth-1 in order. Where a tile is cut (rows, panels, depth)
// changes no bit: each element is its own chain, and an accumulator stored and reloaded as fp32 is exact. A step i takes one
// fp32 number of a row, or a pair of bf16 numbers (Step below); b is in panels: vector i of panel p at
// b + p * b_panel + i * Step::kWidth.
#pragma once

#include "cpu/kernels/simd.h"

namespace toolgrad::TOOLGRAD_ISA {

// Most rows of one tile, and the panels of the tile at that height: as many accumulators as the registers hold.
#if defined(__AVX512F__)
constexpr int kTileRows = 12, kTilePanels = 2;
constexpr int tile_panels(int rows) {
  return rows <= 2 ? 8 : rows <= 6 ? 4 : 2;
}
#elif defined(__AVX2__)
constexpr int kTileRows = 6, kTilePanels = 1;
constexpr int tile_panels(int rows) {
  return rows <= 1 ? 4 : rows <= 3 ? 2 : 1;
}
#else
constexpr int kTileRows = 2, kTilePanels = 1;
constexpr int tile_panels(int rows) {
  return rows <= 1 ? 2 : 1;
}
#endif

// How the rows of `a` lie: each row contiguous over the depth (a[r * stride + i]), or the rows of one depth step
// together (a[i * stride + r]). kApartAhead is kApart that also fetches the weights of the next call into L2.
enum class Rows { kApart, kApartAhead, kTogether };

TOOLGRAD_INLINE Vec load_weight(const float* p) {
  return load(p);
}
TOOLGRAD_INLINE Vec load_weight(const uint16_t* p) {
  return load_bf16(p);
}

// One step of the depth: how rows (elements A) and panels (elements B) are read and multiplied.
template <class A, class B>
struct Step {  // fp32 rows; fp32 panels, or bf16 ones that are widened in registers
  static constexpr int64_t kWidth = kLanes;
  using Weights = Vec;
  using Row = Vec;
  static TOOLGRAD_INLINE Weights weights(const B* p) { return load_weight(p); }
  static TOOLGRAD_INLINE Row row(A x) { return broadcast(x); }
  static TOOLGRAD_INLINE Vec multiply_add(Row x, Weights w, Vec sum) { return fma(x, w, sum); }
};

// Two bf16 numbers of a row that are next to each other in the chain, the first in the high half: vdpbf16ps adds the product of
// the high halves, rounds, then that of the low ones, rounds; a product of two bf16 numbers is exact in fp32. So the bits are
// those of two fp32 multiply-adds in the chain's order, but that subnormal numbers count as zero (SubnormalsAsZero).
#if defined(__AVX512BF16__)
constexpr bool kBf16Pairs = true;
using Pair = uint32_t;
struct PairStep {
  using Weights = __m512i;
  using Row = __m512i;
  static TOOLGRAD_INLINE Row row(Pair x) { return _mm512_set1_epi32(static_cast<int>(x)); }
  static TOOLGRAD_INLINE Vec multiply_add(Row x, Weights w, Vec sum) {
    return {_mm512_dpbf16_ps(sum.v, (__m512bh)x, (__m512bh)w)};
  }
};
template <>
struct Step<Pair, Pair> : PairStep {  // panels of pairs
  static constexpr int64_t kWidth = kLanes;
  static TOOLGRAD_INLINE Weights weights(const Pair* p) { return _mm512_loadu_si512(p); }
};
// Words 16 + i and i to the low and the high half of lane i: 16 numbers of one step and 16 of the next become pairs.
TOOLGRAD_INLINE __m512i pair_up(__m512i steps) {
  const __m512i order = _mm512_set_epi16(15, 31, 14, 30, 13, 29, 12, 28, 11, 27, 10, 26, 9, 25, 8, 24, 7, 23, 6, 22, 5,
                                         21, 4, 20, 3, 19, 2, 18, 1, 17, 0, 16);
  return _mm512_permutexvar_epi16(order, steps);
}
template <>
struct Step<Pair, uint16_t> : PairStep {  // a layer's bf16 panels as they are
  static constexpr int64_t kWidth = 2 * kLanes;
  static TOOLGRAD_INLINE Weights weights(const uint16_t* p) { return pair_up(_mm512_loadu_si512(p)); }
};
#else
constexpr bool kBf16Pairs = false;
#endif

template <class A, class B>
struct TileArgs {
  int64_t depth;  // steps
  const A* a;
  int64_t a_stride;
  const B* b;
  int64_t b_panel;
  float* c;
  int64_t c_row, c_panel;
  bool load_c;  // continue the chains in c; otherwise start from 0
  // What Rows::kApartAhead fetches: for each depth step `next_step` bytes of each panel, these `next_panel` bytes apart.
  const char* next = nullptr;
  int64_t next_step = 0, next_panel = 0;
};

template <int MR, int NP, Rows kRows, class A, class B>
__attribute__((noinline)) void tile(const TileArgs<A, B>& t) {
  using S = Step<A, B>;
  Vec acc[MR][NP];
  if (t.load_c) {
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r)
#pragma GCC unroll 8
      for (int p = 0; p < NP; ++p) acc[r][p] = load(t.c + r * t.c_row + p * t.c_panel);
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r)
#pragma GCC unroll 8
      for (int p = 0; p < NP; ++p) acc[r][p] = zero();
  }
  // Every third row gets a pointer; the other two are reached by an index, so 12 rows need 4 pointers.
  constexpr int kGroups = (MR + 2) / 3;
  const A* a[kGroups];
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) a[g] = t.a + (kRows == Rows::kTogether ? 3 * g : 3 * g * t.a_stride);
  const int64_t row_step = kRows == Rows::kTogether ? 1 : t.a_stride;
  const int64_t depth_step = kRows == Rows::kTogether ? t.a_stride : 1;
  const B* b = t.b;
  const int64_t b_panel = t.b_panel;
  const char* next = t.next;
  const int64_t next_step = t.next_step, next_panel = t.next_panel;
  for (int64_t i = 0; i < t.depth; ++i) {
    typename S::Weights w[NP];
    if constexpr (kRows == Rows::kApartAhead) {
#pragma GCC unroll 8
      for (int p = 0; p < NP; ++p) __builtin_prefetch(next + p * next_panel, 0, 2);
      next += next_step;
    }
#pragma GCC unroll 8
    for (int p = 0; p < NP; ++p) w[p] = S::weights(b + p * b_panel);
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r) {
      const typename S::Row x = S::row(a[r / 3][(r % 3) * row_step]);
#pragma GCC unroll 8
      for (int p = 0; p < NP; ++p) acc[r][p] = S::multiply_add(x, w[p], acc[r][p]);
    }
    b += S::kWidth;
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) a[g] += depth_step;
  }
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < NP; ++p) store(t.c + r * t.c_row + p * t.c_panel, acc[r][p]);
}

// Any number of panels: as many tiles of NP panels as fit, then narrower ones.
template <int MR, int NP, Rows kRows, class A, class B>
void tiles_across(int panels, TileArgs<A, B> t) {
  for (; panels >= NP; panels -= NP) {
    tile<MR, NP, kRows>(t);
    t.b += NP * t.b_panel;
    t.c += NP * t.c_panel;
    t.next += NP * t.next_panel;
  }
  if constexpr (NP > 1) {
    if (panels > 0) tiles_across<MR, NP / 2, kRows>(panels, t);
  }
}

template <int MR, Rows kRows, class A, class B>
void tile_of_height(int panels, const TileArgs<A, B>& t) {
  tiles_across<MR, tile_panels(MR), kRows>(panels, t);
}

// Any number of panels and 1..kTileRows rows.
template <Rows kRows, class A, class B>
void run_tile(int rows, int panels, const TileArgs<A, B>& t) {
  switch (rows) {
    case 1:
      return tile_of_height<1, kRows>(panels, t);
    case 2:
      return tile_of_height<2, kRows>(panels, t);
#if defined(__AVX2__)
    case 3:
      return tile_of_height<3, kRows>(panels, t);
    case 4:
      return tile_of_height<4, kRows>(panels, t);
    case 5:
      return tile_of_height<5, kRows>(panels, t);
    case 6:
      return tile_of_height<6, kRows>(panels, t);
#endif
#if defined(__AVX512F__)
    case 7:
      return tile_of_height<7, kRows>(panels, t);
    case 8:
      return tile_of_height<8, kRows>(panels, t);
    case 9:
      return tile_of_height<9, kRows>(panels, t);
    case 10:
      return tile_of_height<10, kRows>(panels, t);
    case 11:
      return tile_of_height<11, kRows>(panels, t);
    case 12:
      return tile_of_height<12, kRows>(panels, t);
#endif
  }
}

// `rows` rows of any number in strips of nearly equal height. With kApartAhead only the first strip fetches ahead.
template <Rows kRows, class A, class B>
void run_strips(int64_t rows, int panels, const TileArgs<A, B>& t) {
  const int64_t strips = (rows + kTileRows - 1) / kTileRows;
  int64_t first = 0;
  for (int64_t s = 0; s < strips; ++s) {
    const int64_t last = rows * (s + 1) / strips;
    const int height = static_cast<int>(last - first);
    TileArgs<A, B> strip = t;
    strip.a += first * (kRows == Rows::kTogether ? 1 : t.a_stride);
    strip.c += first * t.c_row;
    // The sums of the next strip come from far: ask for them now.
    for (int64_t r = last; r < rows * (s + 2) / strips && s + 1 < strips; ++r)
      for (int p = 0; p < panels; ++p) __builtin_prefetch(t.c + r * t.c_row + p * t.c_panel, 1, 3);
    if (kRows == Rows::kApartAhead && s > 0)
      run_tile<Rows::kApart>(height, panels, strip);
    else
      run_tile<kRows>(height, panels, strip);
    first = last;
  }
}

}  // namespace toolgrad::TOOLGRAD_ISA
