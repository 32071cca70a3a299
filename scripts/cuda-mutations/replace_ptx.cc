// A CUDA driver library that is another one (linked into it, so that every other symbol is found there) but for one call:
// it loads other PTX for the modules that TOOLGRAD_MUTANT holds. For scripts/cuda-mutations.mjs.
//
// TOOLGRAD_MUTANT names a folder; a module whose first entry is `name` is replaced by `name.ptx` of it, and `name.loaded`
// is left there as the proof. Without the variable nothing changes. A mutant that cannot be read ends the process.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <list>
#include <sstream>
#include <string>

namespace {

std::string first_entry(const char* ptx) {
  const char* at = std::strstr(ptx, ".entry ");
  if (at == nullptr) return "";
  at += std::strlen(".entry ");
  return std::string(at, std::strcspn(at, " (\n"));
}

// What a test printed last must be there when it is stopped.
struct LineByLine {
  LineByLine() { std::setvbuf(stdout, nullptr, _IOLBF, 0); }
} line_by_line;

}  // namespace

extern "C" int cuModuleLoadDataEx(void** module, const void* image, unsigned count, int* options, void** values) {
  using Load = int (*)(void**, const void*, unsigned, int*, void**);
  static const auto next = reinterpret_cast<Load>(dlsym(RTLD_NEXT, "cuModuleLoadDataEx"));
  static std::list<std::string> texts;  // until the process ends
  const char* folder = std::getenv("TOOLGRAD_MUTANT");
  if (folder == nullptr) return next(module, image, count, options, values);
  const std::string base = std::string(folder) + "/" + first_entry(static_cast<const char*>(image));
  std::ifstream file(base + ".ptx");
  if (!file) return next(module, image, count, options, values);
  std::stringstream all;
  all << file.rdbuf();
  texts.push_back(all.str());
  std::ofstream loaded(base + ".loaded");
  if (!file || texts.back().empty() || !loaded) {
    std::fprintf(stderr, "replace_ptx: %s.ptx cannot be used\n", base.c_str());
    std::abort();
  }
  return next(module, texts.back().c_str(), count, options, values);
}
