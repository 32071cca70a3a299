// Kernels of whole warps: every lane gets four words, runs some code, and gives four words back.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "device.h"

namespace conformance {

using Words = std::array<uint32_t, 4>;
using Lanes = std::vector<Words>;  // a multiple of 32

/// `code` has the .b32 registers %a0 … %a3 (in), %o0 … %o3 (out, zero at first), %lane, predicates %p, %q, %r, the .b64
/// registers %x, %y, %z, and 4 KiB of shared memory `s`, whose start is %s.
std::string lane_kernel(const std::string& entry, const std::string& code);
Lanes run_lanes(Device& device, Device::Module module, const std::string& entry, const Lanes& in, uint32_t block = 32);

/// A form: code, inputs, and what lane `lane` of the warp that starts at `first` has to give.
struct LaneForm {
  std::string name, code;
  Lanes in;
  std::function<Words(const Lanes& in, size_t first, unsigned lane)> reference;
  int sm = 80;
  uint32_t block = 32;
};
void run_lane_forms(Device& device, Tally& tally, const std::vector<LaneForm>& forms, const std::string& globals = "");

}  // namespace conformance
