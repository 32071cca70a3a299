// Reads the simulator's settings.
#include "driver/settings.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <limits>

namespace sim {
namespace {

constexpr const char* kKeys[] = {"fail",   "memory",   "sm",    "seed",    "checks",         "threads", "mma",
                                 "report", "coverage", "leaks", "verbose", "driver_version", "pools"};

bool whole_number(const std::string& text, uint64_t low, uint64_t high, uint64_t* value) {
  if (text.empty() || text.size() > 19) return false;
  uint64_t n = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    n = n * 10 + static_cast<uint64_t>(c - '0');
  }
  *value = n;
  return n >= low && n <= high;
}

std::string expected(const std::string& key, const std::string& what, const std::string& found) {
  return "CUDASIM " + key + ": expected " + what + ", found \"" + found + "\"";
}

std::string read_failures(const std::string& value, Injected* fail) {
  const char* what = "a list of alloc:n, launch:n, lost:n, launch-error:n, captured:n, graph:n with n >= 1";
  Injected read;
  for (size_t at = 0; at < value.size();) {
    const size_t end = std::min(value.find(',', at), value.size());
    const std::string item = value.substr(at, end - at);
    const size_t colon = item.find(':');
    const std::string name = item.substr(0, colon);
    uint64_t* slot = name == "alloc"          ? &read.allocation
                     : name == "launch"       ? &read.launch
                     : name == "lost"         ? &read.lost
                     : name == "launch-error" ? &read.launch_error
                     : name == "captured"     ? &read.captured
                     : name == "graph"        ? &read.graph
                                              : nullptr;
    if (slot == nullptr || colon == std::string::npos ||
        !whole_number(item.substr(colon + 1), 1, std::numeric_limits<int64_t>::max(), slot))
      return expected("fail", what, value);
    at = end + 1;
  }
  *fail = read;
  return "";
}

}  // namespace

std::string Settings::set(const std::string& key, const std::string& value) {
  uint64_t n = 0;
  const auto number = [&](uint64_t low, uint64_t high) { return whole_number(value, low, high, &n); };
  if (key == "fail") return read_failures(value, &fail);
  if (key == "report") return report = value, "";
  if (key == "coverage") return coverage = value, "";
  if (key == "memory") {
    if (!number(1 << 20, 1ull << 40)) return expected(key, "bytes, from 1048576 to 2^40", value);
    memory = n;
  } else if (key == "sm") {
    if (!number(0, 999) || (n != 80 && n != 86 && n != 89 && n != 90 && n != 120))
      return expected(key, "80, 86, 89, 90 or 120", value);
    sm = static_cast<int>(n);
  } else if (key == "seed") {
    if (!number(0, std::numeric_limits<int64_t>::max())) return expected(key, "a whole number", value);
    seed = n;
  } else if (key == "threads") {
    if (!number(1, 256)) return expected(key, "1 to 256", value);
    threads = static_cast<int>(n);
  } else if (key == "driver_version") {
    if (!number(11000, 99999)) return expected(key, "1000 * major + 10 * minor, from 11000", value);
    driver_version = static_cast<int>(n);
  } else if (key == "checks" || key == "leaks" || key == "verbose" || key == "pools" || key == "mma") {
    if (!number(0, 1)) return expected(key, "0 or 1", value);
    bool& to = key == "checks"  ? checks
               : key == "leaks" ? leaks
               : key == "pools" ? pools
               : key == "mma"   ? mma
                                : verbose;
    to = n == 1;
  } else {
    return "CUDASIM: there is no setting \"" + key + "\"";
  }
  return "";
}

std::string Settings::read_environment() {
  for (const char* key : kKeys) {
    std::string name = std::string("CUDASIM_") + key;
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') continue;
    const std::string wrong = set(key, value);
    if (!wrong.empty()) return wrong;
  }
  return "";
}

}  // namespace sim
