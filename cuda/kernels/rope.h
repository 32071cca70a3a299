// Parameters of rope.cu: rotary position embedding from a table, in place.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

constexpr int kRopeThreads = 256;

/// Pairs (d, d + D / 2) of each head turn by the angle of positions[t]; `sign` -1 turns back.
struct RopeParams {
  float* x;                // [T, heads, D]
  const float *cos, *sin;  // [., D / 2]
  const int32_t* positions;
  int64_t T;
  int32_t heads, D;
  int32_t tokens;  // of one block
  float sign;
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_ROPE_KERNELS(X) X(rope, rope_in_place, ::toolgrad::cuda::RopeParams, ::toolgrad::cuda::kRopeThreads, 0)
