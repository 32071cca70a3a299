// Blocks of a device's memory, from the driver's pool or without one; see device.h.
//
// The pool keeps what is freed (its threshold is raised to the top) and gives it out again; that counts as free, and is given
// back to the driver when an allocation fails for want of it, and when the device closes. A block of the pool is freed in the
// order of the stream: work queued before may still use it, and whoever gets its memory next is queued behind.
#include <cstdint>
#include <cstdio>

#include "device.h"
#include "engine/error.h"

namespace toolgrad::cuda {
namespace {

constexpr size_t kScratchSlots = 8;

std::string size_text(int64_t bytes) {
  const bool large = bytes >= int64_t{1} << 30;
  char text[32];
  std::snprintf(text, sizeof text, large ? "%.1f GiB" : "%.3f MiB",
                static_cast<double>(bytes) / (large ? 1 << 30 : 1 << 20));
  return text;
}

}  // namespace

void CudaDevice::find_pool() {
  const Driver& driver = *driver_;
  int supported = 0;
  check(driver->DeviceGetAttribute(&supported, cu::kMemoryPoolsSupported, device_), "cuDeviceGetAttribute");
  if (supported == 0 || driver->MemAllocAsync == nullptr || driver->MemFreeAsync == nullptr ||
      driver->DeviceGetDefaultMemPool == nullptr || driver->MemPoolSetAttribute == nullptr ||
      driver->MemPoolGetAttribute == nullptr || driver->MemPoolTrimTo == nullptr)
    return;
  cu::MemPool pool = nullptr;
  check(driver->DeviceGetDefaultMemPool(&pool, device_), "cuDeviceGetDefaultMemPool");
  uint64_t everything = UINT64_MAX;
  check(driver->MemPoolSetAttribute(pool, cu::kMemPoolReleaseThreshold, &everything), "cuMemPoolSetAttribute");
  pool_ = pool;
}

int64_t CudaDevice::kept_by_pool() {
  if (pool_ == nullptr) return 0;
  uint64_t reserved = 0, used = 0;
  check((*driver_)->MemPoolGetAttribute(pool_, cu::kMemPoolReservedCurrent, &reserved), "cuMemPoolGetAttribute");
  check((*driver_)->MemPoolGetAttribute(pool_, cu::kMemPoolUsedCurrent, &used), "cuMemPoolGetAttribute");
  return static_cast<int64_t>(reserved - used);
}

int64_t CudaDevice::free_bytes() {
  enter();
  size_t free = 0, total = 0;
  check((*driver_)->MemGetInfo(&free, &total), "cuMemGetInfo");
  return static_cast<int64_t>(free) + kept_by_pool();
}

// Null with the driver's answer. Memory that the pool keeps in pieces that do not fit is given back before giving up.
cu::DevicePtr CudaDevice::take(size_t bytes, cu::Result* result) {
  const Driver& driver = *driver_;
  cu::DevicePtr at = 0;
  if (pool_ == nullptr) {
    *result = driver->MemAlloc(&at, bytes);
    return at;
  }
  *result = driver->MemAllocAsync(&at, bytes, stream_);
  if (*result != cu::kOutOfMemory) return at;
  check(driver->StreamSynchronize(stream_), "cuStreamSynchronize");  // what is being freed is then kept
  if (kept_by_pool() == 0) return 0;
  check(driver->MemPoolTrimTo(pool_, 0), "cuMemPoolTrimTo");
  *result = driver->MemAllocAsync(&at, bytes, stream_);
  return at;
}

void* CudaDevice::allocate(size_t bytes, const std::string& what) {
  end_recording();
  enter();
  cu::Result result = cu::kSuccess;
  const cu::DevicePtr at = take(bytes, &result);
  if (result == cu::kOutOfMemory)
    throw Error("ERR_OUT_OF_MEMORY",
                "Expected " + size_text(static_cast<int64_t>(bytes)) + " of memory on " + facts_.name + " for " + what +
                    " but " + size_text(free_bytes()) + " of " + size_text(facts_.memory_bytes) +
                    " are free; use fewer tokens per micro-batch, fewer KV pages or a smaller model");
  check(result, "allocating " + std::to_string(bytes) + " bytes for " + what);
  void* block = reinterpret_cast<void*>(at);
  zero(block, bytes);
  return block;
}

// From any thread, also after the device was lost: then there is nothing to give back.
void CudaDevice::release(void* block, size_t) noexcept {
  const auto at = reinterpret_cast<cu::DevicePtr>(block);
  if (at == 0 || (*driver_)->CtxSetCurrent(context_) != cu::kSuccess) return;
  if (pool_ == nullptr) {
    (*driver_)->MemFree(at);
    return;
  }
  const std::lock_guard lock(capture_mutex_);
  (*driver_)->MemFreeAsync(at, stream_);
}

int64_t CudaDevice::scratch_held() const {
  size_t bytes = 0;
  for (const Block& block : scratch_) bytes += block.bytes;
  return static_cast<int64_t>(bytes);
}

void* CudaDevice::scratch_bytes(int slot, size_t bytes) {
  if (slot < 0 || static_cast<size_t>(slot) >= kScratchSlots)
    throw Error("ERR_SCRATCH",
                "scratch: expected a slot below " + std::to_string(kScratchSlots) + ", found " + std::to_string(slot));
  scratch_.resize(kScratchSlots);
  Block& block = scratch_[static_cast<size_t>(slot)];
  if (block.bytes < bytes) {
    end_recording();  // its launches may use the old block
    enter();
    release(reinterpret_cast<void*>(block.pointer), block.bytes);
    block = Block{};
    cu::Result result = cu::kSuccess;
    const cu::DevicePtr at = take(bytes, &result);
    check(result, "allocating " + std::to_string(bytes) + " bytes of scratch");
    block = {at, bytes};
  }
  return reinterpret_cast<void*>(block.pointer);
}

}  // namespace toolgrad::cuda
