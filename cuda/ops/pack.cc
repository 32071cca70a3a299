// Launches pack.cu.
#include "ops/ops.h"

namespace toolgrad::cuda {
namespace {

void launch_pack(Launcher& launcher, const Kernel<PackParams>& kernel, const void* from, void* to,
                 const PackedMatrix& matrix) {
  if (matrix.rows == 0 || matrix.cols == 0) return;
  const int64_t columns = ceil_div(matrix.cols, kPackColumns);
  launcher.launch(kernel, {ceil_div(matrix.rows, kPanelRows) * columns},
                  {from, to, matrix.rows, static_cast<int32_t>(matrix.cols), static_cast<int32_t>(columns)});
}

}  // namespace

void pack(Launcher& launcher, const float* src, PackedMatrix dst) {
  launch_pack(launcher, dst.dtype == DType::kBF16 ? kernels::pack_panels_bf16 : kernels::pack_panels_f32, src, dst.data,
              dst);
}

void unpack(Launcher& launcher, PackedMatrix src, float* dst) {
  launch_pack(launcher, src.dtype == DType::kBF16 ? kernels::unpack_panels_bf16 : kernels::unpack_panels_f32, src.data,
              dst, src);
}

void unpack_rounded(Launcher& launcher, PackedMatrix src, uint16_t* dst) {
  launch_pack(launcher, kernels::unpack_panels_bf16_rounded, src.data, dst, src);
}

}  // namespace toolgrad::cuda
