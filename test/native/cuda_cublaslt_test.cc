// Linear layers left to cublasLt: what is asked of the library (a stand-in computes it, test/native/cublaslt), what is left to our
// own kernels, and what happens when the library is absent or fails. The library itself runs on a real GPU only.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>

#include "backend.h"
#include "cublaslt_linear.h"
#include "cuda_control.h"
#include "cuda_panels.h"
#include "cuda_settled.h"
#include "engine/model.h"
#include "linear_problem.h"
#include "ops/ops.h"

using namespace toolgrad;
using namespace toolgrad::test;
using Gpu = cuda::CudaDevice;
using Floats = std::vector<float>;

namespace {

constexpr char kFake[] = TOOLGRAD_FAKE_CUBLASLT;
enum Failure { kNothing = 0, kNoAlgorithm = 1, kExecution = 2, kCreation = 3 };

template <class F>
F fake_function(const char* name) {
  void* handle = dlopen(kFake, RTLD_NOW | RTLD_LOCAL);
  return handle == nullptr ? nullptr : reinterpret_cast<F>(dlsym(handle, name));
}
void let_fail(Failure what) {
  fake_function<void (*)(int)>("fake_cublaslt_fail")(what);
}
int64_t products() {
  return fake_function<int64_t (*)()>("fake_cublaslt_products")();
}

struct Outcome {
  LinearResults results;
  int64_t products = 0;
};

/// Every product of the layer through the ops of a backend.
Outcome run(Gpu& gpu, Ops& cpu, Ops& ops, const LinearProblem& p) {
  const auto [T, N, K] = p.s;
  DevicePanels w(cpu, gpu, p);
  Packed dw_host(cpu, p.dw0, N, K, DType::kF32);
  const auto* dw_floats = reinterpret_cast<const float*>(dw_host.bytes.data());
  DeviceArray<float> dw(gpu, Floats(dw_floats, dw_floats + packed_elements(N, K))), db(gpu, p.db0);
  DeviceArray<float> x(gpu, p.x), dy(gpu, p.dy), bias(gpu, p.bias);
  DeviceArray<float> y(gpu, nans(T * N)), y_full(gpu, p.residual), dx(gpu, nans(T * K)), dx_added(gpu, p.dx0);
  Outcome out;
  const int64_t before = products();
  ops.linear_forward({x.data(), w.matrix, nullptr, nullptr, y.data(), T});
  ops.linear_forward({x.data(), w.matrix, bias.data(), y_full.data(), y_full.data(), T});
  ops.linear_backward_input({dy.data(), w.matrix, dx.data(), T, false});
  ops.linear_backward(
      {x.data(), dy.data(), w.matrix, {dw.data(), DType::kF32, N, K}, db.data(), dx_added.data(), T, true});
  out.products = products() - before;
  const Floats panels = dw.values();
  out.results = {y.values(), y_full.values(), dx.values(), dx_added.values(), Floats(static_cast<size_t>(N * K)),
                 db.values()};
  for (int64_t n = 0; n < N; ++n)
    for (int64_t k = 0; k < K; ++k) out.results.dw[n * K + k] = panels[packed_index(K, n, k)];
  return out;
}

/// Gate, up and act.
Floats gated(Gpu& gpu, Ops& cpu, Ops& ops, const LinearProblem& gate, const LinearProblem& up) {
  const auto [T, F, K] = gate.s;
  DevicePanels gate_w(cpu, gpu, gate), up_w(cpu, gpu, up);
  DeviceArray<float> x(gpu, gate.x), gate_bias(gpu, gate.bias), gate_y(gpu, nans(T * F)), up_y(gpu, nans(T * F));
  DeviceArray<float> act(gpu, nans(T * F));
  ops.gated_forward({x.data(), gate_w.matrix, up_w.matrix, gate_bias.data(), nullptr, gate_y.data(), up_y.data(),
                     act.data(), T, true});
  Floats all = gate_y.values();
  append(all, up_y.values());
  append(all, act.values());
  return all;
}

/// A problem whose operands bf16 holds, so that fp64 judges the sums alone.
LinearProblem exact_problem(LinearShape shape, uint64_t seed) {
  LinearProblem p(shape, DType::kBF16, seed);
  p.x = rounded_to(DType::kBF16, p.x);
  p.dy = rounded_to(DType::kBF16, p.dy);
  return p;
}

void agrees_with_fp64(Gpu& gpu, Ops& cpu, Ops& all) {
  for (const LinearShape& shape : {LinearShape{4, 8, 8}, {5, 24, 40}, {37, 72, 136}, {130, 40, 200}}) {
    const LinearProblem p = exact_problem(shape, 11);
    const Outcome found = run(gpu, cpu, all, p);
    const std::string size =
        "T " + std::to_string(shape.T) + ", N " + std::to_string(shape.N) + ", K " + std::to_string(shape.K);
    check_below(worst_error(p, found.results), 1, size + " against fp64, in units of an fp32 chain's error");
    check(found.products == 4, size + ": two forward products and two input gradients are the library's");
  }
}

void keeps_to_its_shapes(Gpu& gpu, Ops& cpu, Ops& own, Ops& all) {
  const auto same = [&](LinearShape shape, const std::string& why) {
    const LinearProblem p = exact_problem(shape, 12);
    const Outcome found = run(gpu, cpu, all, p);
    check(found.products == 0 && found.results == run(gpu, cpu, own, p).results,
          "our kernels compute, to the bit, " + why);
  };
  same({3, 24, 40}, "fewer rows than were said");
  same({9, 20, 40}, "a width that is not a multiple of eight");
  same({9, 24, 36}, "an inner width that is not a multiple of eight");

  const LinearProblem p = exact_problem({9, 24, 40}, 12);
  DevicePanels w(cpu, gpu, p);
  DeviceArray<float> x(gpu, p.x), y(gpu, nans(9 * 24), Placement::kOffset);
  const int64_t before = products();
  all.linear_forward({x.data(), w.matrix, nullptr, nullptr, y.data(), 9});
  y.values();
  check(products() == before, "our kernels compute into an array that is not aligned to 16 bytes");
}

void gradients_only(Gpu& gpu, Ops& cpu, Ops& own) {
  const auto ops = make_cuda_ops(0, {CublasLtProducts::kGradients, 4});
  const LinearProblem p = exact_problem({37, 72, 136}, 13);
  const Outcome found = run(gpu, cpu, *ops, p), expected = run(gpu, cpu, own, p);
  check(found.products == 2, "gradients: the two input gradients are the library's");
  check(same_bits(found.results.y, expected.results.y) && same_bits(found.results.y_full, expected.results.y_full) &&
            same_bits(found.results.dw, expected.results.dw) && same_bits(found.results.db, expected.results.db),
        "gradients: forward passes and gradients of weights keep the bits of our kernels");
  check_below(worst_error(p, found.results), 1, "gradients: against fp64, in units of an fp32 chain's error");
  const LinearProblem up = exact_problem({37, 72, 136}, 14);
  const int64_t before = products();
  check(same_bits(gated(gpu, cpu, *ops, p, up), gated(gpu, cpu, own, p, up)) && products() == before,
        "gradients: gate, up and SwiGLU keep the bits of our kernel");
}

void mlp(Gpu& gpu, Ops& cpu, Ops& own, Ops& all) {
  const LinearProblem gate = exact_problem({37, 72, 136}, 15), up = exact_problem({37, 72, 136}, 16);
  const int64_t before = products();
  const Floats found = gated(gpu, cpu, all, gate, up);
  check(products() - before == 2, "gate and up are the library's");
  const Floats expected = gated(gpu, cpu, own, gate, up);
  // Two orders of a sum of 136 products of normal numbers: a few ulp of its terms' sum; act multiplies two of them.
  double worst = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double size = 1 + std::fabs(static_cast<double>(expected[i]));
    const double error = std::fabs(static_cast<double>(found[i]) - static_cast<double>(expected[i])) / size;
    if (!(error <= worst)) worst = error;
  }
  check_below(worst, 2e-5, "gate, up and act against our kernel");
}

void recorded(Gpu& gpu, Ops& cpu, Ops& all) {
  const LinearProblem p = exact_problem({37, 72, 136}, 17);
  DevicePanels w(cpu, gpu, p);
  DeviceArray<float> x(gpu, p.x), once(gpu, nans(37 * 72)), y(gpu, nans(37 * 72)), sum(gpu, Floats(37 * 72, 0.0f));
  all.linear_forward({x.data(), w.matrix, nullptr, nullptr, once.data(), 37});
  for (int step = 0; step < 3; ++step)
    all.recorded([&] {
      all.linear_forward({x.data(), w.matrix, nullptr, nullptr, y.data(), 37});
      all.add(sum.data(), y.data(), 37 * 72);
    });
  Floats expected = once.values();
  for (float& value : expected) value = value + value + value;
  check(same_bits(sum.values(), expected), "in a recorded step the product and what follows it are queued in order");
}

void failures_are_told(Gpu& gpu, Ops& cpu, Ops& own, Ops& all) {
  // A shape that no product had before: the library is asked again.
  const LinearProblem p = exact_problem({41, 80, 48}, 18), up = exact_problem({41, 80, 48}, 19);
  let_fail(kNoAlgorithm);
  check(run(gpu, cpu, all, p).results == run(gpu, cpu, own, p).results,
        "our kernels compute what the library has no algorithm for");
  check(same_bits(gated(gpu, cpu, all, p, up), gated(gpu, cpu, own, p, up)), "gate and up too");
  let_fail(kNothing);

  const LinearProblem q = exact_problem({43, 80, 48}, 20);
  let_fail(kExecution);
  check_throws([&] { run(gpu, cpu, all, q); }, "ERR_CUBLASLT",
               "cublasLtMatmul: execution failed (13), forward of T 43, N 80, K 48", "a product that fails says which");
  let_fail(kNothing);
  check_below(worst_error(q, run(gpu, cpu, all, q).results), 1, "the next one is right, against fp64");

  const CublasLtUse use{CublasLtProducts::kAll, 4};
  let_fail(kCreation);
  check_throws([&] { make_cuda_ops(0, use); }, "ERR_NO_CUBLASLT", "cublasLtCreate: not initialised (1)",
               "a library that does not start");
  let_fail(kNothing);
  set_variable("TOOLGRAD_LIBCUBLASLT", "/nowhere/libcublasLt.so");
  check_throws([&] { make_cuda_ops(0, use); }, "ERR_NO_CUBLASLT", "/nowhere/libcublasLt.so",
               "a library that is not there");
  set_variable("TOOLGRAD_LIBCUBLASLT", "libm.so.6");
  check_throws([&] { make_cuda_ops(0, use); }, "ERR_NO_CUBLASLT", "libm.so.6 lacks cublasLtGetVersion",
               "a library that is another");
  set_variable("TOOLGRAD_LIBCUBLASLT", kFake);
}

/// A pass of a whole model: with `gradients` the log-probs keep their bits and the gradients are those of our kernels within the
/// rounding of sums; with `all` log-probs move too, and little.
void whole_model() {
  struct Pass {
    Floats logprobs, gradient;
    double loss = 0;
    int64_t products = 0;
  };
  const auto pass = [](CublasLtProducts which) {
    ModelShape shape;
    shape.V = 300;
    shape.C = 128;
    shape.L = 2;
    shape.H = 4;
    shape.G = 2;
    shape.D = 16;
    shape.F = 512;
    shape.max_positions = 128;
    shape.qkv_bias = true;
    ModelOptions options;
    options.trainable = true;
    options.cuda = 0;
    options.cublaslt = {which, 16};
    Model model(shape, options);
    model.initialise(9, 0.2);
    Random random(4);
    std::vector<int32_t> tokens;
    for (int i = 0; i < 60; ++i) tokens.push_back(static_cast<int32_t>(random.next() % 300));
    const int32_t starts[] = {0, 25, 60};
    Floats weight(60, 1.0f / 58);
    weight[0] = weight[25] = 0;
    PolicyLossOptions loss;
    loss.kind = PolicyLossOptions::Kind::kCrossEntropy;
    LossInputs inputs;
    inputs.weight = weight.data();
    Pass result;
    result.logprobs.resize(60);
    const int64_t before = products();
    result.loss = model.accumulate({tokens.data(), starts, 60, 2}, inputs, loss, result.logprobs.data()).loss;
    result.products = products() - before;
    const PackedMatrix gradient = model.parameters().gradient(0);
    result.gradient = model.ops().memory()->download(static_cast<const float*>(gradient.data),
                                                     packed_elements(gradient.rows, gradient.cols));
    return result;
  };
  const Pass none = pass(CublasLtProducts::kNone), gradients = pass(CublasLtProducts::kGradients),
             all = pass(CublasLtProducts::kAll);
  const auto distance = [](const Floats& a, const Floats& b) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
      size += std::pow(static_cast<double>(b[i]), 2);
    }
    return std::sqrt(difference / size);
  };
  check(none.products == 0 && gradients.products == 14 && all.products == 28,
        "a model of two layers: 0, 14 and 28 products are the library's (" + std::to_string(gradients.products) + ", " +
            std::to_string(all.products) + ")");
  check(same_bits(gradients.logprobs, none.logprobs) && gradients.loss == none.loss,
        "gradients: log-probs and loss keep their bits");
  check(!same_bits(gradients.gradient, none.gradient) && !same_bits(all.logprobs, none.logprobs),
        "gradients and, with all, log-probs are other sums");
  check_below(distance(gradients.gradient, none.gradient), 1e-3, "gradients: the embedding's gradient");
  check_below(distance(all.gradient, none.gradient), 2e-2,
              "all: the embedding's gradient, whose activations round to other bf16 numbers");
  check_below(distance(all.logprobs, none.logprobs), 1e-3, "all: log-probs");
}

void many_shapes(Gpu& gpu, Ops& cpu, Ops& all) {
  const LinearProblem p = exact_problem({600, 8, 8}, 21);
  DevicePanels w(cpu, gpu, p);
  DeviceArray<float> x(gpu, p.x), y(gpu, nans(600 * 8));
  const int64_t before = products();
  for (int64_t T = 300; T <= 600; ++T) all.linear_forward({x.data(), w.matrix, nullptr, nullptr, y.data(), T});
  for (int64_t T = 300; T <= 600; T += 100) all.linear_forward({x.data(), w.matrix, nullptr, nullptr, y.data(), T});
  const Floats found = y.values();
  double worst = 0;
  for (int64_t t = 0; t < 600; ++t)
    for (int64_t n = 0; n < 8; ++n) {
      Chain chain;
      for (int64_t k = 0; k < 8; ++k) chain.add(p.x[t * 8 + k], p.w[n * 8 + k]);
      worst = std::max(worst, chain.error(found[t * 8 + n], 9));
    }
  check(products() - before == 305, "more shapes than the plans that are kept");
  check_below(worst, 1, "and the last of them against fp64");
}

}  // namespace

int main() {
  const std::shared_ptr<Gpu> gpu = open_gpu();
  if (gpu == nullptr) return kSkipped;
  set_variable("TOOLGRAD_LIBCUBLASLT", kFake);
  ThreadPool pool(1);
  const auto cpu = make_cpu_ops(Isa::kPortable, pool);
  const auto own = make_cuda_ops(0, {}), all = make_cuda_ops(0, {CublasLtProducts::kAll, 4});
  agrees_with_fp64(*gpu, *cpu, *all);
  keeps_to_its_shapes(*gpu, *cpu, *own, *all);
  gradients_only(*gpu, *cpu, *own);
  mlp(*gpu, *cpu, *own, *all);
  recorded(*gpu, *cpu, *all);
  failures_are_told(*gpu, *cpu, *own, *all);
  many_shapes(*gpu, *cpu, *all);
  whole_model();
  return finish();
}
