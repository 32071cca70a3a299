// What tests tell the simulated device while it runs, and what it says of itself; nothing on a real GPU.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

namespace toolgrad::test {

/// A function of the simulated device by name; null on a real GPU.
template <class F>
F simulator_function(const char* name) {
  const char* library = std::getenv("TOOLGRAD_LIBCUDA");
  void* handle = dlopen(library != nullptr ? library : "libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  if (handle == nullptr) return nullptr;
  const auto found = reinterpret_cast<F>(dlsym(handle, name));
  dlclose(handle);  // the driver keeps it loaded
  return found;
}

/// Changes a setting of sim/README.md; false on a real GPU, or when it is refused.
inline bool set_simulator(const char* key, const char* value) {
  const auto set = simulator_function<int (*)(const char*, const char*)>("cudasim_set");
  return set != nullptr && set(key, value) == 0;
}

/// The simulated device's report as of now; empty on a real GPU.
inline std::string simulator_report() {
  const auto report = simulator_function<size_t (*)(char*, size_t)>("cudasim_report");
  if (report == nullptr) return "";
  std::string text(report(nullptr, 0) + 4096, '\0');
  text.resize(report(text.data(), text.size()) - 1);
  return text;
}

/// How often each entry point was called so far; empty on a real GPU.
inline std::map<std::string, int64_t> all_driver_calls() {
  std::map<std::string, int64_t> calls;
  const std::string text = simulator_report();
  // "calls": {"cuInit": 1, "cuLaunchKernel": 2}
  size_t at = text.find("\"calls\": {");
  if (at == std::string::npos) return calls;
  const size_t end = text.find('}', at);
  for (at = text.find('"', at + 10); at < end; at = text.find('"', at)) {
    const size_t name = at + 1, after = text.find('"', name);
    calls[text.substr(name, after - name)] = std::strtoll(text.c_str() + after + 2, nullptr, 10);
    at = after + 1;
  }
  return calls;
}
inline int64_t driver_calls(const std::string& name) {
  const auto calls = all_driver_calls();
  const auto found = calls.find(name);
  return calls.empty() ? -1 : found == calls.end() ? 0 : found->second;
}

/// Sets a variable of the environment, or removes it.
inline void set_variable(const char* name, const std::string& value) {
  if (value.empty())
    unsetenv(name);
  else
    setenv(name, value.c_str(), 1);
}

}  // namespace toolgrad::test
