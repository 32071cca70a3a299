// Vectors with 1..16 lanes in use, for element-wise kernels: a partial vector runs the operations of a full one, so an
// element's bits do not depend on where the end of the array falls.
#pragma once

#include "cpu/kernels/simd.h"

namespace toolgrad::TOOLGRAD_ISA {

/// Lanes in use of the next vector when `count` elements are left.
TOOLGRAD_INLINE int lanes_left(int64_t count) {
  return static_cast<int>(count < kLanes ? count : kLanes);
}
TOOLGRAD_INLINE Vec load_lanes(const float* p, int lanes) {
  return lanes == kLanes ? load(p) : load_partial(p, lanes);
}
TOOLGRAD_INLINE void store_lanes(float* p, Vec a, int lanes) {
  if (lanes == kLanes)
    store(p, a);
  else
    store_partial(p, a, lanes);
}
/// f(i, lanes) over [begin, end) in vectors.
template <class F>
TOOLGRAD_INLINE void each_vector(int64_t begin, int64_t end, F&& f) {
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) f(i, kLanes);
  if (i < end) f(i, static_cast<int>(end - i));
}

}  // namespace toolgrad::TOOLGRAD_ISA
