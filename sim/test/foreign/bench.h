// What the foreign tests share: buffers on the simulated device, launches, and comparison with a reference.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "driver_calls.h"

namespace foreign {

namespace cu = toolgrad::cu;
using sim::test::check;

struct Shape {
  unsigned grid, block, shared = 0;
};

/// Numbers that only depend on the seed: xorshift.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ull + 1) {}
  uint64_t next() {
    state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
    return state_;
  }
  double between(double low, double high) { return low + (high - low) * static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  uint64_t state_;
};

/// Loads the PTX; a failed load is a failure of the test.
void load();

/// Buffers, freed at the end, and launches of the kernels that load() made.
class Bench {
 public:
  Bench() = default;
  ~Bench();
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  template <class T>
  cu::DevicePtr put(const std::vector<T>& values) {
    return upload(values.data(), values.size() * sizeof(T));
  }
  template <class T>
  std::vector<T> get(cu::DevicePtr from, size_t count) {
    std::vector<T> values(count);
    download(values.data(), from, count * sizeof(T));
    return values;
  }
  /// The device is broken, on purpose: nothing is freed.
  void abandon() { buffers_.clear(); }
  cu::DevicePtr room(size_t bytes, int fill = -1);  // filled with this byte; -1: never written

  template <class... Arguments>
  bool run(const std::string& kernel, Shape shape, Arguments... arguments) {
    void* pointers[] = {static_cast<void*>(&arguments)...};
    return launch(kernel, shape, pointers);
  }
  /// As run, for what has to fail: the error code of the launch or of the wait for it.
  template <class... Arguments>
  int attempt(const std::string& kernel, Shape shape, Arguments... arguments) {
    void* pointers[] = {static_cast<void*>(&arguments)...};
    return result_of(kernel, shape, pointers);
  }

 private:
  cu::DevicePtr upload(const void* from, size_t bytes);
  void download(void* to, cu::DevicePtr from, size_t bytes);
  bool launch(const std::string& kernel, Shape shape, void** arguments);
  int result_of(const std::string& kernel, Shape shape, void** arguments);

  std::vector<cu::DevicePtr> buffers_;
};

template <class T>
void same(const std::string& what, const std::vector<T>& got, const std::vector<T>& wanted) {
  size_t wrong = 0, first = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (std::memcmp(&got[i], &wanted[i], sizeof(T)) != 0 && wrong++ == 0) first = i;
  }
  std::string text = what + ": " + std::to_string(wrong) + " of " + std::to_string(wanted.size()) + " differ";
  if constexpr (std::is_arithmetic_v<T>) {
    if (wrong != 0) {
      text += ", first number " + std::to_string(first) + ": " + std::to_string(got[first]) + " for " +
              std::to_string(wanted[first]);
    }
  }
  check(wrong == 0, text);
}

/// Worst |got - wanted| / max(|wanted|, floor), printed; more than `bound` fails.
template <class T>
void close(const std::string& what, const std::vector<T>& got, const std::vector<double>& wanted, double bound,
           double floor = 1e-30) {
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (static_cast<double>(got[i]) == wanted[i]) continue;
    const double error = std::abs(static_cast<double>(got[i]) - wanted[i]) / std::max(std::abs(wanted[i]), floor);
    if (!(error <= worst)) worst = error, at = i;
  }
  std::printf("%s: error %.2e, bound %.1e\n", what.c_str(), worst, bound);
  check(worst <= bound, what + ": number " + std::to_string(at) + " is " + std::to_string(got[at]) + " for " +
                            std::to_string(wanted[at]));
}

bool set(const char* key, const char* value);

void blocks();
void device_wide();
void cooperative();
void matrices();
void pipelines();
void arithmetic();
void calls();

}  // namespace foreign
