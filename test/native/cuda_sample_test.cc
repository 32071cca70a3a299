// The sampler on the GPU: what every sampler must do (sample_checks.h), the CPU's tokens, vocabularies around tiles and warps'
// runs, ties at a top-p cut, and the loss head's log-prob to the bit.
#include "cuda_conflicts.h"
#include "cuda_settled.h"
#include "ops/ops.h"
#include "sample_checks.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

using Gpu = cuda::CudaDevice;

void sample_on(Gpu& gpu, const Sample& op, Placement placement, bool checked = true) {
  const auto array = [&](const auto* from, int64_t count) {
    using T = std::remove_cv_t<std::remove_pointer_t<decltype(from)>>;
    return DeviceArray<T>(gpu, std::vector<T>(from, from + count), placement);
  };
  auto logits = array(op.logits, op.R * op.V), temperature = array(op.temperature, op.R);
  auto top_p = array(op.top_p, op.R), min_p = array(op.min_p, op.R), logprob = array(op.logprob, op.R);
  auto top_k = array(op.top_k, op.R), token = array(op.token, op.R);
  auto keys = array(op.keys, op.R);
  const Sample on{logits.data(), temperature.data(), top_k.data(),   top_p.data(), min_p.data(),
                  keys.data(),   token.data(),       logprob.data(), op.R,         op.V};
  checked ? cuda::sample(gpu, on) : cuda::sample_without_check(gpu, on);
  const std::vector<int32_t> tokens = token.values();
  const std::vector<float> logprobs = logprob.values();
  std::copy(tokens.begin(), tokens.end(), op.token);
  std::copy(logprobs.begin(), logprobs.end(), op.logprob);
}

std::vector<float> as_floats(const Draws& draws) {
  std::vector<float> values(draws.tokens.begin(), draws.tokens.end());
  append(values, draws.logprobs);
  return values;
}

void independence(Gpu& gpu, Ops& cpu) {
  const auto on_gpu = [&](int64_t first, int64_t last, Placement placement) {
    return mixed([&](const Sample& op) { sample_on(gpu, op, placement); }, first, last);
  };
  settled("sample", [&](Placement placement) { return as_floats(on_gpu(0, 60, placement)); });
  const Draws batch = on_gpu(0, 60, Placement::kFlush);
  Draws alone;
  for (int64_t r = 0; r < 60; ++r) {
    const Draws single = on_gpu(r, r + 1, Placement::kFlush);
    alone.tokens.push_back(single.tokens[0]);
    alone.logprobs.push_back(single.logprobs[0]);
  }
  check(alone == batch, "a row alone draws the token and the bits it draws in a batch");
  const Draws expected = mixed([&](const Sample& op) { cpu.sample(op); }, 0, 60);
  double worst = 0;
  for (size_t r = 0; r < 60; ++r)
    worst =
        std::max(worst, std::fabs(static_cast<double>(batch.logprobs[r]) - static_cast<double>(expected.logprobs[r])));
  check(batch.tokens == expected.tokens, "60 rows of mixed settings draw the CPU's tokens");
  check_below(worst, 4e-6, "their log-probs against the CPU's, nats");
}

// Vocabularies around the edges of tiles, groups of 32 and warps' runs; every filter alone and all together.
void vocabularies(Gpu& gpu, Ops& cpu) {
  int64_t different = 0, drawn = 0;
  for (const int64_t V : {1, 2, 31, 32, 33, 256, 513, 8192, 8209, 20011, 50021}) {
    Random random(V);
    const std::vector<float> row = random.normals(V, 2.5f);
    for (const Settings& s :
         {Settings{}, Settings{.temperature = 0}, Settings{.top_k = 7}, Settings{.top_p = 0.6f},
          Settings{.min_p = 0.02f}, Settings{.temperature = 0.8f, .top_k = 40, .top_p = 0.9f, .min_p = 0.01f}}) {
      const std::vector<float> rows = repeated(row, 5);
      const Draws found = draw([&](const Sample& op) { sample_on(gpu, op, Placement::kAmongNan); }, rows, V, s);
      const Draws expected = draw([&](const Sample& op) { cpu.sample(op); }, rows, V, s);
      for (size_t r = 0; r < 5; ++r) different += found.tokens[r] != expected.tokens[r];
      drawn += 5;
    }
  }
  check(different == 0 && drawn == 330,
        std::to_string(drawn) + " draws of eleven vocabularies and six settings are the CPU's");
}

// Equal logits at a cut: top-p keeps the lower ids, in the middle of a warp's run or across runs.
void ties(Gpu& gpu) {
  bool kept = true;
  for (const int64_t V : {50, 600, 4000}) {
    std::vector<float> row(V, -5.0f);
    std::vector<int32_t> equal;
    for (int64_t v = 3; v < V; v += V / 45) {
      row[v] = 2.0f;
      equal.push_back(static_cast<int32_t>(v));
    }
    // The others have e^-7 of the mass of an equal one; half of all mass cuts through the equal ones.
    const double each = 1, rest = std::exp(-7.0) * static_cast<double>(V - static_cast<int64_t>(equal.size()));
    const double total = each * static_cast<double>(equal.size()) + rest;
    const auto stay = static_cast<size_t>(std::ceil(0.5 * total));
    const Draws got =
        draw([&](const Sample& op) { sample_on(gpu, op, Placement::kFlush); }, repeated(row, 600), V, {.top_p = 0.5f});
    const std::set<int32_t> seen(got.tokens.begin(), got.tokens.end());
    kept = kept && seen == std::set<int32_t>(equal.begin(), equal.begin() + static_cast<int64_t>(stay));
  }
  check(kept, "among equal logits at a top-p cut exactly the lower ids are drawn");
}

// Calls that grow, before all others: each finds scratch memory that ends right behind its tiles, so that a read past the last
// row's tiles, or past its logits, is a fault of the simulated device.
void tight_scratch(Gpu& gpu, Ops& cpu) {
  bool same = true;
  int64_t R = 1;
  for (const int64_t V : {600, 8192})  // 3 and 32 tiles
    for (const Settings& s : {Settings{.temperature = 0}, Settings{}, Settings{.top_k = 9}, Settings{.top_p = 0.5f}}) {
      std::vector<float> rows = Random(R).normals(R * V, 2.0f);
      rows.back() = 12.0f;  // by far the most probable: searches go to the very end
      same = same && draw([&](const Sample& op) { sample_on(gpu, op, Placement::kFlush); }, rows, V, s).tokens ==
                         draw([&](const Sample& op) { cpu.sample(op); }, rows, V, s).tokens;
      ++R;
    }
  check(same, "rows whose tiles end where scratch memory ends draw the CPU's tokens");
}

// A token exactly as probable as min-p asks for stays: those of the largest logit at min-p 1, and one of half their mass at 1/2.
void min_p_bound(Gpu& gpu) {
  std::vector<float> row(300, -3.0f);
  row[17] = row[290] = 0.0f;
  row[100] = -0.693147182464599609375f;  // ln 2 in fp32: e^(z - max) is 1/2 to the bit
  const auto drawn = [&](float min_p) {
    const Draws got = draw([&](const Sample& op) { sample_on(gpu, op, Placement::kFlush); }, repeated(row, 200), 300,
                           {.min_p = min_p});
    return std::set<int32_t>(got.tokens.begin(), got.tokens.end());
  };
  check(drawn(1.0f) == std::set<int32_t>({17, 290}), "at min-p 1 the most probable tokens stay, and only they");
  check(drawn(0.5f) == std::set<int32_t>({17, 100, 290}) && drawn(0.50001f) == std::set<int32_t>({17, 290}),
        "a token exactly at the bound of min-p stays, one below it goes");
}

// Logits of linear_forward, sampled; the loss head on the same hidden states gives the same log-prob.
void head_agrees(Gpu& gpu, Ops& cpu) {
  const int64_t R = 21, C = 40, V = 1111;
  Random random(5);
  const Packed w_host(cpu, random.normals(V * C, 0.4f), V, C, DType::kBF16);
  const auto* elements = reinterpret_cast<const uint16_t*>(w_host.bytes.data());
  bool same = true;
  for (const float temperature : {1.0f, 0.7f}) {
    DeviceArray<uint16_t> w(gpu, std::vector<uint16_t>(elements, elements + packed_elements(V, C)));
    DeviceArray<float> hidden(gpu, random.normals(R * C)), logits(gpu, nans(R * V));
    const PackedMatrix weight{w.data(), DType::kBF16, V, C};
    cuda::linear_forward(gpu, {hidden.data(), weight, nullptr, nullptr, logits.data(), R});
    const Draws drawn = draw([&](const Sample& op) { sample_on(gpu, op, Placement::kFlush); }, logits.values(), V,
                             {.temperature = temperature, .top_p = 0.95f});
    DeviceArray<int32_t> labels(gpu, drawn.tokens);
    DeviceArray<float> logprob(gpu, nans(R)), entropy(gpu, nans(R)), lse(gpu, nans(R));
    cuda::head_forward(
        gpu, {hidden.data(), weight, labels.data(), temperature, logprob.data(), entropy.data(), lse.data(), R});
    same = same && same_bits(logprob.values(), drawn.logprobs);
  }
  check(same, "a sampled log-prob is head_forward's to the bit");
}

void without_check(Gpu& gpu) {
  std::vector<float> rows(3 * 300, 0.5f);
  rows[300 + 299] = HUGE_VALF;
  const Draws got = draw([&](const Sample& op) { sample_on(gpu, op, Placement::kFlush, false); }, rows, 300, {});
  check(got.tokens[0] >= 0 && got.tokens[1] == -1 && std::isnan(got.logprobs[1]) && got.tokens[2] >= 0,
        "sample_without_check marks a row without a distribution and draws the others");
}

}  // namespace

int main(int argc, char** argv) {
  const std::shared_ptr<Gpu> gpu = open_gpu();
  if (gpu == nullptr) return kSkipped;
  Backend cpu(best_isa(), 1);
  const Sampler sampler = [&](const Sample& op) { sample_on(*gpu, op, Placement::kFlush); };
  tight_scratch(*gpu, *cpu.ops);
  test_unfiltered(sampler, "cuda");
  test_greedy_and_filters(sampler, "cuda");
  independence(*gpu, *cpu.ops);
  vocabularies(*gpu, *cpu.ops);
  ties(*gpu);
  min_p_bound(*gpu);
  head_agrees(*gpu, *cpu.ops);
  without_check(*gpu);
  const std::string shared = shared_folder(argc, argv);
  if (!shared.empty())
    test_golden(sampler, "cuda", *WeightFile::open_safetensors(shared + "/golden/sampling/sampling.safetensors"), 60);
  check_conflicts();
  return finish();
}
