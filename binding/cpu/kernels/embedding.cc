// Embedding lookup and its gradient on a packed table (16 rows to a panel, so one row is a column of its panel).
// Backward: one task per range of columns, tokens in order, so repeated ids add up in token order on any thread count.
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/simd.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

TOOLGRAD_INLINE int64_t first_element(int64_t row, int64_t columns) {
  return (row / kPanelRows) * columns * kPanelRows + row % kPanelRows;
}

}  // namespace

void embedding_forward(const EmbeddingForward& op, ThreadPool& pool, Scratch&) {
  const int64_t C = op.table.cols;
  constexpr int64_t kTokens = 16;
  pool.parallel_for((op.T + kTokens - 1) / kTokens, [&](int64_t i, int) {
    const int64_t end = (i + 1) * kTokens < op.T ? (i + 1) * kTokens : op.T;
    for (int64_t t = i * kTokens; t < end; ++t) {
      const int64_t at = first_element(op.ids[t], C);
      float* x = op.x + t * C;
      if (op.table.dtype == DType::kBF16) {
        const uint16_t* row = static_cast<const uint16_t*>(op.table.data) + at;
        for (int64_t c = 0; c < C; ++c) x[c] = widen_bf16(row[c * kPanelRows]);
      } else {
        const float* row = static_cast<const float*>(op.table.data) + at;
        for (int64_t c = 0; c < C; ++c) x[c] = row[c * kPanelRows];
      }
    }
  });
}

void embedding_backward(const EmbeddingBackward& op, ThreadPool& pool, Scratch&) {
  const int64_t C = op.dtable.cols;
  constexpr int64_t kColumns = 32;
  pool.parallel_for((C + kColumns - 1) / kColumns, [&](int64_t i, int) {
    const int64_t begin = i * kColumns, end = begin + kColumns < C ? begin + kColumns : C;
    for (int64_t t = 0; t < op.T; ++t) {
      float* row = static_cast<float*>(op.dtable.data) + first_element(op.ids[t], C);
      const float* dx = op.dx + t * C;
      for (int64_t c = begin; c < end; ++c) row[c * kPanelRows] += dx[c];
    }
  });
}

}  // namespace toolgrad::TOOLGRAD_ISA
