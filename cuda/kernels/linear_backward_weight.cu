// dW += dy^T x into fp32 panels, db += the column sums of dy.
//
// Contract: dw[n,k] continues its chain of mma steps over t, sixteen tokens a step from token 0 of this call, the last step
// filled up with zeros. So the bits depend on how tokens were cut into calls (micro-batches), unlike the CPU's; they depend
// on nothing else. db[n]: sums of kBiasRows tokens in order, then those in order, added to db. dy is fp32 there.
// Roofline: 2 T N K flops; 2 T (N + K) + 8 N K bytes. Bound by the tensor cores from T of a few hundred on, by reading and
// writing dW below. M of the tile is k and N is n: then a lane's pair of sums is neighbours in a panel, four lanes fill a
// 32-byte sector, and both operands are token rows, transposed by ldmatrix.
#include "kernels/gemm_operands.cuh"
#include "kernels/gemm_tile.cuh"
#include "kernels/linear_backward_weight.h"

namespace toolgrad::cuda {
namespace {

template <class Shape>
__device__ __forceinline__ void linear_backward_weight(const LinearBackwardWeightParams& p) {
  extern __shared__ __align__(128) char shared[];
  const TilePlace place = tile_place(static_cast<int>(blockIdx.x), p.tiles_m, p.tiles_n);
  const int k0 = place.m * Shape::kM, n0 = place.n * Shape::kN;
  const TokenOperandA<Shape::kM, Shape::kK, Shape::kThreads> a(p.x, p.T, p.x_stride, k0);
  const TokenOperandB<Shape::kN, Shape::kK, Shape::kThreads> b(p.dy, p.T, p.dy_stride, n0);
  const int rows = p.K - k0, columns = (p.N + 15) / 16 * 16 - n0;  // padding rows of W get sums of zeros
  const auto place_of = [&](int row, int col) {
    const int n = n0 + col;
    return reinterpret_cast<float2*>(p.dw + (static_cast<int64_t>(n / 16) * p.K + k0 + row) * 16 + n % 16);
  };
  Sums<Shape> sums;
  sums.each_pair([&](int row, int col, float& first, float& second) {
    const bool there = row < rows && col < columns;
    const float2 old = there ? *place_of(row, col) : make_float2(0.0f, 0.0f);
    first = old.x;
    second = old.y;
  });
  gemm_tile<Shape>(a, b, static_cast<int>((p.T + Shape::kK - 1) / Shape::kK), shared, sums);
  sums.each_pair([&](int row, int col, float first, float second) {
    if (row < rows && col < columns) *place_of(row, col) = make_float2(first, second);
  });
}

}  // namespace

extern "C" __global__ void __launch_bounds__(GemmWide::kThreads, 2)
    linear_backward_weight_wide(const LinearBackwardWeightParams p) {
  linear_backward_weight<GemmWide>(p);
}
extern "C" __global__ void __launch_bounds__(GemmMedium::kThreads, 3)
    linear_backward_weight_medium(const LinearBackwardWeightParams p) {
  linear_backward_weight<GemmMedium>(p);
}

extern "C" __global__ void __launch_bounds__(kBiasThreads) bias_gradient_parts(const BiasGradientParams p) {
  const int64_t part = blockIdx.x / p.columns;
  const int n = static_cast<int>(blockIdx.x % p.columns) * kBiasThreads + static_cast<int>(threadIdx.x);
  if (n >= p.N) return;
  const int64_t first = part * kBiasRows, last = first + kBiasRows < p.T ? first + kBiasRows : p.T;
  __builtin_assume(first < last);
  float sum = 0.0f;
#pragma unroll 8
  for (int64_t t = first; t < last; ++t) sum += p.dy[t * p.N + n];
  p.parts[part * p.N + n] = sum;
}
extern "C" __global__ void __launch_bounds__(kBiasThreads) bias_gradient_sum(const BiasGradientParams p) {
  const int n = static_cast<int>(blockIdx.x) * kBiasThreads + static_cast<int>(threadIdx.x);
  if (n >= p.N) return;
  const int64_t parts = (p.T + kBiasRows - 1) / kBiasRows;
  __builtin_assume(parts > 0);
  float sum = p.db[n];
#pragma unroll 8
  for (int64_t part = 0; part < parts; ++part) sum += p.parts[part * p.N + n];
  p.db[n] = sum;
}

}  // namespace toolgrad::cuda
