// Linear layers by cublasLt; see cublaslt_linear.h.
#include "cublaslt_linear.h"

#include "ops/linear.h"
#include "ops/ops.h"

namespace toolgrad::cuda {
namespace {

constexpr int kRowsSlot = 4;  // the weight, row-major

}  // namespace

CublasLtLinear::CublasLtLinear(std::shared_ptr<CudaDevice> device, CublasLtUse use)
    : library_(std::move(device)), use_(use) {}

bool CublasLtLinear::takes(int64_t T, const PackedMatrix& w, std::initializer_list<const void*> arrays) const {
  if (T < use_.rows || w.dtype != DType::kBF16 || w.rows == 0 || w.cols == 0 || w.rows % 8 != 0 || w.cols % 8 != 0)
    return false;
  for (const void* array : arrays)
    if (reinterpret_cast<uintptr_t>(array) % 16 != 0) return false;
  return true;
}

bool CublasLtLinear::multiply(const LtProduct& product, const PackedMatrix& w) {
  CudaDevice& device = library_.device();
  auto* rows = device.scratch<uint16_t>(kRowsSlot, w.rows * w.cols);
  unpack_rounded(device, w, rows);
  LtProduct p = product;
  p.w = rows;
  p.N = w.rows;
  p.K = w.cols;
  return library_.multiply(p);
}

bool CublasLtLinear::forward(const LinearForward& op) {
  if (use_.products != CublasLtProducts::kAll || !takes(op.T, op.w, {op.bias, op.residual, op.y})) return false;
  const Bf16Rows x = to_bf16_rows(library_.device(), 0, op.x, op.T, op.w.cols);
  return multiply({x.data, nullptr, op.bias, op.residual, op.y, op.T, 0, 0, false}, op.w);
}

bool CublasLtLinear::gated(const GatedForward& op) {
  if (use_.products != CublasLtProducts::kAll) return false;
  if (!takes(op.T, op.w_gate, {op.bias_gate, op.bias_up, op.gate, op.up}) || op.gate == nullptr || op.up == nullptr)
    return false;
  const Bf16Rows x = to_bf16_rows(library_.device(), 0, op.x, op.T, op.w_gate.cols);
  if (!multiply({x.data, nullptr, op.bias_gate, nullptr, op.gate, op.T, 0, 0, false}, op.w_gate) ||
      !multiply({x.data, nullptr, op.bias_up, nullptr, op.up, op.T, 0, 0, false}, op.w_up))
    return false;  // gate may be written: our kernel writes it again, or nobody reads it
  swiglu_forward(library_.device(), {op.gate, op.up, op.act, op.T, op.w_gate.rows});
  return true;
}

bool CublasLtLinear::backward_input(const LinearBackwardInput& op) {
  if (!takes(op.T, op.w, {op.dx})) return false;
  const Bf16Rows dy = to_bf16_rows(library_.device(), 1, op.dy, op.T, op.w.rows);
  return multiply({dy.data, nullptr, nullptr, op.accumulate ? op.dx : nullptr, op.dx, op.T, 0, 0, true}, op.w);
}

bool CublasLtLinear::backward(const LinearBackward& op) {
  if (!takes(op.T, op.w, {op.dx})) return false;
  linear_backward_by(library_.device(), op, [&](Bf16Rows dy) {
    if (!multiply({dy.data, nullptr, nullptr, op.accumulate ? op.dx : nullptr, op.dx, op.T, 0, 0, true}, op.w))
      multiply_input(library_.device(), dy, op.w, op.dx, op.accumulate);
  });
  return true;
}

}  // namespace toolgrad::cuda
