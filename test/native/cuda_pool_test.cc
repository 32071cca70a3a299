// Blocks of the driver's pool and of plain allocation: contents, order of freeing, what counts as free, and what is said when
// memory is short. The same with pools and, on the simulated device, without.
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "cuda_control.h"
#include "cuda_settled.h"
#include "ops/ops.h"

namespace toolgrad::test {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

/// A sum that reads a block which is released right after it was queued, from this thread or another, and whose memory is
/// then given to a block with other contents.
void test_release_order(cuda::CudaDevice& gpu, const std::string& label) {
  constexpr int64_t kCount = 1 << 14;
  Memory& memory = gpu;
  bool right = true;
  for (int seed : {0, 1, 2}) {
    set_schedule(seed);
    for (const bool other_thread : {false, true}) {
      DeviceArray<float> sum(gpu, std::vector<float>(kCount, 1.0f));
      auto* block = static_cast<float*>(gpu.allocate(kCount * sizeof(float), "a block"));
      memory.upload(block, std::vector<float>(kCount, 2.0f));
      cuda::add(gpu, sum.data(), block, kCount);
      const auto release = [&] { gpu.release(block, kCount * sizeof(float)); };
      if (other_thread)
        std::thread(release).join();
      else
        release();
      auto* next = static_cast<float*>(gpu.allocate(kCount * sizeof(float), "the next block"));
      memory.upload(next, std::vector<float>(kCount, 100.0f));
      for (const float value : sum.values()) right = right && value == 3.0f;
      gpu.release(next, kCount * sizeof(float));
    }
  }
  set_schedule(0);
  check(right, label + ": queued work may still use a block that was released, from any thread");
}

void test_zeroed(cuda::CudaDevice& gpu, const std::string& label) {
  Memory& memory = gpu;
  bool zero = true;
  for (int i = 0; i < 3; ++i) {
    auto* block = static_cast<uint32_t*>(gpu.allocate(4096, "a block"));
    for (const uint32_t word : memory.download(block, 1024)) zero = zero && word == 0;
    memory.upload(block, std::vector<uint32_t>(1024, 7));
    gpu.release(block, 4096);
  }
  check(zero, label + ": a block is zero, used before or not");
}

void test_accounting(cuda::CudaDevice& gpu, const std::string& label) {
  gpu.synchronize();
  const int64_t before = gpu.free_bytes();
  void* block = gpu.allocate(64 * kMiB, "a block");
  const int64_t during = gpu.free_bytes();
  gpu.release(block, 64 * kMiB);
  gpu.synchronize();
  const int64_t after = gpu.free_bytes();
  check(before - during >= static_cast<int64_t>(64 * kMiB) && after == before,
        label + ": a block counts as taken until it is released, also where the pool keeps its memory");
}

void test_short(cuda::CudaDevice& gpu, const std::string& label) {
  const auto half = static_cast<size_t>(gpu.free_bytes() / 2) - kMiB;
  // Two halves, kept by the pool in two pieces, then one block that needs both.
  void *first = gpu.allocate(half, "one half"), *second = gpu.allocate(half, "the other");
  check_throws([&] { gpu.allocate(half, "a third half"); }, "ERR_OUT_OF_MEMORY",
               "of memory on " + gpu.facts().name + " for a third half but",
               label + ": too much is an error with the numbers");
  gpu.release(first, half);
  gpu.release(second, half);
  void* both = gpu.allocate(2 * half, "both halves");
  check(both != nullptr, label + ": what was released can be had in other pieces");
  gpu.release(both, 2 * half);
}

void test_all(bool pools) {
  const auto gpu = cuda::CudaDevice::open(0);
  const std::string label = pools ? "pool" : "plain";
  check(gpu->pooled() == pools, label + ": as the device says");
  const int64_t pooled = driver_calls("cuMemAllocAsync"), plain = driver_calls("cuMemAlloc_v2");
  test_zeroed(*gpu, label);
  test_release_order(*gpu, label);
  test_accounting(*gpu, label);
  test_short(*gpu, label);
  if (pooled < 0) return;
  check((driver_calls("cuMemAllocAsync") > pooled) == pools && (driver_calls("cuMemAlloc_v2") > plain) != pools,
        label + ": all blocks come from one of the two");
}

/// A refused allocation where the pool keeps memory is tried again once that is given back.
void test_trim() {
  if (!set_simulator("fail", "")) return;
  const auto gpu = cuda::CudaDevice::open(0);
  void* kept = gpu->allocate(16 * kMiB, "a block");
  gpu->release(kept, 16 * kMiB);
  const int64_t trims = driver_calls("cuMemPoolTrimTo");
  set_simulator("fail", "alloc:1");
  void* block = gpu->allocate(kMiB, "a block");
  set_simulator("fail", "");
  check(block != nullptr && driver_calls("cuMemPoolTrimTo") == trims + 1,
        "pool: before memory is short, what the pool keeps is given back");
  set_simulator("fail", "alloc:1");
  check_throws([&] { gpu->allocate(kMiB, "a block"); }, "ERR_OUT_OF_MEMORY", "for a block but",
               "pool: when it keeps nothing, memory is short");
  set_simulator("fail", "");
  gpu->release(block, kMiB);
}

}  // namespace
}  // namespace toolgrad::test

int main() {
  using namespace toolgrad::test;
  if (open_gpu() == nullptr) return kSkipped;
  set_simulator("memory", "268435456");  // less to fill
  test_all(open_gpu()->pooled());
  if (set_simulator("pools", "0")) {
    test_all(false);
    set_simulator("pools", "1");
    test_trim();
  }
  return finish();
}
