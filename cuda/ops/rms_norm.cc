// Launches rms_norm.cu: a warp a row up to 512 columns, a block beyond. Scratch slot 0: the parts of dw.
#include "ops/ops.h"

namespace toolgrad::cuda {
namespace {

template <class Params>
void launch_rows(Launcher& launcher, const Kernel<Params>& warp, const Kernel<Params>& block, const Params& p) {
  if (p.C <= kRmsWarpColumns)
    launcher.launch(warp, {ceil_div(p.T, kRmsRowsPerBlock)}, p);
  else
    launcher.launch(block, {p.T}, p);
}

}  // namespace

void rms_norm_forward(Launcher& launcher, const RmsNormForward& op) {
  if (op.T == 0) return;
  const bool rounded = op.y.dtype == DType::kBF16;
  launch_rows<RmsNormParams>(
      launcher, kernels::rms_norm_rows_warp, kernels::rms_norm_rows_block,
      {op.x, op.w, rounded ? nullptr : op.y.f32(), op.rstd, rounded ? static_cast<uint16_t*>(op.y.data) : nullptr, op.T,
       static_cast<int32_t>(op.C), static_cast<int32_t>(product_stride(DType::kBF16, op.C)), op.eps});
}

void rms_norm_backward(Launcher& launcher, const RmsNormBackward& op) {
  if (op.T == 0) return;
  const auto C = static_cast<int32_t>(op.C);
  if (op.dw != nullptr) {  // before dx, which may be dy's buffer
    const int64_t parts = ceil_div(op.T, kRmsWeightRows), columns = ceil_div(op.C, kRmsWeightColumns);
    float* sums = launcher.scratch<float>(0, parts * op.C);
    launcher.launch(kernels::rms_norm_weight_parts, {parts * columns},
                    {op.dy, op.x, op.rstd, sums, op.T, C, static_cast<int32_t>(columns)});
    launcher.launch(kernels::rms_norm_weight_sum, {ceil_div(op.C, kRmsSumColumns)}, {sums, op.dw, parts, C});
  }
  launch_rows<RmsNormInputParams>(launcher, kernels::rms_norm_input_warp, kernels::rms_norm_input_block,
                                  {op.dy, op.x, op.w, op.rstd, op.dx, op.T, C, op.accumulate});
}

}  // namespace toolgrad::cuda
