// Bank conflicts of what a test launched, from the simulated device's report: wavefronts per request of shared memory, of each
// kernel. Wrong swizzles on both sides of a tile give right numbers; this is where they show. A real GPU has no such report.
#pragma once

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "check.h"

namespace toolgrad::test {

/// The device's report as JSON, empty on a real GPU.
inline std::string simulator_report() {
  const char* library = std::getenv("TOOLGRAD_LIBCUDA");
  void* handle = dlopen(library != nullptr ? library : "libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  if (handle == nullptr) return "";
  using Report = size_t (*)(char*, size_t);
  const auto report = reinterpret_cast<Report>(dlsym(handle, "cudasim_report"));
  std::string text;
  if (report != nullptr) {
    text.resize(report(nullptr, 0) + 4096);
    report(text.data(), text.size());
  }
  dlclose(handle);
  return text;
}

/// Every kernel that ran stays within its factor: 1.02, or more where its tile is known to conflict. The bounds are what the
/// kernels reach (docs/cuda.md) and a little; a kernel that got better should get a lower one.
inline void check_conflicts() {
  const std::map<std::string, double> known = {{"kv_write_pages", 1.1}, {"linear_f32_backward_weight", 1.15}};
  const std::string report = simulator_report();
  if (report.empty()) return;
  const auto counter = [&](size_t from, const std::string& name) {
    const size_t at = report.find("\"" + name + "\":", from);
    return at == std::string::npos ? 0.0 : std::strtod(report.c_str() + at + name.size() + 3, nullptr);
  };
  size_t at = report.find("\"kernels\":");
  int kernels = 0;
  double worst = 0;
  std::string of = "none of them uses shared memory", broken;
  while (at != std::string::npos && (at = report.find("\"launches\":", at)) != std::string::npos) {
    const size_t quote = report.rfind('"', report.rfind('{', at));
    const size_t start = report.rfind('"', quote - 1) + 1;
    const std::string name = report.substr(start, quote - start);
    const double requests = counter(at, "shared_requests"), wavefronts = counter(at, "shared_wavefronts");
    ++at, ++kernels;
    if (requests == 0) continue;
    const auto bound = known.find(name);
    const double factor = wavefronts / requests, share = factor / (bound == known.end() ? 1.02 : bound->second);
    char text[160];
    std::snprintf(text, sizeof text, "%s %.3f", name.c_str(), factor);
    if (share > 1) broken += (broken.empty() ? "" : ", ") + std::string(text);
    if (share > worst) worst = share, of = text;
  }
  check(kernels > 0 && broken.empty(), broken.empty() ? "bank-conflict factors of " + std::to_string(kernels) +
                                                            " kernels are within their bounds; nearest " + of
                                                      : "bank-conflict factors above their bounds: " + broken);
}

}  // namespace toolgrad::test
