// Entry points: start, errors, devices, contexts.
#include <cstdio>
#include <cstring>

#include "driver/driver.h"

namespace sim {
namespace {

void check_context_handle(cu::Context context) {
  if (from_handle(context) != Context::handle())
    throw Fault{cu::kInvalidContext, "not the handle of the primary context"};
}

}  // namespace

namespace api {

Result Init(unsigned flags) {
  return call("cuInit", Needs::kNothing, [&](Driver& d, Lock&) {
    if (thread_state().in_host_function) throw Fault{kNotPermitted, "called by a host function"};
    if (flags != 0) throw Fault{kInvalidValue, "flags must be 0"};
    if (!d.settings_error.empty()) {
      std::fprintf(stderr, "%s\n", d.settings_error.c_str());
      throw Fault{kInvalidValue, d.settings_error};
    }
    d.initialised = true;
    return kSuccess;
  });
}

Result DriverGetVersion(int* version) {
  return call("cuDriverGetVersion", Needs::kNothing, [&](Driver& d, Lock&) {
    require_pointer(version, "version");
    *version = d.settings.driver_version;
    return kSuccess;
  });
}

Result GetErrorName(Result error, const char** name) {
  return call("cuGetErrorName", Needs::kNothing, [&](Driver&, Lock&) {
    require_pointer(name, "name");
    *name = error_name(error);
    return *name == nullptr ? kInvalidValue : kSuccess;
  });
}

Result GetErrorString(Result error, const char** text) {
  return call("cuGetErrorString", Needs::kNothing, [&](Driver&, Lock&) {
    require_pointer(text, "text");
    *text = error_text(error);
    return *text == nullptr ? kInvalidValue : kSuccess;
  });
}

Result DeviceGetCount(int* count) {
  return call("cuDeviceGetCount", Needs::kInit, [&](Driver&, Lock&) {
    require_pointer(count, "count");
    *count = 1;
    return kSuccess;
  });
}

Result DeviceGet(Device* device, int ordinal) {
  return call("cuDeviceGet", Needs::kInit, [&](Driver&, Lock&) {
    require_pointer(device, "device");
    require_device(ordinal);
    *device = 0;
    return kSuccess;
  });
}

Result DeviceGetName(char* name, int length, Device device) {
  return call("cuDeviceGetName", Needs::kInit, [&](Driver& d, Lock&) {
    require_device(device);
    require_pointer(name, "name");
    if (length <= 0) throw Fault{kInvalidValue, "length must be positive"};
    const std::string text = std::string(d.sheet().name).substr(0, static_cast<size_t>(length) - 1);
    std::memcpy(name, text.c_str(), text.size() + 1);
    return kSuccess;
  });
}

Result DeviceGetUuid(Uuid* uuid, Device device) {
  return call("cuDeviceGetUuid_v2", Needs::kInit, [&](Driver& d, Lock&) {
    require_device(device);
    require_pointer(uuid, "uuid");
    std::memcpy(uuid->bytes, "cudasim device 0", sizeof uuid->bytes);
    uuid->bytes[15] = static_cast<char>(d.settings.sm);
    return kSuccess;
  });
}

Result DeviceTotalMem(size_t* bytes, Device device) {
  return call("cuDeviceTotalMem_v2", Needs::kInit, [&](Driver& d, Lock&) {
    require_device(device);
    require_pointer(bytes, "bytes");
    *bytes = d.settings.memory;
    return kSuccess;
  });
}

Result DeviceGetAttribute(int* value, DeviceAttribute attribute, Device device) {
  return call("cuDeviceGetAttribute", Needs::kInit, [&](Driver& d, Lock&) {
    require_device(device);
    require_pointer(value, "value");
    const std::optional<int> found = device_attribute(d.sheet(), attribute);
    if (!found) throw Fault{kInvalidValue, "attribute " + std::to_string(attribute) + " is not simulated"};
    *value = attribute == kMemoryPoolsSupported && !d.settings.pools ? 0 : *found;
    return kSuccess;
  });
}

Result DevicePrimaryCtxRetain(Context* context, Device device) {
  return call("cuDevicePrimaryCtxRetain", Needs::kInit, [&](Driver& d, Lock&) {
    require_device(device);
    require_pointer(context, "context");
    if (d.lost) throw Fault{kUnknown, "the device is lost (injected)"};
    if (d.context.alive())
      ++d.context.references;
    else
      d.activate();
    *context = to_handle<Context>(sim::Context::handle());
    return kSuccess;
  });
}

Result DevicePrimaryCtxRelease(Device device) {
  return call("cuDevicePrimaryCtxRelease_v2", Needs::kInit, [&](Driver& d, Lock& lock) {
    require_device(device);
    if (!d.context.alive()) throw Fault{kInvalidContext, "the primary context is not retained"};
    if (d.context.references > 1) {
      --d.context.references;
      return kSuccess;
    }
    // A host function that runs now may use what the context owns.
    d.changed.wait(lock, [&] { return d.running_host_functions == 0; });
    if (d.context.references == 1) d.deactivate();
    return kSuccess;
  });
}

Result DevicePrimaryCtxGetState(Device device, unsigned* flags, int* active) {
  return call("cuDevicePrimaryCtxGetState", Needs::kInit, [&](Driver& d, Lock&) {
    require_device(device);
    require_pointer(flags, "flags");
    require_pointer(active, "active");
    *flags = d.context.flags;
    *active = d.context.alive();
    return kSuccess;
  });
}

Result DevicePrimaryCtxSetFlags(Device device, unsigned flags) {
  return call("cuDevicePrimaryCtxSetFlags_v2", Needs::kInit, [&](Driver& d, Lock&) {
    require_device(device);
    // Scheduling (0, 1, 2, 4), mapped host memory (8), local memory (16): nothing here depends on them.
    if (flags > 31 || (flags & 7) == 3 || (flags & 7) > 4) throw Fault{kInvalidValue, "unknown flags"};
    d.context.flags = flags;
    return kSuccess;
  });
}

Result DevicePrimaryCtxReset(Device device) {
  return call("cuDevicePrimaryCtxReset_v2", Needs::kInit, [&](Driver& d, Lock& lock) {
    require_device(device);
    d.changed.wait(lock, [&] { return d.running_host_functions == 0; });
    if (d.context.alive()) d.deactivate();
    return kSuccess;
  });
}

Result CtxSetCurrent(Context context) {
  return call("cuCtxSetCurrent", Needs::kInit, [&](Driver&, Lock&) {
    ThreadState& thread = thread_state();
    if (context == nullptr) {
      if (thread.depth > 0) --thread.depth;
      return kSuccess;
    }
    check_context_handle(context);
    if (thread.depth == 0) thread.depth = 1;
    thread.contexts[thread.depth - 1] = from_handle(context);
    return kSuccess;
  });
}

Result CtxGetCurrent(Context* context) {
  return call("cuCtxGetCurrent", Needs::kInit, [&](Driver&, Lock&) {
    require_pointer(context, "context");
    const ThreadState& thread = thread_state();
    *context = thread.depth == 0 ? nullptr : to_handle<Context>(thread.contexts[thread.depth - 1]);
    return kSuccess;
  });
}

Result CtxPushCurrent(Context context) {
  return call("cuCtxPushCurrent_v2", Needs::kInit, [&](Driver&, Lock&) {
    check_context_handle(context);
    ThreadState& thread = thread_state();
    if (thread.depth == static_cast<int>(std::size(thread.contexts)))
      throw Fault{kOutOfMemory, "the thread's stack of contexts is full"};
    thread.contexts[thread.depth++] = from_handle(context);
    return kSuccess;
  });
}

Result CtxPopCurrent(Context* context) {
  return call("cuCtxPopCurrent_v2", Needs::kInit, [&](Driver&, Lock&) {
    ThreadState& thread = thread_state();
    if (thread.depth == 0) throw Fault{kInvalidContext, "the thread has no current context"};
    const uint64_t popped = thread.contexts[--thread.depth];
    if (context != nullptr) *context = to_handle<Context>(popped);
    return kSuccess;
  });
}

Result CtxGetDevice(Device* device) {
  return call("cuCtxGetDevice", Needs::kContext, [&](Driver&, Lock&) {
    require_pointer(device, "device");
    *device = 0;
    return kSuccess;
  });
}

Result CtxGetStreamPriorityRange(int* least, int* greatest) {
  return call("cuCtxGetStreamPriorityRange", Needs::kContext, [&](Driver&, Lock&) {
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = -5;
    return kSuccess;
  });
}

Result CtxSynchronize() {
  return call("cuCtxSynchronize", Needs::kContext, [&](Driver& d, Lock& lock) {
    d.refuse_during_capture("cuCtxSynchronize");
    d.run_all(lock);
    return kSuccess;
  });
}

}  // namespace api
}  // namespace sim
