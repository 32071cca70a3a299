// Arrays on a GPU (real or simulated) for tests of CUDA ops: flush against what follows, or among NaN.
//
// kFlush: the array is an allocation of its own, to the byte, so that the simulated device's red zone begins behind its last
// element. kAmongNan: NaN lies on both sides and must still be there afterwards; a kernel that lets a neighbour into its
// result cannot hide. kOffset: like kFlush but four bytes later, for arrays of 4-byte elements: only 4 bytes of alignment.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "check.h"
#include "device.h"
#include "engine/error.h"

namespace toolgrad::test {

/// The first GPU, or null after printing why there is none. Where TOOLGRAD_LIBCUDA names a driver there must be one.
inline std::shared_ptr<cuda::CudaDevice> open_gpu() {
  try {
    return cuda::CudaDevice::open(0);
  } catch (const Error& error) {
    if (error.code() != "ERR_NO_CUDA" || std::getenv("TOOLGRAD_LIBCUDA") != nullptr) throw;
    std::printf("skipped: %s\n", error.what());
    return nullptr;
  }
}

enum class Placement { kFlush, kAmongNan, kOffset };

template <class T>
class DeviceArray {
 public:
  DeviceArray(Memory& memory, const std::vector<T>& values, Placement placement = Placement::kFlush)
      : memory_(memory),
        count_(values.size()),
        before_(placement == Placement::kAmongNan                   ? kGuard / sizeof(T)
                : placement == Placement::kOffset && sizeof(T) == 4 ? 1
                                                                    : 0),
        after_(placement == Placement::kAmongNan ? kGuard / sizeof(T) : 0) {
    std::vector<T> all(before_ + count_ + after_);
    std::memset(all.data(), 0xff, all.size() * sizeof(T));  // NaN as fp32 and as bf16
    std::copy(values.begin(), values.end(), all.begin() + static_cast<int64_t>(before_));
    bytes_ = all.size() * sizeof(T);
    block_ = static_cast<T*>(memory.allocate(bytes_, "test array"));
    memory.upload(block_, all);
  }
  ~DeviceArray() { memory_.release(block_, bytes_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() { return block_ + before_; }
  /// The values; a changed guard is a failed check.
  std::vector<T> values() {
    const std::vector<T> all = memory_.download(block_, static_cast<int64_t>(before_ + count_ + after_));
    const auto* bytes = reinterpret_cast<const unsigned char*>(all.data());
    bool intact = true;
    for (size_t i = 0; i < before_ * sizeof(T); ++i) intact = intact && bytes[i] == 0xff;
    for (size_t i = 1; i <= after_ * sizeof(T); ++i) intact = intact && bytes[bytes_ - i] == 0xff;
    if (!intact) check(false, "a kernel leaves the neighbours of its arrays alone");
    return {all.begin() + static_cast<int64_t>(before_), all.end() - static_cast<int64_t>(after_)};
  }

 private:
  static constexpr size_t kGuard = 512;  // bytes; keeps the array's alignment
  Memory& memory_;
  size_t count_, before_, after_, bytes_ = 0;
  T* block_ = nullptr;
};

inline std::vector<float> nans(int64_t count) {
  return std::vector<float>(static_cast<size_t>(count), std::numeric_limits<float>::quiet_NaN());
}

}  // namespace toolgrad::test
