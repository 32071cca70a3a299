// Directed rounding through the processor's rounding mode. The empty asm statements keep the compiler from computing
// before the mode is set or after it is reset.
#include <cfenv>
#include <cstring>

#include "exec/floats.h"

namespace sim {
namespace {

class Mode {
 public:
  explicit Mode(Round round) : before_(std::fegetround()) {
    constexpr int kModes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    std::fesetround(kModes[static_cast<int>(round)]);
  }
  ~Mode() { std::fesetround(before_); }
  Mode(const Mode&) = delete;
  Mode& operator=(const Mode&) = delete;

 private:
  int before_;
};

template <class T>
void pin(T& value) {
  asm volatile("" : "+m"(value) : : "memory");
}

template <class T, class F>
T under(Round round, T a, T b, T c, F f) {
  T result;
  {
    const Mode mode(round);
    pin(a), pin(b), pin(c);
    result = f(a, b, c);
    pin(result);
  }
  return result;
}

template <class F, class I>
F integer_under(I a, Round round) {
  F result;
  {
    const Mode mode(round);
    pin(a);
    result = static_cast<F>(a);
    pin(result);
  }
  return result;
}

}  // namespace

float add_rounded(float a, float b, Round round) {
  return under(round, a, b, 0.0f, [](float x, float y, float) { return x + y; });
}
float mul_rounded(float a, float b, Round round) {
  return under(round, a, b, 0.0f, [](float x, float y, float) { return x * y; });
}
float fma_rounded(float a, float b, float c, Round round) {
  return under(round, a, b, c, [](float x, float y, float z) { return __builtin_fmaf(x, y, z); });
}
float div_rounded(float a, float b, Round round) {
  return under(round, a, b, 0.0f, [](float x, float y, float) { return x / y; });
}
float sqrt_rounded(float a, Round round) {
  return under(round, a, 0.0f, 0.0f, [](float x, float, float) { return __builtin_sqrtf(x); });
}
double add_rounded(double a, double b, Round round) {
  return under(round, a, b, 0.0, [](double x, double y, double) { return x + y; });
}
double mul_rounded(double a, double b, Round round) {
  return under(round, a, b, 0.0, [](double x, double y, double) { return x * y; });
}
double fma_rounded(double a, double b, double c, Round round) {
  return under(round, a, b, c, [](double x, double y, double z) { return __builtin_fma(x, y, z); });
}
double div_rounded(double a, double b, Round round) {
  return under(round, a, b, 0.0, [](double x, double y, double) { return x / y; });
}
double sqrt_rounded(double a, Round round) {
  return under(round, a, 0.0, 0.0, [](double x, double, double) { return __builtin_sqrt(x); });
}
float narrow_rounded(double a, Round round) {
  float result;
  {
    const Mode mode(round);
    pin(a);
    result = static_cast<float>(a);
    pin(result);
  }
  return result;
}
template <class F>
F integer_rounded(int64_t a, Round round) {
  return integer_under<F, int64_t>(a, round);
}
template <class F>
F integer_rounded(uint64_t a, Round round) {
  return integer_under<F, uint64_t>(a, round);
}
template float integer_rounded<float>(int64_t, Round);
template double integer_rounded<double>(int64_t, Round);
template float integer_rounded<float>(uint64_t, Round);
template double integer_rounded<double>(uint64_t, Round);

uint16_t to_half(float x, Round round) {
  if (round == Round::kNearest) return to_half(x);
  const uint32_t bits = bits_of(x), sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return 0x7fff;
  if (rest == 0x7f800000u) return static_cast<uint16_t>(sign | 0x7c00u);
  // The magnitude, truncated; then away from zero where the mode wants it.
  uint32_t magnitude;
  bool exact;
  if (rest >= 0x47800000u) {
    magnitude = 0x7bff, exact = false;
  } else {
    magnitude = to_half(float_of(rest));
    const float back = from_half(static_cast<uint16_t>(magnitude));
    if (back > float_of(rest)) --magnitude;
    exact = back == float_of(rest);
  }
  const bool away = (round == Round::kUp && sign == 0) || (round == Round::kDown && sign != 0);
  if (!exact && away) ++magnitude;
  return static_cast<uint16_t>(sign | magnitude);
}

uint16_t to_bfloat(float x, Round round) {
  if (round == Round::kNearest) return to_bfloat(x);
  const uint32_t bits = bits_of(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  const bool negative = (bits >> 31) != 0, exact = (bits & 0xffffu) == 0;
  const bool away = (round == Round::kUp && !negative) || (round == Round::kDown && negative);
  return static_cast<uint16_t>((bits >> 16) + (!exact && away ? 1 : 0));
}

float narrow_odd(double x) {
  const float near = static_cast<float>(x);
  if (static_cast<double>(near) == x || x != x) return near;
  uint32_t bits = bits_of(near);
  if (std::fabs(static_cast<double>(near)) > std::fabs(x)) --bits;
  return float_of(bits | 1);
}

float fma_odd(float a, float b, float c) {
  const double product = static_cast<double>(a) * b, addend = c;
  double sum = product + addend;
  if (std::isfinite(sum)) {
    const double part = sum - product;
    const double error = (product - (sum - part)) + (addend - part);
    uint64_t bits = std::bit_cast<uint64_t>(sum);
    if (error != 0 && (bits & 1) == 0 && sum != 0) {
      // Towards the error: the neighbour in its direction is odd.
      bits += ((error > 0) == (sum > 0)) ? 1 : -1;
      sum = std::bit_cast<double>(bits);
    }
  }
  return narrow_odd(sum);
}

}  // namespace sim
