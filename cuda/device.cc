// The life of a device, its memory and its launches; see device.h.
#include "device.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#include "bundle.h"
#include "engine/error.h"
#include "images.h"

namespace toolgrad::cuda {
namespace {

constexpr size_t kHalfBytes = 4u << 20;      // of the pinned ring
constexpr size_t kLandingBytes = 64u << 10;  // downloads up to this size land in pinned memory
constexpr int kOldestSm = 80;
constexpr size_t kMostGraphs = 64;  // one for each number of sequences in a step, and each 512 tokens of the longest
constexpr int64_t kMostBlocks[] = {2147483647, 65535, 65535};
constexpr int kSharedWithoutOptIn = 48 * 1024;

int attribute(const Driver& driver, cu::DeviceAttribute which, cu::Device device) {
  int value = 0;
  driver.check(driver->DeviceGetAttribute(&value, which, device), "cuDeviceGetAttribute");
  return value;
}

DeviceFacts read_facts(const Driver& driver, int ordinal, cu::Device* handle) {
  cu::Device device = 0;
  driver.check(driver->DeviceGet(&device, ordinal), "cuDeviceGet");
  DeviceFacts facts;
  facts.ordinal = ordinal;
  char name[256] = "";
  driver.check(driver->DeviceGetName(name, sizeof name, device), "cuDeviceGetName");
  facts.name = name;
  facts.sm = 10 * attribute(driver, cu::kComputeCapabilityMajor, device) +
             attribute(driver, cu::kComputeCapabilityMinor, device);
  facts.multiprocessors = attribute(driver, cu::kMultiprocessorCount, device);
  facts.shared_bytes_optin = attribute(driver, cu::kMaxSharedMemoryPerBlockOptin, device);
  size_t total = 0;
  driver.check(driver->DeviceTotalMem(&total, device), "cuDeviceTotalMem");
  facts.memory_bytes = static_cast<int64_t>(total);
  facts.driver = driver.version_text();
  facts.library = driver.path();
  if (handle != nullptr) *handle = device;
  return facts;
}

int device_count(const Driver& driver) {
  int count = 0;
  driver.check(driver->DeviceGetCount(&count), "cuDeviceGetCount");
  return count;
}

std::string shape_of(const KernelInfo& kernel, Grid grid) {
  return std::string(kernel.entry) + " <<<" + std::to_string(grid.x) + "x" + std::to_string(grid.y) + "x" +
         std::to_string(grid.z) + ", " + std::to_string(kernel.threads) + ", " + std::to_string(kernel.shared_bytes) +
         " bytes of shared memory>>>";
}

bool variable_is(const char* name, const char* value) {
  const char* found = std::getenv(name);
  return found != nullptr && std::strcmp(found, value) == 0;
}

cu::DevicePtr pointer(const void* at) {
  return reinterpret_cast<cu::DevicePtr>(at);
}

}  // namespace

CudaDevice::CudaDevice(std::shared_ptr<const Driver> driver)
    : driver_(std::move(driver)), graphs_(kMostGraphs, [this](cu::GraphExec graph) {
        // Its last launch may be under way. Of a lost device there is nothing to destroy.
        if (context_ != nullptr && (*driver_)->StreamSynchronize(stream_) == cu::kSuccess)
          (*driver_)->GraphExecDestroy(graph);
      }) {}

std::vector<DeviceFacts> list_devices() {
  const std::shared_ptr<const Driver> driver = Driver::open();
  std::vector<DeviceFacts> devices;
  for (int ordinal = 0, count = device_count(*driver); ordinal < count; ++ordinal)
    devices.push_back(read_facts(*driver, ordinal, nullptr));
  return devices;
}

std::shared_ptr<CudaDevice> CudaDevice::open(int ordinal) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<CudaDevice>> open_ones;
  const std::lock_guard lock(mutex);
  if (auto device = open_ones[ordinal].lock()) return device;
  std::shared_ptr<CudaDevice> device(new CudaDevice(Driver::open()));
  device->start(ordinal);
  open_ones[ordinal] = device;
  return device;
}

void CudaDevice::start(int ordinal) {
  const Driver& driver = *driver_;
  const int count = device_count(driver);
  if (ordinal < 0 || ordinal >= count)
    throw Error("ERR_NO_CUDA", "Expected GPU " + std::to_string(ordinal) + " but " + driver.path() + " shows " +
                                   std::to_string(count) + " of them");
  facts_ = read_facts(driver, ordinal, &device_);
  if (facts_.sm < kOldestSm)
    throw Error("ERR_NO_CUDA", "Expected a GPU of compute capability 8.0 or later (Ampere) but " + facts_.name +
                                   " has " + std::to_string(facts_.sm / 10) + "." + std::to_string(facts_.sm % 10));
  numbers_ = {facts_.sm, facts_.multiprocessors, facts_.shared_bytes_optin};
  synchronous_ = variable_is("TOOLGRAD_CUDA_SYNC", "1");
#if TOOLGRAD_CLEARS_PADDING
  makes_graphs_ = !synchronous_ && !variable_is("TOOLGRAD_CUDA_GRAPHS", "0") && driver->StreamBeginCapture != nullptr &&
                  driver->StreamEndCapture != nullptr && driver->GraphInstantiate != nullptr &&
                  driver->GraphLaunch != nullptr && driver->GraphExecDestroy != nullptr &&
                  driver->GraphDestroy != nullptr;
#endif
  check(driver->DevicePrimaryCtxRetain(&context_, device_), "cuDevicePrimaryCtxRetain");
  enter();
  facts_.free_bytes = free_bytes();
  check(driver->StreamCreate(&stream_, cu::kStreamNonBlocking), "cuStreamCreate");
  find_pool();
  for (Half& half : ring_) {
    check(driver->MemHostAlloc(reinterpret_cast<void**>(&half.data), kHalfBytes, 0), "cuMemHostAlloc");
    check(driver->EventCreate(&half.passed, cu::kEventDisableTiming), "cuEventCreate");
  }
  check(driver->MemHostAlloc(reinterpret_cast<void**>(&landing_), kLandingBytes, 0), "cuMemHostAlloc");
  load_kernels();
}

void CudaDevice::load_kernels() {
  const PtxBundle bundle = ptx_bundle();
  if (bundle.count == 0)
    throw Error("ERR_NO_CUDA",
                "Expected CUDA kernels in this build of toolgrad but it has none: it was built without nvcc; use a "
                "prebuilt package, or build with the CUDA toolkit installed");
  const Driver& driver = *driver_;
  functions_.assign(std::size(kKernels), nullptr);
  for (size_t m = 0; m < bundle.count; ++m) {
    const PtxModule& source = bundle.modules[m];
    const auto [module, image] = load_image(driver, source, facts_.sm, facts_.name);
    facts_.images.push_back({source.name, image});
    modules_.push_back(module);
    for (const KernelInfo& kernel : kKernels) {
      if (std::strcmp(kernel.module, source.name) != 0) continue;
      cu::Function function = nullptr;
      check(driver->ModuleGetFunction(&function, module, kernel.entry),
            std::string("finding the kernel ") + kernel.entry + " in " + source.name);
      if (kernel.shared_bytes > kSharedWithoutOptIn) {
        check(driver->FuncSetAttribute(function, cu::kFuncMaxDynamicSharedSizeBytes, kernel.shared_bytes),
              std::string("reserving ") + std::to_string(kernel.shared_bytes) + " bytes of shared memory for " +
                  kernel.entry);
      }
      functions_[static_cast<size_t>(kernel.index)] = function;
    }
  }
  for (const KernelInfo& kernel : kKernels) {
    if (functions_[static_cast<size_t>(kernel.index)] != nullptr) continue;
    throw Error("ERR_NO_CUDA", std::string("Expected the kernel ") + kernel.entry + " of " + kernel.module +
                                   ".cu in this build but its PTX is missing");
  }
}

// Results are ignored: a lost device answers every call with its error, and its memory is gone with the process.
CudaDevice::~CudaDevice() {
  if (context_ == nullptr) return;
  const Driver& driver = *driver_;
  if (driver->CtxSetCurrent(context_) == cu::kSuccess) {
    if (stream_ != nullptr) driver->StreamSynchronize(stream_);
    graphs_.clear();
    for (const Block& block : scratch_) release(reinterpret_cast<void*>(block.pointer), block.bytes);
    if (pool_ != nullptr) {
      if (stream_ != nullptr) driver->StreamSynchronize(stream_);
      driver->MemPoolTrimTo(pool_, 0);
    }
    for (const Half& half : ring_) {
      if (half.passed != nullptr) driver->EventDestroy(half.passed);
      if (half.data != nullptr) driver->MemFreeHost(half.data);
    }
    if (landing_ != nullptr) driver->MemFreeHost(landing_);
    for (const cu::Module module : modules_) driver->ModuleUnload(module);
    if (stream_ != nullptr) driver->StreamDestroy(stream_);
    driver->CtxSetCurrent(nullptr);
  }
  driver->DevicePrimaryCtxRelease(device_);
  context_ = nullptr;
}

void CudaDevice::enter() {
  {
    const std::lock_guard lock(lost_mutex_);
    if (!lost_.empty()) throw Error("ERR_DEVICE_LOST", "The device was lost earlier: " + lost_);
  }
  cu::Context current = nullptr;
  if ((*driver_)->CtxGetCurrent(&current) == cu::kSuccess && current == context_) return;
  check((*driver_)->CtxSetCurrent(context_), "cuCtxSetCurrent");
}

void CudaDevice::with_stream(const std::function<void(cu::Stream)>& queue) {
  end_recording();
  enter();
  queue(stream_);
}

void CudaDevice::check(cu::Result result, const std::string& what) {
  if (result == cu::kSuccess) return;
  if (Driver::sticky(result)) {
    const std::lock_guard lock(lost_mutex_);
    if (lost_.empty()) lost_ = what + ": " + driver_->text(result);
  }
  driver_->check(result, what);
}

void CudaDevice::synchronize() {
  end_recording();
  enter();
  check((*driver_)->StreamSynchronize(stream_), "cuStreamSynchronize");
}

void CudaDevice::zero(void* to, size_t bytes) {
  if (bytes == 0) return;
  if (recording_) return written_.add(Recording::Fill{pointer(to), bytes});
  enter();
  check((*driver_)->MemsetD8Async(pointer(to), 0, bytes, stream_), "cuMemsetD8Async");
}

void CudaDevice::copy(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (recording_) return written_.add(Recording::Copy{pointer(to), pointer(from), bytes});
  enter();
  check((*driver_)->MemcpyDtoDAsync(pointer(to), pointer(from), bytes, stream_), "cuMemcpyDtoDAsync");
}

void CudaDevice::upload(void* to, const void* from_host, size_t bytes) {
  end_recording();
  enter();
  const auto* source = static_cast<const std::byte*>(from_host);
  for (size_t done = 0; done < bytes;) {
    if (ring_[half_].used == kHalfBytes) {
      Half& full = ring_[half_];
      check((*driver_)->EventRecord(full.passed, stream_), "cuEventRecord");
      full.in_flight = true;
      half_ = 1 - half_;
      Half& next = ring_[half_];
      if (next.in_flight) check((*driver_)->EventSynchronize(next.passed), "cuEventSynchronize");
      next.in_flight = false;
      next.used = 0;
    }
    Half& half = ring_[half_];
    const size_t count = std::min(bytes - done, kHalfBytes - half.used);
    std::memcpy(half.data + half.used, source + done, count);
    check((*driver_)->MemcpyHtoDAsync(pointer(to) + done, half.data + half.used, count, stream_), "cuMemcpyHtoDAsync");
    half.used += count;
    done += count;
  }
}

void CudaDevice::download(void* to_host, const void* from, size_t bytes) {
  if (bytes == 0) return;
  end_recording();
  enter();
  const bool small = bytes <= kLandingBytes;
  void* landing = small ? static_cast<void*>(landing_) : to_host;
  check((*driver_)->MemcpyDtoHAsync(landing, pointer(from), bytes, stream_), "cuMemcpyDtoHAsync");
  check((*driver_)->StreamSynchronize(stream_), "waiting for the device");
  if (small) std::memcpy(to_host, landing_, bytes);
}

void CudaDevice::enqueue(const KernelInfo& kernel, Grid grid, void* parameters) {
  const int64_t blocks[] = {grid.x, grid.y, grid.z};
  for (int axis = 0; axis < 3; ++axis) {
    if (blocks[axis] >= 1 && blocks[axis] <= kMostBlocks[axis]) continue;
    throw Error("ERR_CUDA_LAUNCH", shape_of(kernel, grid) + ": expected 1 to " + std::to_string(kMostBlocks[axis]) +
                                       " blocks along " + "xyz"[axis]);
  }
  if (recording_) return written_.add(kernel, grid, parameters);
  enter();
  queue_launch(kernel, grid, parameters);
}

void CudaDevice::queue_launch(const KernelInfo& kernel, Grid grid, void* parameters) {
  void* values[] = {parameters};
  const auto size = [](int64_t n) { return static_cast<unsigned>(n); };
  check(
      (*driver_)->LaunchKernel(functions_[static_cast<size_t>(kernel.index)], size(grid.x), size(grid.y), size(grid.z),
                               size(kernel.threads), 1, 1, size(kernel.shared_bytes), stream_, values, nullptr),
      "launching " + shape_of(kernel, grid));
  if (synchronous_) check((*driver_)->StreamSynchronize(stream_), "running " + shape_of(kernel, grid));
}

}  // namespace toolgrad::cuda
