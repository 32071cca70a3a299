// Loading modules; see images.h.
#include "images.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "engine/error.h"

namespace toolgrad::cuda {
namespace {

struct Candidate {
  std::string name;
  const void* image;
};

bool does_not_fit(cu::Result result) {
  return result == cu::kInvalidImage || result == cu::kNoBinaryForGpu || result == cu::kInvalidPtx ||
         result == cu::kUnsupportedPtxVersion;
}

std::string ptx_name(const char* text) {
  int major = 0, minor = 0;
  const char* line = std::strstr(text, ".version ");
  if (line == nullptr || std::sscanf(line, ".version %d.%d", &major, &minor) != 2) return "PTX without a version";
  return "PTX " + std::to_string(major) + "." + std::to_string(minor);
}

std::vector<Candidate> candidates(const PtxModule& source, int sm) {
  std::vector<Cubin> cubins;
  for (size_t i = 0; i < source.cubin_count; ++i) {
    const Cubin& cubin = source.cubins[i];
    if (cubin.sm / 10 == sm / 10 && cubin.sm <= sm) cubins.push_back(cubin);
  }
  std::sort(cubins.begin(), cubins.end(), [](const Cubin& a, const Cubin& b) { return a.sm > b.sm; });
  std::vector<Candidate> all;
  for (const Cubin& cubin : cubins) all.push_back({"cubin sm_" + std::to_string(cubin.sm), cubin.image});
  if (source.text != nullptr) all.push_back({ptx_name(source.text), source.text});
  return all;
}

}  // namespace

LoadedImage load_image(const Driver& driver, const PtxModule& source, int sm, const std::string& gpu) {
  std::string answers;
  for (const Candidate& candidate : candidates(source, sm)) {
    char log[4096] = "";
    cu::JitOption options[] = {cu::kJitErrorLogBuffer, cu::kJitErrorLogBufferSizeBytes};
    void* values[] = {log, reinterpret_cast<void*>(sizeof log)};
    LoadedImage loaded{nullptr, candidate.name};
    const cu::Result result = driver->ModuleLoadDataEx(&loaded.module, candidate.image, 2, options, values);
    if (result == cu::kSuccess) return loaded;
    log[sizeof log - 1] = '\0';
    const std::string details = log[0] == '\0' ? "" : std::string(": ") + log;
    if (!does_not_fit(result))
      driver.check(result, std::string("loading the kernels of ") + source.name + " from " + candidate.name + details);
    answers += (answers.empty() ? "" : "; ") + candidate.name + ": " + driver.text(result) + details;
  }
  throw Error("ERR_NO_CUDA",
              std::string("Expected kernels of ") + source.name + ".cu that run on " + gpu + " (sm_" +
                  std::to_string(sm) + ", driver for CUDA " + driver.version_text() +
                  ") but none of this build does: " + (answers.empty() ? "it has none" : answers) +
                  "; update the driver, or build toolgrad for this GPU with -DTOOLGRAD_CUBINS=" + std::to_string(sm));
}

}  // namespace toolgrad::cuda
