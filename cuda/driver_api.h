// The part of the CUDA driver's interface that toolgrad uses, declared by ourselves so that no CUDA toolkit is needed to
// build. Names, layouts and numbers are those of NVIDIA's cuda.h; test/native/cuda_abi_test.cc compares them with the real
// header where one is installed. Only public entry points, under their versioned symbol names.
//
// TOOLGRAD_CU_FUNCTIONS(X) lists every entry point as X(member, symbol, (parameter types), required): `required` = 0 marks
// those that an old driver may lack (asynchronous pools: CUDA 11.2; graphs: 11.4; launch attributes: 11.8).
#pragma once

#include <cstddef>
#include <cstdint>

namespace toolgrad::cu {

using Device = int;
using DevicePtr = unsigned long long;
struct ContextTag;
struct ModuleTag;
struct FunctionTag;
struct StreamTag;
struct EventTag;
struct GraphTag;
struct GraphExecTag;
struct MemPoolTag;
using Context = ContextTag*;
using Module = ModuleTag*;
using Function = FunctionTag*;
using Stream = StreamTag*;
using Event = EventTag*;
using Graph = GraphTag*;
using GraphExec = GraphExecTag*;
using MemPool = MemPoolTag*;
using HostFn = void (*)(void*);

using Result = int;  // CUresult; a plain int, so that unknown codes of newer drivers are representable
enum : Result {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kDeinitialized = 4,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kInvalidImage = 200,
  kInvalidContext = 201,
  kNoBinaryForGpu = 209,
  kInvalidPtx = 218,
  kUnsupportedPtxVersion = 222,
  kFileNotFound = 301,
  kInvalidHandle = 400,
  kIllegalState = 401,
  kNotFound = 500,
  kNotReady = 600,
  kIllegalAddress = 700,
  kLaunchOutOfResources = 701,
  kLaunchTimeout = 702,
  kContextIsDestroyed = 709,
  kAssert = 710,
  kHostMemoryAlreadyRegistered = 712,
  kHostMemoryNotRegistered = 713,
  kHardwareStackError = 714,
  kIllegalInstruction = 715,
  kMisalignedAddress = 716,
  kInvalidAddressSpace = 717,
  kInvalidPc = 718,
  kLaunchFailed = 719,
  kNotPermitted = 800,
  kNotSupported = 801,
  kSystemDriverMismatch = 803,
  kStreamCaptureUnsupported = 900,
  kStreamCaptureInvalidated = 901,
  kStreamCaptureUnjoined = 904,
  kStreamCaptureImplicit = 906,
  kCapturedEvent = 907,
  kUnknown = 999,
};

enum DeviceAttribute : int {
  kMaxThreadsPerBlock = 1,
  kMaxBlockDimX = 2,
  kMaxBlockDimY = 3,
  kMaxBlockDimZ = 4,
  kMaxGridDimX = 5,
  kMaxGridDimY = 6,
  kMaxGridDimZ = 7,
  kMaxSharedMemoryPerBlock = 8,
  kWarpSize = 10,
  kMaxRegistersPerBlock = 12,
  kClockRate = 13,  // kHz
  kMultiprocessorCount = 16,
  kMemoryClockRate = 36,       // kHz
  kGlobalMemoryBusWidth = 37,  // bits
  kL2CacheSize = 38,
  kMaxThreadsPerMultiprocessor = 39,
  kComputeCapabilityMajor = 75,
  kComputeCapabilityMinor = 76,
  kMaxSharedMemoryPerMultiprocessor = 81,
  kMaxRegistersPerMultiprocessor = 82,
  kMaxSharedMemoryPerBlockOptin = 97,
  kMemoryPoolsSupported = 115,
};

enum FunctionAttribute : int {
  kFuncMaxThreadsPerBlock = 0,
  kFuncSharedSizeBytes = 1,
  kFuncConstSizeBytes = 2,
  kFuncLocalSizeBytes = 3,
  kFuncNumRegs = 4,
  kFuncPtxVersion = 5,
  kFuncBinaryVersion = 6,
  kFuncMaxDynamicSharedSizeBytes = 8,
};

enum JitOption : int {
  kJitInfoLogBuffer = 3,
  kJitInfoLogBufferSizeBytes = 4,
  kJitErrorLogBuffer = 5,
  kJitErrorLogBufferSizeBytes = 6,
};

enum : unsigned {
  kStreamNonBlocking = 1,
  kEventDisableTiming = 2,
  kHostAllocPortable = 1,
  kHostAllocMapped = 2,
  kHostRegisterPortable = 1,
};
enum CaptureMode : int { kCaptureGlobal = 0, kCaptureThreadLocal = 1, kCaptureRelaxed = 2 };
enum CaptureStatus : int { kCaptureNone = 0, kCaptureActive = 1, kCaptureStatusInvalidated = 2 };
enum MemPoolAttribute : int {
  kMemPoolReleaseThreshold = 4,  // cuuint64_t
  kMemPoolReservedCurrent = 5,
  kMemPoolUsedCurrent = 7,
};
enum PointerAttribute : int { kPointerMemoryType = 2 };  // unsigned: 1 = host, 2 = device

struct Uuid {
  char bytes[16];
};

/// CUgraphExecUpdateResultInfo.
struct GraphExecUpdateResultInfo {
  int result;
  void* error_node;
  void* error_from_node;
};

// clang-format off
#define TOOLGRAD_CU_FUNCTIONS(X)                                                                                              \
  X(Init, "cuInit", (unsigned flags), 1)                                                                                      \
  X(DriverGetVersion, "cuDriverGetVersion", (int* version), 1)                                                                \
  X(GetErrorName, "cuGetErrorName", (Result error, const char** name), 1)                                                     \
  X(GetErrorString, "cuGetErrorString", (Result error, const char** text), 1)                                                 \
  X(DeviceGetCount, "cuDeviceGetCount", (int* count), 1)                                                                      \
  X(DeviceGet, "cuDeviceGet", (Device * device, int ordinal), 1)                                                              \
  X(DeviceGetName, "cuDeviceGetName", (char* name, int length, Device device), 1)                                             \
  X(DeviceGetUuid, "cuDeviceGetUuid_v2", (Uuid* uuid, Device device), 0)                                                      \
  X(DeviceTotalMem, "cuDeviceTotalMem_v2", (size_t* bytes, Device device), 1)                                                 \
  X(DeviceGetAttribute, "cuDeviceGetAttribute", (int* value, DeviceAttribute attribute, Device device), 1)                    \
  X(DevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (Context* context, Device device), 1)                                 \
  X(DevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (Device device), 1)                                              \
  X(CtxSetCurrent, "cuCtxSetCurrent", (Context context), 1)                                                                   \
  X(CtxGetCurrent, "cuCtxGetCurrent", (Context* context), 1)                                                                  \
  X(CtxSynchronize, "cuCtxSynchronize", (), 1)                                                                                \
  X(ModuleLoadDataEx, "cuModuleLoadDataEx",                                                                                   \
    (Module* module, const void* image, unsigned options, JitOption* names, void** values), 1)                                \
  X(ModuleUnload, "cuModuleUnload", (Module module), 1)                                                                       \
  X(ModuleGetFunction, "cuModuleGetFunction", (Function* function, Module module, const char* name), 1)                       \
  X(FuncGetAttribute, "cuFuncGetAttribute", (int* value, FunctionAttribute attribute, Function function), 1)                  \
  X(FuncSetAttribute, "cuFuncSetAttribute", (Function function, FunctionAttribute attribute, int value), 1)                   \
  X(OccupancyMaxActiveBlocks, "cuOccupancyMaxActiveBlocksPerMultiprocessor",                                                  \
    (int* blocks, Function function, int block_size, size_t dynamic_shared), 1)                                               \
  X(MemGetInfo, "cuMemGetInfo_v2", (size_t* free, size_t* total), 1)                                                          \
  X(MemAlloc, "cuMemAlloc_v2", (DevicePtr* pointer, size_t bytes), 1)                                                         \
  X(MemFree, "cuMemFree_v2", (DevicePtr pointer), 1)                                                                          \
  X(MemAllocAsync, "cuMemAllocAsync", (DevicePtr* pointer, size_t bytes, Stream stream), 0)                                   \
  X(MemFreeAsync, "cuMemFreeAsync", (DevicePtr pointer, Stream stream), 0)                                                    \
  X(DeviceGetDefaultMemPool, "cuDeviceGetDefaultMemPool", (MemPool* pool, Device device), 0)                                  \
  X(MemPoolSetAttribute, "cuMemPoolSetAttribute", (MemPool pool, MemPoolAttribute attribute, void* value), 0)                 \
  X(MemPoolGetAttribute, "cuMemPoolGetAttribute", (MemPool pool, MemPoolAttribute attribute, void* value), 0)                 \
  X(MemPoolTrimTo, "cuMemPoolTrimTo", (MemPool pool, size_t keep), 0)                                                         \
  X(MemHostAlloc, "cuMemHostAlloc", (void** pointer, size_t bytes, unsigned flags), 1)                                        \
  X(MemFreeHost, "cuMemFreeHost", (void* pointer), 1)                                                                         \
  X(MemHostRegister, "cuMemHostRegister_v2", (void* pointer, size_t bytes, unsigned flags), 1)                                \
  X(MemHostUnregister, "cuMemHostUnregister", (void* pointer), 1)                                                             \
  X(PointerGetAttribute, "cuPointerGetAttribute", (void* value, PointerAttribute attribute, DevicePtr pointer), 1)            \
  X(MemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2", (DevicePtr to, const void* from, size_t bytes, Stream stream), 1)                \
  X(MemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2", (void* to, DevicePtr from, size_t bytes, Stream stream), 1)                      \
  X(MemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2", (DevicePtr to, DevicePtr from, size_t bytes, Stream stream), 1)                  \
  X(MemcpyHtoD, "cuMemcpyHtoD_v2", (DevicePtr to, const void* from, size_t bytes), 1)                                         \
  X(MemcpyDtoH, "cuMemcpyDtoH_v2", (void* to, DevicePtr from, size_t bytes), 1)                                               \
  X(MemsetD8Async, "cuMemsetD8Async", (DevicePtr to, unsigned char value, size_t count, Stream stream), 1)                    \
  X(MemsetD32Async, "cuMemsetD32Async", (DevicePtr to, unsigned value, size_t count, Stream stream), 1)                       \
  X(StreamCreate, "cuStreamCreate", (Stream* stream, unsigned flags), 1)                                                      \
  X(StreamCreateWithPriority, "cuStreamCreateWithPriority", (Stream* stream, unsigned flags, int priority), 1)                \
  X(StreamDestroy, "cuStreamDestroy_v2", (Stream stream), 1)                                                                  \
  X(StreamSynchronize, "cuStreamSynchronize", (Stream stream), 1)                                                             \
  X(StreamQuery, "cuStreamQuery", (Stream stream), 1)                                                                         \
  X(StreamWaitEvent, "cuStreamWaitEvent", (Stream stream, Event event, unsigned flags), 1)                                    \
  X(StreamBeginCapture, "cuStreamBeginCapture_v2", (Stream stream, CaptureMode mode), 0)                                      \
  X(StreamEndCapture, "cuStreamEndCapture", (Stream stream, Graph* graph), 0)                                                 \
  X(StreamIsCapturing, "cuStreamIsCapturing", (Stream stream, CaptureStatus* status), 0)                                      \
  X(GraphInstantiate, "cuGraphInstantiateWithFlags", (GraphExec* exec, Graph graph, unsigned long long flags), 0)             \
  X(GraphLaunch, "cuGraphLaunch", (GraphExec exec, Stream stream), 0)                                                         \
  X(GraphExecUpdate, "cuGraphExecUpdate_v2", (GraphExec exec, Graph graph, GraphExecUpdateResultInfo* info), 0)               \
  X(GraphExecDestroy, "cuGraphExecDestroy", (GraphExec exec), 0)                                                              \
  X(GraphDestroy, "cuGraphDestroy", (Graph graph), 0)                                                                         \
  X(EventCreate, "cuEventCreate", (Event* event, unsigned flags), 1)                                                          \
  X(EventRecord, "cuEventRecord", (Event event, Stream stream), 1)                                                            \
  X(EventQuery, "cuEventQuery", (Event event), 1)                                                                             \
  X(EventSynchronize, "cuEventSynchronize", (Event event), 1)                                                                 \
  X(EventElapsedTime, "cuEventElapsedTime", (float* milliseconds, Event start, Event end), 1)                                 \
  X(EventDestroy, "cuEventDestroy_v2", (Event event), 1)                                                                      \
  X(LaunchKernel, "cuLaunchKernel",                                                                                           \
    (Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,                \
     unsigned block_z, unsigned shared_bytes, Stream stream, void** parameters, void** extra), 1)                             \
  X(LaunchHostFunc, "cuLaunchHostFunc", (Stream stream, HostFn function, void* data), 0)
// clang-format on

}  // namespace toolgrad::cu
