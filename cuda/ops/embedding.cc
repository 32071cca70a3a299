// Launches embedding.cu.
#include "ops/ops.h"

namespace toolgrad::cuda {

void embedding_forward(Launcher& launcher, const EmbeddingForward& op) {
  if (op.T == 0) return;
  const int64_t C = op.table.cols, tokens = rows_per_block(C, kEmbeddingThreads);
  const Kernel<EmbeddingParams>& kernel =
      op.table.dtype == DType::kBF16 ? kernels::embedding_rows_bf16 : kernels::embedding_rows_f32;
  launcher.launch(kernel, {ceil_div(op.T, tokens)},
                  {op.ids, op.table.data, op.x, op.T, static_cast<int32_t>(C), static_cast<int32_t>(tokens)});
}

void embedding_backward(Launcher& launcher, const EmbeddingBackward& op) {
  if (op.T == 0) return;
  const int64_t C = op.dtable.cols, columns = ceil_div(C, kEmbeddingColumns);
  launcher.launch(kernels::embedding_gradient, {op.T * columns},
                  {op.ids, op.dx, static_cast<float*>(op.dtable.data), op.T, static_cast<int32_t>(C),
                   static_cast<int32_t>(columns)});
}

}  // namespace toolgrad::cuda
