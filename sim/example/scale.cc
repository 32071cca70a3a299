// An ordinary program of the driver interface: scales 1000 floats on the device that libcuda.so.1 offers.
//
// usage: scale <file.ptx> <count>. The kernel is told to scale `count` floats; above 1000 that is its caller's bug. Whether
// a GPU or the simulated device runs it depends on which libcuda.so.1 the loader finds, and on nothing in here.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "driver_api.h"

namespace cu = toolgrad::cu;

namespace {

constexpr int kFloats = 1000, kThreads = 128;

struct Calls {
  template <class F>
  void load(void* library, const char* symbol, F* function) {
    *function = reinterpret_cast<F>(dlsym(library, symbol));
  }
  cu::Result (*init)(unsigned);
  cu::Result (*error_name)(cu::Result, const char**);
  cu::Result (*device_name)(char*, int, cu::Device);
  cu::Result (*retain)(cu::Context*, cu::Device);
  cu::Result (*release)(cu::Device);
  cu::Result (*set_current)(cu::Context);
  cu::Result (*load_module)(cu::Module*, const void*, unsigned, cu::JitOption*, void**);
  cu::Result (*get_function)(cu::Function*, cu::Module, const char*);
  cu::Result (*allocate)(cu::DevicePtr*, size_t);
  cu::Result (*free)(cu::DevicePtr);
  cu::Result (*upload)(cu::DevicePtr, const void*, size_t);
  cu::Result (*download)(void*, cu::DevicePtr, size_t);
  cu::Result (*launch)(cu::Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, cu::Stream,
                       void**, void**);
} calls;

void check(cu::Result result, const char* what) {
  if (result == cu::kSuccess) return;
  const char* name = nullptr;
  calls.error_name(result, &name);
  std::printf("%s: %d %s\n", what, result, name == nullptr ? "" : name);
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::printf("usage: scale <file.ptx> <count>\n"), 2;
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == nullptr) return std::printf("%s\n", dlerror()), 1;
  calls.load(library, "cuInit", &calls.init);
  calls.load(library, "cuGetErrorName", &calls.error_name);
  calls.load(library, "cuDeviceGetName", &calls.device_name);
  calls.load(library, "cuDevicePrimaryCtxRetain", &calls.retain);
  calls.load(library, "cuDevicePrimaryCtxRelease_v2", &calls.release);
  calls.load(library, "cuCtxSetCurrent", &calls.set_current);
  calls.load(library, "cuModuleLoadDataEx", &calls.load_module);
  calls.load(library, "cuModuleGetFunction", &calls.get_function);
  calls.load(library, "cuMemAlloc_v2", &calls.allocate);
  calls.load(library, "cuMemFree_v2", &calls.free);
  calls.load(library, "cuMemcpyHtoD_v2", &calls.upload);
  calls.load(library, "cuMemcpyDtoH_v2", &calls.download);
  calls.load(library, "cuLaunchKernel", &calls.launch);

  std::ifstream file(argv[1]);
  const std::string ptx((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  int count = std::atoi(argv[2]);
  char device[100];
  cu::Context context = nullptr;
  cu::Module module = nullptr;
  cu::Function scale = nullptr;
  cu::DevicePtr x = 0;
  check(calls.init(0), "cuInit");
  check(calls.device_name(device, sizeof device, 0), "cuDeviceGetName");
  check(calls.retain(&context, 0), "cuDevicePrimaryCtxRetain");
  check(calls.set_current(context), "cuCtxSetCurrent");
  check(calls.load_module(&module, ptx.c_str(), 0, nullptr, nullptr), "cuModuleLoadDataEx");
  check(calls.get_function(&scale, module, "scale"), "cuModuleGetFunction");
  std::vector<float> values(kFloats, 2.0f);
  const size_t bytes = values.size() * sizeof(float);
  check(calls.allocate(&x, bytes), "cuMemAlloc");
  check(calls.upload(x, values.data(), bytes), "cuMemcpyHtoD");
  float by = 21;
  void* parameters[] = {&x, &by, &count};
  const unsigned blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  check(calls.launch(scale, blocks, 1, 1, kThreads, 1, 1, 0, nullptr, parameters, nullptr), "cuLaunchKernel");
  check(calls.download(values.data(), x, bytes), "cuMemcpyDtoH");
  std::printf("%s: first %g, last %g\n", device, values.front(), values.back());
  check(calls.free(x), "cuMemFree");
  check(calls.release(0), "cuDevicePrimaryCtxRelease");
  return 0;
}
