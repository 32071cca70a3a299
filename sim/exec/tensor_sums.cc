#include "exec/tensor_sums.h"

#include <algorithm>
#include <cmath>

#include "exec/floats.h"

namespace sim {
namespace {

constexpr int kZeroExponent = -126;

/// x = significand * 2^(exponent - bits): `bits` behind the point, fewer for what the format holds as subnormal.
struct Parts {
  int64_t significand;
  int exponent;
};
Parts parts_of(float x, int bits, int least_exponent) {
  const uint32_t word = bits_of(x), field = (word >> 23) & 0xff, fraction = word & 0x7fffffu;
  if ((word & 0x7fffffffu) == 0) return {0, kZeroExponent};
  const int own = field == 0 ? -126 : static_cast<int>(field) - 127,
            exponent = own > least_exponent ? own : least_exponent;
  // The bits that are shifted out are zeros: the format has no more.
  const int64_t size = (field == 0 ? fraction : fraction | 0x800000u) >> (23 - bits + exponent - own);
  return {(word >> 31) != 0 ? -size : size, exponent};
}
bool finite(float x) {
  return (bits_of(x) & 0x7f800000u) != 0x7f800000u;
}

/// Toward zero; a shift of a magnitude.
int64_t shifted(int64_t x, int left) {
  const uint64_t size = static_cast<uint64_t>(x < 0 ? -x : x);
  const uint64_t result = left >= 0 ? size << left : left > -64 ? size >> -left : 0;
  return x < 0 ? -static_cast<int64_t>(result) : static_cast<int64_t>(result);
}

float add_group(const float* a, const float* b, int count, float c, Element element, bool half_sum, int fraction) {
  bool plain = finite(c);
  for (int i = 0; i < count; ++i) plain &= finite(a[i]) && finite(b[i]);
  if (!plain) {
    double sum = c;
    for (int i = 0; i < count; ++i) sum += static_cast<double>(a[i]) * b[i];
    return canonical(static_cast<float>(sum));
  }
  constexpr int kBits = 10;  // of f16 and tf32; bf16 has fewer
  const int least = element == Element::kHalf ? -14 : -126;
  int64_t product[32];
  int exponent[32];
  const Parts sum = parts_of(c, 23, half_sum ? -14 : -126);
  int most = sum.exponent;
  for (int i = 0; i < count; ++i) {
    const Parts x = parts_of(a[i], kBits, least), y = parts_of(b[i], kBits, least);
    product[i] = x.significand * y.significand;
    exponent[i] = x.exponent + y.exponent;
    most = std::max(most, exponent[i]);
  }
  int64_t total = shifted(sum.significand, fraction - 23 + sum.exponent - most);
  for (int i = 0; i < count; ++i) total += shifted(product[i], fraction - 2 * kBits + exponent[i] - most);
  const double exact = std::ldexp(static_cast<double>(total), most - fraction);
  if (half_sum) return from_half(to_half(narrow_odd(exact)));
  if (std::abs(exact) >= 0x1p128) return exact > 0 ? HUGE_VALF : -HUGE_VALF;
  return narrow_rounded(exact, Round::kZero);
}

}  // namespace

TensorSums tensor_sums_of(int sm) {
  return sm < 90 ? TensorSums{8, 24} : TensorSums{16, 25};
}

float tensor_sum(const float* a, const float* b, int k, float c, Element element, bool half_sum, TensorSums how) {
  const int group = std::min(k, element == Element::kTf32 ? how.group / 2 : how.group);
  for (int i = 0; i < k; i += group) {
    c = add_group(a + i, b + i, std::min(group, k - i), c, element, half_sum, how.fraction);
  }
  return c;
}

}  // namespace sim
