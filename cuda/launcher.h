// What an op needs to run its kernels: a stream, typed launches, scratch memory, the device's numbers.
//
// Everything is queued on one stream in call order; only download() waits. A launch is checked before it is made (grid within
// limits, none empty) and its error names kernel and shape. Scratch lives until the next op that asks for the same slot;
// since work is queued in order, growing a slot frees the old block behind everything that uses it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/memory.h"
#include "manifest.h"

#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define TOOLGRAD_CLEARS_PADDING 1
#endif
#endif

namespace toolgrad::cuda {

struct Grid {
  int64_t x = 1, y = 1, z = 1;
};

/// What decides launch shapes. Of results it must decide nothing.
struct DeviceNumbers {
  int sm = 80;  // 10 * major + minor
  int multiprocessors = 1;
  int64_t shared_bytes_optin = 99 * 1024;  // per block
};

class Launcher : public Memory {
 public:
  /// Queues one launch of `grid` blocks of the kernel's own block size. A grid with a zero is a defect of the caller:
  /// Error{"ERR_CUDA_LAUNCH"}.
  template <class Params>
  void launch(const Kernel<Params>& kernel, Grid grid, const Params& parameters) {
    Params copy = parameters;
#if TOOLGRAD_CLEARS_PADDING
    __builtin_clear_padding(&copy);  // launches are compared byte by byte (recording.h)
#endif
    enqueue(kernel.info, grid, &copy);
  }
  /// Device memory of at least `count` elements, aligned to 256 bytes, not initialised. `slot` is 0 .. 7.
  template <class T>
  T* scratch(int slot, int64_t count) {
    return static_cast<T*>(scratch_bytes(slot, static_cast<size_t>(count) * sizeof(T)));
  }
  virtual const DeviceNumbers& device() const = 0;

 private:
  virtual void enqueue(const KernelInfo& kernel, Grid grid, void* parameters) = 0;
  virtual void* scratch_bytes(int slot, size_t bytes) = 0;
};

inline constexpr int64_t ceil_div(int64_t n, int64_t by) {
  return (n + by - 1) / by;
}
/// How many rows of `items` items one block of `threads` takes: enough for about four items a thread.
inline constexpr int64_t rows_per_block(int64_t items, int threads) {
  return items >= 4 * threads ? 1 : 4 * threads / items;
}

}  // namespace toolgrad::cuda
