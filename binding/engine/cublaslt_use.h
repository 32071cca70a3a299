// What a model on a GPU leaves to NVIDIA's cublasLt.
#pragma once

#include <cstdint>

namespace toolgrad {

enum class CublasLtProducts {
  kNone,
  kGradients,  // input gradients of linear layers: log-probs keep their bits
  kAll,        // forward passes too: log-probs depend on how many rows they are computed with
};

struct CublasLtUse {
  CublasLtProducts products = CublasLtProducts::kNone;
  int64_t rows = 4096;  // of this many rows or more
};

}  // namespace toolgrad
