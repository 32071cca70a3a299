// cudasim_set and cudasim_report: control from inside the process, for tests.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "driver/driver.h"

int cudasim_set(const char* key, const char* value) {
  using namespace sim;
  if (key == nullptr || value == nullptr) return cu::kInvalidValue;
  Driver& d = Driver::get();
  Lock lock(d.mutex);
  const std::string name = key;
  if ((name == "sm" || name == "memory") && d.context.alive()) return cu::kIllegalState;
  const std::string wrong = d.settings.set(name, value);
  if (!wrong.empty()) {
    std::fprintf(stderr, "%s\n", wrong.c_str());
    return cu::kInvalidValue;
  }
  if (name == "fail") {
    d.launch_number = d.allocation_number = d.captured_number = d.graph_number = 0;
    d.lost = false;
  }
  if (name == "seed") d.reseed();
  return cu::kSuccess;
}

size_t cudasim_report(char* buffer, size_t bytes) {
  using namespace sim;
  Driver& d = Driver::get();
  Lock lock(d.mutex);
  const std::string text = report_json(d);
  if (buffer != nullptr && bytes > 0) {
    const size_t copied = std::min(text.size(), bytes - 1);
    std::memcpy(buffer, text.data(), copied);
    buffer[copied] = '\0';
  }
  return text.size() + 1;
}
