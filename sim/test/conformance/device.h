// The device under test, through the driver's interface only: the simulated one or a real GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "driver_api.h"

namespace conformance {

namespace detail {
using namespace toolgrad::cu;
struct Calls {
#define CONFORMANCE_MEMBER(member, symbol, parameters, required) Result(*member) parameters = nullptr;
  TOOLGRAD_CU_FUNCTIONS(CONFORMANCE_MEMBER)
#undef CONFORMANCE_MEMBER
};
}  // namespace detail

/// Throws std::runtime_error with the call and its result for everything that fails.
class Device {
 public:
  /// `library`: a path, or empty for TOOLGRAD_LIBCUDA and then libcuda.so.1. `dump`: a folder for the PTX of every module,
  /// or empty.
  explicit Device(std::string library, std::string dump = "");
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const std::string& name() const { return name_; }
  const std::string& library() const { return library_; }
  int sm() const { return sm_; }

  using Module = toolgrad::cu::Module;
  Module load(const std::string& ptx);
  void unload(Module module);
  /// Runs entry(in, out, n) with n threads in blocks of `block`; `in` and `out` are copied there and back.
  void run(Module module, const std::string& entry, const std::vector<std::byte>& in, std::vector<std::byte>& out,
           uint32_t n, uint32_t block = 128);

 private:
  void check(int result, const std::string& call) const;
  detail::Calls calls_;
  std::string library_, dump_, name_;
  int dumped_ = 0;
  int sm_ = 0, ordinal_ = 0;
};

/// Counts of checked values, forms and failures; prints the first failures of each form.
class Tally {
 public:
  /// Starts a form; its failures are printed under this name.
  void form(const std::string& name);
  void check(bool ok, const std::string& what);
  int forms() const { return forms_; }
  uint64_t values() const { return values_; }
  uint64_t failed() const { return failed_; }
  int failed_forms() const { return failed_forms_; }

 private:
  std::string name_;
  int forms_ = 0, failed_forms_ = 0, here_ = 0;
  uint64_t values_ = 0, failed_ = 0;
};

std::string hex(uint64_t value);

// Every group of forms: what it runs and checks.
void scalar_forms(Device& device, Tally& tally);
void warp_forms(Device& device, Tally& tally);
void matrix_forms(Device& device, Tally& tally);
void more_matrix_forms(Device& device, Tally& tally);
void memory_forms(Device& device, Tally& tally);

}  // namespace conformance
