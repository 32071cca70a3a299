// The kernels inside this binary: for each file of cuda/kernels/ one text of PTX, made by nvcc when toolgrad was built, which
// the driver assembles for the GPU at hand, and machine code for the GPUs that TOOLGRAD_CUBINS (CMake) names.
#pragma once

#include <cstddef>

namespace toolgrad::cuda {

/// Machine code for GPUs of one compute capability; runs on the same major with a higher minor too.
struct Cubin {
  int sm;  // 10 * major + minor
  const char* image;
};

struct PtxModule {
  const char* name;  // of the .cu file
  const char* text;  // ends with a zero byte
  const Cubin* cubins = nullptr;
  size_t cubin_count = 0;
};

/// None in a build without nvcc.
struct PtxBundle {
  const PtxModule* modules;
  size_t count;
};
PtxBundle ptx_bundle();

}  // namespace toolgrad::cuda
