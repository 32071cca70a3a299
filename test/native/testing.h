// What tests of CPU kernels share: matrices in panels, the instruction sets of this processor, comparison of bits, and
// a reference matrix product in fp64 with the error bound of one fp32 chain.
#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "cpu/cpu.h"
#include "engine/dtype.h"

namespace toolgrad::test {

inline std::vector<Isa> supported_isas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16})
    if (isa <= best_isa()) isas.push_back(isa);
  return isas;
}

/// A pool and the CPU backend over it.
struct Backend {
  ThreadPool pool;
  std::unique_ptr<Ops> ops;
  Backend(Isa isa, int threads) : pool(threads), ops(make_cpu_ops(isa, pool)) {}
  Ops* operator->() { return ops.get(); }
};

/// A matrix in panels with its own memory.
struct Packed {
  std::vector<uint8_t> bytes;
  PackedMatrix matrix;
  Packed(int64_t rows, int64_t cols, DType dtype)
      : bytes(static_cast<size_t>(packed_elements(rows, cols)) * dtype_size(dtype)),
        matrix{bytes.data(), dtype, rows, cols} {}
  Packed(Ops& ops, const std::vector<float>& values, int64_t rows, int64_t cols, DType dtype)
      : Packed(rows, cols, dtype) {
    ops.pack(values.data(), matrix);
  }
  Packed(const Packed&) = delete;
  Packed& operator=(const Packed&) = delete;
  std::vector<float> unpacked(Ops& ops) const {
    std::vector<float> values(static_cast<size_t>(matrix.rows * matrix.cols));
    ops.unpack(matrix, values.data());
    return values;
  }
};

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline std::vector<float> rounded_to(DType dtype, std::vector<float> values) {
  if (dtype == DType::kBF16)
    for (float& value : values) value = bf16_to_f32(f32_to_bf16(value));
  return values;
}

/// One output element: its fp64 value, and the sum of the magnitudes that were added.
struct Chain {
  double value = 0, magnitude = 0;
  void add(double a, double b = 1) {
    value += a * b;
    magnitude += std::fabs(a * b);
  }
  /// The error of `got` in units of the bound of a chain of `terms` roundings, terms * 2^-24 * magnitude.
  double error(float got, int64_t terms) const {
    const double bound = static_cast<double>(terms) * 0x1p-24 * magnitude;
    const double difference = std::fabs(static_cast<double>(got) - value);
    if (std::isnan(difference)) return HUGE_VAL;
    return difference == 0 ? 0 : difference / bound;
  }
};

}  // namespace toolgrad::test
