// Runs a piece of GPU work again and again under what must not matter: the order of blocks and warps (three seeds of the
// simulated device; on a real GPU its own whims), and what lies beside the arrays.
#pragma once

#include <dlfcn.h>

#include <cstdlib>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "cuda_arrays.h"
#include "testing.h"

namespace toolgrad::test {

/// Sets the seed of the simulated device's order; false on a real GPU.
inline bool set_schedule(int seed) {
  const char* library = std::getenv("TOOLGRAD_LIBCUDA");
  void* handle = dlopen(library != nullptr ? library : "libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  if (handle == nullptr) return false;
  using Set = int (*)(const char*, const char*);
  const auto set = reinterpret_cast<Set>(dlsym(handle, "cudasim_set"));
  const bool done = set != nullptr && set("seed", std::to_string(seed).c_str()) == 0;
  dlclose(handle);
  return done;
}

/// Whether an op's arrays of 4-byte elements may begin anywhere.
enum class Views { kAligned, kAny };

/// The results of `f`, which must have the same bits under every schedule, among NaN, flush and (if so said) unaligned. One
/// line per `op`, at the first call; a difference is a failed check each time.
inline std::vector<float> settled(const std::string& op, Views views,
                                  const std::function<std::vector<float>(Placement)>& f) {
  static std::set<std::string> announced;
  const std::vector<float> first = f(Placement::kFlush);
  bool same = same_bits(f(Placement::kAmongNan), first);
  if (views == Views::kAny) same = same && same_bits(f(Placement::kOffset), first);
  for (const int seed : {1, 2}) {
    set_schedule(seed);
    same = same && same_bits(f(Placement::kFlush), first);
  }
  set_schedule(0);
  const bool news = announced.insert(op).second;
  if (news || !same)
    check(same, op + ": the same bits under three schedules, flush, among NaN" +
                    (views == Views::kAny ? " and in unaligned arrays" : ""));
  return first;
}
inline std::vector<float> settled(const std::string& op, const std::function<std::vector<float>(Placement)>& f) {
  return settled(op, Views::kAligned, f);
}

inline void append(std::vector<float>& to, const std::vector<float>& values) {
  to.insert(to.end(), values.begin(), values.end());
}
/// Rows [first, first + count) of `width` values.
template <class T>
std::vector<T> rows_of(const std::vector<T>& all, int64_t first, int64_t count, int64_t width) {
  return {all.begin() + first * width, all.begin() + (first + count) * width};
}
/// Largest difference, relative to the largest expected value, or to `size` where that is larger; infinite for NaN.
inline double worst_error(const std::vector<float>& found, const std::vector<double>& expected, double size = 1e-30) {
  double worst = found.size() == expected.size() ? 0 : HUGE_VAL;
  for (size_t i = 0; i < found.size() && i < expected.size(); ++i) {
    const double error = std::fabs(static_cast<double>(found[i]) - expected[i]);
    if (!(error <= worst)) worst = std::isnan(error) ? HUGE_VAL : error;
    if (std::fabs(expected[i]) > size) size = std::fabs(expected[i]);
  }
  return worst / size;
}

}  // namespace toolgrad::test
