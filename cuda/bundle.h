// The kernels' PTX inside this binary: one text per file of cuda/kernels/, made by nvcc when toolgrad was built.
#pragma once

#include <cstddef>

namespace toolgrad::cuda {

struct PtxModule {
  const char* name;  // of the .cu file
  const char* text;  // ends with a zero byte
};

/// None in a build without nvcc.
struct PtxBundle {
  const PtxModule* modules;
  size_t count;
};
PtxBundle ptx_bundle();

}  // namespace toolgrad::cuda
