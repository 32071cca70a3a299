// The one exception type of the engine.
//
// `code` is stable and machine-readable ("ERR_SHAPE_MISMATCH", "ERR_WEIGHT_FILE"); it becomes the `code`
// of the JavaScript error. The message says what was expected, what was found and, where it helps, what to do next.
// Nothing in the engine aborts, exits or prints: every failure is an Error.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace toolgrad {

class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const noexcept { return code_; }

 private:
  std::string code_;
};

}  // namespace toolgrad
