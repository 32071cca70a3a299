// kernels.*: normalisation, rotation, activation, optimizer step and norm. lib/model/kernels/rows.ts documents them.
#include <algorithm>
#include <cmath>
#include <memory>

#include "engine/error.h"
#include "napi/args.h"
#include "napi/guard.h"
#include "napi/kernel_backend.h"
#include "napi/kernels.h"
#include "napi/tensor.h"

namespace toolgrad {
namespace {

Napi::Value rms_norm(const Napi::CallbackInfo& info) {
  Operands call(info, "rmsNorm", {"x", "weight", "y", "rstd", "eps"});
  const Operand x = call.in("x", kFloat, "*TC");
  const Operand weight = call.in("weight", kFloat, "C");
  const Operand y = call.out("y", kFloat, "*TC");
  const Operand rstd = call.out_optional("rstd", kFloat, "*T");
  const auto eps = static_cast<float>(call.number("eps"));
  if (eps < 0) throw_out_of_range(property(call.object(), "eps"), "number of 0 or more", "eps");
  call.require_sizes("C");
  call.may_share("y", "x");
  const int64_t T = call.size('T'), C = call.size('C');
  return call.run([=](KernelBackend& backend) {
    if (T == 0) return;
    backend.ops().rms_norm_forward({x.floats(), weight.floats(), y.floats(), rstd.floats(), T, C, eps});
  });
}

Napi::Value rms_norm_backward(const Napi::CallbackInfo& info) {
  Operands call(info, "rmsNormBackward", {"dy", "x", "weight", "rstd", "dx", "dweight", "accumulate"});
  const Operand dy = call.in("dy", kFloat, "*TC");
  const Operand x = call.in("x", kFloat, "*TC");
  const Operand weight = call.in("weight", kFloat, "C");
  const Operand rstd = call.in("rstd", kFloat, "*T");
  const Operand dx = call.out("dx", kFloat, "*TC");
  const Operand dweight = call.out("dweight", kFloat, "C");
  const bool accumulate = call.flag("accumulate");
  call.require_sizes("C");
  const int64_t T = call.size('T'), C = call.size('C');
  return call.run([=](KernelBackend& backend) {
    if (T == 0) return;
    backend.ops().rms_norm_backward(
        {dy.floats(), x.floats(), weight.floats(), rstd.floats(), dx.floats(), dweight.floats(), T, C, accumulate});
  });
}

RopeScaling read_scaling(Napi::Value value) {
  if (is_absent(value)) return {};
  const Napi::Object object = read_object(
      value, "scaling", {"type", "factor", "lowFreqFactor", "highFreqFactor", "originalMaxPositionEmbeddings"});
  const std::string type = read_string(property(object, "type"), "type");
  if (type != "llama3") throw_out_of_range(property(object, "type"), "\"llama3\"", "type");
  const auto number = [&](const char* key) {
    const double read = read_number(property(object, key), key);
    if (!(read > 0)) throw_out_of_range(property(object, key), "number above 0", key);
    return read;
  };
  RopeScaling scaling{RopeScaling::Kind::kLlama3, number("factor"), number("lowFreqFactor"), number("highFreqFactor"),
                      number("originalMaxPositionEmbeddings")};
  if (!(scaling.high_freq_factor > scaling.low_freq_factor))
    throw_out_of_range(property(object, "highFreqFactor"), "number above lowFreqFactor", "highFreqFactor");
  return scaling;
}

Napi::Value rope(const Napi::CallbackInfo& info) {
  Operands call(info, "rope", {"x", "positions", "theta", "scaling", "backward"});
  const Operand x = call.out("x", kFloat, "THD");
  const Operand positions = call.in("positions", kInt, "T");
  call.require_sizes("HD");
  const int64_t T = call.size('T'), H = call.size('H'), D = call.size('D');
  if (D % 2 != 0) call.fail_shape("expected an even D (pairs are rotated) but found x " + shape_text_of(x.shape));
  const double theta = call.number("theta");
  if (!(theta > 1)) throw_out_of_range(property(call.object(), "theta"), "number above 1", "theta");
  const RopeScaling scaling = read_scaling(property(call.object(), "scaling"));
  const bool backward = call.flag("backward");
  return call.run([=](KernelBackend& backend) {
    if (T == 0) return;
    const std::vector<int32_t> at = checked_indices(positions, 0, KernelBackend::kMostPositions);
    const RopeTable& table = backend.rope(D, theta, scaling, *std::max_element(at.begin(), at.end()) + int64_t{1});
    backend.ops().rope({x.floats(), table.cos(), table.sin(), at.data(), T, H, D, backward});
  });
}

Napi::Value swiglu(const Napi::CallbackInfo& info) {
  Operands call(info, "swiglu", {"gate", "up", "act"});
  const Operand gate = call.in("gate", kFloat, "*TF");
  const Operand up = call.in("up", kFloat, "*TF");
  const Operand act = call.out("act", kFloat, "*TF");
  const int64_t T = call.size('T'), F = call.size('F');
  return call.run([=](KernelBackend& backend) {
    if (T > 0 && F > 0) backend.ops().swiglu_forward({gate.floats(), up.floats(), act.floats(), T, F});
  });
}

Napi::Value swiglu_backward(const Napi::CallbackInfo& info) {
  Operands call(info, "swigluBackward", {"dact", "gate", "up", "dgate", "dup"});
  const Operand dact = call.in("dact", kFloat, "*TF");
  const Operand gate = call.in("gate", kFloat, "*TF");
  const Operand up = call.in("up", kFloat, "*TF");
  const Operand dgate = call.out("dgate", kFloat, "*TF");
  const Operand dup = call.out("dup", kFloat, "*TF");
  call.may_share("dgate", "gate");
  call.may_share("dup", "up");
  const int64_t T = call.size('T'), F = call.size('F');
  return call.run([=](KernelBackend& backend) {
    if (T > 0 && F > 0)
      backend.ops().swiglu_backward({dact.floats(), gate.floats(), up.floats(), dgate.floats(), dup.floats(), T, F});
  });
}

Napi::Value adamw(const Napi::CallbackInfo& info) {
  Operands call(
      info, "adamw",
      {"master", "m", "v", "grad", "weight", "lr", "beta1", "beta2", "eps", "weightDecay", "gradScale", "step"});
  constexpr Layout kAny = Layout::kRowsOrPanels;
  const Operand master = call.out("master", kFloat, "*n", kAny);
  const Operand m = call.out("m", kFloat, "*n", kAny), v = call.out("v", kFloat, "*n", kAny);
  const Operand grad = call.in("grad", kFloat, "*n", kAny);
  const Operand weight = call.out_optional("weight", kWeight, "*n", kAny);
  for (const Operand* operand : {&m, &v, &grad, &weight})
    if (operand->present && (operand->shape != master.shape || operand->panels != master.panels))
      call.fail_shape("master " + shape_text_of(master.shape) + (master.panels ? " in panels" : "") + " and " +
                      operand->name + " " + shape_text_of(operand->shape) + (operand->panels ? " in panels" : "") +
                      " do not agree");
  const auto read = [&call](const char* key, double low, double high) {
    const double number = call.number(key);
    if (!(number >= low && number <= high))
      throw_out_of_range(property(call.object(), key),
                         "number from " + std::to_string(low) + " to " + std::to_string(high), key);
    return number;
  };
  AdamW op{};
  op.master = master.floats();
  op.m = m.floats();
  op.v = v.floats();
  op.grad = grad.floats();
  op.weight = weight.present ? weight.data : master.data;
  op.weight_dtype = weight.present ? weight.dtype : DType::kF32;
  op.n = master.elements;
  op.lr = read("lr", 0, 1e6);
  op.beta1 = read("beta1", 0, 1);
  op.beta2 = read("beta2", 0, 1);
  op.eps = read("eps", 0, 1);
  op.weight_decay = read("weightDecay", 0, 1e6);
  op.grad_scale = static_cast<float>(call.number("gradScale"));
  op.step = read_positive_integer(property(call.object(), "step"), "step");
  if (op.beta1 == 1 || op.beta2 == 1)
    throw_out_of_range(property(call.object(), op.beta1 == 1 ? "beta1" : "beta2"), "number below 1",
                       op.beta1 == 1 ? "beta1" : "beta2");
  return call.run([=](KernelBackend& backend) {
    if (op.n > 0) backend.ops().adamw(op);
  });
}

// sumOfSquares({x}): promise of a number, in double.
Napi::Value sum_of_squares(const Napi::CallbackInfo& info) {
  Operands call(info, "globalNorm", {"x"});
  const Operand x = call.in("x", kFloat, "*n", Layout::kRowsOrPanels);
  auto sum = std::make_shared<double>(0);
  return call.run(
      [=](KernelBackend& backend) {
        if (x.elements > 0) *sum = backend.ops().sum_of_squares(x.floats(), x.elements);
      },
      [sum](Napi::Env env) { return Napi::Number::New(env, *sum); });
}

}  // namespace

void register_row_kernels(Napi::Env env, Napi::Object exports) {
  export_function<rms_norm>(env, exports, "rmsNorm");
  export_function<rms_norm_backward>(env, exports, "rmsNormBackward");
  export_function<rope>(env, exports, "rope");
  export_function<swiglu>(env, exports, "swiglu");
  export_function<swiglu_backward>(env, exports, "swigluBackward");
  export_function<adamw>(env, exports, "adamw");
  export_function<sum_of_squares>(env, exports, "sumOfSquares");
}

}  // namespace toolgrad
