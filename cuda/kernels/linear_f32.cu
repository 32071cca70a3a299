// Linear layers in fp32, for the small matrices that stay in fp32 in a bf16 model: a value head and the factors of LoRA.
//
// Contract: the products of engine/ops.h, one fma chain per output in the order given there: the CPU's bits, at any T.
// Roofline: one side of the matrix is 1 .. 64 wide, so the activations are read once and memory bounds it; no tensor cores.
// A block makes 16 x 16 outputs, a thread one of them; both operands go through shared memory, padded against conflicts.
#include "kernels/linear_f32.h"

namespace toolgrad::cuda {
namespace {

constexpr int kTile = kLinearF32Tile, kDepth = kLinearF32Depth;
constexpr int kTurns = kTile * kDepth / kLinearF32Threads;  // of all threads over a tile

// Rows are padded by what keeps a warp's stores in different banks: 1 where 32 lanes go down a column, 2 where 16 go down each
// of two columns, 0 where they go along two rows.
template <int kPad>
using Tile = float[kDepth][kTile + kPad];

// to[d][i] = from[(row0 + i) * stride + col0 + d] where both lie inside, else 0: rows of the tile along its second index.
// A counted loop: bounds that depend on the thread are unrolled for trip counts that never occur.
__device__ __forceinline__ void load_rows(Tile<1>& to, const float* from, int64_t row0, int64_t rows, int col0,
                                          int cols) {
#pragma unroll
  for (int turn = 0; turn < kTurns; ++turn) {
    const int at = static_cast<int>(threadIdx.x) + turn * kLinearF32Threads;
    const int d = at % kDepth, i = at / kDepth;
    const bool inside = row0 + i < rows && col0 + d < cols;
    to[d][i] = inside ? from[(row0 + i) * cols + col0 + d] : 0.0f;
  }
}

// to[d][i] = from[(row0 + d) * cols + col0 + i]: rows along the first index.
__device__ __forceinline__ void load_columns(Tile<1>& to, const float* from, int64_t row0, int64_t rows, int col0,
                                             int cols) {
#pragma unroll
  for (int turn = 0; turn < kTurns; ++turn) {
    const int at = static_cast<int>(threadIdx.x) + turn * kLinearF32Threads;
    const int i = at % kTile, d = at / kTile;
    const bool inside = row0 + d < rows && col0 + i < cols;
    to[d][i] = inside ? from[(row0 + d) * cols + col0 + i] : 0.0f;
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kLinearF32Threads) linear_f32_forward(const LinearF32ForwardParams p) {
  __shared__ Tile<1> x;
  __shared__ Tile<0> w;
  const int64_t t0 = static_cast<int64_t>(blockIdx.x) * kTile;
  const int panel = blockIdx.y;
  const int n = threadIdx.x % kTile, t = threadIdx.x / kTile;
  const float* weights = p.w + static_cast<int64_t>(panel) * p.K * kTile;
  float sum = 0;
  for (int k0 = 0; k0 < p.K; k0 += kDepth) {
    load_rows(x, p.x, t0, p.T, k0, p.K);
#pragma unroll
    for (int turn = 0; turn < kTurns; ++turn) {
      const int at = static_cast<int>(threadIdx.x) + turn * kLinearF32Threads;
      const int d = at / kTile;
      w[d][at % kTile] = k0 + d < p.K ? weights[k0 * kTile + at] : 0.0f;
    }
    __syncthreads();
    const int depth = min(kDepth, p.K - k0);
    for (int d = 0; d < depth; ++d) sum = fmaf(x[d][t], w[d][n], sum);
    __syncthreads();
  }
  const int64_t row = t0 + t;
  const int col = panel * kTile + n;
  if (row >= p.T || col >= p.N) return;
  sum = sum * p.scale;
  if (p.bias != nullptr) sum = sum + p.bias[col];
  const int64_t at = row * p.N + col;
  if (p.residual != nullptr) sum = sum + p.residual[at];
  p.y[at] = sum;
}

extern "C" __global__ void __launch_bounds__(kLinearF32Threads)
    linear_f32_backward_input(const LinearF32BackwardInputParams p) {
  __shared__ Tile<2> dy, w;  // of their depth, one panel is used
  const int64_t t0 = static_cast<int64_t>(blockIdx.x) * kTile;
  const int k0 = blockIdx.y * kTile;
  const int k = threadIdx.x % kTile, t = threadIdx.x / kTile;
  const int64_t at = (t0 + t) * p.K + k0 + k;
  const bool inside = t0 + t < p.T && k0 + k < p.K;
  float sum = p.accumulate != 0 && inside ? p.dx[at] : 0.0f;
  for (int n0 = 0; n0 < p.N; n0 += kTile) {
    const int64_t row = t0 + t;
    dy[k][t] = row < p.T && n0 + k < p.N ? p.dy[row * p.N + n0 + k] : 0.0f;  // k counts outputs here
    const float* panel = p.w + (static_cast<int64_t>(n0) * p.K + static_cast<int64_t>(k0) * kTile);
    // Element i of the panel's piece is column i / 16, row i % 16.
    w[threadIdx.x % kTile][threadIdx.x / kTile] = k0 + t < p.K ? panel[threadIdx.x] : 0.0f;
    __syncthreads();
    const int depth = min(kTile, p.N - n0);
    for (int n = 0; n < depth; ++n) sum = fmaf(dy[n][t], w[n][k], sum);
    __syncthreads();
  }
  if (inside) p.dx[at] = sum * p.scale;
}

extern "C" __global__ void __launch_bounds__(kLinearF32Threads)
    linear_f32_backward_weight(const LinearF32BackwardWeightParams p) {
  __shared__ Tile<1> x, dy;  // without padding it spills on sm_120
  const int k0 = blockIdx.x * kTile, panel = blockIdx.y;
  const int n = threadIdx.x % kTile, k = threadIdx.x / kTile;
  const int64_t at = (static_cast<int64_t>(panel) * p.K + k0 + k) * kTile + n;
  const bool inside = k0 + k < p.K && panel * kTile + n < p.N;
  float sum = inside ? p.dw[at] : 0.0f;
  for (int64_t t0 = 0; t0 < p.T; t0 += kDepth) {
    load_columns(x, p.x, t0, p.T, k0, p.K);
    load_columns(dy, p.dy, t0, p.T, panel * kTile, p.N);
    __syncthreads();
    const int depth = static_cast<int>(min(static_cast<int64_t>(kDepth), p.T - t0));
    for (int d = 0; d < depth; ++d) sum = fmaf(dy[d][n], x[d][k], sum);
    __syncthreads();
  }
  if (inside) p.dw[at] = sum;
}

extern "C" __global__ void __launch_bounds__(kLinearF32Threads)
    linear_f32_backward_bias(const LinearF32BackwardBiasParams p) {
  const int n = blockIdx.x * kLinearF32Threads + threadIdx.x;
  if (n >= p.N) return;
  float sum = p.db[n];
  for (int64_t t = 0; t < p.T; ++t) sum = sum + p.dy[t * p.N + n];
  p.db[n] = sum;
}

}  // namespace toolgrad::cuda
