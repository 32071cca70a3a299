// The smallest test frame that serves: sentences with a verdict, numbers with a bound, an exit status.
//
// check() and check_below() print one line each and remember failures; finish() gives the exit status (0 or 1). A test
// that cannot run returns kSkipped after printing why. Random test data are a fixed sequence: no seed from the clock.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/error.h"

namespace toolgrad::test {

constexpr int kSkipped = 77;

inline int& failures() {
  static int count = 0;
  return count;
}

inline void check(bool ok, const std::string& sentence) {
  std::printf("%s %s\n", ok ? "ok    " : "FAILED", sentence.c_str());
  if (!ok) ++failures();
}

/// `worst` must be a number not above `bound` (NaN fails).
inline void check_below(double worst, double bound, const std::string& sentence) {
  const bool ok = worst <= bound;
  std::printf("%s %s: worst %.3g, bound %.3g\n", ok ? "ok    " : "FAILED", sentence.c_str(), worst, bound);
  if (!ok) ++failures();
}

/// `f` must throw Error with this code and a message that contains `part`.
inline void check_throws(const std::function<void()>& f, const std::string& code, const std::string& part,
                         const std::string& sentence) {
  try {
    f();
  } catch (const Error& error) {
    const bool ok = error.code() == code && std::string(error.what()).find(part) != std::string::npos;
    check(ok, sentence + " (" + error.code() + ": " + error.what() + ")");
    return;
  }
  check(false, sentence + " (nothing was thrown)");
}

inline int finish() {
  if (failures() > 0) std::printf("%d checks failed\n", failures());
  return failures() > 0 ? 1 : 0;
}

/// Folder of shared reference data: first argument, else TOOLGRAD_SHARED, else ../shared; empty (reason printed) if
/// absent.
inline std::string shared_folder(int argc, char** argv) {
  const char* variable = std::getenv("TOOLGRAD_SHARED");
  const std::string folder = argc > 1 ? argv[1] : variable != nullptr ? variable : "../shared";
  if (std::filesystem::is_directory(folder + "/golden")) return folder;
  std::printf("skipped: %s/golden is absent (name its folder in TOOLGRAD_SHARED or as first argument)\n",
              folder.c_str());
  return "";
}

/// Deterministic numbers (xorshift64*).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 2685821657736338717ull;
  }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  /// Roughly normal with standard deviation 1 (sum of 12 uniforms).
  float normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return static_cast<float>(sum);
  }
  std::vector<float> normals(int64_t n, float scale = 1) {
    std::vector<float> values(static_cast<size_t>(n));
    for (float& value : values) value = scale * normal();
    return values;
  }

 private:
  uint64_t state_;
};

}  // namespace toolgrad::test
