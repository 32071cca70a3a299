// cuda/driver_api.h against NVIDIA's cuda.h: every constant, every struct, every signature and every symbol name.
//
// All of it is decided by the compiler; the program only says which header it was. cuda.h maps a name to the symbol of its
// current version by macro; a program that loads symbols itself must name that symbol, so the expansion is compared too.
#include "cuda_abi.h"

#include <cstdio>
#include <string_view>

#if !TOOLGRAD_HAVE_CUDA_H

int main() {
  std::printf("skipped: there is no cuda.h on the include path or in /usr/local/cuda/include\n");
  return 77;
}

#elif CUDA_VERSION < 12000

int main() {
  std::printf("skipped: cuda.h is of CUDA %d; the interface that is compared is that of 12.0 and later\n",
              CUDA_VERSION);
  return 77;
}

#else

namespace toolgrad::test {

// Structs that are passed by pointer are of one size and one layout.
static_assert(sizeof(cu::Uuid) == sizeof(::CUuuid) && sizeof(cu::Uuid::bytes) == sizeof(::CUuuid::bytes));
static_assert(sizeof(cu::GraphExecUpdateResultInfo) == sizeof(::CUgraphExecUpdateResultInfo));
static_assert(offsetof(cu::GraphExecUpdateResultInfo, result) == offsetof(::CUgraphExecUpdateResultInfo, result));
static_assert(offsetof(cu::GraphExecUpdateResultInfo, error_node) ==
              offsetof(::CUgraphExecUpdateResultInfo, errorNode));
static_assert(offsetof(cu::GraphExecUpdateResultInfo, error_from_node) ==
              offsetof(::CUgraphExecUpdateResultInfo, errorFromNode));

static_assert(same_abi<cu::Device, ::CUdevice>() && same_abi<cu::DevicePtr, ::CUdeviceptr>());
static_assert(same_abi<cu::Result, ::CUresult>() && SameFunction<cu::HostFn, ::CUhostFn>::value);

#define SAME_NUMBER(ours, theirs) static_assert(static_cast<long long>(ours) == static_cast<long long>(theirs))
SAME_NUMBER(cu::kSuccess, CUDA_SUCCESS);
SAME_NUMBER(cu::kInvalidValue, CUDA_ERROR_INVALID_VALUE);
SAME_NUMBER(cu::kOutOfMemory, CUDA_ERROR_OUT_OF_MEMORY);
SAME_NUMBER(cu::kNotInitialized, CUDA_ERROR_NOT_INITIALIZED);
SAME_NUMBER(cu::kDeinitialized, CUDA_ERROR_DEINITIALIZED);
SAME_NUMBER(cu::kNoDevice, CUDA_ERROR_NO_DEVICE);
SAME_NUMBER(cu::kInvalidDevice, CUDA_ERROR_INVALID_DEVICE);
SAME_NUMBER(cu::kInvalidImage, CUDA_ERROR_INVALID_IMAGE);
SAME_NUMBER(cu::kInvalidContext, CUDA_ERROR_INVALID_CONTEXT);
SAME_NUMBER(cu::kNoBinaryForGpu, CUDA_ERROR_NO_BINARY_FOR_GPU);
SAME_NUMBER(cu::kInvalidPtx, CUDA_ERROR_INVALID_PTX);
SAME_NUMBER(cu::kUnsupportedPtxVersion, CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
SAME_NUMBER(cu::kFileNotFound, CUDA_ERROR_FILE_NOT_FOUND);
SAME_NUMBER(cu::kInvalidHandle, CUDA_ERROR_INVALID_HANDLE);
SAME_NUMBER(cu::kIllegalState, CUDA_ERROR_ILLEGAL_STATE);
SAME_NUMBER(cu::kNotFound, CUDA_ERROR_NOT_FOUND);
SAME_NUMBER(cu::kNotReady, CUDA_ERROR_NOT_READY);
SAME_NUMBER(cu::kIllegalAddress, CUDA_ERROR_ILLEGAL_ADDRESS);
SAME_NUMBER(cu::kLaunchOutOfResources, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
SAME_NUMBER(cu::kLaunchTimeout, CUDA_ERROR_LAUNCH_TIMEOUT);
SAME_NUMBER(cu::kContextIsDestroyed, CUDA_ERROR_CONTEXT_IS_DESTROYED);
SAME_NUMBER(cu::kAssert, CUDA_ERROR_ASSERT);
SAME_NUMBER(cu::kHostMemoryAlreadyRegistered, CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
SAME_NUMBER(cu::kHostMemoryNotRegistered, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
SAME_NUMBER(cu::kHardwareStackError, CUDA_ERROR_HARDWARE_STACK_ERROR);
SAME_NUMBER(cu::kIllegalInstruction, CUDA_ERROR_ILLEGAL_INSTRUCTION);
SAME_NUMBER(cu::kMisalignedAddress, CUDA_ERROR_MISALIGNED_ADDRESS);
SAME_NUMBER(cu::kInvalidAddressSpace, CUDA_ERROR_INVALID_ADDRESS_SPACE);
SAME_NUMBER(cu::kInvalidPc, CUDA_ERROR_INVALID_PC);
SAME_NUMBER(cu::kLaunchFailed, CUDA_ERROR_LAUNCH_FAILED);
SAME_NUMBER(cu::kNotPermitted, CUDA_ERROR_NOT_PERMITTED);
SAME_NUMBER(cu::kNotSupported, CUDA_ERROR_NOT_SUPPORTED);
SAME_NUMBER(cu::kSystemDriverMismatch, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
SAME_NUMBER(cu::kStreamCaptureUnsupported, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
SAME_NUMBER(cu::kStreamCaptureInvalidated, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
SAME_NUMBER(cu::kStreamCaptureUnjoined, CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
SAME_NUMBER(cu::kStreamCaptureImplicit, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
SAME_NUMBER(cu::kCapturedEvent, CUDA_ERROR_CAPTURED_EVENT);
SAME_NUMBER(cu::kUnknown, CUDA_ERROR_UNKNOWN);
SAME_NUMBER(cu::kMaxThreadsPerBlock, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
SAME_NUMBER(cu::kMaxBlockDimX, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X);
SAME_NUMBER(cu::kMaxBlockDimY, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y);
SAME_NUMBER(cu::kMaxBlockDimZ, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z);
SAME_NUMBER(cu::kMaxGridDimX, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X);
SAME_NUMBER(cu::kMaxGridDimY, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y);
SAME_NUMBER(cu::kMaxGridDimZ, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z);
SAME_NUMBER(cu::kMaxSharedMemoryPerBlock, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
SAME_NUMBER(cu::kWarpSize, CU_DEVICE_ATTRIBUTE_WARP_SIZE);
SAME_NUMBER(cu::kMaxRegistersPerBlock, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK);
SAME_NUMBER(cu::kClockRate, CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
SAME_NUMBER(cu::kMultiprocessorCount, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
SAME_NUMBER(cu::kMemoryClockRate, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
SAME_NUMBER(cu::kGlobalMemoryBusWidth, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
SAME_NUMBER(cu::kL2CacheSize, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
SAME_NUMBER(cu::kMaxThreadsPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
SAME_NUMBER(cu::kComputeCapabilityMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME_NUMBER(cu::kComputeCapabilityMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
SAME_NUMBER(cu::kMaxSharedMemoryPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
SAME_NUMBER(cu::kMaxRegistersPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR);
SAME_NUMBER(cu::kMaxSharedMemoryPerBlockOptin, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
SAME_NUMBER(cu::kMemoryPoolsSupported, CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED);
SAME_NUMBER(cu::kFuncMaxThreadsPerBlock, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
SAME_NUMBER(cu::kFuncSharedSizeBytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
SAME_NUMBER(cu::kFuncConstSizeBytes, CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES);
SAME_NUMBER(cu::kFuncLocalSizeBytes, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES);
SAME_NUMBER(cu::kFuncNumRegs, CU_FUNC_ATTRIBUTE_NUM_REGS);
SAME_NUMBER(cu::kFuncPtxVersion, CU_FUNC_ATTRIBUTE_PTX_VERSION);
SAME_NUMBER(cu::kFuncBinaryVersion, CU_FUNC_ATTRIBUTE_BINARY_VERSION);
SAME_NUMBER(cu::kFuncMaxDynamicSharedSizeBytes, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
SAME_NUMBER(cu::kJitInfoLogBuffer, CU_JIT_INFO_LOG_BUFFER);
SAME_NUMBER(cu::kJitInfoLogBufferSizeBytes, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES);
SAME_NUMBER(cu::kJitErrorLogBuffer, CU_JIT_ERROR_LOG_BUFFER);
SAME_NUMBER(cu::kJitErrorLogBufferSizeBytes, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
SAME_NUMBER(cu::kCaptureGlobal, CU_STREAM_CAPTURE_MODE_GLOBAL);
SAME_NUMBER(cu::kCaptureThreadLocal, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
SAME_NUMBER(cu::kCaptureRelaxed, CU_STREAM_CAPTURE_MODE_RELAXED);
SAME_NUMBER(cu::kCaptureNone, CU_STREAM_CAPTURE_STATUS_NONE);
SAME_NUMBER(cu::kCaptureActive, CU_STREAM_CAPTURE_STATUS_ACTIVE);
SAME_NUMBER(cu::kCaptureStatusInvalidated, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
SAME_NUMBER(cu::kMemPoolReleaseThreshold, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD);
SAME_NUMBER(cu::kMemPoolReservedCurrent, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT);
SAME_NUMBER(cu::kMemPoolUsedCurrent, CU_MEMPOOL_ATTR_USED_MEM_CURRENT);
SAME_NUMBER(cu::kPointerMemoryType, CU_POINTER_ATTRIBUTE_MEMORY_TYPE);
SAME_NUMBER(cu::kStreamNonBlocking, CU_STREAM_NON_BLOCKING);
SAME_NUMBER(cu::kEventDisableTiming, CU_EVENT_DISABLE_TIMING);
SAME_NUMBER(cu::kHostAllocPortable, CU_MEMHOSTALLOC_PORTABLE);
SAME_NUMBER(cu::kHostAllocMapped, CU_MEMHOSTALLOC_DEVICEMAP);
SAME_NUMBER(cu::kHostRegisterPortable, CU_MEMHOSTREGISTER_PORTABLE);
#undef SAME_NUMBER

namespace listed {
using namespace cu;
struct Signatures {
#define TOOLGRAD_SIGNATURE(member, symbol, parameters, required) Result(*member) parameters;
  TOOLGRAD_CU_FUNCTIONS(TOOLGRAD_SIGNATURE)
#undef TOOLGRAD_SIGNATURE
};
struct Symbols {
#define TOOLGRAD_SYMBOL(member, symbol, parameters, required) static constexpr std::string_view member = symbol;
  TOOLGRAD_CU_FUNCTIONS(TOOLGRAD_SYMBOL)
#undef TOOLGRAD_SYMBOL
};
}  // namespace listed

// clang-format off
#define TOOLGRAD_ABI_PAIRS(X) \
  X(Init, cuInit)  \
  X(DriverGetVersion, cuDriverGetVersion)  \
  X(GetErrorName, cuGetErrorName)  \
  X(GetErrorString, cuGetErrorString)  \
  X(DeviceGetCount, cuDeviceGetCount)  \
  X(DeviceGet, cuDeviceGet)  \
  X(DeviceGetName, cuDeviceGetName)  \
  X(DeviceGetUuid, cuDeviceGetUuid)  \
  X(DeviceTotalMem, cuDeviceTotalMem)  \
  X(DeviceGetAttribute, cuDeviceGetAttribute)  \
  X(DevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain)  \
  X(DevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease)  \
  X(CtxSetCurrent, cuCtxSetCurrent)  \
  X(CtxGetCurrent, cuCtxGetCurrent)  \
  X(CtxSynchronize, cuCtxSynchronize)  \
  X(ModuleLoadDataEx, cuModuleLoadDataEx)  \
  X(ModuleUnload, cuModuleUnload)  \
  X(ModuleGetFunction, cuModuleGetFunction)  \
  X(FuncGetAttribute, cuFuncGetAttribute)  \
  X(FuncSetAttribute, cuFuncSetAttribute)  \
  X(OccupancyMaxActiveBlocks, cuOccupancyMaxActiveBlocksPerMultiprocessor)  \
  X(MemGetInfo, cuMemGetInfo)  \
  X(MemAlloc, cuMemAlloc)  \
  X(MemFree, cuMemFree)  \
  X(MemAllocAsync, cuMemAllocAsync)  \
  X(MemFreeAsync, cuMemFreeAsync)  \
  X(DeviceGetDefaultMemPool, cuDeviceGetDefaultMemPool)  \
  X(MemPoolSetAttribute, cuMemPoolSetAttribute)  \
  X(MemPoolGetAttribute, cuMemPoolGetAttribute)  \
  X(MemPoolTrimTo, cuMemPoolTrimTo)  \
  X(MemHostAlloc, cuMemHostAlloc)  \
  X(MemFreeHost, cuMemFreeHost)  \
  X(MemHostRegister, cuMemHostRegister)  \
  X(MemHostUnregister, cuMemHostUnregister)  \
  X(PointerGetAttribute, cuPointerGetAttribute)  \
  X(MemcpyHtoDAsync, cuMemcpyHtoDAsync)  \
  X(MemcpyDtoHAsync, cuMemcpyDtoHAsync)  \
  X(MemcpyDtoDAsync, cuMemcpyDtoDAsync)  \
  X(MemcpyHtoD, cuMemcpyHtoD)  \
  X(MemcpyDtoH, cuMemcpyDtoH)  \
  X(MemsetD8Async, cuMemsetD8Async)  \
  X(MemsetD32Async, cuMemsetD32Async)  \
  X(StreamCreate, cuStreamCreate)  \
  X(StreamCreateWithPriority, cuStreamCreateWithPriority)  \
  X(StreamDestroy, cuStreamDestroy)  \
  X(StreamSynchronize, cuStreamSynchronize)  \
  X(StreamQuery, cuStreamQuery)  \
  X(StreamWaitEvent, cuStreamWaitEvent)  \
  X(StreamBeginCapture, cuStreamBeginCapture)  \
  X(StreamEndCapture, cuStreamEndCapture)  \
  X(StreamIsCapturing, cuStreamIsCapturing)  \
  X(GraphInstantiate, cuGraphInstantiateWithFlags)  \
  X(GraphLaunch, cuGraphLaunch)  \
  X(GraphExecUpdate, cuGraphExecUpdate)  \
  X(GraphExecDestroy, cuGraphExecDestroy)  \
  X(GraphDestroy, cuGraphDestroy)  \
  X(EventCreate, cuEventCreate)  \
  X(EventRecord, cuEventRecord)  \
  X(EventQuery, cuEventQuery)  \
  X(EventSynchronize, cuEventSynchronize)  \
  X(EventElapsedTime, cuEventElapsedTime)  \
  X(EventDestroy, cuEventDestroy)  \
  X(LaunchKernel, cuLaunchKernel)  \
  X(LaunchHostFunc, cuLaunchHostFunc)
// clang-format on

#define TOOLGRAD_TEXT(x) TOOLGRAD_TEXT_OF(x)
#define TOOLGRAD_TEXT_OF(x) #x
#define TOOLGRAD_SAME_SIGNATURE(member, theirs)                                                 \
  static_assert(SameFunction<decltype(listed::Signatures::member), decltype(&::theirs)>::value, \
                "the signature of " #member " is not that of " #theirs);
TOOLGRAD_ABI_PAIRS(TOOLGRAD_SAME_SIGNATURE)

// The name after cuda.h's macros. Of cuEventElapsedTime there is a second version since CUDA 12.8, with the signature of the
// first, which older drivers lack; we name the first.
#define TOOLGRAD_SAME_SYMBOL(member, theirs)                                                                         \
  static_assert(listed::Symbols::member == TOOLGRAD_TEXT(theirs) || listed::Symbols::member == "cuEventElapsedTime", \
                "cuda.h means another symbol than ours by " #member);
TOOLGRAD_ABI_PAIRS(TOOLGRAD_SAME_SYMBOL)
static_assert(listed::Symbols::EventElapsedTime == "cuEventElapsedTime");

#define TOOLGRAD_ONE(...) +1
constexpr int kListed = 0 TOOLGRAD_CU_FUNCTIONS(TOOLGRAD_ONE), kCompared = 0 TOOLGRAD_ABI_PAIRS(TOOLGRAD_ONE);
static_assert(kListed == kCompared, "an entry point of driver_api.h is not compared");

}  // namespace toolgrad::test

int main() {
  std::printf("ok     %d entry points and their types agree with cuda.h of CUDA %d.%d\n", toolgrad::test::kCompared,
              CUDA_VERSION / 1000, CUDA_VERSION % 1000 / 10);
  return 0;
}

#endif
