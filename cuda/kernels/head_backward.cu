// The loss head backward, first half: logits of a range of the vocabulary are recomputed and leave as their gradient, in
// bf16, for the two products that follow (dhidden += dz W, dW += dz^T hidden: linear_backward_*.cu).
//
// Contract: dz = -p (d_logprob + d_entropy (log p + H)) / T, plus d_logprob / T at the label, with p = e^(z - lse); z is the
// forward's to the bit. dz is rounded to bf16 once. Deterministic; a row does not depend on other rows.
// Roofline: 2 R C V flops, 2 (R C + C V + R V) bytes: bound by the tensor cores; one exponential per logit.
#include "kernels/bf16.cuh"
#include "kernels/exp2.cuh"
#include "kernels/gemm_operands.cuh"
#include "kernels/gemm_tile.cuh"
#include "kernels/head_backward.h"

namespace toolgrad::cuda {
namespace {

struct GradientRow {
  float lse, entropy, d_logprob, d_entropy;
  int label;  // in the range of the vocabulary
};

template <class Shape>
__device__ __forceinline__ void head_gradient(const HeadGradientParams& p) {
  extern __shared__ __align__(128) char shared[];
  const TilePlace place = tile_place(static_cast<int>(blockIdx.x), p.tiles_m, p.tiles_n);
  const int64_t r0 = static_cast<int64_t>(place.m) * Shape::kM;
  const int v0 = place.n * Shape::kN;
  const RowOperand<Shape::kM, Shape::kK, Shape::kThreads> a(p.hidden, p.R, p.stride, r0);
  const PanelRows<Shape::kN, Shape::kK, Shape::kThreads> b(p.w, p.columns, p.C, v0);
  Sums<Shape> sums;
  sums.clear();
  gemm_tile<Shape>(a, b, (p.C + Shape::kK - 1) / Shape::kK, shared, sums);

  const int64_t rows = p.R - r0;
  sums.each_pair(
      [&](int row) {
        const int64_t r = r0 + row;
        if (row >= rows) return GradientRow{0.0f, 0.0f, 0.0f, 0.0f, -1};
        return GradientRow{p.lse[r], p.entropy[r], p.d_logprob[r], p.d_entropy[r], p.labels[r] - p.first};
      },
      [&](const GradientRow& of, int row, int col, float first, float second) {
        const int v = v0 + col;
        if (row >= rows || v >= p.dz_stride) return;
        float pair[2] = {first, second};
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const float log_p = pair[i] * p.inv_temperature - of.lse;
          const float slope = fmaf(of.d_entropy, fmaxf(-128.0f, log_p) + of.entropy, of.d_logprob);
          float dz = -exp_approx(log_p) * slope * p.inv_temperature;
          if (v + i == of.label) dz += of.d_logprob * p.inv_temperature;
          pair[i] = v + i < p.columns ? dz : 0.0f;
        }
        *reinterpret_cast<uint32_t*>(p.dz + (r0 + row) * p.dz_stride + v) = pack_bf16(pair[0], pair[1]);
      });
}

}  // namespace

extern "C" __global__ void __launch_bounds__(GemmWide::kThreads, 2) head_gradient_wide(const HeadGradientParams p) {
  head_gradient<GemmWide>(p);
}
extern "C" __global__ void __launch_bounds__(GemmMedium::kThreads, 3) head_gradient_medium(const HeadGradientParams p) {
  head_gradient<GemmMedium>(p);
}

}  // namespace toolgrad::cuda
