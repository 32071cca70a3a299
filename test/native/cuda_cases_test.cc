// The cases of the GPU bench in small sizes: each runs, and launches what its plan says. On the simulated device the tensor-core
// steps that ran are those that the plan counts: exactly, but for the gradient of attention, whose warps leave out tiles that the
// mask hides from all of their rows.
#include <dlfcn.h>

#include <cmath>

#include "../../bench/native/cuda/plan.h"
#include "cuda_arrays.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

/// Sum of a counter over all kernels so far; -1 on a real GPU.
double counted(const char* counter) {
  const char* library = std::getenv("TOOLGRAD_LIBCUDA");
  void* handle = dlopen(library != nullptr ? library : "libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  if (handle == nullptr) return -1;
  const auto report = reinterpret_cast<size_t (*)(char*, size_t)>(dlsym(handle, "cudasim_report"));
  dlclose(handle);
  if (report == nullptr) return -1;
  std::string text(report(nullptr, 0), '\0');
  report(text.data(), text.size());
  const std::string key = std::string("\"") + counter + "\":";
  double sum = 0;
  for (size_t at = text.find(key); at != std::string::npos; at = text.find(key, at + 1))
    sum += std::atof(text.c_str() + at + key.size());
  return sum;
}

}  // namespace

int main() {
  const std::shared_ptr<cuda::CudaDevice> gpu = open_gpu();
  if (gpu == nullptr) return kSkipped;
  const bench::Model models[] = {{"tiny64", 256, 704, 4, 2, 64, 2000}, {"tiny128", 640, 1408, 4, 1, 128, 4000}};
  int cases = 0;
  double launches = 0, worst = 0, masked = 0;
  bool blocks = true;
  for (const bench::Model& model : models) {
    for (const bench::Case& item : bench::all_cases(model, true)) {
      bench::Plan plan(gpu->device());
      double mma = 0;
      int64_t planned_blocks = 0;
      const std::vector<bench::Launch> planned = plan.of(item);
      for (const bench::Launch& launch : planned) {
        mma += launch.mma;
        planned_blocks += launch.blocks;
      }
      bench::Arena arena(*gpu);
      const std::function<void()> run = item.prepare(*gpu, arena);
      gpu->synchronize();
      const double mma_before = counted("mma"), blocks_before = counted("blocks");
      run();
      gpu->synchronize();
      ++cases;
      launches += static_cast<double>(planned.size());
      if (mma_before < 0) continue;
      const double ran = counted("mma") - mma_before;
      blocks = blocks && counted("blocks") - blocks_before == static_cast<double>(planned_blocks);
      if (mma == 0 && ran == 0) continue;
      const double error = std::fabs(mma - ran) / std::fmax(mma, ran);
      if (item.work == bench::Work::kAttentionBackward && ran <= mma)
        masked = std::fmax(masked, error);
      else
        worst = std::fmax(worst, error);
    }
  }
  std::printf("%d cases, %.0f launches\n", cases, launches);
  check(cases > 100 && launches > 2 * 60, "every case of the GPU bench runs");
  if (counted("mma") < 0) return finish();
  check(blocks, "the blocks that ran are those that the plan says");
  check_below(worst, 0, "the steps on the tensor cores are those that the plan says, relative");
  check_below(masked, 0.08, "of the plan of attention's gradient, masked tiles are left out, relative");
  return finish();
}
