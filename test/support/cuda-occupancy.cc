// NVIDIA's own occupancy calculator on the host: reads lines "sm threads registers static_shared dynamic_shared", prints the
// blocks that fit on a multiprocessor. The limits of the architectures are those of the CUDA programming guide.
#include <cuda_occupancy.h>

#include <climits>
#include <cstdio>

int main() {
  int sm = 0, threads = 0, registers = 0, fixed = 0, dynamic = 0;
  while (std::scanf("%d %d %d %d %d", &sm, &threads, &registers, &fixed, &dynamic) == 5) {
    cudaOccDeviceProp device{};
    device.computeMajor = sm / 10;
    device.computeMinor = sm % 10;
    device.maxThreadsPerBlock = 1024;
    device.maxThreadsPerMultiprocessor = sm == 80 || sm == 90 ? 2048 : 1536;
    device.regsPerBlock = device.regsPerMultiprocessor = 65536;
    device.warpSize = 32;
    device.sharedMemPerBlock = 48 << 10;
    device.sharedMemPerMultiprocessor = static_cast<size_t>(sm == 80 ? 164 : sm == 90 ? 228 : 100) << 10;
    device.sharedMemPerBlockOptin = device.sharedMemPerMultiprocessor - 1024;
    device.reservedSharedMemPerBlock = 1024;
    device.numSms = 100;
    cudaOccFuncAttributes kernel{};
    kernel.maxThreadsPerBlock = INT_MAX;
    kernel.numRegs = registers;
    kernel.sharedSizeBytes = static_cast<size_t>(fixed);
    kernel.partitionedGCConfig = PARTITIONED_GC_OFF;
    kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
    kernel.maxDynamicSharedSizeBytes = static_cast<size_t>(dynamic);
    cudaOccDeviceState state{};
    state.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
    cudaOccResult result{};
    const cudaOccError error = cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &kernel, &state, threads,
                                                                       static_cast<size_t>(dynamic));
    if (error != CUDA_OCC_SUCCESS) {
      std::fprintf(stderr, "error %d for sm_%d, %d threads\n", static_cast<int>(error), sm, threads);
      return 1;
    }
    std::printf("%d\n", result.activeBlocksPerMultiprocessor);
  }
  return 0;
}
