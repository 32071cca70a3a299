// The register tiles all matrix products share: MR rows by NP vectors of 16 columns, one fp32 FMA chain per element.
//
// tile() advances c[r][p] += a[r][i] * b[p][i] for i = 0..depth-1 in order. Where a tile is cut (rows, panels, depth)
// changes no bit: each element is its own chain, and an accumulator stored and reloaded as fp32 is exact. b is in
// panels: vector i of panel p at b + p * b_panel + i * 16, fp32 or bf16 (widened in registers).
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

template <class W>
struct TileArgs {
  int64_t depth;
  const float* a;
  int64_t a_stride;
  const W* b;
  int64_t b_panel;
  float* c;
  int64_t c_row, c_panel;
  bool load_c;  // continue the chains in c; otherwise start from 0
  // What Rows::kApartAhead fetches: for each depth step `next_step` bytes of each panel, these `next_panel` bytes apart.
  const char* next = nullptr;
  int64_t next_step = 0, next_panel = 0;
};

template <int MR, int NP, Rows kRows, class W>
__attribute__((noinline)) void tile(const TileArgs<W>& t) {
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
  const float* a[kGroups];
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) a[g] = t.a + (kRows == Rows::kTogether ? 3 * g : 3 * g * t.a_stride);
  const int64_t row_step = kRows == Rows::kTogether ? 1 : t.a_stride;
  const int64_t depth_step = kRows == Rows::kTogether ? t.a_stride : 1;
  const W* b = t.b;
  const int64_t b_panel = t.b_panel;
  const char* next = t.next;
  const int64_t next_step = t.next_step, next_panel = t.next_panel;
  for (int64_t i = 0; i < t.depth; ++i) {
    Vec w[NP];
    if constexpr (kRows == Rows::kApartAhead) {
#pragma GCC unroll 8
      for (int p = 0; p < NP; ++p) __builtin_prefetch(next + p * next_panel, 0, 2);
      next += next_step;
    }
#pragma GCC unroll 8
    for (int p = 0; p < NP; ++p) w[p] = load_weight(b + p * b_panel);
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r) {
      const Vec x = broadcast(a[r / 3][(r % 3) * row_step]);
#pragma GCC unroll 8
      for (int p = 0; p < NP; ++p) acc[r][p] = fma(x, w[p], acc[r][p]);
    }
    b += kLanes;
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) a[g] += depth_step;
  }
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < NP; ++p) store(t.c + r * t.c_row + p * t.c_panel, acc[r][p]);
}

// Any number of panels: as many tiles of NP panels as fit, then narrower ones.
template <int MR, int NP, Rows kRows, class W>
void tiles_across(int panels, TileArgs<W> t) {
  for (; panels >= NP; panels -= NP) {
    tile<MR, NP, kRows, W>(t);
    t.b += NP * t.b_panel;
    t.c += NP * t.c_panel;
    t.next += NP * t.next_panel;
  }
  if constexpr (NP > 1) {
    if (panels > 0) tiles_across<MR, NP / 2, kRows, W>(panels, t);
  }
}

template <int MR, Rows kRows, class W>
void tile_of_height(int panels, const TileArgs<W>& t) {
  tiles_across<MR, tile_panels(MR), kRows, W>(panels, t);
}

// Any number of panels and 1..kTileRows rows.
template <Rows kRows, class W>
void run_tile(int rows, int panels, const TileArgs<W>& t) {
  switch (rows) {
    case 1:
      return tile_of_height<1, kRows, W>(panels, t);
    case 2:
      return tile_of_height<2, kRows, W>(panels, t);
#if defined(__AVX2__)
    case 3:
      return tile_of_height<3, kRows, W>(panels, t);
    case 4:
      return tile_of_height<4, kRows, W>(panels, t);
    case 5:
      return tile_of_height<5, kRows, W>(panels, t);
    case 6:
      return tile_of_height<6, kRows, W>(panels, t);
#endif
#if defined(__AVX512F__)
    case 7:
      return tile_of_height<7, kRows, W>(panels, t);
    case 8:
      return tile_of_height<8, kRows, W>(panels, t);
    case 9:
      return tile_of_height<9, kRows, W>(panels, t);
    case 10:
      return tile_of_height<10, kRows, W>(panels, t);
    case 11:
      return tile_of_height<11, kRows, W>(panels, t);
    case 12:
      return tile_of_height<12, kRows, W>(panels, t);
#endif
  }
}

// `rows` rows of any number in strips of nearly equal height. With kApartAhead only the first strip fetches ahead.
template <Rows kRows, class W>
void run_strips(int64_t rows, int panels, const TileArgs<W>& t) {
  const int64_t strips = (rows + kTileRows - 1) / kTileRows;
  int64_t first = 0;
  for (int64_t s = 0; s < strips; ++s) {
    const int64_t last = rows * (s + 1) / strips;
    const int height = static_cast<int>(last - first);
    TileArgs<W> strip = t;
    strip.a += first * (kRows == Rows::kTogether ? 1 : t.a_stride);
    strip.c += first * t.c_row;
    if (kRows == Rows::kApartAhead && s > 0)
      run_tile<Rows::kApart, W>(height, panels, strip);
    else
      run_tile<kRows, W>(height, panels, strip);
    first = last;
  }
}

}  // namespace toolgrad::TOOLGRAD_ISA
