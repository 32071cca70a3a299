// Writing work down; see recording.h.
#include "recording.h"

#include <cstring>
#include <string>

#include "engine/error.h"

namespace toolgrad::cuda {

void Recording::put(const void* from, size_t count) {
  const auto* first = static_cast<const char*>(from);
  bytes_.insert(bytes_.end(), first, first + count);
}

void Recording::take(void* to, size_t count, size_t* at) const {
  std::memcpy(to, bytes_.data() + *at, count);
  *at += count;
}

void Recording::add(const KernelInfo& kernel, Grid grid, const void* parameters) {
  const auto count = static_cast<size_t>(kernel.parameter_bytes);
  if (count > kMostParameterBytes)
    throw Error("ERR_CUDA_LAUNCH", std::string(kernel.entry) + ": expected at most " +
                                       std::to_string(kMostParameterBytes) + " bytes of parameters, found " +
                                       std::to_string(count));
  const Header header{kernel.index, grid.x, grid.y, grid.z, kernel.parameter_bytes};
  put(&header, sizeof header);
  put(parameters, count);
}

void Recording::add(const Fill& fill) {
  const Header header{kFill, 0, 0, 0, 0};
  const Copy copy{fill.to, 0, fill.bytes};
  put(&header, sizeof header);
  put(&copy, sizeof copy);
}

void Recording::add(const Copy& copy) {
  const Header header{kCopy, 0, 0, 0, 0};
  put(&header, sizeof header);
  put(&copy, sizeof copy);
}

}  // namespace toolgrad::cuda
