// cuda_bench: what the GPU bench needs of native code. One JSON object a line on standard output.
//
//   cuda_bench manifest                            every kernel: module, entry, threads, dynamic shared memory
//   cuda_bench plan SM MULTIPROCESSORS MODEL …     what every case would launch on such a GPU; needs no driver
//   cuda_bench device                              the GPU and its driver
//   cuda_bench time SECONDS MODEL …                runs the cases and times them with events
//   cuda_bench count MODEL …                       runs each case once on the simulated device, with its counters
//
// MODEL is name:C,F,H,G,D,V; with a name that starts with "tiny" the batches are small. 0: done; 77: no driver or no GPU;
// 1: anything else, with a sentence on standard error.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../quoted.h"
#include "device.h"
#include "engine/error.h"
#include "plan.h"

namespace toolgrad::bench {

namespace {

constexpr int kNoDevice = 77;

Model model_from(const std::string& text) {
  const size_t colon = text.find(':');
  Model m;
  m.name = text.substr(0, colon);
  long long n[6] = {};
  if (colon == std::string::npos || std::sscanf(text.c_str() + colon + 1, "%lld,%lld,%lld,%lld,%lld,%lld", &n[0], &n[1],
                                                &n[2], &n[3], &n[4], &n[5]) != 6)
    throw Error("ERR_INVALID_ARG", "Expected a model as name:C,F,H,G,D,V but received " + text);
  m.C = n[0], m.F = n[1], m.H = n[2], m.G = n[3], m.D = n[4], m.V = n[5];
  return m;
}

const char* work_name(Work work) {
  switch (work) {
    case Work::kGemm:
      return "gemm";
    case Work::kAttention:
      return "attention";
    case Work::kAttentionBackward:
      return "attention gradient";
    case Work::kDecode:
      return "decode attention";
    case Work::kStream:
      break;
  }
  return "stream";
}

void manifest() {
  for (const cuda::KernelInfo& kernel : cuda::kKernels)
    std::printf("{\"module\":%s,\"entry\":%s,\"threads\":%d,\"shared\":%d}\n", quoted(kernel.module).c_str(),
                quoted(kernel.entry).c_str(), kernel.threads, kernel.shared_bytes);
}

/// Calls f(case, its fields as JSON without the braces) for every case of every model.
template <class F>
void each_case(const std::vector<Model>& models, F f) {
  for (const Model& model : models) {
    for (const Case& item : all_cases(model, model.name.rfind("tiny", 0) == 0)) {
      char numbers[160];
      std::snprintf(numbers, sizeof numbers, "\"flops\":%.17g,\"bytes\":%.17g,\"moved\":%.17g", item.flops, item.bytes,
                    item.moved);
      f(item, "\"op\":" + quoted(item.op) + ",\"model\":" + quoted(model.name) + ",\"phase\":" + quoted(item.phase) +
                  ",\"size\":" + quoted(item.size) + ",\"work\":" + quoted(work_name(item.work)) + "," + numbers);
    }
  }
}

void plan(int sm, int multiprocessors, const std::vector<Model>& models) {
  each_case(models, [&](const Case& item, const std::string& fields) {
    cuda::DeviceNumbers numbers;
    numbers.sm = sm;
    numbers.multiprocessors = multiprocessors;
    Plan launcher(numbers);
    std::string launches;
    for (const Launch& launch : launcher.of(item)) {
      char text[96];
      std::snprintf(text, sizeof text, ",\"blocks\":%lld,\"mma\":%.17g}", static_cast<long long>(launch.blocks),
                    launch.mma);
      launches += (launches.empty() ? "{\"kernel\":" : ",{\"kernel\":") + quoted(launch.kernel->entry) + text;
    }
    std::printf("{%s,\"launches\":[%s]}\n", fields.c_str(), launches.c_str());
  });
}

int attribute(const cuda::Driver& driver, cu::DeviceAttribute which) {
  int value = 0;
  driver.check(driver->DeviceGetAttribute(&value, which, 0), "cuDeviceGetAttribute");
  return value;
}

/// The simulated device's report function; null on a real driver.
using Report = size_t (*)(char*, size_t);
Report simulated_report(const cuda::Driver& driver) {
  void* handle = dlopen(driver.path().c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (handle == nullptr) return nullptr;
  const auto report = reinterpret_cast<Report>(dlsym(handle, "cudasim_report"));
  dlclose(handle);
  return report;
}

void device() {
  const auto driver = cuda::Driver::open();
  const std::vector<cuda::DeviceFacts> all = cuda::list_devices();
  if (all.empty()) throw Error("ERR_NO_CUDA", "Expected a GPU but " + driver->path() + " shows none");
  const cuda::DeviceFacts& f = all.front();
  std::printf(
      "{\"name\":%s,\"sm\":%d,\"multiprocessors\":%d,\"memory\":%lld,\"driver\":%s,\"library\":%s,\"simulated\":%s,"
      "\"clock_khz\":%d,\"memory_clock_khz\":%d,\"bus_bits\":%d,\"l2_bytes\":%d}\n",
      quoted(f.name).c_str(), f.sm, f.multiprocessors, static_cast<long long>(f.memory_bytes),
      quoted(driver->version_text()).c_str(), quoted(f.library).c_str(),
      simulated_report(*driver) != nullptr ? "true" : "false", attribute(*driver, cu::kClockRate),
      attribute(*driver, cu::kMemoryClockRate), attribute(*driver, cu::kGlobalMemoryBusWidth),
      attribute(*driver, cu::kL2CacheSize));
}

/// Times one queued piece of work: warm-up, then runs with the L2 cache overwritten before each, between two events.
class Timer {
 public:
  Timer(std::shared_ptr<cuda::CudaDevice> gpu, std::shared_ptr<const cuda::Driver> driver)
      : gpu_(std::move(gpu)), driver_(std::move(driver)) {
    flush_bytes_ = 2 * static_cast<size_t>(std::max(attribute(*driver_, cu::kL2CacheSize), 1 << 20));
    flush_ = gpu_->allocate(flush_bytes_, "flushing the L2 cache");
    for (cu::Event* event : {&start_, &end_}) driver_->check((*driver_)->EventCreate(event, 0), "cuEventCreate");
  }
  ~Timer() {
    for (const cu::Event event : {start_, end_}) (*driver_)->EventDestroy(event);
    gpu_->release(flush_, flush_bytes_);
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Seconds of each run, ascending: at least 5, at most 50, about 0.15 s in all.
  std::vector<double> run(const std::function<void()>& work) {
    const auto began = std::chrono::steady_clock::now();
    const auto spent = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
    for (int i = 0; i < 2; ++i) once(work);
    std::vector<double> times;
    while (times.size() < 5 || (times.size() < 50 && spent() < 0.15)) times.push_back(once(work));
    std::sort(times.begin(), times.end());
    return times;
  }

 private:
  double once(const std::function<void()>& work) {
    gpu_->zero(flush_, flush_bytes_);
    driver_->check((*driver_)->EventRecord(start_, gpu_->stream()), "cuEventRecord");
    work();
    driver_->check((*driver_)->EventRecord(end_, gpu_->stream()), "cuEventRecord");
    driver_->check((*driver_)->EventSynchronize(end_), "cuEventSynchronize");
    float milliseconds = 0;
    driver_->check((*driver_)->EventElapsedTime(&milliseconds, start_, end_), "cuEventElapsedTime");
    return static_cast<double>(milliseconds) * 1e-3;
  }

  std::shared_ptr<cuda::CudaDevice> gpu_;
  std::shared_ptr<const cuda::Driver> driver_;
  size_t flush_bytes_ = 0;
  void* flush_ = nullptr;
  cu::Event start_ = nullptr, end_ = nullptr;
};

/// cublasLt for every product that it can take; null, after saying why, without it.
std::unique_ptr<cuda::CublasLtLinear> find_cublaslt(const std::shared_ptr<cuda::CudaDevice>& gpu) {
  try {
    return std::make_unique<cuda::CublasLtLinear>(gpu, CublasLtUse{CublasLtProducts::kAll, 1});
  } catch (const Error& error) {
    if (error.code() != "ERR_NO_CUBLASLT") throw;
    std::fprintf(stderr, "cublasLt is not timed: %s\n", error.what());
    return nullptr;
  }
}

/// `,"cublaslt":seconds`, the median of the same product by the library; empty where it does not compute it.
std::string cublaslt_field(const Case& item, cuda::CublasLtLinear* library, cuda::CudaDevice& gpu, Timer& timer) {
  if (library == nullptr || !item.by_cublaslt) return "";
  Arena arena(gpu);
  const std::function<bool()> work = item.by_cublaslt(*library, arena);
  if (!work()) return "";
  const std::vector<double> times = timer.run([&] { work(); });
  char text[48];
  std::snprintf(text, sizeof text, ",\"cublaslt\":%.9g", times[times.size() / 2]);
  return text;
}

void time_cases(double seconds, const std::vector<Model>& models) {
  const auto began = std::chrono::steady_clock::now();
  const auto driver = cuda::Driver::open();
  if (simulated_report(*driver) != nullptr)
    throw Error("ERR_NO_CUDA", "Expected a real GPU to time but " + driver->path() + " is the simulated device");
  const auto gpu = cuda::CudaDevice::open(0);
  Timer timer(gpu, driver);
  const std::unique_ptr<cuda::CublasLtLinear> library = find_cublaslt(gpu);
  each_case(models, [&](const Case& item, const std::string& fields) {
    if (std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count() > seconds) {
      std::printf("{%s,\"skipped\":\"time was up\"}\n", fields.c_str());
      return;
    }
    try {
      std::vector<double> times;
      {
        Arena arena(*gpu);
        times = timer.run(item.prepare(*gpu, arena));
      }
      std::printf("{%s,\"runs\":%zu,\"median\":%.9g,\"best\":%.9g,\"worst\":%.9g%s}\n", fields.c_str(), times.size(),
                  times[times.size() / 2], times.front(), times.back(),
                  cublaslt_field(item, library.get(), *gpu, timer).c_str());
    } catch (const Error& error) {
      if (error.code() != "ERR_OUT_OF_MEMORY") throw;
      std::printf("{%s,\"skipped\":%s}\n", fields.c_str(), quoted(error.what()).c_str());
    }
    std::fflush(stdout);
  });
}

void count_cases(const std::vector<Model>& models) {
  const auto driver = cuda::Driver::open();
  const Report report = simulated_report(*driver);
  if (report == nullptr)
    throw Error("ERR_INVALID_ARG",
                "Expected the simulated device, which counts, but " + driver->path() + " is a driver");
  const auto gpu = cuda::CudaDevice::open(0);
  const auto counters = [&] {
    std::string text(report(nullptr, 0), '\0');
    report(text.data(), text.size());
    text.resize(std::strlen(text.c_str()));
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
  };
  each_case(models, [&](const Case& item, const std::string& fields) {
    Arena arena(*gpu);
    const auto run = item.prepare(*gpu, arena);
    gpu->synchronize();
    const std::string before = counters();
    run();
    gpu->synchronize();
    std::printf("{%s,\"before\":%s,\"after\":%s}\n", fields.c_str(), before.c_str(), counters().c_str());
    std::fflush(stdout);
  });
}

int run(const std::vector<std::string>& arguments) {
  const std::string mode = arguments.empty() ? "" : arguments[0];
  const size_t numbers = mode == "plan" ? 3 : mode == "time" ? 2 : 1;
  std::vector<Model> models;
  for (size_t i = numbers; i < arguments.size(); ++i) models.push_back(model_from(arguments[i]));
  const bool complete = arguments.size() >= numbers;
  if (mode == "manifest")
    manifest();
  else if (mode == "plan" && complete)
    plan(std::atoi(arguments[1].c_str()), std::atoi(arguments[2].c_str()), models);
  else if (mode == "device")
    device();
  else if (mode == "time" && complete)
    time_cases(std::atof(arguments[1].c_str()), models);
  else if (mode == "count")
    count_cases(models);
  else
    throw Error("ERR_INVALID_ARG", "Expected manifest, plan, device, time or count but received \"" + mode + "\"");
  return 0;
}

}  // namespace
}  // namespace toolgrad::bench

int main(int argc, char** argv) {
  try {
    return toolgrad::bench::run({argv + 1, argv + argc});
  } catch (const toolgrad::Error& error) {
    std::fprintf(stderr, "cuda_bench: %s\n", error.what());
    return error.code() == "ERR_NO_CUDA" ? toolgrad::bench::kNoDevice : 1;
  }
}
