// One GPU: its primary context, a stream, the kernels, its memory.
//
// Work goes to one non-blocking stream in call order; the device computes while the host goes on. upload() copies through
// a ring of pinned memory, so the caller's bytes are taken at return; download() waits. A sticky error marks the device
// lost: from then on every call is Error{"ERR_DEVICE_LOST"} with the first cause. One thread uses it at a time (the
// engine's), release() excepted, which any thread may call.
//
// recorded() writes the launches of a step down first. A step whose launches were all there before, byte for byte, is one
// launch of a graph.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "driver.h"
#include "engine/memory.h"
#include "graph_cache.h"
#include "launcher.h"
#include "recording.h"

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
  // Of an opened device only.
  struct Image {
    std::string module, image;  // "sample", "PTX 7.4"
  };
  std::vector<Image> images;  // which image of each module was loaded
};

/// What became of recorded steps so far.
struct GraphCounts {
  int64_t queued = 0;    // launch by launch: seen for the first time, not recordable, or no memory for a graph
  int64_t made = 0;      // into a graph, which was then launched
  int64_t replayed = 0;  // by launching a graph of before
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
  /// Bytes that can be allocated, what the pool keeps for that among them.
  int64_t free_bytes();
  /// Whether blocks come from the driver's memory pool: allocated and freed in the order of the stream, without waiting.
  /// Otherwise by cuMemAlloc and cuMemFree, which wait for all queued work.
  bool pooled() const { return pool_ != nullptr; }
  void synchronize();
  /// Whether recorded() makes graphs: not with TOOLGRAD_CUDA_GRAPHS=0 or TOOLGRAD_CUDA_SYNC=1, and not with a driver
  /// that has none.
  bool makes_graphs() const { return makes_graphs_; }
  /// Ops::recorded. An upload, download or allocation inside `body`, or scratch memory that must grow, ends the recording:
  /// what was written down is queued, and the rest of the step is queued as it comes.
  void recorded(const std::function<void()>& body);
  const GraphCounts& graph_counts() const { return counts_; }
  /// Where its work is queued: for events around it.
  cu::Stream stream() const { return stream_; }
  /// Calls `queue`, which queues work of another library on the stream: the context is current, and a recording ends.
  void with_stream(const std::function<void(cu::Stream)>& queue);

  // Memory
  void* allocate(size_t bytes, const std::string& what) override;
  void release(void* block, size_t bytes) noexcept override;
  bool on_host() const override { return false; }
  int64_t available() override { return free_bytes(); }
  void zero(void* to, size_t bytes) override;
  void copy(void* to, const void* from, size_t bytes) override;
  void upload(void* to, const void* from_host, size_t bytes) override;
  void download(void* to_host, const void* from, size_t bytes) override;
  // Launcher
  const DeviceNumbers& device() const override { return numbers_; }
  int64_t scratch_held() const;

 private:
  explicit CudaDevice(std::shared_ptr<const Driver> driver);
  void start(int ordinal);
  void load_kernels();
  void find_pool();
  cu::DevicePtr take(size_t bytes, cu::Result* result);
  int64_t kept_by_pool();  // reserved, not in use
  void enter();            // context current on this thread, device not lost
  void check(cu::Result result, const std::string& what);
  void enqueue(const KernelInfo& kernel, Grid grid, void* parameters) override;
  void* scratch_bytes(int slot, size_t bytes) override;
  void queue_launch(const KernelInfo& kernel, Grid grid, void* parameters);
  void end_recording();  // queues what was written down, if anything
  void queue_recording();
  void run_recording();
  cu::GraphExec graph_of_recording();  // null without memory for it

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
  cu::MemPool pool_ = nullptr;  // the device's own; null: plain allocation
  std::mutex capture_mutex_;    // of the stream: a block released meanwhile would be freed by the graph
  std::vector<cu::Module> modules_;
  std::vector<cu::Function> functions_;  // by manifest index
  std::vector<Block> scratch_;
  Half ring_[2];
  int half_ = 0;
  std::byte* landing_ = nullptr;  // pinned, for small downloads
  bool synchronous_ = false;      // TOOLGRAD_CUDA_SYNC=1: wait after each launch, so that an error names its kernel
  bool makes_graphs_ = false;
  bool recording_ = false;  // launches are written down
  Recording written_;
  GraphCache graphs_;
  GraphCounts counts_;
  std::mutex lost_mutex_;
  std::string lost_;  // the first sticky error
};

}  // namespace toolgrad::cuda
