// AdamW against torch (golden/optim), against float64, its rounded weight copies, and bits over threads and ISAs.
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>

#include "check.h"
#include "cpu/cpu.h"
#include "engine/adamw_math.h"
#include "golden.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

using Floats = std::vector<float>;

struct State {
  Floats master, m, v;
  std::vector<uint16_t> weight;
  explicit State(Floats start) : master(std::move(start)), m(master.size(), 0), v(m), weight(m.size(), 0) {}
  AdamW op(const Floats& grad) {
    AdamW o{};
    o.master = master.data();
    o.m = m.data();
    o.v = v.data();
    o.grad = grad.data();
    o.weight = weight.data();
    o.weight_dtype = DType::kBF16;
    o.n = static_cast<int64_t>(master.size());
    o.grad_scale = 1;
    return o;
  }
};

bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}
double worst_absolute(const Floats& a, const Floats& b) {
  double worst = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i)
    worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return worst;
}
// |a - b| / (|b| + 1e-3): relative, with 1e-8 absolute slack at a bound of 1e-5 (a moment can cancel to almost 0).
double worst_relative(const Floats& a, const Floats& b) {
  double worst = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i)
    worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])) /
                                (std::fabs(static_cast<double>(b[i])) + 1e-3));
  return worst;
}

void golden_adamw(Ops& ops, const std::string& folder) {
  const Golden inputs(folder + "/adamw_inputs.safetensors"), expected(folder + "/adamw_expected.safetensors");
  const json::Value document = read_json(folder + "/adamw.json");
  const int64_t steps = document.find("steps")->as_int64();
  double parameters = 0, moments = 0, norms = 0;
  for (const json::Value& c : document.find("cases")->as_array()) {
    const std::string name = text(c, "name");
    const json::Array& betas = c.find("betas")->as_array();
    const double max_norm = number(c, "clip_max_norm", 0);
    std::map<std::string, State> states;
    for (const json::Member& tensor : document.find("tensors")->as_object())
      states.emplace(tensor.key, State(inputs.floats("param/" + tensor.key)));
    for (int64_t step = 1; step <= steps; ++step) {
      const std::string at = "/step" + std::to_string(step - 1);
      std::map<std::string, Floats> grads;
      double squares = 0;
      for (auto& [tensor, state] : states) {
        grads[tensor] = inputs.floats("grad" + at + "/" + tensor);
        squares += ops.sum_of_squares(grads[tensor].data(), static_cast<int64_t>(grads[tensor].size()));
      }
      const double norm = std::sqrt(squares);
      if (max_norm > 0)
        norms = std::max(
            norms,
            std::fabs(norm / c.find("grad_norms_before_clip")->as_array()[static_cast<size_t>(step - 1)].as_double() -
                      1));
      for (auto& [tensor, state] : states) {
        AdamW op = state.op(grads[tensor]);
        op.lr = number(c, "lr", 0);
        op.beta1 = betas[0].as_double();
        op.beta2 = betas[1].as_double();
        op.eps = number(c, "eps", 0);
        op.weight_decay = number(c, "weight_decay", 0);
        op.grad_scale = max_norm > 0 ? static_cast<float>(std::min(1.0, max_norm / (norm + 1e-6))) : 1.0f;
        op.step = step;
        ops.adamw(op);
        const std::string found = name + at + "/param/" + tensor;
        parameters = std::max(parameters, worst_absolute(state.master, expected.floats(found)));
      }
    }
    for (auto& [tensor, state] : states) {
      moments = std::max(moments, worst_relative(state.m, expected.floats(name + "/final/exp_avg/" + tensor)));
      moments = std::max(moments, worst_relative(state.v, expected.floats(name + "/final/exp_avg_sq/" + tensor)));
    }
  }
  check_below(parameters, 3e-6, "parameters after every step of every case of torch's AdamW");
  check_below(moments, 1e-5, "its moments, relative");
  check_below(norms, 1e-6, "gradient norms before clipping, relative");
}

void golden_master(Ops& ops, const std::string& folder) {
  const Golden data(folder + "/bf16_master.safetensors");
  const json::Value document = read_json(folder + "/bf16_master.json");
  const json::Array& betas = document.find("betas")->as_array();
  double masters = 0;
  bool weights = true;
  int64_t moved = 0;
  for (const char* tensor : {"w", "b"}) {
    const Floats start = data.floats(std::string("param_bf16/init/") + tensor);
    State state(start);
    const int64_t steps = document.find("steps")->as_int64();
    for (int64_t step = 1; step <= steps; ++step) {
      const std::string at = "/step" + std::to_string(step - 1) + "/" + tensor;
      const Floats grad = data.floats("grad_bf16" + at);
      AdamW op = state.op(grad);
      op.lr = number(document, "lr", 0);
      op.beta1 = betas[0].as_double();
      op.beta2 = betas[1].as_double();
      op.eps = number(document, "eps", 0);
      op.weight_decay = number(document, "weight_decay", 0);
      op.step = step;
      ops.adamw(op);
      const Floats master = data.floats("master_fp32" + at), weight = data.floats("param_bf16" + at);
      masters = std::max(masters, worst_absolute(state.master, master));
      for (size_t i = 0; i < weight.size(); ++i) {
        // One bf16 step of slack only where the master lies within 1e-7 of a rounding boundary.
        const bool near = f32_to_bf16(master[i] - 1e-7f) != f32_to_bf16(master[i] + 1e-7f);
        weights = weights && (near || bf16_to_f32(state.weight[i]) == weight[i]);
        moved += step == steps && bf16_to_f32(state.weight[i]) != start[i];
      }
    }
  }
  check_below(masters, 1e-7, "fp32 masters under bf16 gradients");
  check(weights, "the bf16 weights beside them");
  check(moved == document.find("master_elements_moved")->as_int64(), "as many bf16 weights moved as in the reference");
}

// One step of many elements against float64 and, bit for bit, against the scalar function shared with other backends.
void elements(Ops& ops, bool fused) {
  Random random(8);
  const size_t n = 100003;
  State state(random.normals(n));
  state.m = random.normals(n, 0.1f);
  for (float& value : state.v = random.normals(n, 0.1f)) value *= value;
  const Floats grad = random.normals(n);
  const State before = state;
  AdamW op = state.op(grad);
  op.lr = 1e-3;
  op.beta1 = 0.9;
  op.beta2 = 0.999;
  op.eps = 1e-8;
  op.weight_decay = 0.01;
  op.grad_scale = 0.37f;
  op.step = 17;
  ops.adamw(op);
  const AdamWStep s = adamw_step(op.lr, op.beta1, op.beta2, op.eps, op.weight_decay, op.grad_scale, op.step);
  State scalar = before;
  double worst = 0;
  bool rounded = true;
  for (size_t i = 0; i < n; ++i) {
    adamw_element(s, grad[i], &scalar.master[i], &scalar.m[i], &scalar.v[i]);
    rounded = rounded && state.weight[i] == f32_to_bf16(state.master[i]);
    const double g = static_cast<double>(grad[i]) * static_cast<double>(op.grad_scale);
    const double m = 0.9 * before.m[i] + 0.1 * g, v = 0.999 * before.v[i] + 0.001 * g * g;
    const double p = before.master[i] * (1 - 1e-5) -
                     1e-3 * m / (1 - std::pow(0.9, 17)) / (std::sqrt(v / (1 - std::pow(0.999, 17))) + 1e-8);
    worst = std::max(worst, std::fabs(p - static_cast<double>(state.master[i])) / std::max(1.0, std::fabs(p)));
  }
  check_below(worst, 3e-7, "one AdamW step against float64");
  check(rounded, "the bf16 weight is the master rounded to nearest even");
  if (fused)
    check(same_bits(scalar.master, state.master) && same_bits(scalar.m, state.m) && same_bits(scalar.v, state.v),
          "the vector kernel has the bits of the scalar function");

  State plain = before;
  Floats weight(n);
  AdamW to_f32 = op;
  to_f32.master = plain.master.data();
  to_f32.m = plain.m.data();
  to_f32.v = plain.v.data();
  to_f32.weight = weight.data();
  to_f32.weight_dtype = DType::kF32;
  ops.adamw(to_f32);
  check(same_bits(weight, state.master), "an fp32 weight is the master itself");
  plain = before;
  to_f32.round_to_bf16 = true;
  ops.adamw(to_f32);
  bool holds_bf16 = true;
  for (size_t i = 0; i < n; ++i) holds_bf16 = holds_bf16 && weight[i] == bf16_to_f32(state.weight[i]);
  check(holds_bf16, "with round_to_bf16 an fp32 weight holds the bf16 value");
}

void threads(Isa isa) {
  Random random(9);
  const Floats start = random.normals(70001), grad = random.normals(70001);
  Floats first;
  bool same = true;
  for (int count : {1, 2, 3}) {
    ThreadPool pool(count);
    const std::unique_ptr<Ops> ops = make_cpu_ops(isa, pool);
    State state(start);
    AdamW op = state.op(grad);
    op.lr = 1e-3;
    op.beta1 = 0.9;
    op.beta2 = 0.95;
    op.eps = 1e-8;
    for (op.step = 1; op.step <= 3; ++op.step) ops->adamw(op);
    if (count == 1) first = state.master;
    same = same && same_bits(state.master, first);
  }
  check(same, "1, 2 and 3 threads give the same bits");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string shared = shared_folder(argc, argv);
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
    ThreadPool pool(2);
    std::unique_ptr<Ops> ops;
    try {
      ops = make_cpu_ops(isa, pool);
    } catch (const Error& error) {
      std::printf("skipped %s: %s\n", isa_name(isa), error.what());
      continue;
    }
    std::printf("-- %s\n", ops->name());
    elements(*ops, isa != Isa::kPortable);
    threads(isa);
    if (shared.empty()) continue;
    golden_adamw(*ops, shared + "/golden/optim");
    golden_master(*ops, shared + "/golden/optim");
  }
  const int status = finish();
  return status == 0 && shared.empty() ? kSkipped : status;
}
