// Parameters of rms_norm.cu: root-mean-square normalisation of rows, forward and backward.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

constexpr int kRmsThreads = 256;
constexpr int kRmsRowsPerBlock = kRmsThreads / 32;  // of the kernels that give a warp to a row
constexpr int kRmsWarpColumns = 512;                // longest row that a warp takes
constexpr int kRmsWeightRows = 64;                  // rows whose share of dw one block adds, anchored at row 0
constexpr int kRmsWeightColumns = 128;              // columns of such a block: four a lane
constexpr int kRmsSumColumns = 32;                  // columns of dw that one block of the second pass adds

/// y = x * rstd * w, rstd = 1 / sqrt(mean(x^2) + eps).
struct RmsNormParams {
  const float *x, *w;
  float *y, *rstd;    // rstd may be null; y is null when it is rounded:
  uint16_t* rounded;  // [T, stride] bf16, zero from column C on; or null
  int64_t T;
  int32_t C, stride;  // stride: a multiple of eight
  float eps;
};
/// dx (+)= rstd * (dy w - x rstd^2 mean(dy w x)).
struct RmsNormInputParams {
  const float *dy, *x, *w, *rstd;
  float* dx;
  int64_t T;
  int32_t C;
  int32_t accumulate;
};
/// parts[i, c] = sum of dy x rstd over rows [64 i, 64 i + 64).
struct RmsNormWeightParams {
  const float *dy, *x, *rstd;
  float* parts;  // [ceil(T / kRmsWeightRows), C]
  int64_t T;
  int32_t C;
  int32_t column_blocks;  // ceil(C / kRmsWeightColumns); block b has part b / column_blocks
};
/// dw[c] += the parts.
struct RmsNormWeightSumParams {
  const float* parts;
  float* dw;
  int64_t count;
  int32_t C;
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_RMS_NORM_KERNELS(X)                                                                          \
  X(rms_norm, rms_norm_rows_warp, ::toolgrad::cuda::RmsNormParams, ::toolgrad::cuda::kRmsThreads, 0)          \
  X(rms_norm, rms_norm_rows_block, ::toolgrad::cuda::RmsNormParams, ::toolgrad::cuda::kRmsThreads, 0)         \
  X(rms_norm, rms_norm_input_warp, ::toolgrad::cuda::RmsNormInputParams, ::toolgrad::cuda::kRmsThreads, 0)    \
  X(rms_norm, rms_norm_input_block, ::toolgrad::cuda::RmsNormInputParams, ::toolgrad::cuda::kRmsThreads, 0)   \
  X(rms_norm, rms_norm_weight_parts, ::toolgrad::cuda::RmsNormWeightParams, ::toolgrad::cuda::kRmsThreads, 0) \
  X(rms_norm, rms_norm_weight_sum, ::toolgrad::cuda::RmsNormWeightSumParams, ::toolgrad::cuda::kRmsThreads, 0)
