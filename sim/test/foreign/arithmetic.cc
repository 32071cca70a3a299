#include <bit>
#include <limits>

#include "bench.h"

namespace foreign {
namespace {

using Row = std::function<double(double, double)>;

template <class T>
std::vector<double> table(const std::vector<T>& in, const std::vector<Row>& rows) {
  const size_t n = in.size() / 2;
  std::vector<double> all;
  for (const Row& row : rows) {
    for (size_t i = 0; i < n; ++i) all.push_back(row(in[i], in[n + i]));
  }
  return all;
}

/// To `bits` of precision with the least exponent of the format; nearest even, or `round`.
double rounded(double x, int bits, int least, double (*round)(double) = std::nearbyint) {
  if (x == 0 || !std::isfinite(x)) return x;
  const int shift = bits - 1 - std::max(std::ilogb(x), least);
  return std::ldexp(round(std::ldexp(x, shift)), -shift);
}
double half(double x) {
  const double r = rounded(x, 11, -14);
  return std::abs(r) > 65504 ? std::copysign(HUGE_VAL, r) : r;
}
double brain(double x) {
  return rounded(x, 8, -126);
}

void functions(Bench& m, Random& random) {
  constexpr size_t kCount = 300;
  std::vector<double> in(2 * kCount);
  for (size_t i = 0; i < kCount; ++i) {
    in[i] = random.between(-20, 20) * (i % 7 == 0 ? 1e-3 : i % 11 == 0 ? 1e3 : 1);
    in[kCount + i] = random.between(-2.5, 10) * (i % 5 == 0 ? 0.01 : 1);
  }
  in[0] = 0, in[1] = -0.0, in[kCount + 2] = 0;
  const auto size = [](double x) { return std::abs(x) + 1e-3; };
  const std::vector<Row> doubles = {
      [](double x, double) { return std::sin(x); },
      [](double x, double) { return std::cos(x); },
      [](double x, double) { return std::tan(x); },
      [](double x, double) { return std::exp(x / 8); },
      [=](double x, double) { return std::log(size(x)); },
      [=](double x, double y) { return std::pow(size(x), y); },
      [](double x, double) { return std::erf(x); },
      [](double x, double) { return std::erfc(x); },
      [=](double x, double) { return std::lgamma(size(x)); },
      [](double, double y) { return std::tgamma(y + 3); },
      [](double x, double) { return std::cbrt(x); },
      [=](double x, double) { return std::sqrt(size(x)); },
      [](double x, double y) { return std::atan2(x, y); },
      [](double x, double) { return std::sinh(x / 16); },
      [](double, double y) { return std::asin(y / 11); },
      [=](double x, double) { return std::log1p(size(x)); },
      [](double, double y) { return std::expm1(y / 4); },
      [](double x, double y) { return std::hypot(x, y); },
      [](double x, double y) { return std::fmod(x, std::fma(y, y, 0.7)); },
      [](double x, double) { return std::remainder(x, 3.1); },
      [](double x, double) {
        int e;
        const double f = std::frexp(x, &e);
        return f + e;
      },
      [](double x, double) {
        double whole;
        const double f = std::modf(x, &whole);
        return f + 2 * whole;
      },
      [=](double x, double y) { return std::fma(x, y, 1 / size(x)); },
      [](double x, double y) { return std::nearbyint(x) + std::floor(y) + std::copysign(0.25, x); }};
  const auto out = m.room(8 * doubles.size() * kCount);
  m.run("doubles", {3, 128}, m.put(in), out, static_cast<int>(kCount));
  close("double functions", m.get<double>(out, doubles.size() * kCount), table(in, doubles), 2e-15, 1e-3);

  std::vector<float> narrow;
  for (double x : in) narrow.push_back(static_cast<float>(std::abs(x) > 80 ? x / 1000 : x));
  const auto positive = [](double x) { return static_cast<double>(std::abs(static_cast<float>(x)) + 1e-3f); };
  const auto eighth = [](double x) { return static_cast<double>(static_cast<float>(x) / 8); };
  const std::vector<Row> singles = {
      [](double x, double) { return std::sin(x); },
      [](double x, double) { return std::cos(x); },
      [](double x, double) { return std::tan(x); },
      [=](double x, double) { return std::exp(eighth(x)); },
      [=](double x, double) { return std::log(positive(x)); },
      [=](double x, double y) { return std::pow(positive(x), y); },
      [](double x, double) { return std::erf(x); },
      [](double, double y) { return std::erfc(y); },
      [=](double x, double) { return std::lgamma(positive(x)); },
      [](double, double y) { return std::tgamma(static_cast<double>(static_cast<float>(y) + 3)); },
      [](double x, double) { return std::cbrt(x); },
      [=](double x, double) { return 1 / std::sqrt(positive(x)); },
      [](double x, double y) { return std::atan2(x, y); },
      [](double x, double) { return std::tanh(x); },
      [=](double x, double) { return std::log2(positive(x)); },
      [](double, double y) { return std::exp2(y); },
      [](double x, double y) {
        const float f = static_cast<float>(y);
        return std::fmod(x, static_cast<double>(std::fma(f, f, 0.7f)));
      },
      [](double x, double) { return std::sin(static_cast<double>(1e6f * static_cast<float>(x))); },
      [](double, double y) { return 0.5 * std::erfc(-y / std::sqrt(2.0)); },
      [](double x, double y) { return std::ldexp(y, 5) + std::nearbyint(x); }};
  const auto single_out = m.room(4 * singles.size() * kCount);
  m.run("singles", {3, 128}, m.put(narrow), single_out, static_cast<int>(kCount));
  close("single functions", m.get<float>(single_out, singles.size() * kCount), table(narrow, singles), 1e-6, 1e-3);
}

/// Bits of the exact quotient, square root …, rounded in every direction: checked from both sides in double and long double.
void roundings(Bench& m, Random& random) {
  constexpr size_t kCount = 256;
  std::vector<float> in(2 * kCount);
  std::vector<double> in_double(2 * kCount);
  for (size_t i = 0; i < 2 * kCount; ++i) {
    in_double[i] = std::ldexp(random.between(-2, 2), static_cast<int>(random.next() % 120) - 60);
    in[i] = static_cast<float>(in_double[i]);
  }
  const auto out = m.room(4 * 6 * kCount), out_double = m.room(8 * 6 * kCount);
  m.run("rounded", {2, 128}, m.put(in), out, m.put(in_double), out_double, static_cast<int>(kCount));
  enum Way { kNear, kZero, kDown, kUp };
  const auto direct = [](auto narrow, long double exact, Way way) {
    using T = decltype(narrow);
    T r = static_cast<T>(exact);
    const T inf = std::numeric_limits<T>::infinity();
    const bool zero_down = way == kZero && exact > 0, zero_up = way == kZero && exact < 0;
    if ((way == kDown || zero_down) && r > exact) r = std::nextafter(r, -inf);
    if ((way == kUp || zero_up) && r < exact) r = std::nextafter(r, inf);
    return r;
  };
  std::vector<float> wanted(6 * kCount);
  std::vector<double> wanted_double(6 * kCount);
  for (size_t i = 0; i < kCount; ++i) {
    // Long double holds quotients of floats well enough to be rounded once more; those of doubles lie nowhere near a tie.
    const long double x = in[i], y = in[kCount + i], u = in_double[i], v = in_double[kCount + i];
    wanted[i] = direct(0.0f, x / y, kNear), wanted[kCount + i] = direct(0.0f, x / y, kZero);
    wanted[2 * kCount + i] = direct(0.0f, std::sqrt(std::abs(x)), kUp);
    wanted[3 * kCount + i] = direct(0.0f, 1 / y, kDown);
    wanted[4 * kCount + i] = direct(0.0f, x * y + x, kDown);
    wanted[5 * kCount + i] = direct(0.0f, x / y, kNear);
    wanted_double[i] = in_double[i] / in_double[kCount + i];
    wanted_double[kCount + i] = direct(0.0, u / v, kUp);
    wanted_double[2 * kCount + i] = direct(0.0, std::sqrt(std::abs(u)), kDown);
    wanted_double[3 * kCount + i] = direct(0.0, 1 / v, kZero);
    wanted_double[4 * kCount + i] = direct(0.0, u + v, kDown);
    wanted_double[5 * kCount + i] = std::sqrt(std::abs(in_double[i]));
  }
  const std::vector<float> got = m.get<float>(out, 6 * kCount);
  // x y + x does not always fit into a long double: one bit more or less there.
  for (size_t i = 4 * kCount; i < 5 * kCount; ++i) {
    if (std::abs(got[i] - wanted[i]) <= std::abs(wanted[i]) * 0x1p-23f) wanted[i] = got[i];
  }
  same("directed rounding, single", got, wanted);
  const std::vector<double> got_double = m.get<double>(out_double, 6 * kCount);
  for (size_t i = 4 * kCount; i < 5 * kCount; ++i) {
    if (std::abs(got_double[i] - wanted_double[i]) <= std::abs(wanted_double[i]) * 0x1p-52)
      wanted_double[i] = got_double[i];
  }
  same("directed rounding, double", got_double, wanted_double);
}

void integers(Bench& m, Random& random) {
  constexpr size_t kCount = 256;
  std::vector<uint64_t> in(2 * kCount), wanted(16 * kCount);
  for (uint64_t& x : in) {
    x = random.next() >> (random.next() % 64);
    if (random.next() % 3 == 0) x = ~x;
  }
  in[0] = uint64_t{1} << 63, in[kCount] = ~uint64_t{0};
  for (size_t i = 0; i < kCount; ++i) {
    using Wide = unsigned __int128;
    const uint64_t a = in[i], b = in[kCount + i];
    const int64_t sa = static_cast<int64_t>(a), sb = static_cast<int64_t>(b);
    const Wide big = Wide{a} << 64 | b, product = big * (b | 1);
    const __int128 sbig = static_cast<__int128>(big);
    const __int128 quotient = sbig / ((sb >> 40) | 1), rest = sbig % (sb | 1);
    const Wide shifted = (big << (a & 127)) ^ (big >> (b & 127));
    uint64_t reversed = 0;
    for (int bit = 0; bit < 64; ++bit) reversed |= ((a >> bit) & 1) << (63 - bit);
    const int64_t divisor = sb | 1;
    const uint64_t all[16] = {a * b,
                              static_cast<uint64_t>(Wide{a} * b >> 64),
                              static_cast<uint64_t>(static_cast<Wide>(static_cast<__int128>(sa) * sb) >> 64),
                              a / (b | 1),
                              a % (b | 1),
                              divisor == -1 ? 0 - a : static_cast<uint64_t>(sa / divisor),
                              divisor == -1 ? 0 : static_cast<uint64_t>(sa % divisor),
                              static_cast<uint64_t>(product),
                              static_cast<uint64_t>(product >> 64),
                              static_cast<uint64_t>(quotient),
                              static_cast<uint64_t>(static_cast<Wide>(quotient) >> 64),
                              static_cast<uint64_t>(rest),
                              static_cast<uint64_t>(shifted),
                              static_cast<uint64_t>(shifted >> 64),
                              static_cast<uint64_t>(std::countl_zero(a)) << 32 |
                                  static_cast<uint64_t>(b == 0 ? 0 : std::countr_zero(b) + 1) << 16 |
                                  static_cast<uint64_t>(std::popcount(a)),
                              reversed ^ static_cast<uint64_t>(sa >> (b & 63))};
    for (size_t f = 0; f < 16; ++f) wanted[f * kCount + i] = all[f];
  }
  const auto out = m.room(8 * wanted.size());
  m.run("wide", {2, 128}, m.put(in), out, static_cast<int>(kCount));
  same("64 and 128 bits", m.get<uint64_t>(out, wanted.size()), wanted);
}

/// Lanes of a word, one function on all.
template <class F>
uint32_t lanewise(int count, uint32_t a, uint32_t b, bool sign, F f) {
  const int bits = 32 / count;
  const auto lane = [&](uint32_t x, int i) {
    const int v = static_cast<int>((x >> (bits * i)) & ((1u << bits) - 1));
    return sign && v >= 1 << (bits - 1) ? v - (1 << bits) : v;
  };
  uint32_t result = 0;
  for (int i = 0; i < count; ++i) {
    result |= (static_cast<uint32_t>(f(lane(a, i), lane(b, i))) & ((1u << bits) - 1)) << (bits * i);
  }
  return result;
}

void packed(Bench& m, Random& random) {
  constexpr size_t kCount = 256;
  std::vector<uint32_t> in(2 * kCount), wanted(24 * kCount);
  for (uint32_t& x : in)
    x = random.next() % 4 == 0 ? 0x80ff7f00u ^ static_cast<uint32_t>(random.next() & 0x01010101)
                               : static_cast<uint32_t>(random.next());
  const auto clamp = [](int x, int low, int high) { return x < low ? low : x > high ? high : x; };
  for (size_t i = 0; i < kCount; ++i) {
    const uint32_t a = in[i], b = in[kCount + i], c = in[(i + 1) % kCount];
    const int32_t sa = static_cast<int32_t>(a), sb = static_cast<int32_t>(b);
    const auto byte = [](uint32_t x, int k) { return static_cast<int32_t>((x >> (8 * k)) & 0xff); };
    const auto sbyte = [](uint32_t x, int k) { return static_cast<int32_t>(static_cast<int8_t>(x >> (8 * k))); };
    uint32_t dot_s = c, dot_u = c, lo = c, hi = c, sad = 0;
    for (int k = 0; k < 4; ++k) {
      dot_s += static_cast<uint32_t>(sbyte(a, k) * sbyte(b, k)),
          dot_u += static_cast<uint32_t>(byte(a, k) * byte(b, k));
      sad += static_cast<uint32_t>(std::abs(byte(a, k) - byte(b, k)));
    }
    for (int k = 0; k < 2; ++k) {
      lo += static_cast<uint32_t>(static_cast<int16_t>(a >> (16 * k)) * sbyte(b, k));
      hi += static_cast<uint32_t>(static_cast<int32_t>(static_cast<uint16_t>(a >> (16 * k))) * byte(b, k + 2));
    }
    uint32_t permuted = 0;
    for (int k = 0; k < 4; ++k) {
      const int pick = static_cast<int>((c >> (4 * k)) & 7);
      permuted |= static_cast<uint32_t>(pick < 4 ? byte(a, pick) : byte(b, pick - 4)) << (8 * k);
    }
    const uint64_t both = static_cast<uint64_t>(b) << 32 | a;
    const uint32_t by = std::min(c & 63, 32u);
    const auto low24 = [](int32_t x) { return static_cast<int32_t>(static_cast<uint32_t>(x) << 8) >> 8; };
    const int64_t added = int64_t{sbyte(a, 1)} + static_cast<int16_t>(b >> 16);
    const uint32_t all[24] = {dot_s,
                              dot_u,
                              lo,
                              hi,
                              lanewise(4, a, b, false, [](int x, int y) { return x + y; }),
                              lanewise(4, a, b, false, [&](int x, int y) { return clamp(x + y, 0, 255); }),
                              lanewise(2, a, b, true, [&](int x, int y) { return clamp(x + y, -32768, 32767); }),
                              lanewise(2, a, b, false, [](int x, int y) { return x - y; }),
                              lanewise(4, a, b, true, [](int x, int y) { return std::abs(x - y); }),
                              lanewise(4, a, b, true, [](int x, int y) { return std::max(x, y); }),
                              lanewise(2, a, b, false, [](int x, int y) { return std::min(x, y); }),
                              lanewise(4, a, b, true, [](int x, int y) { return x > y ? 0xff : 0; }),
                              lanewise(4, a, b, false, [](int x, int y) { return (x + y + 1) / 2; }),
                              sad,
                              lanewise(2, a, a, true, [&](int x, int) { return clamp(-x, -32768, 32767); }),
                              permuted,
                              static_cast<uint32_t>(both >> (c & 31)),
                              static_cast<uint32_t>((both << by) >> 32),
                              static_cast<uint32_t>(static_cast<uint64_t>(int64_t{sa} * sb) >> 32),
                              (a > b ? a - b : b - a) + c,
                              static_cast<uint32_t>(int64_t{low24(sa)} * low24(sb)),
                              static_cast<uint32_t>((int64_t{sa} + sb) >> 1),
                              static_cast<uint32_t>(added),
                              sad + c};
    for (size_t f = 0; f < 24; ++f) wanted[f * kCount + i] = all[f];
  }
  const auto out = m.room(4 * wanted.size());
  m.run("packed", {2, 128}, m.put(in), out, static_cast<int>(kCount));
  same("packed bytes and halves", m.get<uint32_t>(out, wanted.size()), wanted);
}

/// The nearest number of an 8-bit format, ties to even, overflow to the largest.
double eight_bits(double x, int precision, int least, double largest) {
  const double r = rounded(x, precision, least);
  return std::abs(r) > largest ? std::copysign(largest, x) : r;
}
double code_e4m3(double x) {
  const double r = eight_bits(x, 4, -6, 448), size = std::abs(r);
  const int e = size == 0 ? -7 : std::max(std::ilogb(size), -7);
  const int code =
      e < -6 ? static_cast<int>(std::ldexp(size, 9)) : (e + 7) << 3 | (static_cast<int>(std::ldexp(size, 3 - e)) - 8);
  return code | (std::signbit(r) ? 0x80 : 0);
}

void halves(Bench& m, Random& random) {
  constexpr size_t kCount = 256;
  std::vector<float> in(2 * kCount);
  for (float& x : in) x = static_cast<float>(random.between(-30, 30) * (random.next() % 4 == 0 ? 1e-4 : 1));
  const auto pair_low = [](double x, double y) { return std::make_pair(half(x), rounded(y, 11, -14, std::trunc)); };
  const auto brains = [](double x, double y) { return std::make_pair(brain(x), rounded(y, 8, -126, std::floor)); };
  const std::vector<Row> rows = {[=](double x, double y) {
                                   const auto [a, b] = pair_low(x, y);
                                   return half(a + b);
                                 },
                                 [=](double x, double y) {
                                   const auto [a, b] = pair_low(x, y);
                                   return half(a * b);
                                 },
                                 [=](double x, double y) {
                                   const auto [a, b] = pair_low(x, y);
                                   return half(a * b + a);
                                 },
                                 [=](double x, double y) {
                                   const auto [a, b] = pair_low(x, y);
                                   return half(a / b);
                                 },
                                 [=](double x, double y) {
                                   const auto [a, b] = pair_low(x, y);
                                   return half(std::sqrt(std::abs(a)));
                                 },
                                 [=](double x, double y) {
                                   const auto [a, b] = pair_low(x, y);
                                   return half(a * b + a);
                                 },
                                 [=](double x, double y) {
                                   const auto [a, b] = pair_low(x, y);
                                   return std::max(a, b);
                                 },
                                 [=](double x, double y) {
                                   const auto [a, b] = pair_low(x, y);
                                   return a == b ? 1.0 : a > b ? 2.0 : 3.0;
                                 },
                                 [=](double x, double y) {
                                   const auto [a, b] = brains(x, y);
                                   return brain(a + b);
                                 },
                                 [=](double x, double y) {
                                   const auto [a, b] = brains(x, y);
                                   return brain(a * b + a);
                                 },
                                 [=](double x, double y) {
                                   const auto [a, b] = brains(x, y);
                                   return brain(b * b);
                                 },
                                 [=](double x, double y) {
                                   const auto [a, b] = pair_low(x, y);
                                   return std::nearbyint(a) + std::floor(b);
                                 },
                                 [](double x, double) { return eight_bits(x, 4, -6, 448); },
                                 [](double, double y) { return eight_bits(y, 3, -14, 57344); },
                                 [](double x, double y) { return 256 * code_e4m3(y) + code_e4m3(x); },
                                 [=](double x, double y) {
                                   const auto [a, b] = pair_low(x, y);
                                   const auto [p, q] = brains(x, y);
                                   return static_cast<double>(static_cast<float>(std::min(p, q) + std::trunc(a)));
                                 }};
  const auto out = m.room(4 * rows.size() * kCount);
  m.run("halves", {2, 128}, m.put(in), out, static_cast<int>(kCount));
  close("f16, bf16 and fp8", m.get<float>(out, rows.size() * kCount), table(in, rows), 0, 1e-7);
}

}  // namespace

void arithmetic() {
  Bench m;
  Random random(7);
  functions(m, random);
  roundings(m, random);
  integers(m, random);
  packed(m, random);
  halves(m, random);
}

}  // namespace foreign
