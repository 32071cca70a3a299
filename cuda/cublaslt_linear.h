// Which linear layers cublasLt computes, and how: weights lie in panels, so their rows are made first, in scratch memory.
//
// Making the rows moves 4 bytes a weight, so only products of many rows pay. Gradients of weights stay with our kernel.
#pragma once

#include <cstdint>
#include <memory>

#include "cublaslt.h"
#include "engine/cublaslt_use.h"
#include "engine/ops.h"

namespace toolgrad::cuda {

class CublasLtLinear {
 public:
  /// Takes products of at least `use.rows` rows. Error{"ERR_NO_CUBLASLT"}.
  CublasLtLinear(std::shared_ptr<CudaDevice> device, CublasLtUse use);

  // Each queues the op and returns true, or queues nothing and returns false: not its shape, or not asked for.
  bool forward(const LinearForward& op);
  bool gated(const GatedForward& op);
  bool backward_input(const LinearBackwardInput& op);
  bool backward(const LinearBackward& op);

 private:
  /// Whether the sizes fit and all arrays are aligned.
  bool takes(int64_t T, const PackedMatrix& w, std::initializer_list<const void*> arrays) const;
  bool multiply(const LtProduct& product, const PackedMatrix& w);

  CublasLt library_;
  CublasLtUse use_;
};

}  // namespace toolgrad::cuda
