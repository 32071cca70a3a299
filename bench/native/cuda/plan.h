// A launcher that runs nothing: it writes down what an op would launch on a GPU of given numbers.
//
// The launches come from the ops themselves, so grids and kernels cannot go stale. Work on the tensor cores is counted from
// the kernels' own parameters; test/native/cuda_cases_test.cc compares the counts with what the simulated device ran.
#pragma once

#include <limits>
#include <vector>

#include "cases.h"

namespace toolgrad::bench {

struct Launch {
  const cuda::KernelInfo* kernel = nullptr;
  int64_t blocks = 0;
  double mma = 0;  // of all its warps; 0 where the kernel uses no tensor cores
};

class Plan final : public cuda::Launcher {
 public:
  explicit Plan(cuda::DeviceNumbers numbers) : numbers_(numbers) {}
  /// What the case launches.
  std::vector<Launch> of(const Case& item);

  void* allocate(size_t bytes, const std::string& what) override;
  void release(void*, size_t) noexcept override {}
  bool on_host() const override { return false; }
  int64_t available() override { return std::numeric_limits<int64_t>::max(); }
  void zero(void*, size_t) override {}
  void copy(void*, const void*, size_t) override {}
  void upload(void*, const void*, size_t) override {}
  void download(void* to_host, const void*, size_t bytes) override;
  const cuda::DeviceNumbers& device() const override { return numbers_; }

 private:
  void enqueue(const cuda::KernelInfo& kernel, cuda::Grid grid, void* parameters) override;
  void* scratch_bytes(int slot, size_t bytes) override;

  cuda::DeviceNumbers numbers_;
  Batch batch_;
  uintptr_t next_ = uintptr_t{1} << 40;
  std::vector<Launch> launches_;
};

}  // namespace toolgrad::bench
