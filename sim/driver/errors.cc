// Names and sentences of the driver's results, and which of them end a context. The sentences are ours.
#include "driver/driver.h"

namespace sim {
namespace {

struct Entry {
  int code;
  const char *name, *text;
};

// clang-format off
constexpr Entry kEntries[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "an argument has no valid value"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "there is not enough memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "cuInit was not called"},
    {4, "CUDA_ERROR_DEINITIALIZED", "the driver is shutting down"},
    {34, "CUDA_ERROR_STUB_LIBRARY", "a stub library was loaded"},
    {46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "the device is not available"},
    {100, "CUDA_ERROR_NO_DEVICE", "there is no device"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "there is no such device"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "the image is not device code"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "no context is current on this thread, or it is not valid"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "the image has no code for this device"},
    {216, "CUDA_ERROR_CONTEXT_ALREADY_IN_USE", "the context is in use"},
    {218, "CUDA_ERROR_INVALID_PTX", "the PTX does not compile"},
    {221, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "there is no PTX compiler"},
    {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the PTX is newer than this driver"},
    {223, "CUDA_ERROR_JIT_COMPILATION_DISABLED", "compilation of PTX is switched off"},
    {300, "CUDA_ERROR_INVALID_SOURCE", "the source is not valid"},
    {301, "CUDA_ERROR_FILE_NOT_FOUND", "there is no such file"},
    {304, "CUDA_ERROR_OPERATING_SYSTEM", "a call of the operating system failed"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "a handle is not valid"},
    {401, "CUDA_ERROR_ILLEGAL_STATE", "the call is not possible in this state"},
    {500, "CUDA_ERROR_NOT_FOUND", "there is nothing of this name"},
    {600, "CUDA_ERROR_NOT_READY", "the work is not finished"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "the device touched memory that it may not touch"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "the launch needs more resources than there are"},
    {702, "CUDA_ERROR_LAUNCH_TIMEOUT", "a kernel ran for too long"},
    {708, "CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE", "the primary context is active"},
    {709, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "the current context was destroyed"},
    {710, "CUDA_ERROR_ASSERT", "an assertion failed on the device"},
    {712, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", "the host memory is page-locked already"},
    {713, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", "the host memory is not registered"},
    {714, "CUDA_ERROR_HARDWARE_STACK_ERROR", "the device's stack is corrupt or overflowed"},
    {715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "the device met an instruction that it cannot execute"},
    {716, "CUDA_ERROR_MISALIGNED_ADDRESS", "the device used an address that is not aligned"},
    {717, "CUDA_ERROR_INVALID_ADDRESS_SPACE", "an address lies in the wrong space"},
    {718, "CUDA_ERROR_INVALID_PC", "the program counter left the program"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "a kernel failed while it ran"},
    {720, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "the cooperative launch has too many blocks"},
    {800, "CUDA_ERROR_NOT_PERMITTED", "the call is not permitted here"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "the call is not supported"},
    {802, "CUDA_ERROR_SYSTEM_NOT_READY", "the system is not ready"},
    {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "kernel module and driver library do not match"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "the call is not permitted while a stream is captured"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "an earlier error made the capture invalid"},
    {902, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "two captures would be joined"},
    {903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "the capture did not begin in this stream"},
    {904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "a stream of the capture was not joined to its origin"},
    {905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "the captured work would depend on work outside the capture"},
    {906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "the legacy stream would depend on a capture"},
    {907, "CUDA_ERROR_CAPTURED_EVENT", "the event was last recorded in a capture"},
    {908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "another thread began the capture"},
    {909, "CUDA_ERROR_TIMEOUT", "the wait took too long"},
    {910, "CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE", "the executable graph cannot be updated from this graph"},
    {999, "CUDA_ERROR_UNKNOWN", "an unknown error"},
};
// clang-format on

const Entry* find_entry(int code) {
  for (const Entry& entry : kEntries)
    if (entry.code == code) return &entry;
  return nullptr;
}

}  // namespace

bool is_sticky(int code) {
  return code == 700 || code == 702 || code == 710 || (code >= 714 && code <= 719);
}

const char* error_name(int code) {
  const Entry* entry = find_entry(code);
  return entry == nullptr ? nullptr : entry->name;
}

const char* error_text(int code) {
  const Entry* entry = find_entry(code);
  return entry == nullptr ? nullptr : entry->text;
}

}  // namespace sim
