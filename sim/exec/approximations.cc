// ex2, lg2, sin, cos, tanh, rcp, rsqrt, sqrt. The hardware's approximations are documented by their error bounds; these
// are within half a unit (and a little) of the exact value, so they lie inside of every bound but are not its bits.
#include <cmath>

#include "exec/floats.h"
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/types.h"

namespace sim {
namespace {

using ptx::Type;

/// 2^x: the fraction by a series in double precision (error below 1e-11), the integer part in the exponent.
inline float exp2_of(float x) {
  const float clamped = x > 200.0f ? 200.0f : x < -200.0f ? -200.0f : x == x ? x : 0.0f;
  const float whole = __builtin_rintf(clamped);
  const double t = static_cast<double>(clamped - whole) * 0.69314718055994530942;
  double p = 1.0 / 3628800;
  p = p * t + 1.0 / 362880;
  p = p * t + 1.0 / 40320;
  p = p * t + 1.0 / 5040;
  p = p * t + 1.0 / 720;
  p = p * t + 1.0 / 120;
  p = p * t + 1.0 / 24;
  p = p * t + 1.0 / 6;
  p = p * t + 0.5;
  p = p * t + 1.0;
  p = p * t + 1.0;
  const int64_t exponent = static_cast<int64_t>(static_cast<int32_t>(whole)) + 1023;
  const double scale = std::bit_cast<double>(static_cast<uint64_t>(exponent) << 52);
  const float result = static_cast<float>(p * scale);
  return x == x ? result : float_of(kNaN32);
}
/// log2: the mantissa in [sqrt(1/2), sqrt(2)) by the series of atanh.
inline float log2_of(float x) {
  const uint32_t bits = bits_of(x);
  const bool small = bits < 0x00800000u;
  const uint32_t scaled = small ? bits_of(x * 0x1p32f) : bits;
  const int32_t shifted = static_cast<int32_t>(scaled - 0x3f3504f3u) >> 23;
  const double m = float_of(scaled - (static_cast<uint32_t>(shifted) << 23));
  const double s = (m - 1.0) / (m + 1.0), z = s * s;
  double p = 1.0 / 15;
  p = p * z + 1.0 / 13;
  p = p * z + 1.0 / 11;
  p = p * z + 1.0 / 9;
  p = p * z + 1.0 / 7;
  p = p * z + 1.0 / 5;
  p = p * z + 1.0 / 3;
  p = p * z + 1.0;
  const double value = p * s * 2.8853900817779268147 + (shifted - (small ? 32 : 0));
  const float result = static_cast<float>(value);
  if ((bits & 0x7fffffffu) == 0) return -__builtin_inff();
  if (bits == 0x7f800000u) return __builtin_inff();
  return bits < 0x7f800000u ? result : float_of(kNaN32);
}
inline float reciprocal(float x) {
  return 1.0f / x;
}
inline float root(float x) {
  return __builtin_sqrtf(x);
}
inline float reciprocal_root(float x) {
  return static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(x)));
}
/// Below 2^-149 times one half the series would be wasted; outside of +-10 tanh is 1.
inline float tanh_of(float x) {
  return std::tanh(x);
}
inline float sin_of(float x) {
  return static_cast<float>(std::sin(static_cast<double>(x)));
}
inline float cos_of(float x) {
  return static_cast<float>(std::cos(static_cast<double>(x)));
}

template <float (*F)(float), bool Flush>
float approximate(float x) {
  const float r = canonical(F(Flush ? flush(x) : x));
  return Flush ? flush(r) : r;
}
template <float (*F)(float), bool Flush>
void special(Warp& w, const Instr& in, uint32_t mask) {
  w.cta->worker->counters.special_functions += static_cast<uint64_t>(std::popcount(mask));
  unary<float, float, approximate<F, Flush>>(w, in, mask);
}
/// The same one lane at a time, for functions of the C library.
template <float (*F)(float), bool Flush>
void special_each(Warp& w, const Instr& in, uint32_t mask) {
  w.cta->worker->counters.special_functions += static_cast<uint64_t>(std::popcount(mask));
  const std::byte* a = w.arena + in.op[1];
  write_each<float>(w.arena + in.op[0], mask, [a](int l) { return approximate<F, Flush>(lane_of<float>(a, l)); });
}

template <float (*F)(float)>
void approximate_form(Form& f) {
  if (!f.take("approx")) f.unknown("only .approx");
  const bool ftz = f.take("ftz");
  const Type type = f.take_type();
  if (type != Type::kF32) f.unknown("type");
  one_operand(f, type, ftz ? &special<F, true> : &special<F, false>);
}
template <float (*F)(float)>
void approximate_each_form(Form& f) {
  if (!f.take("approx")) f.unknown("only .approx");
  const bool ftz = f.take("ftz");
  const Type type = f.take_type();
  if (type != Type::kF32) f.unknown("type");
  one_operand(f, type, ftz ? &special_each<F, true> : &special_each<F, false>);
}

template <float (*F)(float), bool Brain>
uint16_t half_of(uint16_t h) {
  return Brain ? to_bfloat(F(from_bfloat(h))) : to_half(F(from_half(h)));
}
template <float (*F)(float), bool Brain, bool Pair>
void half_special(Warp& w, const Instr& in, uint32_t mask) {
  w.cta->worker->counters.special_functions += static_cast<uint64_t>(std::popcount(mask));
  const std::byte* a = w.arena + in.op[1];
  write_each<uint32_t>(w.arena + in.op[0], mask, [a](int l) {
    const uint32_t x = lane_of<uint32_t>(a, l);
    const uint32_t low = half_of<F, Brain>(static_cast<uint16_t>(x));
    return Pair ? low | static_cast<uint32_t>(half_of<F, Brain>(static_cast<uint16_t>(x >> 16))) << 16 : low;
  });
}
template <float (*F)(float)>
bool half_form(Form& f, Type type) {
  switch (type) {
    case Type::kF16:
      one_operand(f, type, &half_special<F, false, false>);
      return true;
    case Type::kF16x2:
      one_operand(f, type, &half_special<F, false, true>);
      return true;
    case Type::kBF16:
      one_operand(f, type, &half_special<F, true, false>);
      return true;
    case Type::kBF16x2:
      one_operand(f, type, &half_special<F, true, true>);
      return true;
    default:
      return false;
  }
}
/// ex2 and tanh also have forms for half precision.
template <float (*F)(float), bool Each>
void with_half(Form& f) {
  for (const std::string& modifier : f.rest()) {
    const Type type = ptx::type_named(modifier);
    if (ptx::bits_of(type) != 16 && type != Type::kF16x2 && type != Type::kBF16x2) continue;
    if (!f.take("approx")) f.unknown("only .approx");
    f.take("ftz");
    half_form<F>(f, f.take_type());
    return;
  }
  if (Each) return approximate_each_form<F>(f);
  approximate_form<F>(f);
}

double reciprocal_double(double x) {
  return 1.0 / x;
}
double root_double(double x) {
  return __builtin_sqrt(x);
}
double reciprocal_root_double(double x) {
  return 1.0 / __builtin_sqrt(x);
}
/// The .approx.ftz.f64 forms keep 20 bits of the mantissa and are a first guess; the low word of the result is zero.
template <double (*F)(double)>
double coarse(double x) {
  return std::bit_cast<double>(std::bit_cast<uint64_t>(F(x)) & 0xffffffff00000000u);
}

template <bool Root, class T>
void rounded_each(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte* a = w.arena + in.op[1];
  const Round round = static_cast<Round>(in.immediate & 3);
  const bool ftz = (in.immediate & 4) != 0;
  w.cta->worker->counters.special_functions += static_cast<uint64_t>(std::popcount(mask));
  write_each<T>(w.arena + in.op[0], mask, [=](int l) {
    T x = lane_of<T>(a, l);
    if constexpr (sizeof(T) == 4) {
      if (ftz) x = flush(x);
    }
    T r = Root ? sqrt_rounded(x, round) : div_rounded(T{1}, x, round);
    if constexpr (sizeof(T) == 4) {
      r = canonical(r);
      if (ftz) r = flush(r);
    }
    return r;
  });
}

template <bool Root, float (*Single)(float), double (*Double)(double)>
void reciprocal_or_root(Form& f) {
  const bool approx = f.take("approx");
  const int round = f.take_any({"rn", "rz", "rm", "rp"});
  const bool ftz = f.take("ftz");
  const Type type = f.take_type();
  if (approx == (round >= 0)) f.unknown("either .approx or a rounding");
  if (type == Type::kF64) {
    if (approx && !ftz) f.unknown(".approx.f64");
    if (approx) return one_operand(f, type, &unary<double, double, coarse<Double>>);
    if (round == 0) return one_operand(f, type, &unary<double, double, Double>);
  } else if (type == Type::kF32) {
    if (approx || round == 0) return one_operand(f, type, ftz ? &special<Single, true> : &special<Single, false>);
  } else {
    f.unknown("type");
  }
  f.out.immediate = round | (ftz ? 4 : 0);
  one_operand(f, type, type == Type::kF64 ? &rounded_each<Root, double> : &rounded_each<Root, float>);
}

}  // namespace

void add_approximations(Decoders& decoders) {
  decoders["ex2"] = with_half<exp2_of, false>;
  decoders["lg2"] = approximate_form<log2_of>;
  decoders["sin"] = approximate_each_form<sin_of>;
  decoders["cos"] = approximate_each_form<cos_of>;
  decoders["tanh"] = [](Form& f) {
    f.take("approx");
    const Type type = f.take_type();
    if (half_form<tanh_of>(f, type)) return;
    if (type != Type::kF32) f.unknown("type");
    one_operand(f, type, &special_each<tanh_of, false>);
  };
  decoders["rcp"] = reciprocal_or_root<false, reciprocal, reciprocal_double>;
  decoders["sqrt"] = reciprocal_or_root<true, root, root_double>;
  decoders["rsqrt"] = [](Form& f) {
    if (!f.take("approx")) f.unknown("only .approx");
    const bool ftz = f.take("ftz");
    const Type type = f.take_type();
    if (type == Type::kF64) {
      return one_operand(f, type,
                         ftz ? &unary<double, double, coarse<reciprocal_root_double>>
                             : &unary<double, double, reciprocal_root_double>);
    }
    if (type != Type::kF32) f.unknown("type");
    one_operand(f, type, ftz ? &special<reciprocal_root, true> : &special<reciprocal_root, false>);
  };
}

}  // namespace sim
