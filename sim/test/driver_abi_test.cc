// The simulator's own additions to the interface against NVIDIA's cuda.h: extra entry points, results with their names,
// and the numbers of device attributes. cuda_abi_test.cc of toolgrad compares the rest.
#include "../../test/native/cuda_abi.h"
#include "driver_calls.h"

#if !TOOLGRAD_HAVE_CUDA_H || CUDA_VERSION < 12000

int main() {
  std::printf("skipped: there is no cuda.h of CUDA 12 or later to compare with\n");
  return 77;
}

#else

namespace {

using namespace sim::test;
using toolgrad::test::SameFunction;

// clang-format off
#define SIM_ABI_PAIRS(X)                                                                                              \
  X(GetProcAddress, cuGetProcAddress)                                                                                 \
  X(DevicePrimaryCtxGetState, cuDevicePrimaryCtxGetState)                                                             \
  X(DevicePrimaryCtxSetFlags, cuDevicePrimaryCtxSetFlags)                                                             \
  X(DevicePrimaryCtxReset, cuDevicePrimaryCtxReset)                                                                   \
  X(CtxPushCurrent, cuCtxPushCurrent)                                                                                 \
  X(CtxPopCurrent, cuCtxPopCurrent)                                                                                   \
  X(CtxGetDevice, cuCtxGetDevice)                                                                                     \
  X(CtxGetStreamPriorityRange, cuCtxGetStreamPriorityRange)                                                           \
  X(ModuleLoadData, cuModuleLoadData)                                                                                 \
  X(MemcpyDtoD, cuMemcpyDtoD)                                                                                         \
  X(MemsetD8, cuMemsetD8)                                                                                             \
  X(MemsetD32, cuMemsetD32)                                                                                           \
  X(MemAllocHost, cuMemAllocHost)                                                                                     \
  X(StreamGetFlags, cuStreamGetFlags)                                                                                 \
  X(ThreadExchangeStreamCaptureMode, cuThreadExchangeStreamCaptureMode)                                               \
  X(EventElapsedTimeV2, cuEventElapsedTime)
// clang-format on

#define SIM_SAME(member, theirs) \
  static_assert(SameFunction<decltype(Calls::member), decltype(&::theirs)>::value, "another signature: " #member);
SIM_ABI_PAIRS(SIM_SAME)
#define SIM_ONE(...) +1
static_assert((0 SIM_EXTRA_FUNCTIONS(SIM_ONE)) == (0 SIM_ABI_PAIRS(SIM_ONE)), "an extra entry point is not compared");
static_assert(cu::kStreamCaptureMerge == static_cast<int>(CUDA_ERROR_STREAM_CAPTURE_MERGE));
static_assert(cu::kStreamCaptureUnmatched == static_cast<int>(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED));
static_assert(cu::kStreamCaptureIsolation == static_cast<int>(CUDA_ERROR_STREAM_CAPTURE_ISOLATION));
static_assert(cu::kStreamCaptureWrongThread == static_cast<int>(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD));
static_assert(cu::kGraphExecUpdateFailure == static_cast<int>(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE));

void names() {
  const auto same = [](int code, const char* wanted) {
    const char* name = nullptr;
    const char* text = nullptr;
    succeeds(calls().GetErrorName(code, &name), wanted);
    succeeds(calls().GetErrorString(code, &text), wanted);
    check(name != nullptr && std::string(name) == wanted, std::string("the name of ") + wanted);
  };
  // clang-format off
#define SIM_NAME(name) same(name, #name);
  SIM_NAME(CUDA_SUCCESS) SIM_NAME(CUDA_ERROR_INVALID_VALUE) SIM_NAME(CUDA_ERROR_OUT_OF_MEMORY)
  SIM_NAME(CUDA_ERROR_NOT_INITIALIZED) SIM_NAME(CUDA_ERROR_DEINITIALIZED) SIM_NAME(CUDA_ERROR_STUB_LIBRARY)
  SIM_NAME(CUDA_ERROR_DEVICE_UNAVAILABLE) SIM_NAME(CUDA_ERROR_NO_DEVICE) SIM_NAME(CUDA_ERROR_INVALID_DEVICE)
  SIM_NAME(CUDA_ERROR_INVALID_IMAGE) SIM_NAME(CUDA_ERROR_INVALID_CONTEXT) SIM_NAME(CUDA_ERROR_NO_BINARY_FOR_GPU)
  SIM_NAME(CUDA_ERROR_CONTEXT_ALREADY_IN_USE) SIM_NAME(CUDA_ERROR_INVALID_PTX)
  SIM_NAME(CUDA_ERROR_JIT_COMPILER_NOT_FOUND) SIM_NAME(CUDA_ERROR_UNSUPPORTED_PTX_VERSION)
  SIM_NAME(CUDA_ERROR_JIT_COMPILATION_DISABLED) SIM_NAME(CUDA_ERROR_INVALID_SOURCE) SIM_NAME(CUDA_ERROR_FILE_NOT_FOUND)
  SIM_NAME(CUDA_ERROR_OPERATING_SYSTEM) SIM_NAME(CUDA_ERROR_INVALID_HANDLE) SIM_NAME(CUDA_ERROR_ILLEGAL_STATE)
  SIM_NAME(CUDA_ERROR_NOT_FOUND) SIM_NAME(CUDA_ERROR_NOT_READY) SIM_NAME(CUDA_ERROR_ILLEGAL_ADDRESS)
  SIM_NAME(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES) SIM_NAME(CUDA_ERROR_LAUNCH_TIMEOUT)
  SIM_NAME(CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE) SIM_NAME(CUDA_ERROR_CONTEXT_IS_DESTROYED) SIM_NAME(CUDA_ERROR_ASSERT)
  SIM_NAME(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED) SIM_NAME(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED)
  SIM_NAME(CUDA_ERROR_HARDWARE_STACK_ERROR) SIM_NAME(CUDA_ERROR_ILLEGAL_INSTRUCTION)
  SIM_NAME(CUDA_ERROR_MISALIGNED_ADDRESS) SIM_NAME(CUDA_ERROR_INVALID_ADDRESS_SPACE) SIM_NAME(CUDA_ERROR_INVALID_PC)
  SIM_NAME(CUDA_ERROR_LAUNCH_FAILED) SIM_NAME(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE) SIM_NAME(CUDA_ERROR_NOT_PERMITTED)
  SIM_NAME(CUDA_ERROR_NOT_SUPPORTED) SIM_NAME(CUDA_ERROR_SYSTEM_NOT_READY)
  SIM_NAME(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH) SIM_NAME(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)
  SIM_NAME(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED) SIM_NAME(CUDA_ERROR_STREAM_CAPTURE_MERGE)
  SIM_NAME(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED) SIM_NAME(CUDA_ERROR_STREAM_CAPTURE_UNJOINED)
  SIM_NAME(CUDA_ERROR_STREAM_CAPTURE_ISOLATION) SIM_NAME(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT)
  SIM_NAME(CUDA_ERROR_CAPTURED_EVENT) SIM_NAME(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD) SIM_NAME(CUDA_ERROR_TIMEOUT)
  SIM_NAME(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE) SIM_NAME(CUDA_ERROR_UNKNOWN)
  // clang-format on
#undef SIM_NAME
}

void attributes() {
  const auto is = [](int attribute, int wanted, const char* name) {
    int value = -1;
    succeeds(calls().DeviceGetAttribute(&value, static_cast<cu::DeviceAttribute>(attribute), 0), name);
    check(value == wanted, std::string(name) + ": " + std::to_string(value));
  };
  // clang-format off
#define SIM_IS(name, wanted) is(CU_DEVICE_ATTRIBUTE_##name, wanted, #name);
  SIM_IS(MAX_THREADS_PER_BLOCK, 1024) SIM_IS(MAX_BLOCK_DIM_Z, 64) SIM_IS(MAX_GRID_DIM_X, 2147483647)
  SIM_IS(MAX_GRID_DIM_Z, 65535) SIM_IS(MAX_SHARED_MEMORY_PER_BLOCK, 49152) SIM_IS(TOTAL_CONSTANT_MEMORY, 65536)
  SIM_IS(WARP_SIZE, 32) SIM_IS(MAX_PITCH, 2147483647) SIM_IS(MAX_REGISTERS_PER_BLOCK, 65536)
  SIM_IS(CLOCK_RATE, 1410000) SIM_IS(GPU_OVERLAP, 1) SIM_IS(MULTIPROCESSOR_COUNT, 108) SIM_IS(KERNEL_EXEC_TIMEOUT, 0)
  SIM_IS(INTEGRATED, 0) SIM_IS(CAN_MAP_HOST_MEMORY, 0) SIM_IS(COMPUTE_MODE, 0) SIM_IS(CONCURRENT_KERNELS, 1)
  SIM_IS(ECC_ENABLED, 1) SIM_IS(PCI_BUS_ID, 1) SIM_IS(PCI_DEVICE_ID, 0) SIM_IS(PCI_DOMAIN_ID, 0) SIM_IS(TCC_DRIVER, 0)
  SIM_IS(MEMORY_CLOCK_RATE, 1593000) SIM_IS(GLOBAL_MEMORY_BUS_WIDTH, 5120) SIM_IS(L2_CACHE_SIZE, 40 << 20)
  SIM_IS(MAX_THREADS_PER_MULTIPROCESSOR, 2048) SIM_IS(ASYNC_ENGINE_COUNT, 2) SIM_IS(UNIFIED_ADDRESSING, 1)
  SIM_IS(COMPUTE_CAPABILITY_MAJOR, 8) SIM_IS(COMPUTE_CAPABILITY_MINOR, 0) SIM_IS(STREAM_PRIORITIES_SUPPORTED, 1)
  SIM_IS(MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 167936) SIM_IS(MAX_REGISTERS_PER_MULTIPROCESSOR, 65536)
  SIM_IS(MANAGED_MEMORY, 0) SIM_IS(MULTI_GPU_BOARD, 0) SIM_IS(PAGEABLE_MEMORY_ACCESS, 0)
  SIM_IS(CONCURRENT_MANAGED_ACCESS, 0) SIM_IS(COOPERATIVE_LAUNCH, 0) SIM_IS(MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 166912)
  SIM_IS(MAX_BLOCKS_PER_MULTIPROCESSOR, 32) SIM_IS(RESERVED_SHARED_MEMORY_PER_BLOCK, 1024)
  SIM_IS(MEMORY_POOLS_SUPPORTED, 1)
  // clang-format on
#undef SIM_IS
}

}  // namespace

int main() {
  succeeds(calls().Init(0), "cuInit");
  names();
  attributes();
  return finish("driver_abi");
}

#endif
