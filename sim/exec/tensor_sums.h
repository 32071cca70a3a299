// How tensor cores add: groups of products and the sum so far at once, aligned to the largest exponent and cut off.
//
// The products are exact; every summand is truncated to a number of bits behind the largest exponent among them; the total
// is truncated to single precision (to f16 it is rounded). Groups and bits were found by experiments, not documented by
// NVIDIA: Fasi et al. 2021 (doi.org/10.7717/peerj-cs.330), Khattak and Mikaitis 2025 (arXiv 2512.07004), Xie et al. 2025
// (arXiv 2511.10909), of which the last compared its model with the chips bit by bit.
#pragma once

#include <cstdint>

namespace sim {

enum class Element : uint8_t { kBrain, kHalf, kTf32 };

struct TensorSums {
  int group = 0;  // products at once for 16-bit elements, half as many for tf32; 0: one after the other, each rounded
  int fraction = 24;
};
/// Of a chip: sm_80, 86, 89: 8 products and 24 bits; from sm_90 on 16 and 25.
TensorSums tensor_sums_of(int sm);

/// c + Σ a[i] b[i], one element of D; a and b hold `k` numbers.
float tensor_sum(const float* a, const float* b, int k, float c, Element element, bool half_sum, TensorSums how);

}  // namespace sim
