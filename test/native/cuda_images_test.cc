// Which image of a module a GPU gets, in which order, and what is said when none fits. The simulated device answers a cubin
// as hardware does that it does not fit; a text of PTX stands in for a cubin that fits.
#include <cstring>
#include <string>
#include <vector>

#include "cuda_arrays.h"
#include "cuda_control.h"
#include "images.h"

namespace toolgrad::test {
namespace {

constexpr char kPtx[] = ".version 7.4\n.target sm_80\n.address_size 64\n.visible .entry nothing()\n{\n ret;\n}\n";
constexpr char kTooNew[] = ".version 99.0\n.target sm_80\n.address_size 64\n";
constexpr char kBroken[] =
    ".version 7.4\n.target sm_80\n.address_size 64\n.visible .entry nothing()\n{\n no.such;\n}\n";
constexpr char kElf[] =
    "\x7f"
    "ELF is how machine code begins, and this is none for any GPU";
constexpr char kNoise[] = "neither of them";

void test_order(const cuda::Driver& driver, const cuda::CudaDevice& gpu) {
  const int sm = gpu.facts().sm;
  const std::string own = "cubin sm_" + std::to_string(sm);
  const auto load = [&](std::vector<cuda::Cubin> cubins, const char* text) {
    const cuda::PtxModule module{"made_up", text, cubins.data(), cubins.size()};
    cuda::LoadedImage loaded = cuda::load_image(driver, module, sm, gpu.facts().name);
    check(driver->ModuleUnload(loaded.module) == cu::kSuccess, "what was loaded can be unloaded: " + loaded.image);
    return loaded.image;
  };
  const int major = sm / 10 * 10;
  check(load({}, kPtx) == "PTX 7.4", "without cubins it is the PTX");
  check(load({{major, kPtx}, {sm, kPtx}}, kPtx) == own, "the cubin of the GPU's own compute capability comes first");
  check(load({{sm, kElf}}, kPtx) == "PTX 7.4", "a cubin that does not fit (209) is passed over");
  check(load({{sm, kNoise}}, kPtx) == "PTX 7.4", "and an image of no known kind (200)");
  check(load({{sm, kTooNew}}, kPtx) == "PTX 7.4", "and one that is too new for the driver (222)");
  check(load({{sm, kBroken}}, kPtx) == "PTX 7.4", "and one that cannot be assembled (218)");
  check(load({{sm + 1, kPtx}, {major + 10, kPtx}, {major - 10, kPtx}}, kPtx) == "PTX 7.4",
        "cubins of a higher minor or of another major are not even tried");

  // The order of what is tried, from the message of a module of which nothing fits.
  std::vector<cuda::Cubin> cubins;
  for (const int other : {major - 10, sm + 1, sm, major + 10}) cubins.push_back({other, kElf});
  if (sm != major) cubins.push_back({major, kElf});
  const cuda::PtxModule module{"made_up", kBroken, cubins.data(), cubins.size()};
  try {
    cuda::load_image(driver, module, sm, gpu.facts().name);
    check(false, "a module of which nothing fits is an error");
  } catch (const Error& error) {
    const std::string message = error.what();
    std::printf("       %s\n", message.c_str());
    std::vector<std::string> parts{"Expected kernels of made_up.cu that run on " + gpu.facts().name + " (sm_" +
                                       std::to_string(sm) + ", driver for CUDA " + gpu.facts().driver + ")",
                                   own + ": CUDA_ERROR_NO_BINARY_FOR_GPU (209)"};
    if (sm != major) parts.push_back("cubin sm_" + std::to_string(major) + ": CUDA_ERROR_NO_BINARY_FOR_GPU (209)");
    parts.push_back("PTX 7.4: CUDA_ERROR_INVALID_PTX (218)");
    parts.push_back("no.such");
    size_t at = 0;
    bool in_order = error.code() == "ERR_NO_CUDA";
    for (const std::string& part : parts) {
      at = message.find(part, at);
      in_order = in_order && at != std::string::npos;
    }
    check(in_order,
          "it names GPU, driver, what was tried in the order of trying, each answer and the assembler's words");
    check(message.find("cubin sm_" + std::to_string(sm + 1)) == std::string::npos, "and nothing that was not tried");
  }
  check_throws(
      [&] {
        cuda::load_image(driver, {"made_up", nullptr}, sm, gpu.facts().name);
      },
      "ERR_NO_CUDA", "it has none", "a module without images says so");
}

// What is no question of fitting is reported: here, that nothing may be loaded while a stream is captured.
void test_other_errors(const cuda::Driver& driver, const cuda::CudaDevice& gpu) {
  cu::Stream stream = nullptr;
  driver.check(driver->StreamCreate(&stream, cu::kStreamNonBlocking), "cuStreamCreate");
  driver.check(driver->StreamBeginCapture(stream, cu::kCaptureGlobal), "cuStreamBeginCapture");
  const cuda::Cubin cubin{gpu.facts().sm, kPtx};
  const cuda::PtxModule module{"made_up", kPtx, &cubin, 1};
  check_throws([&] { cuda::load_image(driver, module, gpu.facts().sm, gpu.facts().name); }, "ERR_CUDA",
               "loading the kernels of made_up from cubin sm_", "another error is reported, and nothing else is tried");
  cu::Graph graph = nullptr;
  driver->StreamEndCapture(stream, &graph);
  driver.check(driver->StreamDestroy(stream), "cuStreamDestroy");
}

void test_facts(const cuda::CudaDevice& gpu) {
  bool named = !gpu.facts().images.empty();
  for (const auto& [module, image] : gpu.facts().images)
    named = named && !module.empty() && (image.rfind("PTX ", 0) == 0 || image.rfind("cubin sm_", 0) == 0);
  check(named, "an opened device says for each of its " + std::to_string(gpu.facts().images.size()) +
                   " modules which image was loaded: " + gpu.facts().images.front().image);
}

}  // namespace
}  // namespace toolgrad::test

int main() {
  using namespace toolgrad;
  if (test::open_gpu() == nullptr) return test::kSkipped;
  for (const char* sm : {"89", "80"}) {  // the simulated device is any of them
    if (!test::set_simulator("sm", sm) && std::strcmp(sm, "80") != 0) continue;
    const auto gpu = test::open_gpu();
    const auto driver = cuda::Driver::open();
    test::test_order(*driver, *gpu);
    test::test_other_errors(*driver, *gpu);
    test::test_facts(*gpu);
  }
  return test::finish();
}
