#include "device.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace conformance {

Device::Device(std::string library, std::string dump) : library_(std::move(library)), dump_(std::move(dump)) {
  if (library_.empty()) {
    const char* named = std::getenv("TOOLGRAD_LIBCUDA");
    library_ = named != nullptr && *named != '\0' ? named : "libcuda.so.1";
  }
  void* handle = dlopen(library_.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw std::runtime_error(std::string("no driver: ") + dlerror());
#define CONFORMANCE_LOAD(member, symbol, parameters, required)                      \
  calls_.member = reinterpret_cast<decltype(calls_.member)>(dlsym(handle, symbol)); \
  if (calls_.member == nullptr && (required)) throw std::runtime_error(std::string("no ") + (symbol));
  TOOLGRAD_CU_FUNCTIONS(CONFORMANCE_LOAD)
#undef CONFORMANCE_LOAD
  check(calls_.Init(0), "cuInit");
  toolgrad::cu::Device device = 0;
  check(calls_.DeviceGet(&device, 0), "cuDeviceGet");
  ordinal_ = device;
  char text[256] = {};
  check(calls_.DeviceGetName(text, sizeof text, device), "cuDeviceGetName");
  name_ = text;
  int major = 0, minor = 0;
  check(calls_.DeviceGetAttribute(&major, toolgrad::cu::kComputeCapabilityMajor, device), "cuDeviceGetAttribute");
  check(calls_.DeviceGetAttribute(&minor, toolgrad::cu::kComputeCapabilityMinor, device), "cuDeviceGetAttribute");
  sm_ = 10 * major + minor;
  toolgrad::cu::Context context = nullptr;
  check(calls_.DevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
  check(calls_.CtxSetCurrent(context), "cuCtxSetCurrent");
}

Device::~Device() {
  calls_.DevicePrimaryCtxRelease(ordinal_);
}

void Device::check(int result, const std::string& call) const {
  if (result == 0) return;
  const char *name = nullptr, *text = nullptr;
  if (calls_.GetErrorName != nullptr) calls_.GetErrorName(result, &name);
  if (calls_.GetErrorString != nullptr) calls_.GetErrorString(result, &text);
  throw std::runtime_error(call + ": " + std::to_string(result) + " " + (name != nullptr ? name : "") + " " +
                           (text != nullptr ? text : ""));
}

Device::Module Device::load(const std::string& ptx) {
  if (!dump_.empty()) {
    std::ofstream file(dump_ + "/module_" + std::to_string(dumped_++) + ".ptx");
    file << ptx;
    if (!file) throw std::runtime_error("cannot write to " + dump_);
  }
  Module module = nullptr;
  check(calls_.ModuleLoadDataEx(&module, ptx.c_str(), 0, nullptr, nullptr), "cuModuleLoadDataEx");
  return module;
}

void Device::unload(Module module) {
  check(calls_.ModuleUnload(module), "cuModuleUnload");
}

void Device::run(Module module, const std::string& entry, const std::vector<std::byte>& in, std::vector<std::byte>& out,
                 uint32_t n, uint32_t block) {
  toolgrad::cu::Function function = nullptr;
  check(calls_.ModuleGetFunction(&function, module, entry.c_str()), "cuModuleGetFunction " + entry);
  toolgrad::cu::DevicePtr from = 0, to = 0;
  check(calls_.MemAlloc(&from, in.size()), "cuMemAlloc");
  check(calls_.MemAlloc(&to, out.size()), "cuMemAlloc");
  check(calls_.MemcpyHtoD(from, in.data(), in.size()), "cuMemcpyHtoD");
  check(calls_.MemcpyHtoD(to, out.data(), out.size()), "cuMemcpyHtoD");
  void* parameters[] = {&from, &to, &n};
  check(calls_.LaunchKernel(function, (n + block - 1) / block, 1, 1, block, 1, 1, 0, nullptr, parameters, nullptr),
        "launch of " + entry);
  check(calls_.CtxSynchronize(), "run of " + entry);
  check(calls_.MemcpyDtoH(out.data(), to, out.size()), "cuMemcpyDtoH");
  check(calls_.MemFree(from), "cuMemFree");
  check(calls_.MemFree(to), "cuMemFree");
}

void Tally::form(const std::string& name) {
  name_ = name;
  ++forms_;
  here_ = 0;
}

void Tally::check(bool ok, const std::string& what) {
  ++values_;
  if (ok) return;
  ++failed_;
  if (here_ == 0) ++failed_forms_;
  if (++here_ <= 3) std::printf("FAILED %s: %s\n", name_.c_str(), what.c_str());
}

std::string hex(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace conformance
