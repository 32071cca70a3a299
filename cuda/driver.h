// libcuda, loaded with dlopen: no CUDA toolkit to build, no driver to start.
//
// The library is `libcuda.so.1`, then `libcuda.so`; TOOLGRAD_LIBCUDA names another file instead (tests name the
// simulated device there). Every call goes through Driver::check, which turns a failure into Error with a stable code:
// ERR_OUT_OF_MEMORY, ERR_CUDA_LAUNCH, ERR_DEVICE_LOST (a sticky error: nothing on the device can be trusted or used any
// more), ERR_CUDA (any other), each naming the call and giving the driver's own name and sentence.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "driver_api.h"

namespace toolgrad::cuda {

namespace detail {
using namespace cu;  // the parameter types of the list
/// The driver's functions, named like the entry points without "cu"; null where an old driver has none.
struct DriverTable {
#define TOOLGRAD_CU_MEMBER(member, symbol, parameters, required) Result(*member) parameters = nullptr;
  TOOLGRAD_CU_FUNCTIONS(TOOLGRAD_CU_MEMBER)
#undef TOOLGRAD_CU_MEMBER
};
}  // namespace detail

class Driver {
 public:
  /// The process's driver, loaded and initialised at the first call; Error{"ERR_NO_CUDA"} saying what was looked for and
  /// what the loader or cuInit answered. A failure is not remembered: the next call tries again.
  static std::shared_ptr<const Driver> open();
  ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  const detail::DriverTable* operator->() const { return &table_; }
  const std::string& path() const { return path_; }
  int version() const { return version_; }  // 1000 * major + 10 * minor, of the CUDA interface
  std::string version_text() const;         // "12.4"
  /// The driver's name, number and sentence of an error.
  std::string text(cu::Result result) const;

  /// Nothing for success, Error otherwise. `what` names the call and, for a launch, kernel and shape.
  void check(cu::Result result, const std::string& what) const;
  /// Whether an error leaves the context unusable.
  static bool sticky(cu::Result result);

 private:
  Driver() = default;
  void load();

  void* library_ = nullptr;
  std::string path_;
  int version_ = 0;
  detail::DriverTable table_;
};

}  // namespace toolgrad::cuda
