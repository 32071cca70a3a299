// RMSNorm of rows [T, C], forward and backward; also the norm of each query and key head (C = D).
//
// A row belongs to a warp (C <= 512) or to a block. Each thread adds its elements in order, four chains apart, then a
// fixed tree: a row's order depends on C alone. y may be x, dx may be dy: a row is read whole before it is written.
// dw: rows in groups of 64 anchored at row 0, then the groups, in one order for each T; it adds to what is there.
//
// Bound by memory. Forward reads x from DRAM once (the second read hits L1) and writes y: 8 bytes an element. Backward
// reads dy and x twice, in two kernels, and writes dx: 20 bytes, 24 when it accumulates.
#include "kernels/bf16.cuh"
#include "kernels/four.cuh"
#include "kernels/lanes.cuh"
#include "kernels/rms_norm.h"

namespace toolgrad::cuda {
namespace {

constexpr int kWarps = kRmsThreads / 32;

// Adds f(c) over the row's groups of four columns c that belong to this thread, then over the kThreads of the row.
template <int kThreads, class F>
__device__ __forceinline__ float add_row(int32_t C, int thread, float* shared, F&& f) {
  Four sum{};
#pragma unroll 2
  for (int c = 4 * thread; c < C; c += 4 * kThreads) f(c, &sum);
  const float mine = (sum.v[0] + sum.v[1]) + (sum.v[2] + sum.v[3]);
  if constexpr (kThreads == 32) return add_lanes(mine);
  return add_block<kWarps>(mine, shared);
}

template <int kThreads>
__device__ __forceinline__ void normalise(const RmsNormParams& p, float* shared) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * (kRmsThreads / kThreads) + threadIdx.x / kThreads;
  if (row >= p.T) return;
  const int thread = threadIdx.x % kThreads;
  const float* x = p.x + row * p.C;
  const bool wide = p.C % 4 == 0 && aligned(p.x, p.w, p.y);
  const float squares = add_row<kThreads>(p.C, thread, shared, [=](int c, Four* sum) {
    const Four four = load_four(x + c, p.C - c, wide);
#pragma unroll
    for (int i = 0; i < 4; ++i) sum->v[i] = fmaf(four.v[i], four.v[i], sum->v[i]);
  });
  const float rstd = 1.0f / sqrtf(squares / static_cast<float>(p.C) + p.eps);
  const int columns = p.rounded != nullptr ? p.stride : p.C;
#pragma unroll 2
  for (int c = 4 * thread; c < columns; c += 4 * kThreads) {
    Four four{};
    if (c < p.C) {
      four = load_four(x + c, p.C - c, wide);
      const Four w = load_four(p.w + c, p.C - c, wide);
#pragma unroll
      for (int i = 0; i < 4; ++i) four.v[i] = four.v[i] * rstd * w.v[i];
    }
    if (p.rounded != nullptr)
      *reinterpret_cast<uint2*>(p.rounded + row * p.stride + c) =
          make_uint2(pack_bf16(four.v[0], four.v[1]), pack_bf16(four.v[2], four.v[3]));
    else
      store_four(p.y + row * p.C + c, four, p.C - c, wide);
  }
  if (thread == 0 && p.rstd != nullptr) p.rstd[row] = rstd;
}

template <int kThreads>
__device__ __forceinline__ void input_gradient(const RmsNormInputParams& p, float* shared) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * (kRmsThreads / kThreads) + threadIdx.x / kThreads;
  if (row >= p.T) return;
  const int thread = threadIdx.x % kThreads;
  const float *x = p.x + row * p.C, *dy = p.dy + row * p.C;
  float* dx = p.dx + row * p.C;
  const bool wide = p.C % 4 == 0 && aligned(p.x, p.dy, p.w, p.dx);
  const float product = add_row<kThreads>(p.C, thread, shared, [=](int c, Four* sum) {
    const Four a = load_four(dy + c, p.C - c, wide), b = load_four(x + c, p.C - c, wide);
    const Four w = load_four(p.w + c, p.C - c, wide);
#pragma unroll
    for (int i = 0; i < 4; ++i) sum->v[i] = fmaf(a.v[i] * w.v[i], b.v[i], sum->v[i]);
  });
  const float rstd = p.rstd[row];
  const float pull = -(product / static_cast<float>(p.C)) * rstd * rstd;  // times x
#pragma unroll 2
  for (int c = 4 * thread; c < p.C; c += 4 * kThreads) {
    const Four a = load_four(dy + c, p.C - c, wide), b = load_four(x + c, p.C - c, wide);
    const Four w = load_four(p.w + c, p.C - c, wide);
    Four to = p.accumulate ? load_four(dx + c, p.C - c, wide) : Four{};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float gradient = fmaf(b.v[i], pull, a.v[i] * w.v[i]) * rstd;
      to.v[i] = p.accumulate ? to.v[i] + gradient : gradient;
    }
    store_four(dx + c, to, p.C - c, wide);
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kRmsThreads) rms_norm_rows_warp(const RmsNormParams p) {
  normalise<32>(p, nullptr);
}
extern "C" __global__ void __launch_bounds__(kRmsThreads) rms_norm_rows_block(const RmsNormParams p) {
  __shared__ float shared[kWarps];
  normalise<kRmsThreads>(p, shared);
}
extern "C" __global__ void __launch_bounds__(kRmsThreads) rms_norm_input_warp(const RmsNormInputParams p) {
  input_gradient<32>(p, nullptr);
}
extern "C" __global__ void __launch_bounds__(kRmsThreads) rms_norm_input_block(const RmsNormInputParams p) {
  __shared__ float shared[kWarps];
  input_gradient<kRmsThreads>(p, shared);
}

// Warp w of a block takes rows w, w + 8, ... of its 64; then the eight warps' sums are added in order.
extern "C" __global__ void __launch_bounds__(kRmsThreads) rms_norm_weight_parts(const RmsNormWeightParams p) {
  __shared__ float sums[kWarps][kRmsWeightColumns];
  const int64_t part = blockIdx.x / p.column_blocks;
  const int column0 = static_cast<int>(blockIdx.x % p.column_blocks) * kRmsWeightColumns;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, c = column0 + 4 * lane;
  const bool wide = p.C % 4 == 0 && aligned(p.x, p.dy);
  Four sum{};
#pragma unroll 4
  for (int round = 0; round < kRmsWeightRows / kWarps; ++round) {
    const int64_t row = part * kRmsWeightRows + round * kWarps + warp;
    if (row >= p.T || c >= p.C) continue;
    const Four dy = load_four(p.dy + row * p.C + c, p.C - c, wide), x = load_four(p.x + row * p.C + c, p.C - c, wide);
    const float rstd = p.rstd[row];
#pragma unroll
    for (int j = 0; j < 4; ++j) sum.v[j] = fmaf(dy.v[j], x.v[j] * rstd, sum.v[j]);
  }
  *reinterpret_cast<float4*>(&sums[warp][4 * lane]) = make_float4(sum.v[0], sum.v[1], sum.v[2], sum.v[3]);
  __syncthreads();
  const int column = threadIdx.x;
  if (column >= kRmsWeightColumns || column0 + column >= p.C) return;
  float total = sums[0][column];
#pragma unroll
  for (int w = 1; w < kWarps; ++w) total += sums[w][column];
  p.parts[part * p.C + column0 + column] = total;
}

// Lane = column; warp w takes parts w, w + 8, ...; then the warps in order.
extern "C" __global__ void __launch_bounds__(kRmsThreads) rms_norm_weight_sum(const RmsNormWeightSumParams p) {
  __shared__ float sums[kWarps][kRmsSumColumns];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kRmsSumColumns + lane;
  float sum = 0.0f;
  if (column < p.C) {
#pragma unroll 4
    for (int64_t i = warp; i < p.count; i += kWarps) sum += p.parts[i * p.C + column];
  }
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp != 0 || column >= p.C) return;
  float total = sums[0][lane];
#pragma unroll
  for (int w = 1; w < kWarps; ++w) total += sums[w][lane];
  p.dw[column] += total;
}

}  // namespace toolgrad::cuda
