// Blocks of the three matrix products, for one worker: cut the depth so that a block of weights stays in L2, bring the
// weights into fp32 panels where that pays, and run strips of register tiles. Shared by the linear layers and the loss
// head.
#pragma once

#include "cpu/kernels/gemm_tile.h"
#include "engine/ops.h"

namespace toolgrad::TOOLGRAD_ISA {

constexpr int64_t kDepthBlock = 1024;                                // depth of one weight block
constexpr int64_t kWideFloats = kDepthBlock * kTilePanels * kLanes;  // fp32 weight block of one worker
constexpr int64_t kWidenStrips = 3;                                  // strips from which widening once is cheaper

TOOLGRAD_INLINE int64_t at_least(int64_t a, int64_t b) {
  return a > b ? a : b;
}
TOOLGRAD_INLINE int64_t at_most(int64_t a, int64_t b) {
  return a < b ? a : b;
}
TOOLGRAD_INLINE int64_t div_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

constexpr int64_t kTasksPerThread = 4;       // so that a descheduled thread leaves the others something to take
constexpr int64_t kInlineWork = 128 * 1024;  // multiply-adds below which waking the pool costs more than it gains

// How many blocks to cut `rows` into: at most `most` rows each, and more where `columns` independent column tasks would
// leave threads idle, but not below four strips. One block when the whole product is below kInlineWork.
TOOLGRAD_INLINE int64_t row_blocks_for(int64_t rows, int64_t most, int64_t columns, int threads, int64_t work) {
  const int64_t needed = div_up(rows, most);
  if (threads == 1 || work < kInlineWork) return needed;
  const int64_t wanted = at_most(div_up(kTasksPerThread * threads, columns), rows / (4 * kTileRows));
  return at_least(needed, wanted);
}
// How many tasks to cut the columns into, given the row blocks.
TOOLGRAD_INLINE int64_t column_tasks_for(int64_t row_blocks, int threads, int64_t work) {
  return threads == 1 || work < kInlineWork ? 1 : div_up(kTasksPerThread * threads, row_blocks);
}

// Panels that are worked on together for this many rows.
TOOLGRAD_INLINE int group_panels(int64_t rows) {
  return rows <= kTileRows ? tile_panels(static_cast<int>(rows)) : kTilePanels;
}

TOOLGRAD_INLINE const float* panel(const float* data, int64_t cols, int64_t index) {
  return data + index * cols * kPanelRows;
}
TOOLGRAD_INLINE const uint16_t* panel(const uint16_t* data, int64_t cols, int64_t index) {
  return data + index * cols * kPanelRows;
}

// Rows a multiple of 4 KiB apart fall into so few sets of L1 that the rows of a strip push each other out: such rows are read
// from a copy with a cache line between them. Floats of such a copy of `rows` rows; 0 where none is needed.
TOOLGRAD_INLINE bool strips_collide(int64_t row) {
  return row % 1024 == 0;
}
TOOLGRAD_INLINE int64_t spread_floats(int64_t rows, int64_t width, int64_t row) {
  return strips_collide(row) && rows > kTileRows ? rows * (width + kLanes) : 0;
}
struct Strip {
  const float* data;
  int64_t row;  // stride
};
// Rows of `width` floats as they are, or their copy in `to`, which has spread_floats().
inline Strip spread_rows(const float* from, int64_t rows, int64_t width, int64_t row, float* to) {
  if (spread_floats(rows, width, row) == 0) return {from, row};
  const int64_t spread = width + kLanes;
  for (int64_t r = 0; r < rows; ++r)
    std::memcpy(to + r * spread, from + r * row, static_cast<size_t>(width) * sizeof(float));
  return {to, spread};
}

// `more`: the next `panels` panels come next, so fetch them ahead.
// c[r][p * 16 + lane] = chain over k = 0..K-1 of x[r][k] * w(p)[k][lane], `panels` <= group_panels(rows) adjacent
// panels.
template <class W>
void forward_block(Strip x, int64_t rows, int64_t K, const W* w, int panels, float* c, int64_t c_row, float* wide,
                   bool more) {
  const int64_t blocks = div_up(K, kDepthBlock);
  const bool widen = sizeof(W) == 2 && rows > (kWidenStrips - 1) * kTileRows;
  int64_t k0 = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t k1 = K * (block + 1) / blocks, depth = k1 - k0;
    const W* b = w + k0 * kLanes;
    // Weights come from memory while the tiles before them are worked on: fetched by the first strip.
    const char* next = reinterpret_cast<const char*>(b + panels * K * kLanes);
    constexpr int64_t step = kLanes * sizeof(W);
    if (widen) {
      for (int p = 0; p < panels; ++p) {
        const W* from = b + p * K * kLanes;
        float* to = wide + p * depth * kLanes;
        for (int64_t i = 0; i < depth; ++i) store(to + i * kLanes, load_weight(from + i * kLanes));
      }
      const TileArgs<float> tiles{depth, x.data + k0, x.row,  wide, depth * kLanes, c,
                                  c_row, kLanes,      k0 > 0, next, step,           K * step};
      more ? run_strips<Rows::kApartAhead, float>(rows, panels, tiles)
           : run_strips<Rows::kApart, float>(rows, panels, tiles);
    } else {
      const TileArgs<W> tiles{depth, x.data + k0, x.row, b, K * kLanes, c, c_row, kLanes, k0 > 0, next, step, K * step};
      more ? run_strips<Rows::kApartAhead, W>(rows, panels, tiles) : run_strips<Rows::kApart, W>(rows, panels, tiles);
    }
    k0 = k1;
  }
}

// 16 x 16: to[n * 16 + k] = from[k * 16 + n].
#if defined(__AVX2__)
TOOLGRAD_INLINE void transpose8(__m256 r[8]) {
  const __m256 a0 = _mm256_unpacklo_ps(r[0], r[1]), a1 = _mm256_unpackhi_ps(r[0], r[1]);
  const __m256 a2 = _mm256_unpacklo_ps(r[2], r[3]), a3 = _mm256_unpackhi_ps(r[2], r[3]);
  const __m256 a4 = _mm256_unpacklo_ps(r[4], r[5]), a5 = _mm256_unpackhi_ps(r[4], r[5]);
  const __m256 a6 = _mm256_unpacklo_ps(r[6], r[7]), a7 = _mm256_unpackhi_ps(r[6], r[7]);
  const __m256 b0 = _mm256_shuffle_ps(a0, a2, 0x44), b1 = _mm256_shuffle_ps(a0, a2, 0xee);
  const __m256 b2 = _mm256_shuffle_ps(a1, a3, 0x44), b3 = _mm256_shuffle_ps(a1, a3, 0xee);
  const __m256 b4 = _mm256_shuffle_ps(a4, a6, 0x44), b5 = _mm256_shuffle_ps(a4, a6, 0xee);
  const __m256 b6 = _mm256_shuffle_ps(a5, a7, 0x44), b7 = _mm256_shuffle_ps(a5, a7, 0xee);
  r[0] = _mm256_permute2f128_ps(b0, b4, 0x20), r[4] = _mm256_permute2f128_ps(b0, b4, 0x31);
  r[1] = _mm256_permute2f128_ps(b1, b5, 0x20), r[5] = _mm256_permute2f128_ps(b1, b5, 0x31);
  r[2] = _mm256_permute2f128_ps(b2, b6, 0x20), r[6] = _mm256_permute2f128_ps(b2, b6, 0x31);
  r[3] = _mm256_permute2f128_ps(b3, b7, 0x20), r[7] = _mm256_permute2f128_ps(b3, b7, 0x31);
}
TOOLGRAD_INLINE __m256 load_half(const float* p) {
  return _mm256_loadu_ps(p);
}
TOOLGRAD_INLINE __m256 load_half(const uint16_t* p) {
  const __m256i lanes = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(lanes, 16));
}
// rows_k: how many k are there; missing ones give zero columns.
template <class W>
TOOLGRAD_INLINE void transpose_panel(const W* from, int rows_k, float* to) {
  for (int half_k = 0; half_k < 16; half_k += 8) {
    for (int half_n = 0; half_n < 16; half_n += 8) {
      __m256 r[8];
      for (int i = 0; i < 8; ++i) {
        const int k = half_k + i;
        r[i] = k < rows_k ? load_half(from + k * kLanes + half_n) : _mm256_setzero_ps();
      }
      transpose8(r);
      for (int i = 0; i < 8; ++i) _mm256_storeu_ps(to + (half_n + i) * kLanes + half_k, r[i]);
    }
  }
}
#else
TOOLGRAD_INLINE float widen_one(float x) {
  return x;
}
TOOLGRAD_INLINE float widen_one(uint16_t x) {
  return widen_bf16(x);
}
template <class W>
TOOLGRAD_INLINE void transpose_panel(const W* from, int rows_k, float* to) {
  for (int n = 0; n < kLanes; ++n)
    for (int k = 0; k < kLanes; ++k) to[n * kLanes + k] = k < rows_k ? widen_one(from[k * kLanes + n]) : 0.0f;
}
#endif

// Continues dx[r][k] over n = n0..n1-1 of dy[r][n - n0] * W[n][k] for columns k0 .. k0 + 16 * groups - 1 (fewer where K
// ends). n0 is a multiple of 16. `first`: the chains start from 0 instead of dx. wide: kWideFloats; edge: rows * 16
// floats.
template <class W>
void backward_input_block(const float* dy, int64_t dy_row, int64_t rows, const W* w, int64_t K, int64_t n0, int64_t n1,
                          int64_t k0, int groups, float* dx, int64_t dx_row, bool first, float* wide, float* edge) {
  for (int64_t from = n0; from < n1; from += kDepthBlock) {
    const int64_t depth = at_most(kDepthBlock, n1 - from), padded = round_up(depth, kPanelRows);
    for (int g = 0; g < groups; ++g) {
      const int64_t k = k0 + g * kLanes;
      const int valid = static_cast<int>(at_most(kLanes, K - k));
      for (int64_t n = 0; n < padded; n += kPanelRows) {
        const W* source = panel(w, K, (from + n) / kPanelRows) + k * kLanes;
        transpose_panel(source, valid, wide + (g * padded + n) * kLanes);
      }
    }
    const bool load_c = !(first && from == n0);
    const float* a = dy + (from - n0);
    int full = groups;
    const int64_t tail = k0 + groups * kLanes - K;  // columns past the end, in the last group
    if (tail > 0) --full;
    if (full > 0)
      run_strips<Rows::kApart, float>(rows, full,
                                      {depth, a, dy_row, wide, padded * kLanes, dx + k0, dx_row, kLanes, load_c});
    if (tail > 0) {
      const int valid = static_cast<int>(kLanes - tail);
      float* column = dx + k0 + full * kLanes;
      if (load_c)
        for (int64_t r = 0; r < rows; ++r) store(edge + r * kLanes, load_partial(column + r * dx_row, valid));
      run_strips<Rows::kApart, float>(
          rows, 1, {depth, a, dy_row, wide + full * padded * kLanes, padded * kLanes, edge, kLanes, kLanes, load_c});
      for (int64_t r = 0; r < rows; ++r) store_partial(column + r * dx_row, load(edge + r * kLanes), valid);
    }
  }
}

constexpr int kWeightPanels = 4;       // panels of dw that share one read of x
constexpr int64_t kWeightSteps = 128;  // rows of x and dy worked on together: their strip stays in L1

// Rows of x whose length is a multiple of 1 KiB fall into few sets of L1; such a block is copied to padded rows.
TOOLGRAD_INLINE bool rows_collide(int64_t x_row) {
  return x_row % 256 == 0;
}
// Floats of padded rows one worker needs for backward_weight_block.
TOOLGRAD_INLINE int64_t padded_floats(int64_t x_row) {
  return rows_collide(x_row) ? kWeightSteps * (x_row + kLanes) : 0;
}

// Continues dw(p)[k][lane] over t = 0..T-1 of dy[t][p * 16 + lane] * x[t][k] for k = k0..k1-1 of `panels` <=
// kWeightPanels panels starting at dw (stride K * 16). `columns`: how many columns of dy exist from its first. wide:
// kWideFloats; padded: padded_floats(x_row).
inline void backward_weight_block(const float* x, int64_t x_row, const float* dy, int64_t dy_row, int64_t T, float* dw,
                                  int64_t K, int64_t k0, int64_t k1, int panels, int64_t columns, float* wide,
                                  float* padded) {
  static_assert(kWeightPanels * kWeightSteps * kLanes <= kWideFloats);
  for (int64_t t0 = 0; t0 < T; t0 += kWeightSteps) {
    const int64_t depth = at_most(kWeightSteps, T - t0);
    for (int p = 0; p < panels; ++p) {
      const int valid = static_cast<int>(at_most(kLanes, columns - p * kLanes));
      const float* from = dy + t0 * dy_row + p * kLanes;
      float* to = wide + p * depth * kLanes;
      if (valid == kLanes)
        for (int64_t t = 0; t < depth; ++t) store(to + t * kLanes, load(from + t * dy_row));
      else
        for (int64_t t = 0; t < depth; ++t) store(to + t * kLanes, load_partial(from + t * dy_row, valid));
    }
    const float* a = x + t0 * x_row + k0;
    int64_t a_row = x_row;
    if (rows_collide(x_row)) {
      const int64_t length = k1 - k0;
      a_row = x_row + kLanes;
      for (int64_t t = 0; t < depth; ++t) std::memcpy(padded + t * a_row, a + t * x_row, length * sizeof(float));
      a = padded;
    }
    run_strips<Rows::kTogether, float>(
        k1 - k0, panels, {depth, a, a_row, wide, depth * kLanes, dw + k0 * kLanes, kLanes, K * kLanes, true});
  }
}

}  // namespace toolgrad::TOOLGRAD_ISA
