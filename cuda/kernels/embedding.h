// Parameters of embedding.cu: rows of a packed table by token id, and their gradient.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

constexpr int kEmbeddingThreads = 256;
constexpr int kEmbeddingColumns = 1024;  // that one block of the gradient owns: four a thread

/// x[t, :] = table[ids[t], :].
struct EmbeddingParams {
  const int32_t* ids;  // [T]
  const void* table;   // [V, C] in panels, bf16 or fp32
  float* x;
  int64_t T;
  int32_t C;
  int32_t tokens;  // of one block
};
/// dtable[ids[t], :] += dx[t, :] in token order.
struct EmbeddingGradientParams {
  const int32_t* ids;
  const float* dx;
  float* dtable;  // fp32 panels
  int64_t T;
  int32_t C;
  int32_t column_blocks;  // ceil(C / kEmbeddingColumns); block = token * column_blocks + column block
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_EMBEDDING_KERNELS(X)                                                                          \
  X(embedding, embedding_rows_bf16, ::toolgrad::cuda::EmbeddingParams, ::toolgrad::cuda::kEmbeddingThreads, 0) \
  X(embedding, embedding_rows_f32, ::toolgrad::cuda::EmbeddingParams, ::toolgrad::cuda::kEmbeddingThreads, 0)  \
  X(embedding, embedding_gradient, ::toolgrad::cuda::EmbeddingGradientParams, ::toolgrad::cuda::kEmbeddingThreads, 0)
