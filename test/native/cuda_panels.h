// The weight of a linear problem as bf16 panels in a device's memory.
#pragma once

#include <vector>

#include "cuda_arrays.h"
#include "linear_problem.h"

namespace toolgrad::test {

struct DevicePanels {
  Packed host;
  DeviceArray<uint16_t> device;
  PackedMatrix matrix;
  DevicePanels(Ops& cpu, Memory& memory, const LinearProblem& p, Placement placement = Placement::kFlush)
      : host(cpu, p.w, p.s.N, p.s.K, DType::kBF16),
        device(memory,
               std::vector<uint16_t>(reinterpret_cast<uint16_t*>(host.bytes.data()),
                                     reinterpret_cast<uint16_t*>(host.bytes.data() + host.bytes.size())),
               placement),
        matrix{device.data(), DType::kBF16, p.s.N, p.s.K} {}
};

}  // namespace toolgrad::test
