// What the tests count with: check() says what was expected and carries on; finish() prints the count.
#pragma once

#include <cstdio>
#include <string>

#include "memory/memory.h"

namespace sim::test {

inline int checks = 0, failures = 0;

inline bool check(bool ok, const std::string& what) {
  ++checks;
  if (!ok) {
    ++failures;
    std::printf("FAILED: %s\n", what.c_str());
  }
  return ok;
}
/// Runs it; true when it threw a Fault of this code whose message holds `part`.
template <class Body>
bool faults(int code, const std::string& part, const std::string& what, Body body) {
  try {
    body();
  } catch (const Fault& fault) {
    return check(fault.code == code && fault.message.find(part) != std::string::npos,
                 what + ": expected " + std::to_string(code) + " \"" + part + "\", got " + std::to_string(fault.code) +
                     " \"" + fault.message + "\"");
  }
  return check(false, what + ": no fault");
}
inline int finish(const char* name) {
  std::printf("%s: %d checks, %d failed\n", name, checks, failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace sim::test
