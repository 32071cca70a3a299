// The work of a step, written down instead of queued: launches with all of their parameters, fills and copies, as bytes.
//
// Two recordings do the same exactly when their bytes are equal: kernels, grids and parameters, pointers and sizes among
// them. Padding of parameters is zero (Launcher::launch sees to it).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "driver_api.h"
#include "launcher.h"

namespace toolgrad::cuda {

class Recording {
 public:
  struct Launch {
    int kernel;  // index in the manifest
    Grid grid;
    void* parameters;
  };
  struct Fill {  // with zero bytes
    cu::DevicePtr to;
    size_t bytes;
  };
  struct Copy {
    cu::DevicePtr to, from;
    size_t bytes;
  };

  void clear() { bytes_.clear(); }
  std::string_view bytes() const { return {bytes_.data(), bytes_.size()}; }
  void add(const KernelInfo& kernel, Grid grid, const void* parameters);
  void add(const Fill& fill);
  void add(const Copy& copy);

  /// Calls `visit` with each Launch, Fill and Copy in order; parameters point into a copy that lives until it returns.
  template <class Visit>
  void each(Visit&& visit) const {
    alignas(16) char parameters[kMostParameterBytes];
    for (size_t at = 0; at < bytes_.size();) {
      Header header;
      take(&header, sizeof header, &at);
      if (header.kernel == kFill || header.kernel == kCopy) {
        Copy copy;
        take(&copy, sizeof copy, &at);
        header.kernel == kFill ? visit(Fill{copy.to, copy.bytes}) : visit(copy);
        continue;
      }
      take(parameters, static_cast<size_t>(header.parameter_bytes), &at);
      visit(Launch{static_cast<int>(header.kernel), {header.x, header.y, header.z}, parameters});
    }
  }

 private:
  static constexpr int64_t kFill = -1, kCopy = -2;
  static constexpr size_t kMostParameterBytes = 4096;  // the driver's limit
  struct Header {                                      // no padding: it is compared as bytes
    int64_t kernel, x, y, z, parameter_bytes;
  };
  void put(const void* from, size_t count);
  void take(void* to, size_t count, size_t* at) const;

  std::vector<char> bytes_;
};

}  // namespace toolgrad::cuda
