// Rotary position embedding in place, half-split pairs (d, d + D / 2), angles from a table: no sine is computed here.
//
// Element-wise and unfused, so the bits are the CPU's. Reads and writes 4 bytes an element, 8 in all (the table's rows
// stay in L1 and L2 across heads): bound by memory. One thread turns four pairs of one head.
#include "kernels/four.cuh"
#include "kernels/rope.h"

namespace toolgrad::cuda {

extern "C" __global__ void __launch_bounds__(kRopeThreads) rope_in_place(const RopeParams p) {
  const int half = p.D / 2, groups = (half + 3) / 4, per_token = p.heads * groups;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * p.tokens;
  const int tokens = static_cast<int>(p.T - first < p.tokens ? p.T - first : p.tokens);
  const bool wide = half % 4 == 0 && aligned(p.x, p.cos, p.sin);
#pragma unroll 1
  for (int i = threadIdx.x; i < tokens * per_token; i += kRopeThreads) {
    const int64_t t = first + i / per_token;
    const int item = i % per_token, head = item / groups, d = 4 * (item % groups), left = half - d;
    const int64_t row = static_cast<int64_t>(p.positions[t]) * half + d;
    float* x = p.x + (t * p.heads + head) * p.D + d;
    Four a = load_four(x, left, wide), b = load_four(x + half, left, wide);
    const Four c = load_four(p.cos + row, left, wide), s = load_four(p.sin + row, left, wide);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float low = a.v[j], high = b.v[j], sine = s.v[j] * p.sign;
      a.v[j] = low * c.v[j] - high * sine;
      b.v[j] = high * c.v[j] + low * sine;
    }
    store_four(x, a, left, wide);
    store_four(x + half, b, left, wide);
  }
}

}  // namespace toolgrad::cuda
