// Blocks of the three matrix products, for one worker: cut the depth so that a block of weights stays in L2, bring the
// weights into fp32 panels where that pays, and run strips of register tiles. Shared by the linear layers and the loss
// head.
#pragma once

#include "cpu/kernels/gemm_rows.h"

namespace toolgrad::TOOLGRAD_ISA {

constexpr int64_t kDepthBlock = 1024;  // steps of one weight block
constexpr int64_t kWideFloats =
    kDepthBlock * kTilePanels * kLanes;  // block of widened or transposed weights of one worker
constexpr int64_t kWidenStrips = 3;      // strips from which widening once is cheaper

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

#if defined(__AVX512BF16__)
// The last step of an odd depth, with a zero in the place of its second number; k: the number's place.
inline void last_step(Strip<Pair> x, int64_t rows, int64_t K, const uint16_t* w, int panels, float* c, int64_t c_row) {
  const int64_t k = K - 1;
  alignas(64) Pair last[8 * kLanes];
  for (int p = 0; p < panels; ++p)
    for (int lane = 0; lane < kLanes; ++lane)
      last[p * kLanes + lane] = static_cast<Pair>(w[(p * K + k) * kLanes + lane]) << 16;
  run_strips<Rows::kApart>(
      rows, panels,
      TileArgs<Pair, Pair>{1, x.data + k / 2, x.row, last, kLanes, c, c_row, kLanes, k > 0, nullptr, 0, 0});
}
#endif

// c[r][p * 16 + lane] = chain over k = 0..K-1 of x[r][k] * w(p)[k][lane], `panels` <= group_panels(rows) adjacent panels.
// `more`: the next `panels` panels come next, so fetch them ahead.
template <class W>
void forward_block(Strip<RowElement<W>> x, int64_t rows, int64_t K, const W* w, int panels, float* c, int64_t c_row,
                   float* wide, bool more) {
  using A = RowElement<W>;
  constexpr int64_t kNumbers = kNumbersOf<W>, kStepBytes = kNumbers * kLanes * sizeof(W);
  const int64_t steps = K / kNumbers, blocks = div_up(steps, kDepthBlock);
  const int64_t panel_bytes = K * kLanes * static_cast<int64_t>(sizeof(W));
  const SubnormalsAsZero<W> guard;
  const bool widen = sizeof(W) == 2 && kNumbers == 1 && rows > (kWidenStrips - 1) * kTileRows;
  int64_t s0 = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t s1 = steps * (block + 1) / blocks, depth = s1 - s0;
    const W* b = w + s0 * kNumbers * kLanes;
    // Weights come from memory while the tiles before them are worked on: fetched by the first strip.
    const char* next = reinterpret_cast<const char*>(b + panels * K * kLanes);
    const auto multiply = [&](const auto& tiles) {
      more ? run_strips<Rows::kApartAhead>(rows, panels, tiles) : run_strips<Rows::kApart>(rows, panels, tiles);
    };
    if constexpr (kNumbers == 1) {
      if (widen) {
        for (int p = 0; p < panels; ++p) {
          const W* from = b + p * K * kLanes;
          float* to = wide + p * depth * kLanes;
          for (int64_t i = 0; i < depth; ++i) store(to + i * kLanes, load_weight(from + i * kLanes));
        }
        multiply(TileArgs<float, float>{depth, x.data + s0, x.row, wide, depth * kLanes, c, c_row, kLanes, s0 > 0, next,
                                        kStepBytes, panel_bytes});
      }
    }
    if (!widen)
      multiply(TileArgs<A, W>{depth, x.data + s0, x.row, b, K * kLanes, c, c_row, kLanes, s0 > 0, next, kStepBytes,
                              panel_bytes});
    s0 = s1;
  }
#if defined(__AVX512BF16__)
  if constexpr (kNumbers == 2) {
    if (K % 2 == 1) last_step(x, rows, K, w, panels, c, c_row);
  }
#endif
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

#if defined(__AVX512BF16__)
// 16 x 16 bf16: to[i * 16 + k] = the pair of from[k * 16 + 2i] and the next.
TOOLGRAD_INLINE void transpose_panel(const uint16_t* from, int rows_k, Pair* to) {
  const auto row = [&](int k) {
    return k < rows_k ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + k * kLanes))
                      : _mm256_setzero_si256();
  };
  __m512i r[8], s[8];  // rows k and k + 8
  for (int k = 0; k < 8; ++k)
    r[k] = _mm512_rol_epi32(_mm512_inserti64x4(_mm512_castsi256_si512(row(k)), row(k + 8), 1), 16);
  for (int k = 0; k < 8; k += 2) {
    s[k] = _mm512_unpacklo_epi32(r[k], r[k + 1]);
    s[k + 1] = _mm512_unpackhi_epi32(r[k], r[k + 1]);
  }
  for (int half = 0; half < 8; half += 4) {  // now 128 bits hold element i of rows half .. half + 3
    r[half] = _mm512_unpacklo_epi64(s[half], s[half + 2]);
    r[half + 1] = _mm512_unpackhi_epi64(s[half], s[half + 2]);
    r[half + 2] = _mm512_unpacklo_epi64(s[half + 1], s[half + 3]);
    r[half + 3] = _mm512_unpackhi_epi64(s[half + 1], s[half + 3]);
  }
  const __m512i low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0), high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
  for (int i = 0; i < 4; ++i) {
    _mm512_storeu_si512(to + i * kLanes, _mm512_permutex2var_epi64(r[i], low, r[i + 4]));
    _mm512_storeu_si512(to + (i + 4) * kLanes, _mm512_permutex2var_epi64(r[i], high, r[i + 4]));
  }
}
#endif

// Continues dx[r][k] over n = n0..n1-1 of dy[r][n - n0] * W[n][k] for columns k0 .. k0 + 16 * groups - 1 (fewer where K
// ends). n0 is a multiple of 16. `first`: the chains start from 0 instead of dx. wide: kWideFloats; edge: rows * 16
// floats.
template <class W>
void backward_input_block(Strip<RowElement<W>> dy, int64_t rows, const W* w, int64_t K, int64_t n0, int64_t n1,
                          int64_t k0, int groups, float* dx, int64_t dx_row, bool first, float* wide, float* edge) {
  using A = RowElement<W>;
  constexpr int64_t kNumbers = kNumbersOf<W>;
  const SubnormalsAsZero<W> guard;
  A* transposed = reinterpret_cast<A*>(wide);
  for (int64_t from = n0; from < n1; from += kDepthBlock * kNumbers) {
    const int64_t numbers = at_most(kDepthBlock * kNumbers, n1 - from), depth = div_up(numbers, kNumbers);
    const int64_t padded = round_up(numbers, kPanelRows) / kNumbers;  // steps
    for (int g = 0; g < groups; ++g) {
      const int64_t k = k0 + g * kLanes;
      const int valid = static_cast<int>(at_most(kLanes, K - k));
      for (int64_t n = 0; n < numbers; n += kPanelRows) {
        const W* source = panel(w, K, (from + n) / kPanelRows) + k * kLanes;
        transpose_panel(source, valid, transposed + (g * padded + n / kNumbers) * kLanes);
      }
    }
    const bool load_c = !(first && from == n0);
    const A* a = dy.data + (from - n0) / kNumbers;
    int full = groups;
    const int64_t tail = k0 + groups * kLanes - K;  // columns past the end, in the last group
    if (tail > 0) --full;
    if (full > 0)
      run_strips<Rows::kApart>(rows, full,
                               TileArgs<A, A>{depth, a, dy.row, transposed, padded * kLanes, dx + k0, dx_row, kLanes,
                                              load_c, nullptr, 0, 0});
    if (tail > 0) {
      const int valid = static_cast<int>(kLanes - tail);
      float* column = dx + k0 + full * kLanes;
      if (load_c)
        for (int64_t r = 0; r < rows; ++r) store(edge + r * kLanes, load_partial(column + r * dx_row, valid));
      run_strips<Rows::kApart>(rows, 1,
                               TileArgs<A, A>{depth, a, dy.row, transposed + full * padded * kLanes, padded * kLanes,
                                              edge, kLanes, kLanes, load_c, nullptr, 0, 0});
      for (int64_t r = 0; r < rows; ++r) store_partial(column + r * dx_row, load(edge + r * kLanes), valid);
    }
  }
}

constexpr int kWeightPanels = 4;       // panels of dw that share one read of x
constexpr int64_t kWeightSteps = 128;  // steps of x and dy worked on together: their strip stays in L1

// Floats of padded rows one worker needs for backward_weight_block.
template <class W>
TOOLGRAD_INLINE int64_t padded_floats(int64_t x_row) {
  return kNumbersOf<W> == 1 && rows_collide(x_row) ? kWeightSteps * (x_row + kLanes) : 0;
}

// Steps t0 .. t0 + steps - 1 of 16 columns of dy (`valid` of them there) for weights of type W, rounded if they are bf16.
template <class W>
TOOLGRAD_INLINE void gather_steps(const float* dy, int64_t dy_row, int64_t t0, int64_t steps, int64_t T, int valid,
                                  float* to) {
  (void)T;
  for (int64_t t = 0; t < steps; ++t) {
    const Vec v = load_lanes(dy + (t0 + t) * dy_row, valid);
    store(to + t * kLanes, sizeof(W) == 2 ? round_to_bf16(zero_subnormals(v)) : v);
  }
}
#if defined(__AVX512BF16__)
template <class W, class D>
TOOLGRAD_INLINE void gather_steps(const D* dy, int64_t dy_row, int64_t t0, int64_t steps, int64_t T, int valid,
                                  Pair* to) {
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t t = 2 * (t0 + i);
    const D* first = dy + t * dy_row;
    _mm512_storeu_si512(to + i * kLanes, rows_together(first, t + 1 < T ? first + dy_row : nullptr, valid, 0.0f));
  }
}
#endif

// Continues dw(p)[k][lane] over t = 0..T-1 of dy[t][p * 16 + lane] * x[t][k] for k = k0..k1-1 of `panels` <=
// kWeightPanels panels starting at dw (stride K * 16). x: product_steps(). dy: fp32 rows, or product rows. `columns`: how many
// columns of dy exist from its first. wide: kWideFloats; padded: padded_floats(x.row).
template <class W, class D>
void backward_weight_block(Strip<RowElement<W>> x, const D* dy, int64_t dy_row, int64_t T, float* dw, int64_t K,
                           int64_t k0, int64_t k1, int panels, int64_t columns, float* wide, float* padded) {
  using A = RowElement<W>;
  static_assert(kWeightPanels * kWeightSteps * kLanes <= kWideFloats);
  constexpr int64_t kPanelElements = kLanes / numbers_in<D>();
  const int64_t steps = row_elements<W>(T);
  const SubnormalsAsZero<W> guard;
  A* together = reinterpret_cast<A*>(wide);
  for (int64_t t0 = 0; t0 < steps; t0 += kWeightSteps) {
    const int64_t depth = at_most(kWeightSteps, steps - t0);
    for (int p = 0; p < panels; ++p) {
      const int valid = static_cast<int>(at_most(kLanes, columns - p * kLanes));
      gather_steps<W>(dy + p * kPanelElements, dy_row, t0, depth, T, valid, together + p * depth * kLanes);
    }
    const A* a = x.data + t0 * x.row + k0;
    int64_t a_row = x.row;
    if (padded_floats<W>(x.row) > 0) {
      const int64_t length = k1 - k0;
      A* apart = reinterpret_cast<A*>(padded);
      a_row = x.row + kLanes;
      for (int64_t t = 0; t < depth; ++t) std::memcpy(apart + t * a_row, a + t * x.row, length * sizeof(A));
      a = apart;
    }
    run_strips<Rows::kTogether>(k1 - k0, panels,
                                TileArgs<A, A>{depth, a, a_row, together, depth * kLanes, dw + k0 * kLanes, kLanes,
                                               K * kLanes, true, nullptr, 0, 0});
  }
}

}  // namespace toolgrad::TOOLGRAD_ISA
