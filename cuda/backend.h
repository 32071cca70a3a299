// The CUDA backend: Ops on one GPU.
#pragma once

#include <memory>

#include "engine/ops.h"

namespace toolgrad {

/// Opens GPU `ordinal`; its queue, kernels and memory belong to what is returned. Errors: those of CudaDevice::open.
std::unique_ptr<Ops> make_cuda_ops(int ordinal);

}  // namespace toolgrad
