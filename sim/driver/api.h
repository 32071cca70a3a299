// The exported entry points of the simulated libcuda.so.1, declared with the types of cuda/driver_api.h.
//
// Every function is declared in namespace sim::api under the member name of the list and bound to its real symbol by an
// assembler label, so that a wrong signature does not compile and a missing definition does not link. SIM_EXTRA_FUNCTIONS
// are entry points that toolgrad does not call but that other programs of the driver interface commonly do.
#pragma once

#include "driver_api.h"

namespace toolgrad::cu {
/// Results that the driver gives and toolgrad has no need to tell apart.
enum : Result {
  kStreamCaptureMerge = 902,
  kStreamCaptureUnmatched = 903,
  kStreamCaptureIsolation = 905,
  kStreamCaptureWrongThread = 908,
  kGraphExecUpdateFailure = 910,
};
}  // namespace toolgrad::cu

// clang-format off
#define SIM_EXTRA_FUNCTIONS(X)                                                                                                \
  X(GetProcAddress, "cuGetProcAddress_v2",                                                                                    \
    (const char* symbol, void** function, int version, unsigned long long flags, int* status), 1)                             \
  X(DevicePrimaryCtxGetState, "cuDevicePrimaryCtxGetState", (Device device, unsigned* flags, int* active), 1)                 \
  X(DevicePrimaryCtxSetFlags, "cuDevicePrimaryCtxSetFlags_v2", (Device device, unsigned flags), 1)                            \
  X(DevicePrimaryCtxReset, "cuDevicePrimaryCtxReset_v2", (Device device), 1)                                                  \
  X(CtxPushCurrent, "cuCtxPushCurrent_v2", (Context context), 1)                                                              \
  X(CtxPopCurrent, "cuCtxPopCurrent_v2", (Context* context), 1)                                                               \
  X(CtxGetDevice, "cuCtxGetDevice", (Device* device), 1)                                                                      \
  X(CtxGetStreamPriorityRange, "cuCtxGetStreamPriorityRange", (int* least, int* greatest), 1)                                 \
  X(ModuleLoadData, "cuModuleLoadData", (Module* module, const void* image), 1)                                               \
  X(MemcpyDtoD, "cuMemcpyDtoD_v2", (DevicePtr to, DevicePtr from, size_t bytes), 1)                                           \
  X(MemsetD8, "cuMemsetD8_v2", (DevicePtr to, unsigned char value, size_t count), 1)                                          \
  X(MemsetD32, "cuMemsetD32_v2", (DevicePtr to, unsigned value, size_t count), 1)                                             \
  X(MemAllocHost, "cuMemAllocHost_v2", (void** pointer, size_t bytes), 1)                                                     \
  X(StreamGetFlags, "cuStreamGetFlags", (Stream stream, unsigned* flags), 1)                                                  \
  X(ThreadExchangeStreamCaptureMode, "cuThreadExchangeStreamCaptureMode", (CaptureMode* mode), 1)                             \
  X(EventElapsedTimeV2, "cuEventElapsedTime_v2", (float* milliseconds, Event start, Event end), 1)
// clang-format on

namespace sim::api {
using namespace toolgrad::cu;
// Of two types of one name, an entry point means the driver's.
using toolgrad::cu::Context, toolgrad::cu::Module, toolgrad::cu::Function, toolgrad::cu::Stream, toolgrad::cu::Event,
    toolgrad::cu::Graph, toolgrad::cu::GraphExec;
#define SIM_DECLARE(member, symbol, parameters, required) \
  __attribute__((visibility("default"))) Result member parameters asm(symbol);
TOOLGRAD_CU_FUNCTIONS(SIM_DECLARE)
SIM_EXTRA_FUNCTIONS(SIM_DECLARE)
#undef SIM_DECLARE
}  // namespace sim::api

extern "C" {
/// Changes a setting of the running process as its environment variable would: key "seed" is CUDASIM_SEED. Returns 0;
/// 1 for an unknown key or value; 401 for one that needs the primary context to be inactive ("sm", "memory").
__attribute__((visibility("default"))) int cudasim_set(const char* key, const char* value);
/// Writes the report (JSON) as of now, cut to `bytes` with its final NUL; returns the bytes that the whole needs.
__attribute__((visibility("default"))) size_t cudasim_report(char* buffer, size_t bytes);
}
