// Forms with a scalar meaning: every thread applies one instruction to one combination of edge values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "rounding.h"

namespace conformance {

using Values = std::vector<uint64_t>;

/// `code` uses the registers %o (result) and %a, %b, %c, %d (sources). Kinds of registers: p predicate, h .b16, r .b32,
/// f .f32, d .b64, e .f64.
struct ScalarForm {
  std::string name, code;
  char result;
  std::string sources;
  std::vector<const Values*> domains;  // of the sources
  std::function<uint64_t(const uint64_t*)> reference;
  const Format* format = nullptr;  // of the result, where NaN is NaN or `ulps` are allowed
  uint64_t ulps = 0;
  double absolute = 0;  // or this far away
  int sm = 80;
};

// Edge values.
extern const Values kWords, kDoubles, kHalfWords, kShifts, kSelectors, kPredicates;
extern const Values kSingles, kFewSingles, kTwofolds, kFewTwofolds, kHalves, kFewHalves, kBrains, kFewBrains, kAngles;

void integer_forms(std::vector<ScalarForm>& forms);
void bit_forms(std::vector<ScalarForm>& forms);
void float_forms(std::vector<ScalarForm>& forms);
void half_forms(std::vector<ScalarForm>& forms);
void conversion_forms(std::vector<ScalarForm>& forms);
void comparison_forms(std::vector<ScalarForm>& forms);
void packed_forms(std::vector<ScalarForm>& forms);

inline constexpr uint64_t kNaN32 = 0x7fffffff, kNaN64 = 0x7ff8000000000000, kNaN16 = 0x7fff;

}  // namespace conformance
