// Sums as tensor cores form them, on numbers that tell the rules apart: bits kept, truncation, groups, and what is not finite.
#include "exec/tensor_sums.h"

#include <cmath>

#include "check.h"

using namespace sim;
using sim::test::check;

namespace {

/// c + Σ of `products` as products with 1, k of them.
float sum(int sm, float c, std::vector<float> products, size_t k, Element element = Element::kBrain,
          bool half = false) {
  products.resize(k, 0.0f);
  const std::vector<float> ones(k, 1.0f);
  return tensor_sum(products.data(), ones.data(), static_cast<int>(k), c, element, half, tensor_sums_of(sm));
}
void expect(float got, float wanted, const std::string& what) {
  check(got == wanted || (std::isnan(got) && std::isnan(wanted)),
        what + ": " + std::to_string(got) + " for " + std::to_string(wanted));
}

}  // namespace

int main() {
  constexpr float kUlp = 0x1p-23f;
  expect(sum(80, 1, {0x1p-24f, 0x1p-24f}, 8), 1 + kUlp, "24 bits behind the largest exponent are kept and added");
  expect(sum(80, 1, {0x1p-25f, 0x1p-25f, 0x1p-25f, 0x1p-25f}, 8), 1, "the 25th is cut off before the sum");
  expect(sum(90, 1, {0x1p-25f, 0x1p-25f, 0x1p-25f, 0x1p-25f}, 8), 1 + kUlp, "and kept from sm_90 on");
  expect(sum(80, 1, {kUlp, 0x1p-24f}, 8), 1 + kUlp, "the total is cut off, not rounded");
  expect(sum(80, -1, {-kUlp, -0x1p-24f}, 8), -1 - kUlp, "toward zero");
  // The ninth product belongs to a second group on sm_80: the first group's half ulp is lost before it comes.
  const std::vector<float> apart = {0x1p-24f, 0, 0, 0, 0, 0, 0, 0, 0x1p-24f};
  expect(sum(80, 1, apart, 16), 1, "groups of 8");
  expect(sum(90, 1, apart, 16), 1 + kUlp, "groups of 16 from sm_90 on");
  const std::vector<float> four_apart = {0x1p-24f, 0, 0, 0, 0x1p-24f};
  expect(sum(80, 1, four_apart, 8, Element::kTf32), 1, "groups of 4 for tf32");
  expect(sum(80, 1, {0x1p30f, -0x1p30f}, 8), 0, "what cancels takes the small ones with it");
  expect(sum(80, 1, {0x1p-11f, 0x1p-12f}, 8, Element::kHalf, true), 1 + 0x1p-10f, "f16 is rounded to nearest");
  expect(sum(80, 0, {0x1p-130f, 0x1p-130f}, 8), 0x1p-129f, "subnormal numbers count");
  expect(sum(80, 0x1.fffffep127f, {0x1p127f, 0x1p127f}, 8), HUGE_VALF, "overflow is infinite");
  expect(sum(80, 1, {HUGE_VALF}, 8), HUGE_VALF, "infinity");
  expect(sum(80, 1, {HUGE_VALF, -HUGE_VALF}, 8), NAN, "infinity less infinity");
  return sim::test::finish("tensor sums");
}
