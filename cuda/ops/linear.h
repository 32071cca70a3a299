// Products with bf16 rows that are already on the device, for ops that make such rows themselves.
#pragma once

#include <functional>

#include "engine/ops.h"
#include "launcher.h"

namespace toolgrad::cuda {

/// bf16 rows, zero from their width up to `stride`, a multiple of eight.
struct Bf16Rows {
  const uint16_t* data;
  int64_t rows;
  int32_t stride;
};
inline int32_t padded_stride(int64_t width) {
  return static_cast<int32_t>(product_stride(DType::kBF16, width));
}

/// Rows that are rounded already, or fp32 rows cast into the scratch slot.
Bf16Rows to_bf16_rows(Launcher& launcher, int slot, ProductRows rows, int64_t count, int64_t width);

/// y[t] = x[t] W^T (+ bias) (+ residual).
void multiply_forward(Launcher& launcher, Bf16Rows x, PackedMatrix w, const float* bias, const float* residual,
                      float* y);
/// dx = dy W, or +=.
void multiply_input(Launcher& launcher, Bf16Rows dy, PackedMatrix w, float* dx, bool accumulate);
/// dw += dy^T x.
void multiply_weight(Launcher& launcher, Bf16Rows x, Bf16Rows dy, PackedMatrix dw);

/// linear_backward with another product for dx.
void linear_backward_by(Launcher& launcher, const LinearBackward& op,
                        const std::function<void(Bf16Rows dy)>& input_product);

}  // namespace toolgrad::cuda
