// Launches linear_f32.cu: fp32 linear layers, and LoRA made of them.
#include "ops/ops.h"

namespace toolgrad::cuda {
namespace {

// Scratch of the low-rank products; the linear layers use none here.
constexpr int kNarrowSlot = 0, kNarrowGradientSlot = 1;

void forward(Launcher& launcher, const LinearForward& op, float scale) {
  if (op.T == 0) return;
  launcher.launch(kernels::linear_f32_forward, {ceil_div(op.T, kLinearF32Tile), ceil_div(op.w.rows, kLinearF32Tile)},
                  {op.x.f32(), static_cast<const float*>(op.w.data), op.bias, op.residual, op.y, op.T,
                   static_cast<int32_t>(op.w.rows), static_cast<int32_t>(op.w.cols), scale});
}

void backward_input(Launcher& launcher, const LinearBackwardInput& op, float scale) {
  if (op.T == 0) return;
  launcher.launch(kernels::linear_f32_backward_input,
                  {ceil_div(op.T, kLinearF32Tile), ceil_div(op.w.cols, kLinearF32Tile)},
                  {op.dy, static_cast<const float*>(op.w.data), op.dx, op.T, static_cast<int32_t>(op.w.rows),
                   static_cast<int32_t>(op.w.cols), scale, op.accumulate ? 1 : 0});
}

// h = scale * A x, [T, r].
float* narrow(Launcher& launcher, const float* x, PackedMatrix a, float scale, int64_t T) {
  float* h = launcher.scratch<float>(kNarrowSlot, T * a.rows);
  forward(launcher, {x, a, nullptr, nullptr, h, T}, scale);
  return h;
}

}  // namespace

void linear_f32_forward(Launcher& launcher, const LinearForward& op) {
  forward(launcher, op, 1);
}

void linear_f32_backward_input(Launcher& launcher, const LinearBackwardInput& op) {
  backward_input(launcher, op, 1);
}

void linear_f32_backward_weight(Launcher& launcher, const LinearBackwardWeight& op) {
  if (op.T == 0) return;
  const auto N = static_cast<int32_t>(op.dw.rows), K = static_cast<int32_t>(op.dw.cols);
  launcher.launch(kernels::linear_f32_backward_weight, {ceil_div(K, kLinearF32Tile), ceil_div(N, kLinearF32Tile)},
                  {op.x.f32(), op.dy, static_cast<float*>(op.dw.data), op.T, N, K});
  if (op.db != nullptr)
    launcher.launch(kernels::linear_f32_backward_bias, {ceil_div(N, kLinearF32Threads)}, {op.dy, op.db, op.T, N});
}

void low_rank_forward(Launcher& launcher, const LowRankForward& op) {
  if (op.T == 0) return;
  const float* h = narrow(launcher, op.x, op.a, op.scale, op.T);
  forward(launcher, {h, op.b, nullptr, op.y, op.y, op.T}, 1);
}

void low_rank_backward(Launcher& launcher, const LowRankBackward& op) {
  if (op.T == 0) return;
  const float* h = narrow(launcher, op.x, op.a, op.scale, op.T);
  linear_f32_backward_weight(launcher, {h, op.dy, op.db, nullptr, op.T, DType::kF32});
  float* dh = launcher.scratch<float>(kNarrowGradientSlot, op.T * op.a.rows);
  backward_input(launcher, {op.dy, op.b, dh, op.T, false}, op.scale);
  linear_f32_backward_weight(launcher, {op.x, dh, op.da, nullptr, op.T, DType::kF32});
  backward_input(launcher, {dh, op.a, op.dx, op.T, true}, 1);
}

}  // namespace toolgrad::cuda
