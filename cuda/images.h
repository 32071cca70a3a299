// Which of a module's images a GPU gets: the cubin of its own compute capability, else cubins of the same major and a lower
// minor from the highest down, else PTX.
//
// An image that does not fit (CUDA errors 200, 209, 218, 222) is passed over for the next; any other error is reported as it
// is. When none fits: Error{"ERR_NO_CUDA"} naming the GPU, the driver, everything that was tried and each answer.
#pragma once

#include <string>

#include "bundle.h"
#include "driver.h"

namespace toolgrad::cuda {

struct LoadedImage {
  cu::Module module = nullptr;
  std::string image;  // "cubin sm_80", "PTX 7.4"
};

/// Loads a module into the current context. `gpu` is the name for messages; `sm` is 10 * major + minor.
LoadedImage load_image(const Driver& driver, const PtxModule& source, int sm, const std::string& gpu);

}  // namespace toolgrad::cuda
