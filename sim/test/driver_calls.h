// The driver as a program sees it: libcuda.so.1 by dlopen, every entry point by dlsym, and small kernels to launch.
//
// CUDASIM_LIBRARY (set by the build) is the library under test. The table has the entry points of cuda/driver_api.h and the
// simulator's extra ones; loading fails loudly when one is missing.
#pragma once

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "check.h"
#include "driver/api.h"

namespace sim::test {

namespace cu = toolgrad::cu;

namespace detail {
using namespace toolgrad::cu;
struct Calls {
#define SIM_MEMBER(member, symbol, parameters, required) Result(*member) parameters = nullptr;
  TOOLGRAD_CU_FUNCTIONS(SIM_MEMBER)
  SIM_EXTRA_FUNCTIONS(SIM_MEMBER)
#undef SIM_MEMBER
  int (*set)(const char* key, const char* value) = nullptr;
  size_t (*report)(char* buffer, size_t bytes) = nullptr;
};
}  // namespace detail
using detail::Calls;

inline void* open_library() {
  void* library = dlopen(CUDASIM_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::printf("FAILED: %s\n", dlerror());
    std::exit(1);
  }
  return library;
}

template <class F>
void find_symbol(void* library, const char* symbol, F* function) {
  *function = reinterpret_cast<F>(dlsym(library, symbol));
  check(*function != nullptr, std::string(symbol) + " is exported");
}

inline Calls load_calls(void* library) {
  Calls calls;
#define SIM_LOAD(member, symbol, parameters, required) find_symbol(library, symbol, &calls.member);
  TOOLGRAD_CU_FUNCTIONS(SIM_LOAD)
  SIM_EXTRA_FUNCTIONS(SIM_LOAD)
#undef SIM_LOAD
  find_symbol(library, "cudasim_set", &calls.set);
  find_symbol(library, "cudasim_report", &calls.report);
  if (failures > 0) std::exit(1);
  return calls;
}

inline const Calls& calls() {
  static const Calls all = load_calls(open_library());
  return all;
}

inline bool expect(int got, int wanted, const std::string& what) {
  return check(got == wanted, what + ": expected " + std::to_string(wanted) + ", got " + std::to_string(got));
}
inline bool succeeds(int got, const std::string& what) {
  return expect(got, 0, what);
}

inline std::string report() {
  std::string text(calls().report(nullptr, 0), '\0');
  calls().report(text.data(), text.size());
  text.resize(text.size() - 1);
  return text;
}
inline bool reported(const std::string& part) {
  return report().find(part) != std::string::npos;
}

/// The kernels, PTX 7.4 for sm_80. One thread does the work of each.
inline constexpr const char* kPtx = R"(
// A comment before the first directive.
.version 7.4
.target sm_80
.address_size 64

// *p += k
.visible .entry add(.param .u64 add_param_0, .param .u32 add_param_1)
{
  .reg .b32 %r<4>;
  .reg .b64 %rd<3>;
  ld.param.u64 %rd1, [add_param_0];
  ld.param.u32 %r1, [add_param_1];
  cvta.to.global.u64 %rd2, %rd1;
  ld.global.u32 %r2, [%rd2];
  add.s32 %r3, %r2, %r1;
  st.global.u32 [%rd2], %r3;
  ret;
}

// *p *= k
.visible .entry times(.param .u64 times_param_0, .param .u32 times_param_1)
{
  .reg .b32 %r<4>;
  .reg .b64 %rd<3>;
  ld.param.u64 %rd1, [times_param_0];
  ld.param.u32 %r1, [times_param_1];
  cvta.to.global.u64 %rd2, %rd1;
  ld.global.u32 %r2, [%rd2];
  mul.lo.s32 %r3, %r2, %r1;
  st.global.u32 [%rd2], %r3;
  ret;
}

// Writes 1 GiB behind p.
.visible .entry wild(.param .u64 wild_param_0)
{
  .reg .b32 %r<2>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [wild_param_0];
  cvta.to.global.u64 %rd2, %rd1;
  add.s64 %rd3, %rd2, 1073741824;
  mov.u32 %r1, 7;
  st.global.u32 [%rd3], %r1;
  ret;
}

// Writes four bytes at p + 1.
.visible .entry misaligned(.param .u64 misaligned_param_0)
{
  .reg .b32 %r<2>;
  .reg .b64 %rd<3>;
  ld.param.u64 %rd1, [misaligned_param_0];
  cvta.to.global.u64 %rd2, %rd1;
  mov.u32 %r1, 7;
  st.global.u32 [%rd2+1], %r1;
  ret;
}

.visible .entry at_most_64_threads()
.maxntid 64, 1, 1
{
  ret;
}

.visible .entry nothing()
{
  ret;
}
)";

/// The primary context, current on this thread, with the module loaded; released at the end.
class Session {
 public:
  Session() {
    const Calls& c = calls();
    succeeds(c.Init(0), "cuInit");
    succeeds(c.DevicePrimaryCtxRetain(&context, 0), "retain");
    succeeds(c.CtxSetCurrent(context), "set current");
    succeeds(c.ModuleLoadDataEx(&module, kPtx, 0, nullptr, nullptr), "load the module");
  }
  ~Session() {
    succeeds(calls().DevicePrimaryCtxRelease(0), "release");
    calls().CtxSetCurrent(nullptr);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  cu::Function function(const char* name) const {
    cu::Function found = nullptr;
    succeeds(calls().ModuleGetFunction(&found, module, name), std::string("find ") + name);
    return found;
  }
  cu::DevicePtr memory(size_t bytes) const {
    cu::DevicePtr pointer = 0;
    succeeds(calls().MemAlloc(&pointer, bytes), "allocate");
    return pointer;
  }
  /// A device integer with a value.
  cu::DevicePtr integer(int value) const {
    const cu::DevicePtr pointer = memory(sizeof value);
    succeeds(calls().MemcpyHtoD(pointer, &value, sizeof value), "write an integer");
    return pointer;
  }
  cu::Stream stream(unsigned flags = cu::kStreamNonBlocking) const {
    cu::Stream made = nullptr;
    succeeds(calls().StreamCreate(&made, flags), "create a stream");
    return made;
  }
  cu::Event event() const {
    cu::Event made = nullptr;
    succeeds(calls().EventCreate(&made, 0), "create an event");
    return made;
  }

  cu::Context context = nullptr;
  cu::Module module = nullptr;
};

/// One thread of a kernel of (pointer, int).
inline int launch(cu::Function function, cu::DevicePtr pointer, int value, cu::Stream stream) {
  void* parameters[] = {&pointer, &value};
  return calls().LaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr);
}
/// The integer at a device address; waits for the legacy stream only.
inline int read_integer(cu::DevicePtr pointer) {
  int value = -1;
  succeeds(calls().MemcpyDtoH(&value, pointer, sizeof value), "read an integer");
  return value;
}

}  // namespace sim::test
