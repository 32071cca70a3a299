// Whose matrix products are timed: ours, or those of a library that is found at run time. One Engine a process, so that the
// threads of one do not spin while another computes.
#pragma once

#include <memory>
#include <string>

#include "product.h"

namespace toolgrad::bench {

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string name() const = 0;
  virtual std::string detail() const = 0;  // which build of it, and what it chose for this processor
  /// Takes the numbers over; the result is zero.
  virtual void prepare(const Product&, const Numbers&) = 0;
  /// One product with the weights of `copy`.
  virtual void multiply(int copy) = 0;
  /// Element `at` of the row-major result.
  virtual float output(int64_t at) const = 0;
  virtual void release() = 0;
};

std::unique_ptr<Engine> make_ours(int threads);
/// The first library that loads: `path`, or the usual names where that is empty. Null, with the reason, when there is none.
std::unique_ptr<Engine> make_openblas(const std::string& path, int threads, std::string* reason);
std::unique_ptr<Engine> make_onednn(const std::string& path, int threads, std::string* reason);
/// bf16 by bf16; null, too, where the library has no kernel for that on this processor.
std::unique_ptr<Engine> make_onednn_bf16(const std::string& path, int threads, std::string* reason);
std::unique_ptr<Engine> make_blis(const std::string& path, int threads, std::string* reason);

}  // namespace toolgrad::bench
