// The sampler: golden filtered distributions, the inverse CDF against fp64, greedy ties, non-finite logits, and that a
// row's token and log-prob depend on its own logits, settings and key alone.

#include "sample_checks.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

void test_philox() {
  const auto equals = [](Philox4 got, Philox4 want) { return std::equal(got.v, got.v + 4, want.v); };
  const uint32_t f = 0xffffffffu;
  check(equals(philox4x32({{0, 0, 0, 0}}, 0, 0), {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}) &&
            equals(philox4x32({{f, f, f, f}}, f, f), {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}) &&
            equals(philox4x32({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0),
                   {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}),
        "Philox4x32-10 gives the published vectors");
  check(sample_uniform(0, 0, 0, 0, 0) == static_cast<double>((0x6627e8d5e169c58dull) >> 11) * 0x1p-53,
        "a uniform is the top 53 bits of the first two words");
  std::set<double> seen;
  for (uint32_t i = 0; i < 5; ++i)
    for (uint32_t field = 0; field < 5; ++field)
      seen.insert(sample_uniform(field == 0 ? 9 + i : 0, field == 1 ? 9 + i : 0, field == 2 ? 9 + i : 0,
                                 field == 3 ? 9 + i : 0, field == 4 ? 9 + i : 0));
  check(seen.size() == 25, "every field of the key changes the draw");
}

Sampler sampler(Backend& backend) {
  return [&backend](const Sample& op) { backend.ops->sample(op); };
}

Draws test_independence(const Sampler& one, const Sampler& three, const std::string& isa) {
  const Draws batch = mixed(one, 0, 60);
  Draws alone;
  for (int64_t r = 0; r < 60; ++r) {
    const Draws single = mixed(three, r, r + 1);
    alone.tokens.push_back(single.tokens[0]);
    alone.logprobs.push_back(single.logprobs[0]);
  }
  check(alone == batch && mixed(three, 0, 60) == batch,
        isa + ": a row alone, in a batch and on other threads draws the same token with the same bits");
  return batch;
}

}  // namespace

int main(int argc, char** argv) {
  test_philox();
  const std::string shared = shared_folder(argc, argv);
  std::vector<Draws> fused;
  for (const Isa isa : supported_isas()) {
    Backend one(isa, 1), three(isa, 3);
    test_unfiltered(sampler(three), isa_name(isa));
    test_greedy_and_filters(sampler(three), isa_name(isa));
    const Draws draws = test_independence(sampler(one), sampler(three), isa_name(isa));
    if (isa != Isa::kPortable) fused.push_back(draws);
    if (!shared.empty())
      test_golden(sampler(three), isa_name(isa),
                  *WeightFile::open_safetensors(shared + "/golden/sampling/sampling.safetensors"));
  }
  bool agree = true;
  for (const Draws& draws : fused) agree = agree && draws == fused[0];
  if (fused.size() > 1) check(agree, "every avx512 build draws the tokens and bits of avx2");
  return finish();
}
