// The CUDA backend: Ops on one GPU.
#pragma once

#include <memory>

#include "engine/cublaslt_use.h"
#include "engine/ops.h"

namespace toolgrad {

/// Opens GPU `ordinal`; its queue, kernels and memory belong to what is returned. Errors: those of CudaDevice::open, and
/// Error{"ERR_NO_CUBLASLT"} when products are to be cublasLt's and it cannot be used.
std::unique_ptr<Ops> make_cuda_ops(int ordinal, CublasLtUse cublaslt);

}  // namespace toolgrad
