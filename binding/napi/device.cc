// The GPUs for JavaScript: exports.cudaDevices, cudaOpen, cudaModules.
#include "device.h"

#include <napi.h>

#include <memory>
#include <vector>

#include "bundle.h"
#include "napi/guard.h"
#include "napi/job.h"
#include "napi/register.h"

namespace toolgrad {
namespace {

// cudaDevices(): promise of {ordinal, name, computeCapability, multiprocessors, memoryBytes, driver, library} of every GPU;
// rejects with ERR_NO_CUDA and the reason when there is no driver.
Napi::Value cuda_devices(const Napi::CallbackInfo& info) {
  auto devices = std::make_shared<std::vector<cuda::DeviceFacts>>();
  return run_job(
      info.Env(), [devices] { *devices = cuda::list_devices(); },
      [devices](Napi::Env env) {
        auto result = Napi::Array::New(env, devices->size());
        for (size_t i = 0; i < devices->size(); ++i) {
          const cuda::DeviceFacts& facts = (*devices)[i];
          auto entry = Napi::Object::New(env);
          entry.Set("ordinal", facts.ordinal);
          entry.Set("name", facts.name);
          entry.Set("computeCapability", std::to_string(facts.sm / 10) + "." + std::to_string(facts.sm % 10));
          entry.Set("multiprocessors", facts.multiprocessors);
          entry.Set("memoryBytes", static_cast<double>(facts.memory_bytes));
          entry.Set("driver", facts.driver);
          entry.Set("library", facts.library);
          result.Set(static_cast<uint32_t>(i), entry);
        }
        return result;
      });
}

// cudaOpen(ordinal): opens the GPU as a model would; promise of {images, pooled, graphs}: which image of each module of
// kernels was loaded ({module, image}), whether memory comes from the driver's pool, and whether recorded steps become graphs. Rejects with the reason when it cannot be used.
Napi::Value cuda_open(const Napi::CallbackInfo& info) {
  struct Found {
    std::vector<cuda::DeviceFacts::Image> images;
    bool pooled = false, graphs = false;
  };
  const int ordinal = info[0].As<Napi::Number>().Int32Value();
  auto found = std::make_shared<Found>();
  return run_job(
      info.Env(),
      [found, ordinal] {
        const auto device = cuda::CudaDevice::open(ordinal);
        *found = {device->facts().images, device->pooled(), device->makes_graphs()};
      },
      [found](Napi::Env env) {
        const std::vector<cuda::DeviceFacts::Image>& images = found->images;
        auto list = Napi::Array::New(env, images.size());
        for (size_t i = 0; i < images.size(); ++i) {
          auto entry = Napi::Object::New(env);
          entry.Set("module", images[i].module);
          entry.Set("image", images[i].image);
          list.Set(static_cast<uint32_t>(i), entry);
        }
        auto result = Napi::Object::New(env);
        result.Set("images", list);
        result.Set("pooled", found->pooled);
        result.Set("graphs", found->graphs);
        return result;
      },
      {}, ordinal);
}

// cudaModules(): how many texts of PTX this binary holds; 0 for a build without nvcc.
Napi::Value cuda_modules(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(cuda::ptx_bundle().count));
}

}  // namespace

void register_device(Napi::Env env, Napi::Object exports) {
  export_function<cuda_devices>(env, exports, "cudaDevices");
  export_function<cuda_open>(env, exports, "cudaOpen");
  export_function<cuda_modules>(env, exports, "cudaModules");
}

}  // namespace toolgrad
