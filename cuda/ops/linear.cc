// Launches the linear layers: casts, then one of the GEMM shapes. The shape follows from the sizes and the device; results
// do not depend on it.
#include "ops/linear.h"

#include "ops/gemm_launch.h"
#include "ops/ops.h"

namespace toolgrad::cuda {
namespace {

void add_bias_gradient(Launcher& launcher, const float* dy, float* db, int64_t T, int64_t N) {
  const int64_t parts = ceil_div(T, kBiasRows), columns = ceil_div(N, kBiasThreads);
  const BiasGradientParams p{
      dy, launcher.scratch<float>(2, parts * N), db, T, static_cast<int32_t>(N), static_cast<int32_t>(columns)};
  launcher.launch(kernels::bias_gradient_parts, {parts * columns}, p);
  launcher.launch(kernels::bias_gradient_sum, {columns}, p);
}

}  // namespace

Bf16Rows to_bf16_rows(Launcher& launcher, int slot, ProductRows rows, int64_t count, int64_t width) {
  const int32_t stride = padded_stride(width);
  if (rows.dtype == DType::kBF16) return {static_cast<const uint16_t*>(rows.data), count, stride};
  uint16_t* to = launcher.scratch<uint16_t>(slot, count * stride);
  cast_rows(launcher, rows.f32(), to, count, width, stride);
  return {to, count, stride};
}

void multiply_forward(Launcher& launcher, Bf16Rows x, PackedMatrix w, const float* bias, const float* residual,
                      float* y) {
  const LinearForwardParams p{x.data,
                              static_cast<const uint16_t*>(w.data),
                              bias,
                              residual,
                              y,
                              x.rows,
                              static_cast<int32_t>(w.rows),
                              static_cast<int32_t>(w.cols),
                              x.stride,
                              0,
                              0};
  if (x.rows <= GemmSkinny::kM)
    launch_tiles<GemmSkinny>(launcher, kernels::linear_forward_skinny, p, x.rows, w.rows);
  else
    launch_shape<GemmWide, GemmMedium>(launcher, kernels::linear_forward_wide, kernels::linear_forward_medium, p,
                                       x.rows, w.rows);
}

void multiply_input(Launcher& launcher, Bf16Rows dy, PackedMatrix w, float* dx, bool accumulate) {
  const LinearBackwardInputParams p{dy.data,
                                    static_cast<const uint16_t*>(w.data),
                                    dx,
                                    dy.rows,
                                    static_cast<int32_t>(w.rows),
                                    static_cast<int32_t>(w.cols),
                                    dy.stride,
                                    0,
                                    0,
                                    accumulate ? 1 : 0};
  launch_shape<GemmWide, GemmMedium>(launcher, kernels::linear_backward_input_wide,
                                     kernels::linear_backward_input_medium, p, dy.rows, w.cols);
}

void multiply_weight(Launcher& launcher, Bf16Rows x, Bf16Rows dy, PackedMatrix dw) {
  const LinearBackwardWeightParams p{x.data,
                                     dy.data,
                                     static_cast<float*>(dw.data),
                                     x.rows,
                                     static_cast<int32_t>(dw.rows),
                                     static_cast<int32_t>(dw.cols),
                                     x.stride,
                                     dy.stride,
                                     0,
                                     0};
  launch_shape<GemmWide, GemmMedium>(launcher, kernels::linear_backward_weight_wide,
                                     kernels::linear_backward_weight_medium, p, dw.cols, dw.rows);
}

void linear_forward(Launcher& launcher, const LinearForward& op) {
  if (op.T <= 0 || op.w.rows <= 0) return;
  multiply_forward(launcher, to_bf16_rows(launcher, 0, op.x, op.T, op.w.cols), op.w, op.bias, op.residual, op.y);
}

void gated_forward(Launcher& launcher, const GatedForward& op) {
  const int64_t F = op.w_gate.rows;
  if (op.T <= 0 || F <= 0) return;
  const Bf16Rows x = to_bf16_rows(launcher, 0, op.x, op.T, op.w_gate.cols);
  const LinearGatedParams p{x.data,
                            static_cast<const uint16_t*>(op.w_gate.data),
                            static_cast<const uint16_t*>(op.w_up.data),
                            op.bias_gate,
                            op.bias_up,
                            op.keep ? op.gate : nullptr,
                            op.keep ? op.up : nullptr,
                            op.act.dtype == DType::kF32 ? op.act.f32() : nullptr,
                            op.act.dtype == DType::kF32 ? nullptr : static_cast<uint16_t*>(op.act.data),
                            op.T,
                            static_cast<int32_t>(F),
                            static_cast<int32_t>(op.w_gate.cols),
                            x.stride,
                            padded_stride(F),
                            0,
                            0};
  // Tiles are counted in columns of sums, of which a column of the result has two.
  if (op.T <= GemmSkinny::kM)
    launch_tiles<GemmSkinny>(launcher, kernels::linear_gated_skinny, p, op.T, 2 * F);
  else
    launch_shape<GemmWide, GemmMedium>(launcher, kernels::linear_gated_wide, kernels::linear_gated_medium, p, op.T,
                                       2 * F);
}

void linear_backward_input(Launcher& launcher, const LinearBackwardInput& op) {
  if (op.T <= 0 || op.w.cols <= 0) return;
  multiply_input(launcher, to_bf16_rows(launcher, 1, op.dy, op.T, op.w.rows), op.w, op.dx, op.accumulate);
}

void linear_backward_weight(Launcher& launcher, const LinearBackwardWeight& op) {
  if (op.T <= 0 || op.dw.rows <= 0) return;
  multiply_weight(launcher, to_bf16_rows(launcher, 0, op.x, op.T, op.dw.cols),
                  to_bf16_rows(launcher, 1, op.dy, op.T, op.dw.rows), op.dw);
  if (op.db != nullptr) add_bias_gradient(launcher, op.dy, op.db, op.T, op.dw.rows);
}

void linear_backward(Launcher& launcher, const LinearBackward& op) {
  linear_backward_by(launcher, op, [&](Bf16Rows dy) { multiply_input(launcher, dy, op.w, op.dx, op.accumulate); });
}

void linear_backward_by(Launcher& launcher, const LinearBackward& op,
                        const std::function<void(Bf16Rows dy)>& input_product) {
  const int64_t N = op.w.rows, K = op.w.cols;
  if (op.T <= 0 || N <= 0 || K <= 0) return;
  const Bf16Rows dy = to_bf16_rows(launcher, 1, op.dy, op.T, N);
  if (op.dw.data != nullptr) {
    multiply_weight(launcher, to_bf16_rows(launcher, 0, op.x, op.T, K), dy, op.dw);
    if (op.db != nullptr) add_bias_gradient(launcher, op.dy, op.db, op.T, N);
  }
  input_product(dy);
}

}  // namespace toolgrad::cuda
