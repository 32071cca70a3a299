// Vec: 16 fp32 lanes with one meaning in every ISA build (AVX-512: one register, AVX2: two, portable: four of four
// lanes).
//
// AVX2 and AVX-512 give identical bits: both fuse, and sums and maxima over lanes run in one fixed tree (i with i+8,
// i+4, i+2, i+1). The portable build has no fused multiply-add: fma(a, b, c) is a*b + c there, so its bits may differ.
// max(a, b) = a > b ? a : b and min(a, b) = a < b ? a : b, so a NaN in EITHER argument gives b.
// Everything is forced inline and lives in the ISA's namespace: nothing is emitted under a name shared between builds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define TOOLGRAD_INLINE inline __attribute__((always_inline))

namespace toolgrad::TOOLGRAD_ISA {

constexpr int kLanes = 16;

TOOLGRAD_INLINE uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
TOOLGRAD_INLINE float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
/// bf16 <-> fp32 for single elements; rounding to nearest, ties to even, as in engine/dtype.h.
TOOLGRAD_INLINE float widen_bf16(uint16_t bits) {
  return from_bits(static_cast<uint32_t>(bits) << 16);
}
TOOLGRAD_INLINE uint16_t round_bf16(float value) {
  const uint32_t bits = bits_of(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

#if defined(__AVX512F__)

struct Vec {
  __m512 v;
};

TOOLGRAD_INLINE Vec zero() {
  return {_mm512_setzero_ps()};
}
TOOLGRAD_INLINE Vec broadcast(float x) {
  return {_mm512_set1_ps(x)};
}
TOOLGRAD_INLINE Vec load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
TOOLGRAD_INLINE void store(float* p, Vec a) {
  _mm512_storeu_ps(p, a.v);
}
TOOLGRAD_INLINE __mmask16 first_lanes(int n) {
  return static_cast<__mmask16>((1u << n) - 1u);
}
TOOLGRAD_INLINE Vec load_partial(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n), p)};
}
TOOLGRAD_INLINE void store_partial(float* p, Vec a, int n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), a.v);
}
TOOLGRAD_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
TOOLGRAD_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm512_add_ps(a.v, b.v)};
}
TOOLGRAD_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
TOOLGRAD_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
TOOLGRAD_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm512_div_ps(a.v, b.v)};
}
TOOLGRAD_INLINE Vec max(Vec a, Vec b) {
  return {_mm512_max_ps(a.v, b.v)};
}
TOOLGRAD_INLINE Vec min(Vec a, Vec b) {
  return {_mm512_min_ps(a.v, b.v)};
}
TOOLGRAD_INLINE Vec sqrt(Vec a) {
  return {_mm512_sqrt_ps(a.v)};
}
/// Lanes 0..n-1 of a, the others of b.
TOOLGRAD_INLINE Vec take_first(Vec a, Vec b, int n) {
  return {_mm512_mask_blend_ps(first_lanes(n), b.v, a.v)};
}
/// Lane-wise x < limit ? 0 : value (a NaN in x keeps value).
TOOLGRAD_INLINE Vec zero_where_less(Vec value, Vec x, Vec limit) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, limit.v, _CMP_NLT_UQ), value.v)};
}
/// 2^n for integral n in [-126, 127].
TOOLGRAD_INLINE Vec exp2_integral(Vec n) {
  const __m512i bits = _mm512_castps_si512(_mm512_add_ps(n.v, _mm512_set1_ps(12582912.0f)));
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_slli_epi32(bits, 23), _mm512_set1_epi32(0x3f800000)))};
}
TOOLGRAD_INLINE Vec widen_lanes(__m256i halves) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16))};
}
TOOLGRAD_INLINE Vec load_bf16(const uint16_t* p) {
  return widen_lanes(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
TOOLGRAD_INLINE Vec load_bf16_partial(const uint16_t* p, int n) {
  return widen_lanes(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
TOOLGRAD_INLINE __m256i round_lanes(Vec a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i high = _mm512_srli_epi32(bits, 16);
  const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
  __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  rounded = _mm512_srli_epi32(rounded, 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  rounded = _mm512_mask_or_epi32(rounded, nan, high, _mm512_set1_epi32(0x40));
  return _mm512_cvtepi32_epi16(rounded);
}
/// The nearest bf16 numbers, as fp32.
TOOLGRAD_INLINE Vec round_to_bf16(Vec a) {
  return widen_lanes(round_lanes(a));
}
/// Zero of the same sign for subnormal numbers.
TOOLGRAD_INLINE Vec zero_subnormals(Vec a) {
  const __m512i exponent = _mm512_set1_epi32(0x7f800000);
  const __m512i bits = _mm512_castps_si512(a.v);
  const __mmask16 subnormal = _mm512_testn_epi32_mask(bits, exponent);
  return {_mm512_castsi512_ps(_mm512_mask_and_epi32(bits, subnormal, bits, _mm512_set1_epi32(INT32_MIN)))};
}
TOOLGRAD_INLINE void store_bf16(uint16_t* p, Vec a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), round_lanes(a));
}
TOOLGRAD_INLINE void store_bf16_partial(uint16_t* p, Vec a, int n) {
  _mm256_mask_storeu_epi16(p, first_lanes(n), round_lanes(a));
}
TOOLGRAD_INLINE __m256 low_half(Vec a) {
  return _mm512_castps512_ps256(a.v);
}
TOOLGRAD_INLINE __m256 high_half(Vec a) {
  return _mm512_extractf32x8_ps(a.v, 1);
}

#elif defined(__AVX2__)

struct Vec {
  __m256 lo, hi;
};

TOOLGRAD_INLINE Vec zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
TOOLGRAD_INLINE Vec broadcast(float x) {
  const __m256 v = _mm256_set1_ps(x);
  return {v, v};
}
TOOLGRAD_INLINE Vec load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
TOOLGRAD_INLINE void store(float* p, Vec a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
TOOLGRAD_INLINE __m256i lanes_below(int n, int first) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n - first), lane);
}
TOOLGRAD_INLINE Vec load_partial(const float* p, int n) {
  return {_mm256_maskload_ps(p, lanes_below(n, 0)), _mm256_maskload_ps(p + 8, lanes_below(n, 8))};
}
TOOLGRAD_INLINE void store_partial(float* p, Vec a, int n) {
  _mm256_maskstore_ps(p, lanes_below(n, 0), a.lo);
  _mm256_maskstore_ps(p + 8, lanes_below(n, 8), a.hi);
}
TOOLGRAD_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
TOOLGRAD_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
TOOLGRAD_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
TOOLGRAD_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
TOOLGRAD_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
TOOLGRAD_INLINE Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
TOOLGRAD_INLINE Vec min(Vec a, Vec b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
TOOLGRAD_INLINE Vec sqrt(Vec a) {
  return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)};
}
/// Lanes 0..n-1 of a, the others of b.
TOOLGRAD_INLINE Vec take_first(Vec a, Vec b, int n) {
  return {_mm256_blendv_ps(b.lo, a.lo, _mm256_castsi256_ps(lanes_below(n, 0))),
          _mm256_blendv_ps(b.hi, a.hi, _mm256_castsi256_ps(lanes_below(n, 8)))};
}
/// Lane-wise x < limit ? 0 : value (a NaN in x keeps value).
TOOLGRAD_INLINE Vec zero_where_less(Vec value, Vec x, Vec limit) {
  return {_mm256_and_ps(value.lo, _mm256_cmp_ps(x.lo, limit.lo, _CMP_NLT_UQ)),
          _mm256_and_ps(value.hi, _mm256_cmp_ps(x.hi, limit.hi, _CMP_NLT_UQ))};
}
TOOLGRAD_INLINE __m256 exp2_integral_half(__m256 n) {
  const __m256i bits = _mm256_castps_si256(_mm256_add_ps(n, _mm256_set1_ps(12582912.0f)));
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_slli_epi32(bits, 23), _mm256_set1_epi32(0x3f800000)));
}
/// 2^n for integral n in [-126, 127].
TOOLGRAD_INLINE Vec exp2_integral(Vec n) {
  return {exp2_integral_half(n.lo), exp2_integral_half(n.hi)};
}
TOOLGRAD_INLINE __m256 widen_half(__m128i halves) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
TOOLGRAD_INLINE Vec load_bf16(const uint16_t* p) {
  return {widen_half(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          widen_half(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
TOOLGRAD_INLINE Vec load_bf16_partial(const uint16_t* p, int n) {
  alignas(32) uint16_t lanes[kLanes] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return load_bf16(lanes);
}
TOOLGRAD_INLINE __m256i round_half(__m256 a) {
  const __m256i bits = _mm256_castps_si256(a);
  const __m256i high = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  rounded = _mm256_srli_epi32(rounded, 16);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(rounded, _mm256_or_si256(high, _mm256_set1_epi32(0x40)), nan);
}
/// The nearest bf16 numbers, as fp32.
TOOLGRAD_INLINE Vec round_to_bf16(Vec a) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(round_half(a.lo), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(round_half(a.hi), 16))};
}
TOOLGRAD_INLINE __m256 zero_subnormals_half(__m256 a) {
  const __m256i exponent = _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x7f800000));
  const __m256 subnormal = _mm256_castsi256_ps(_mm256_cmpeq_epi32(exponent, _mm256_setzero_si256()));
  return _mm256_blendv_ps(a, _mm256_and_ps(a, _mm256_set1_ps(-0.0f)), subnormal);
}
/// Zero of the same sign for subnormal numbers.
TOOLGRAD_INLINE Vec zero_subnormals(Vec a) {
  return {zero_subnormals_half(a.lo), zero_subnormals_half(a.hi)};
}
TOOLGRAD_INLINE void store_bf16(uint16_t* p, Vec a) {
  const __m256i packed = _mm256_packus_epi32(round_half(a.lo), round_half(a.hi));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}
TOOLGRAD_INLINE void store_bf16_partial(uint16_t* p, Vec a, int n) {
  alignas(32) uint16_t lanes[kLanes];
  store_bf16(lanes, a);
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}
TOOLGRAD_INLINE __m256 low_half(Vec a) {
  return a.lo;
}
TOOLGRAD_INLINE __m256 high_half(Vec a) {
  return a.hi;
}

#else

typedef float Quad __attribute__((vector_size(16)));
typedef int32_t QuadInt __attribute__((vector_size(16)));

struct Vec {
  Quad q[4];
};

#define TOOLGRAD_EACH_QUAD(expression)               \
  Vec r;                                             \
  for (int i = 0; i < 4; ++i) r.q[i] = (expression); \
  return r
#define TOOLGRAD_EACH_LANE(expression)                               \
  Vec r;                                                             \
  for (int i = 0; i < kLanes; ++i) r.q[i / 4][i % 4] = (expression); \
  return r

TOOLGRAD_INLINE Vec broadcast(float x) {
  TOOLGRAD_EACH_QUAD((Quad{x, x, x, x}));
}
TOOLGRAD_INLINE Vec zero() {
  return broadcast(0.0f);
}
TOOLGRAD_INLINE Vec load(const float* p) {
  Vec r;
  std::memcpy(&r, p, sizeof r);
  return r;
}
TOOLGRAD_INLINE void store(float* p, Vec a) {
  std::memcpy(p, &a, sizeof a);
}
TOOLGRAD_INLINE Vec load_partial(const float* p, int n) {
  alignas(16) float lanes[kLanes] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
TOOLGRAD_INLINE void store_partial(float* p, Vec a, int n) {
  alignas(16) float lanes[kLanes];
  store(lanes, a);
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}
TOOLGRAD_INLINE Vec fma(Vec a, Vec b, Vec c) {
  TOOLGRAD_EACH_QUAD(a.q[i] * b.q[i] + c.q[i]);
}
TOOLGRAD_INLINE Vec operator+(Vec a, Vec b) {
  TOOLGRAD_EACH_QUAD(a.q[i] + b.q[i]);
}
TOOLGRAD_INLINE Vec operator-(Vec a, Vec b) {
  TOOLGRAD_EACH_QUAD(a.q[i] - b.q[i]);
}
TOOLGRAD_INLINE Vec operator*(Vec a, Vec b) {
  TOOLGRAD_EACH_QUAD(a.q[i] * b.q[i]);
}
TOOLGRAD_INLINE Vec operator/(Vec a, Vec b) {
  TOOLGRAD_EACH_QUAD(a.q[i] / b.q[i]);
}
TOOLGRAD_INLINE Vec max(Vec a, Vec b) {
  TOOLGRAD_EACH_QUAD(a.q[i] > b.q[i] ? a.q[i] : b.q[i]);
}
TOOLGRAD_INLINE Vec min(Vec a, Vec b) {
  TOOLGRAD_EACH_QUAD(a.q[i] < b.q[i] ? a.q[i] : b.q[i]);
}
TOOLGRAD_INLINE Vec sqrt(Vec a) {
  Vec r;
  for (int i = 0; i < kLanes; ++i) r.q[i / 4][i % 4] = __builtin_sqrtf(a.q[i / 4][i % 4]);
  return r;
}
/// Lanes 0..n-1 of a, the others of b.
TOOLGRAD_INLINE Vec take_first(Vec a, Vec b, int n) {
  Vec r;
  for (int i = 0; i < kLanes; ++i) r.q[i / 4][i % 4] = i < n ? a.q[i / 4][i % 4] : b.q[i / 4][i % 4];
  return r;
}
/// Lane-wise x < limit ? 0 : value (a NaN in x keeps value).
TOOLGRAD_INLINE Vec zero_where_less(Vec value, Vec x, Vec limit) {
  TOOLGRAD_EACH_QUAD(x.q[i] < limit.q[i] ? (Quad{0, 0, 0, 0}) : value.q[i]);
}
/// 2^n for integral n in [-126, 127]. Unsigned shifts of the bit pattern of n + 1.5 * 2^23.
TOOLGRAD_INLINE Vec exp2_integral(Vec n) {
  Vec r;
  for (int i = 0; i < kLanes; ++i)
    r.q[i / 4][i % 4] = from_bits((bits_of(n.q[i / 4][i % 4] + 12582912.0f) << 23) + 0x3f800000u);
  return r;
}
TOOLGRAD_INLINE Vec load_bf16(const uint16_t* p) {
  Vec r;
  for (int i = 0; i < kLanes; ++i) r.q[i / 4][i % 4] = widen_bf16(p[i]);
  return r;
}
TOOLGRAD_INLINE Vec load_bf16_partial(const uint16_t* p, int n) {
  uint16_t lanes[kLanes] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return load_bf16(lanes);
}
/// The nearest bf16 numbers, as fp32.
TOOLGRAD_INLINE Vec round_to_bf16(Vec a) {
  TOOLGRAD_EACH_LANE(widen_bf16(round_bf16(a.q[i / 4][i % 4])));
}
/// Zero of the same sign for subnormal numbers.
TOOLGRAD_INLINE Vec zero_subnormals(Vec a) {
  TOOLGRAD_EACH_LANE((bits_of(a.q[i / 4][i % 4]) & 0x7f800000u) == 0
                         ? from_bits(bits_of(a.q[i / 4][i % 4]) & 0x80000000u)
                         : a.q[i / 4][i % 4]);
}
TOOLGRAD_INLINE void store_bf16_partial(uint16_t* p, Vec a, int n) {
  for (int i = 0; i < n; ++i) p[i] = round_bf16(a.q[i / 4][i % 4]);
}
TOOLGRAD_INLINE void store_bf16(uint16_t* p, Vec a) {
  store_bf16_partial(p, a, kLanes);
}
#undef TOOLGRAD_EACH_QUAD
#undef TOOLGRAD_EACH_LANE

#endif

TOOLGRAD_INLINE float larger(float a, float b) {
  return a > b ? a : b;
}

#if defined(__AVX2__)
/// Sum of the 16 lanes: ((i + i+8) + i+4) + i+2) + i+1.
TOOLGRAD_INLINE float sum_lanes(Vec a) {
  const __m256 eight = _mm256_add_ps(low_half(a), high_half(a));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
/// Largest of the 16 lanes.
TOOLGRAD_INLINE float max_lanes(Vec a) {
  const __m256 eight = _mm256_max_ps(low_half(a), high_half(a));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
TOOLGRAD_INLINE float first_lane(Vec a) {
  return _mm_cvtss_f32(_mm256_castps256_ps128(low_half(a)));
}
#else
TOOLGRAD_INLINE float sum_lanes(Vec a) {
  const Quad four = (a.q[0] + a.q[2]) + (a.q[1] + a.q[3]);
  return (four[0] + four[2]) + (four[1] + four[3]);
}
TOOLGRAD_INLINE float max_lanes(Vec a) {
  float lanes[kLanes];
  store(lanes, a);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lanes[i] = larger(lanes[i], lanes[i + width]);
  return lanes[0];
}
TOOLGRAD_INLINE float first_lane(Vec a) {
  return a.q[0][0];
}
#endif

/// e^x, at most 2 ulp off (1 ulp in the fused builds); e^0 is exactly 1, e^-inf is 0, overflow gives +inf, NaN stays
/// NaN. Results below 2^-125 (x < -86.64) are returned as 0, so no subnormal is ever produced.
TOOLGRAD_INLINE Vec exp(Vec x) {
  const Vec magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Vec smallest = broadcast(-86.643397f);
  const Vec clamped = min(broadcast(89.0f), max(smallest, x));
  const Vec n = fma(clamped, broadcast(1.44269504f), magic) - magic;
  Vec r = fma(n, broadcast(-0.693359375f), clamped);  // ln 2 in two parts; the first product is exact
  r = fma(n, broadcast(2.12194440e-4f), r);
  // (e^r - 1 - r) / r^2 on |r| <= 0.347: minimax of degree 4, relative error of e^r 3.1e-9 before rounding.
  Vec p = fma(broadcast(1.3814431103513045e-3f), r, broadcast(8.368796650380714e-3f));
  p = fma(p, r, broadcast(4.166839582035565e-2f));
  p = fma(p, r, broadcast(0.1666651997396746f));
  p = fma(p, r, broadcast(0.499999934034345f));
  p = fma(p, r * r, r) + broadcast(1.0f);
  // 2^n as 2 * 2^(n-1): n reaches 128 just below the overflow threshold.
  const Vec half = p * exp2_integral(n - broadcast(1.0f));
  return zero_where_less(half + half, x, smallest);
}
TOOLGRAD_INLINE float exp(float x) {
  return first_lane(exp(broadcast(x)));
}

/// Natural logarithm of a positive normal number, at most 2 ulp (fp64) off. Plain fp64 arithmetic: the same bits in
/// every build. 0 gives -inf, +inf gives +inf, NaN and negative numbers give NaN.
TOOLGRAD_INLINE double log(double x) {
  if (!(x > 0.0)) return x == 0.0 ? -__builtin_inf() : __builtin_nan("");
  if (x == __builtin_inf()) return x;
  uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  int64_t exponent = static_cast<int64_t>(bits >> 52) - 1023;
  bits = (bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull;
  double m;
  std::memcpy(&m, &bits, sizeof m);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0), s2 = s * s;  // log m = 2 atanh s, |s| <= 0.1716
  double series = 0.0;
  for (int k = 23; k >= 3; k -= 2) series = (series + 1.0 / k) * s2;
  const double e = static_cast<double>(exponent);
  return e * 0.6931471803691238 + (2.0 * (s + s * series) + e * 1.9082149292705877e-10);
}

}  // namespace toolgrad::TOOLGRAD_ISA
