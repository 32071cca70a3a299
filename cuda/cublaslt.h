// cublasLt, loaded with dlopen where a model asks for it: products of many rows by NVIDIA's library instead of our kernels.
//
// The library is `libcublasLt.so` of CUDA 13, 12 or 11; TOOLGRAD_LIBCUBLASLT names another file. It chooses an algorithm by the
// whole shape, so the bits of a row depend on how many rows it is computed with: the order of accumulation that the engine
// keeps elsewhere (engine/ops.h) is not kept. Errors of the library are ERR_CUBLASLT and name call, shape and status.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "cublaslt_api.h"
#include "device.h"

namespace toolgrad::cuda {

/// y = x W^T (+ bias) (+ addend), or with `transposed` dx = dy W (+ addend). Every pointer is aligned to 16 bytes and every
/// width a multiple of eight.
struct LtProduct {
  const uint16_t* x;    // [T, K], or dy [T, N] when transposed
  const uint16_t* w;    // [N, K], row-major
  const float* bias;    // [N] or null; not when transposed
  const float* addend;  // [T, N], [T, K] when transposed, or null; may be `out`
  float* out;
  int64_t T, N, K;
  bool transposed;
};

class CublasLt {
 public:
  /// Loads the library and makes a handle on the device's context. Error{"ERR_NO_CUBLASLT"} saying what was looked for and
  /// what the loader or the library answered.
  explicit CublasLt(std::shared_ptr<CudaDevice> device);
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  const std::string& path() const { return path_; }
  /// Of the library: 10000 * major + 100 * minor + patch, or 1000 * major in older ones.
  int64_t version() const { return version_; }
  CudaDevice& device() { return *device_; }

  /// Queues the product; false, and nothing is queued, when the library has no algorithm for it.
  bool multiply(const LtProduct& product);

 private:
  struct Table {
#define TOOLGRAD_LT_MEMBER(member, symbol, result, parameters) result(*member) parameters = nullptr;
    using Status = lt::Status;
    using Handle = lt::Handle;
    using Desc = lt::Desc;
    using Layout = lt::Layout;
    using Preference = lt::Preference;
    using Heuristic = lt::Heuristic;
    using Algorithm = lt::Algorithm;
    TOOLGRAD_LT_FUNCTIONS(TOOLGRAD_LT_MEMBER)
#undef TOOLGRAD_LT_MEMBER
  };
  // Everything that the choice of an algorithm depends on.
  using Key = std::tuple<bool, int64_t, int64_t, int64_t, bool, bool>;  // transposed, T, N, K, bias, addend
  class Plan;

  void load();
  const Plan& plan_of(const LtProduct& product);
  void check(lt::Status status, const char* call, const LtProduct* product) const;

  std::shared_ptr<CudaDevice> device_;
  std::string path_;
  int64_t version_ = 0;
  Table table_;
  lt::Handle handle_ = nullptr;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace toolgrad::cuda
