// What the environment variables CUDASIM_* say, and the same settings changed at run time by cudasim_set.
//
// A value that makes no sense is an error with a sentence, never a default: at start it is printed and cuInit fails.
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace sim {

/// Failures to inject; numbers count from 1 since the setting was made. 0 never.
struct Injected {
  uint64_t allocation = 0;    // "alloc:n": out of memory
  uint64_t launch = 0;        // "launch:n": runs into 719, sticky
  uint64_t lost = 0;          // "lost:n": the device is lost, until it is set again
  uint64_t launch_error = 0;  // "launch-error:n": refused with 701, not sticky
  uint64_t captured = 0;      // "captured:n": the n-th launch into a capture is refused with 701
  uint64_t graph = 0;         // "graph:n": no memory for the n-th executable graph
};

struct Settings {
  Injected fail;
  uint64_t memory = 4ull << 30;
  int sm = 80;
  uint64_t seed = 0;
  bool checks = true;
  bool mma = false;  // sums as tensor cores form them
  int threads = 1;
  std::string report, coverage;  // files; empty: none
  int driver_version = 13000;
  bool pools = true;     // memory pools are supported
  bool leaks = false;    // print at exit
  bool verbose = false;  // print every failing call with its reason

  /// Sets one by name ("fail", "memory", …). Returns an empty string, or what is wrong with key or value.
  std::string set(const std::string& key, const std::string& value);
  /// Reads CUDASIM_* of the environment. Returns what is wrong, or an empty string.
  std::string read_environment();
};

}  // namespace sim
