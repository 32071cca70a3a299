// One GPU: its primary context, a stream, the kernels, its memory.
//
// Work goes to one non-blocking stream in call order; the device computes while the host goes on. upload() copies through
// a ring of pinned memory, so the caller's bytes are taken at return; download() waits. A sticky error marks the device
// lost: from then on every call is Error{"ERR_DEVICE_LOST"} with the first cause. One thread uses it at a time (the
// engine's), release() excepted, which any thread may call.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "driver.h"
#include "engine/memory.h"
#include "launcher.h"

namespace toolgrad::cuda {

/// What doctor shows and choices are made from.
struct DeviceFacts {
  int ordinal = 0;
  std::string name;
  int sm = 0;  // 10 * major + minor
  int multiprocessors = 0;
  int64_t memory_bytes = 0, free_bytes = 0;
  int64_t shared_bytes_optin = 0;
  std::string driver;   // version of the CUDA interface
  std::string library;  // the file it was loaded from
};

/// Every GPU that the driver sees. Error{"ERR_NO_CUDA"} without a driver.
std::vector<DeviceFacts> list_devices();

class CudaDevice final : public Launcher {
 public:
  /// GPU `ordinal`, opened and its kernels loaded, or the same device as before while somebody holds it: models on one
  /// GPU share queue and memory. Error{"ERR_NO_CUDA"}: no driver, no GPU, none of sm_80 or later, or a build
  /// without kernels; the message says which.
  static std::shared_ptr<CudaDevice> open(int ordinal);
  ~CudaDevice() override;
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  const DeviceFacts& facts() const { return facts_; }
  int64_t free_bytes();
  void synchronize();
  /// Where its work is queued: for events around it.
  cu::Stream stream() const { return stream_; }

  // Memory
  void* allocate(size_t bytes, const std::string& what) override;
  void release(void* block, size_t bytes) noexcept override;
  bool on_host() const override { return false; }
  void zero(void* to, size_t bytes) override;
  void copy(void* to, const void* from, size_t bytes) override;
  void upload(void* to, const void* from_host, size_t bytes) override;
  void download(void* to_host, const void* from, size_t bytes) override;
  // Launcher
  const DeviceNumbers& device() const override { return numbers_; }

 private:
  explicit CudaDevice(std::shared_ptr<const Driver> driver) : driver_(std::move(driver)) {}
  void start(int ordinal);
  void load_kernels();
  void enter();  // context current on this thread, device not lost
  void check(cu::Result result, const std::string& what);
  void enqueue(const KernelInfo& kernel, Grid grid, void* parameters) override;
  void* scratch_bytes(int slot, size_t bytes) override;

  struct Block {
    cu::DevicePtr pointer = 0;
    size_t bytes = 0;
  };
  // The pinned ring: two halves, each free again when the event recorded behind its last copy has passed.
  struct Half {
    std::byte* data = nullptr;
    size_t used = 0;
    cu::Event passed = nullptr;
    bool in_flight = false;
  };

  std::shared_ptr<const Driver> driver_;
  DeviceFacts facts_;
  DeviceNumbers numbers_;
  cu::Device device_ = 0;
  cu::Context context_ = nullptr;
  cu::Stream stream_ = nullptr;
  std::vector<cu::Module> modules_;
  std::vector<cu::Function> functions_;  // by manifest index
  std::vector<Block> scratch_;
  Half ring_[2];
  int half_ = 0;
  std::byte* landing_ = nullptr;  // pinned, for small downloads
  bool synchronous_ = false;      // TOOLGRAD_CUDA_SYNC=1: wait after each launch, so that an error names its kernel
  std::mutex lost_mutex_;
  std::string lost_;  // the first sticky error
};

}  // namespace toolgrad::cuda
