// Arithmetic of CUDA's headers: f16, bf16 and fp8, double and single functions, 64 and 128 bits, packed bytes. One thread
// an argument; expected by foreign_test.cc.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <math_constants.h>

constexpr int kDoubles = 24, kSingles = 20, kWide = 16, kPacked = 24, kHalves = 16;

/// Row by row: function f of argument i at out[f * n + i].
extern "C" __global__ void doubles(const double* in, double* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const double x = in[i], y = in[n + i], size = fabs(x) + 1e-3;
  int exponent;
  double whole;
  const double mantissa = frexp(x, &exponent), fraction = modf(x, &whole);
  const double all[kDoubles] = {sin(x),
                                cos(x),
                                tan(x),
                                exp(x / 8),
                                log(size),
                                pow(size, y),
                                erf(x),
                                erfc(x),
                                lgamma(size),
                                tgamma(y + 3),
                                cbrt(x),
                                sqrt(size),
                                atan2(x, y),
                                sinh(x / 16),
                                asin(y / 11),
                                log1p(size),
                                expm1(y / 4),
                                hypot(x, y),
                                fmod(x, 0.7 + y * y),
                                remainder(x, 3.1),
                                mantissa + exponent,
                                fraction + 2 * whole,
                                fma(x, y, 1 / size),
                                rint(x) + floor(y) + copysign(0.25, x)};
  for (int f = 0; f < kDoubles; ++f) out[f * n + i] = all[f];
}

extern "C" __global__ void singles(const float* in, float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float x = in[i], y = in[n + i], size = fabsf(x) + 1e-3f;
  float s, c;
  sincosf(x, &s, &c);
  const float all[kSingles] = {s,
                               c,
                               tanf(x),
                               expf(x / 8),
                               logf(size),
                               powf(size, y),
                               erff(x),
                               erfcf(y),
                               lgammaf(size),
                               tgammaf(y + 3),
                               cbrtf(x),
                               rsqrtf(size),
                               atan2f(x, y),
                               tanhf(x),
                               log2f(size),
                               exp2f(y),
                               fmodf(x, 0.7f + y * y),
                               sinf(1e6f * x),
                               normcdff(y),
                               ldexpf(y, 5) + rintf(x)};
  for (int f = 0; f < kSingles; ++f) out[f * n + i] = all[f];
}

/// What is rounded as IEEE 754 says, in all directions.
extern "C" __global__ void rounded(const float* in, float* out, const double* in_double, double* out_double, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float x = in[i], y = in[n + i];
  out[i] = __fdiv_rn(x, y), out[n + i] = __fdiv_rz(x, y), out[2 * n + i] = __fsqrt_ru(fabsf(x));
  out[3 * n + i] = __frcp_rd(y), out[4 * n + i] = __fmaf_rd(x, y, x), out[5 * n + i] = x / y;
  const double u = in_double[i], v = in_double[n + i];
  out_double[i] = u / v, out_double[n + i] = __ddiv_ru(u, v), out_double[2 * n + i] = __dsqrt_rd(fabs(u));
  out_double[3 * n + i] = __drcp_rz(v), out_double[4 * n + i] = __dadd_rd(u, v), out_double[5 * n + i] = sqrt(fabs(u));
}

extern "C" __global__ void wide(const unsigned long long* in, unsigned long long* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const unsigned long long a = in[i], b = in[n + i];
  const long long sa = static_cast<long long>(a), sb = static_cast<long long>(b);
  const unsigned __int128 big = static_cast<unsigned __int128>(a) << 64 | b, product = big * (b | 1);
  const __int128 quotient = static_cast<__int128>(big) / ((sb >> 40) | 1), rest = static_cast<__int128>(big) % (sb | 1);
  const unsigned __int128 shifted = (big << (a & 127)) ^ (big >> (b & 127));
  const unsigned long long all[kWide] = {
      a * b,
      __umul64hi(a, b),
      static_cast<unsigned long long>(__mul64hi(sa, sb)),
      a / (b | 1),
      a % (b | 1),
      static_cast<unsigned long long>(sa / (sb | 1)),
      static_cast<unsigned long long>(sa % (sb | 1)),
      static_cast<unsigned long long>(product),
      static_cast<unsigned long long>(product >> 64),
      static_cast<unsigned long long>(quotient),
      static_cast<unsigned long long>(quotient >> 64),
      static_cast<unsigned long long>(rest),
      static_cast<unsigned long long>(shifted),
      static_cast<unsigned long long>(shifted >> 64),
      static_cast<unsigned long long>(__clzll(sa)) << 32 | static_cast<unsigned>(__ffsll(sb)) << 16 | __popcll(a),
      __brevll(a) ^ static_cast<unsigned long long>(sa >> (b & 63))};
  for (int f = 0; f < kWide; ++f) out[f * n + i] = all[f];
}

/// Four bytes or two halves of a word at once, dot products, bit fields, and what the video instructions do.
extern "C" __global__ void packed(const unsigned* in, unsigned* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const unsigned a = in[i], b = in[n + i], c = in[(i + 1) % n];
  const int sa = static_cast<int>(a), sb = static_cast<int>(b);
  unsigned video, wide;
  asm("vadd.s32.s32.s32.sat %0, %1.b1, %2.h1;" : "=r"(video) : "r"(a), "r"(b));
  asm("vabsdiff4.u32.u32.u32.add %0, %1, %2, %3;" : "=r"(wide) : "r"(a), "r"(b), "r"(c));
  const unsigned all[kPacked] = {static_cast<unsigned>(__dp4a(sa, sb, static_cast<int>(c))),
                                 __dp4a(a, b, c),
                                 static_cast<unsigned>(__dp2a_lo(sa, sb, static_cast<int>(c))),
                                 __dp2a_hi(a, b, c),
                                 __vadd4(a, b),
                                 __vaddus4(a, b),
                                 __vaddss2(a, b),
                                 __vsub2(a, b),
                                 __vabsdiffs4(a, b),
                                 __vmaxs4(a, b),
                                 __vminu2(a, b),
                                 __vcmpgts4(a, b),
                                 __vavgu4(a, b),
                                 __vsadu4(a, b),
                                 __vnegss2(a),
                                 __byte_perm(a, b, c),
                                 __funnelshift_r(a, b, c),
                                 __funnelshift_lc(a, b, c & 63),
                                 static_cast<unsigned>(__mulhi(sa, sb)),
                                 __usad(a, b, c),
                                 static_cast<unsigned>(__mul24(sa, sb)),
                                 static_cast<unsigned>(__hadd(sa, sb)),
                                 video,
                                 wide};
  for (int f = 0; f < kPacked; ++f) out[f * n + i] = all[f];
}

/// Results widened to float; the eight-bit ones and bits as they are.
extern "C" __global__ void halves(const float* in, float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float x = in[i], y = in[n + i];
  const __half a = __float2half(x), b = __float2half_rz(y);
  const __half2 pair = __halves2half2(a, b), swapped = __lowhigh2highlow(pair);
  const __nv_bfloat16 p = __float2bfloat16(x), q = __float2bfloat16_rd(y);
  const __nv_bfloat162 brain = __halves2bfloat162(p, q);
  const float all[kHalves] = {
      __half2float(__hadd(a, b)),
      __half2float(__hmul(a, b)),
      __half2float(__hfma(a, b, a)),
      __half2float(__hdiv(a, b)),
      __half2float(hsqrt(__habs(a))),
      __low2float(__hfma2(pair, swapped, pair)),
      __high2float(__hmax2(pair, swapped)),
      __heq(a, b)   ? 1.0f
      : __hgt(a, b) ? 2.0f
                    : 3.0f,
      __bfloat162float(__hadd(p, q)),
      __bfloat162float(__hfma(p, q, p)),
      __high2float(__hmul2(brain, brain)),
      static_cast<float>(static_cast<int>(__half2int_rn(a))) + static_cast<float>(__half2short_rd(b)),
      static_cast<float>(__nv_fp8_e4m3(x)),
      static_cast<float>(__nv_fp8_e5m2(y)),
      static_cast<float>(__nv_cvt_float2_to_fp8x2(make_float2(x, y), __NV_SATFINITE, __NV_E4M3)),
      __bfloat162float(__hmin(p, q)) + __half2float(htrunc(a))};
  for (int f = 0; f < kHalves; ++f) out[f * n + i] = all[f];
}
