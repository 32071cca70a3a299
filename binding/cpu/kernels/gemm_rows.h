// What products read beside weights, as the register tiles want it. With bf16 weights it is rounded to bf16 (nearest even,
// subnormal numbers are zero) in every build; how it lies differs:
//
//   fp32 weights                the fp32 rows themselves, or a copy whose rows do not collide in L1
//   bf16 weights                a copy of fp32 rows that hold the rounded numbers
//   bf16 weights, kBf16Pairs    rows of pairs: numbers 2i and 2i + 1 in the high and the low half of element i; an odd width
//                               ends in -0 (times +0, the padding of weights, it leaves every sum as it is). ProductRows of
//                               dtype bf16 are such rows, so most products copy nothing.
#pragma once

#include "cpu/kernels/gemm_tile.h"
#include "cpu/kernels/lanes.h"
#include "engine/ops.h"
#include "engine/thread_pool.h"

#if defined(TOOLGRAD_X86)
#include <xmmintrin.h>
#endif

namespace toolgrad::TOOLGRAD_ISA {

TOOLGRAD_INLINE int64_t at_least(int64_t a, int64_t b) {
  return a > b ? a : b;
}
TOOLGRAD_INLINE int64_t at_most(int64_t a, int64_t b) {
  return a < b ? a : b;
}
TOOLGRAD_INLINE int64_t div_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

constexpr int kRowsSlot = 5;  // of scratch memory: rows that are copied

// Element of such rows, for weights of type W, and the numbers that an element holds.
template <class W>
struct RowOf {
  using Element = float;
};
template <class A>
constexpr int64_t numbers_in() {
  return 1;
}
#if defined(__AVX512BF16__)
template <>
struct RowOf<uint16_t> {
  using Element = Pair;
};
template <>
constexpr int64_t numbers_in<Pair>() {
  return 2;
}
#endif
template <class W>
using RowElement = typename RowOf<W>::Element;
template <class W>
constexpr int64_t kNumbersOf = numbers_in<RowElement<W>>();
// Elements of a row of `width` numbers.
template <class W>
TOOLGRAD_INLINE int64_t row_elements(int64_t width) {
  return div_up(width, kNumbersOf<W>);
}

template <class A>
struct Strip {
  const A* data;
  int64_t row;  // stride
};

// Where fp32 arithmetic stands in for vdpbf16ps: while it lives, this thread's takes and gives zero for subnormal numbers, as that
// instruction does always. So all builds have the same bits.
template <class W>
class SubnormalsAsZero {
#if defined(TOOLGRAD_X86)
  static constexpr bool kNeeded = sizeof(W) == 2 && kNumbersOf<W> == 1;

 public:
  SubnormalsAsZero() {
    if constexpr (kNeeded) {
      saved_ = _mm_getcsr();
      _mm_setcsr(saved_ | 0x8040u);
    }
  }
  ~SubnormalsAsZero() {
    if constexpr (kNeeded) _mm_setcsr(saved_);
  }

 private:
  unsigned saved_ = 0;
#else
 public:
  SubnormalsAsZero() {}
#endif
  SubnormalsAsZero(const SubnormalsAsZero&) = delete;
  SubnormalsAsZero& operator=(const SubnormalsAsZero&) = delete;
};

// Numbers c .. c + n - 1 (c a multiple of 16) of a row.
TOOLGRAD_INLINE void put_rounded(float* row, int64_t c, Vec v, int n) {
  store_lanes(row + c, round_to_bf16(zero_subnormals(v)), n);
}
#if defined(__AVX512BF16__)
constexpr int16_t kMinusZero = INT16_MIN;  // -0 as bf16

TOOLGRAD_INLINE void put_rounded(Pair* row, int64_t c, Vec v, int n) {
  const __m256bh padding = (__m256bh)_mm256_set1_epi16(kMinusZero);
  const __m256i words = _mm256_rol_epi32((__m256i)_mm512_mask_cvtneps_pbh(padding, first_lanes(n), v.v), 16);
  if (n == kLanes)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + c / 2), words);
  else
    _mm256_mask_storeu_epi32(row + c / 2, static_cast<__mmask8>((1u << ((n + 1) / 2)) - 1u), words);
}

// 16 columns of two rows as pairs of one step of a chain over rows. Past the last row `second` is null and `missing`, a zero,
// stands in its place.
TOOLGRAD_INLINE __m512i rows_together(const float* first, const float* second, int n, float missing) {
  const Vec low = second == nullptr ? broadcast(missing) : load_lanes(second, n);
  return pair_up((__m512i)_mm512_cvtne2ps_pbh(low.v, load_lanes(first, n).v));
}
TOOLGRAD_INLINE __m256i load_pairs(const Pair* p, int n) {
  return n == kLanes ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))
                     : _mm256_maskz_loadu_epi32(static_cast<__mmask8>((1u << ((n + 1) / 2)) - 1u), p);
}
TOOLGRAD_INLINE __m512i rows_together(const Pair* first, const Pair* second, int n, float missing) {
  const __m512i order = _mm512_set_epi16(14, 30, 15, 31, 12, 28, 13, 29, 10, 26, 11, 27, 8, 24, 9, 25, 6, 22, 7, 23, 4,
                                         20, 5, 21, 2, 18, 3, 19, 0, 16, 1, 17);
  const __m256i low =
      second == nullptr ? _mm256_set1_epi16(static_cast<int16_t>(bits_of(missing) >> 16)) : load_pairs(second, n);
  return _mm512_permutexvar_epi16(order, _mm512_inserti64x4(_mm512_castsi256_si512(load_pairs(first, n)), low, 1));
}
#endif

// Numbers c .. c + n - 1 of row t of `out`, whose rows have `width` numbers.
TOOLGRAD_INLINE void put_product_row(const ProductRowsOut& out, int64_t t, int64_t width, int64_t c, Vec v, int n) {
#if defined(__AVX512BF16__)
  if (out.dtype == DType::kBF16)
    return put_rounded(static_cast<Pair*>(out.data) + t * product_stride(DType::kBF16, width) / 2, c, v, n);
#endif
  store_lanes(out.f32() + t * width + c, v, n);
}

// Rows a multiple of 4 KiB apart fall into so few sets of L1 that the rows of a strip push each other out: such rows are read
// from a copy with a cache line between them.
TOOLGRAD_INLINE bool strips_collide(int64_t row) {
  return row % 1024 == 0;
}
// Elements from row to row of the copy that a product of `rows` rows and weights of type W reads; 0 where it reads x itself.
template <class W>
TOOLGRAD_INLINE int64_t copied_row(DType x, int64_t rows, int64_t width) {
  const bool as_is = sizeof(W) == 4 || (kNumbersOf<W> == 2 && x == DType::kBF16);
  const int64_t row = product_stride(x, width) / (x == DType::kBF16 ? 2 : 1);
  const int64_t elements = as_is ? row : round_up(row_elements<W>(width), 4);
  const bool spread = strips_collide(elements) && rows > kTileRows;
  return as_is && !spread ? 0 : elements + (spread ? kLanes : 0);
}

template <class W>
void copy_row(const ProductRows& x, int64_t t, int64_t width, RowElement<W>* to) {
  if (sizeof(W) == 4 || x.dtype == DType::kBF16) {
    const int64_t bytes = product_stride(x.dtype, width) * static_cast<int64_t>(dtype_size(x.dtype));
    std::memcpy(to, static_cast<const char*>(x.data) + t * bytes, static_cast<size_t>(bytes));
    return;
  }
  const float* from = x.f32() + t * width;
  each_vector(0, width, [&](int64_t c, int n) { put_rounded(to, c, load_lanes(from + c, n), n); });
}

constexpr int64_t kCopiedInline = 1 << 15;  // numbers that one thread copies sooner than it wakes another

// Calls f(row) for rows 0 .. rows - 1 of `width` numbers.
template <class F>
void each_row(int64_t rows, int64_t width, ThreadPool& pool, F&& f) {
  const int64_t together = at_least(1, kCopiedInline / 2 / at_least(1, width));
  if (rows * width <= kCopiedInline) {
    for (int64_t t = 0; t < rows; ++t) f(t);
    return;
  }
  pool.parallel_for(div_up(rows, together), [&](int64_t part, int) {
    for (int64_t t = part * together; t < at_most(rows, (part + 1) * together); ++t) f(t);
  });
}

// Rows of x for a product with weights of type W: x itself or its copy, which product_rows() makes.
template <class W>
TOOLGRAD_INLINE Strip<RowElement<W>> strip_of(const ProductRows& x, const float* copy, int64_t rows, int64_t width) {
  using A = RowElement<W>;
  const int64_t row = copied_row<W>(x.dtype, rows, width);
  if (row == 0)
    return {static_cast<const A*>(x.data), product_stride(x.dtype, width) / (x.dtype == DType::kBF16 ? 2 : 1)};
  return {reinterpret_cast<const A*>(copy), row};
}
// copy: rows * copied_row() elements.
template <class W>
Strip<RowElement<W>> product_rows(const ProductRows& x, int64_t rows, int64_t width, float* copy, ThreadPool& pool) {
  const int64_t row = copied_row<W>(x.dtype, rows, width);
  auto* to = reinterpret_cast<RowElement<W>*>(copy);
  if (row != 0) each_row(rows, width, pool, [&](int64_t t) { copy_row<W>(x, t, width, to + t * row); });
  return strip_of<W>(x, copy, rows, width);
}

// Rows whose length is a multiple of 1 KiB fall into few sets of L1 when a tile walks down the rows.
TOOLGRAD_INLINE bool rows_collide(int64_t row) {
  return row % 256 == 0;
}
// For a chain over the rows of x, a tile reads the columns of one step together: with pairs, of two rows. Elements from step to
// step there.
template <class W>
TOOLGRAD_INLINE int64_t step_row(int64_t width) {
  return kNumbersOf<W> == 1 ? 0 : width + (rows_collide(width) ? kLanes : 0);
}
// x as such steps. to: what product_rows() wants, or with pairs div_up(rows, 2) * step_row().
template <class W>
Strip<RowElement<W>> product_steps(const ProductRows& x, int64_t rows, int64_t width, float* to, ThreadPool& pool) {
#if defined(__AVX512BF16__)
  if constexpr (sizeof(W) == 2) {
    const int64_t row = step_row<W>(width), stride = product_stride(DType::kBF16, width) / 2;
    Pair* steps = reinterpret_cast<Pair*>(to);
    each_row(div_up(rows, 2), 2 * width, pool, [&](int64_t i) {
      const bool whole = 2 * i + 1 < rows;
      const float* x32 = x.f32() + 2 * i * width;
      const Pair* pairs = static_cast<const Pair*>(x.data) + 2 * i * stride;
      each_vector(0, width, [&](int64_t c, int n) {
        const __m512i step = x.dtype == DType::kBF16
                                 ? rows_together(pairs + c / 2, whole ? pairs + stride + c / 2 : nullptr, n, -0.0f)
                                 : rows_together(x32 + c, whole ? x32 + width + c : nullptr, n, -0.0f);
        _mm512_mask_storeu_epi32(steps + i * row + c, first_lanes(n), step);
      });
    });
    return {steps, row};
  }
#endif
  return product_rows<W>(x, rows, width, to, pool);
}
// Elements of the copies that product_rows() and product_steps() make.
template <class W>
TOOLGRAD_INLINE int64_t rows_floats(DType x, int64_t rows, int64_t width) {
  return rows * copied_row<W>(x, rows, width);
}
template <class W>
TOOLGRAD_INLINE int64_t steps_floats(DType x, int64_t rows, int64_t width) {
  return kNumbersOf<W> == 1 ? rows_floats<W>(x, rows, width) : div_up(rows, 2) * step_row<W>(width);
}

}  // namespace toolgrad::TOOLGRAD_ISA
