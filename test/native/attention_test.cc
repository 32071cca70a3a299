// Paged attention forward and backward: float64 references, finite differences, and the bit equalities that make a
// recomputed log-prob equal the sampled one.
#include <algorithm>
#include <memory>

#include "attention_reference.h"
#include "check.h"
#include "paged_batch.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

const std::vector<int64_t> kLengths = {1, 31, 32, 33, 64, 65, 130, 500};
const float kNan = std::numeric_limits<float>::quiet_NaN();

bool same_bits(const float* a, const float* b, size_t n) {
  return std::memcmp(a, b, n * sizeof(float)) == 0;
}
bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && same_bits(a.data(), b.data(), a.size());
}

const std::vector<AttentionShape> kShapes = {
    {9, 3, 8, DType::kBF16},   {4, 2, 16, DType::kF32},  {2, 1, 32, DType::kBF16},  {3, 3, 40, DType::kF32},
    {6, 2, 64, DType::kBF16},  {7, 1, 64, DType::kF32},  {4, 4, 96, DType::kBF16},  {2, 1, 128, DType::kF32},
    {2, 1, 250, DType::kBF16}, {1, 1, 256, DType::kF32}, {80, 1, 16, DType::kBF16},
};

void matches_references(Ops& ops) {
  AttentionErrors errors;
  for (const AttentionShape& shape : kShapes) {
    Random random(static_cast<uint64_t>(shape.D));
    std::vector<Sequence> sequences;
    for (int64_t length : kLengths)
      if (length * shape.H * shape.D < 150000) sequences.push_back(random_sequence(&random, shape, length));
    const AttentionResult found = prefill(ops, shape, sequences);
    const AttentionGradients gradients = backward(ops, shape, sequences);
    errors.add(shape, sequences, found, gradients);
  }
  check_below(errors.forward, 2e-6, "attention output against float64, relative to the largest value");
  check_below(errors.lse, 1e-6, "log-sum-exp of the scores");
  check_below(errors.dq, 5e-6, "dq");
  check_below(errors.dk, 5e-6, "dk");
  check_below(errors.dv, 2e-6, "dv");
}

// sum(dout * out) of the double reference as a function of one input element.
double objective(const AttentionShape& shape, const Sequence& s) {
  const AttentionReference r = attention_reference(shape, s);
  double sum = 0;
  for (size_t i = 0; i < r.out.size(); ++i) sum += static_cast<double>(s.dout[i]) * r.out[i];
  return sum;
}

void matches_finite_differences(Ops& ops) {
  const AttentionShape shape{4, 2, 6, DType::kF32};
  Random random(5);
  const Sequence s = random_sequence(&random, shape, 35);
  const AttentionGradients g = backward(ops, shape, {s});
  const auto slope = [&](std::vector<float> Sequence::*array, size_t i) {
    Sequence up = s, down = s;
    (up.*array)[i] += 0x1p-10f;
    (down.*array)[i] -= 0x1p-10f;
    return (objective(shape, up) - objective(shape, down)) /
           (static_cast<double>((up.*array)[i]) - static_cast<double>((down.*array)[i]));
  };
  double worst = 0;
  for (size_t i = 0; i < s.q.size(); i += 11)
    worst = std::max(worst, std::fabs(slope(&Sequence::q, i) - static_cast<double>(g.dq[i])));
  for (size_t i = 0; i < s.k.size(); i += 5) {
    worst = std::max(worst, std::fabs(slope(&Sequence::k, i) - static_cast<double>(g.dk[i])));
    worst = std::max(worst, std::fabs(slope(&Sequence::v, i) - static_cast<double>(g.dv[i])));
  }
  check_below(worst, 2e-5, "dq, dk, dv against finite differences of the float64 forward");
}

void bits_do_not_depend_on_company(Ops& ops) {
  bool packed = true, decoded = true, chunked = true, stale = true, leaked = true, gradients = true;
  for (const AttentionShape& shape : kShapes) {
    Random random(static_cast<uint64_t>(shape.D + 1000));
    std::vector<Sequence> sequences;
    for (int64_t length : {65, 1, 33, 130, 32, 31}) sequences.push_back(random_sequence(&random, shape, length));
    const AttentionResult all = prefill(ops, shape, sequences);
    const AttentionGradients all_gradients = backward(ops, shape, sequences);
    stale = stale && same_bits(prefill(ops, shape, sequences, kNan).out, all.out);
    const AttentionGradients over_stale = backward(ops, shape, sequences, kNan);
    stale = stale && same_bits(over_stale.dq, all_gradients.dq) && same_bits(over_stale.dk, all_gradients.dk) &&
            same_bits(over_stale.dv, all_gradients.dv);

    // Other sequences full of NaN change nothing.
    std::vector<Sequence> poisoned = sequences;
    for (size_t s : {size_t{0}, size_t{2}})
      for (auto* values : {&poisoned[s].q, &poisoned[s].k, &poisoned[s].v, &poisoned[s].dout})
        std::fill(values->begin(), values->end(), kNan);
    const AttentionResult beside_nan = prefill(ops, shape, poisoned);
    const AttentionGradients beside_nan_gradients = backward(ops, shape, poisoned);

    int64_t token = 0;
    for (size_t s = 0; s < sequences.size(); ++s) {
      const int64_t length = sequences[s].length;
      const size_t q = static_cast<size_t>(token * shape.H * shape.D),
                   k = static_cast<size_t>(token * shape.G * shape.D);
      const size_t nq = sequences[s].q.size(), nk = sequences[s].k.size(), nl = static_cast<size_t>(length * shape.H);
      const float* out = all.out.data() + q;
      const float* lse = all.lse.data() + token * shape.H;

      const AttentionResult alone = prefill(ops, shape, {sequences[s]});
      packed = packed && same_bits(alone.out.data(), out, nq) && same_bits(alone.lse.data(), lse, nl);
      const AttentionGradients own = backward(ops, shape, {sequences[s]});
      gradients = gradients && same_bits(own.dq.data(), all_gradients.dq.data() + q, nq) &&
                  same_bits(own.dk.data(), all_gradients.dk.data() + k, nk) &&
                  same_bits(own.dv.data(), all_gradients.dv.data() + k, nk);
      if (s != 0 && s != 2)
        leaked = leaked && same_bits(beside_nan.out.data() + q, out, nq) &&
                 same_bits(beside_nan_gradients.dq.data() + q, own.dq.data(), nq) &&
                 same_bits(beside_nan_gradients.dk.data() + k, own.dk.data(), nk) &&
                 same_bits(beside_nan_gradients.dv.data() + k, own.dv.data(), nk);

      // Token by token, and in pieces; slots that are not written yet hold NaN.
      PagedCache one_cache(shape, {length}, kNan), piece_cache(shape, {length}, kNan);
      for (int64_t t = 0; t < length; ++t) {
        const AttentionResult one = attend(ops, shape, one_cache, {sequences[s]}, {t}, {t + 1});
        decoded = decoded && same_bits(one.out.data(), out + t * shape.H * shape.D, one.out.size()) &&
                  same_bits(one.lse.data(), lse + t * shape.H, one.lse.size());
      }
      const int64_t pieces[] = {0, 1, 20, 64, length};
      for (int i = 0; i < 4; ++i) {
        const int64_t begin = std::min(pieces[i], length), end = std::min(pieces[i + 1], length);
        if (begin == end) continue;
        const AttentionResult piece = attend(ops, shape, piece_cache, {sequences[s]}, {begin}, {end});
        chunked = chunked && same_bits(piece.out.data(), out + begin * shape.H * shape.D, piece.out.size());
      }
      token += length;
    }
  }
  check(packed, "a sequence has the same bits alone and packed");
  check(decoded, "token by token over the cache gives the bits of one prefill");
  check(chunked, "prefill in pieces gives the bits of one prefill");
  check(stale, "NaN in slots that were never written changes nothing");
  check(leaked, "NaN in other sequences changes nothing");
  check(gradients, "the gradients of a sequence have the same bits alone and packed");
}

void bits_do_not_depend_on_threads(Isa isa) {
  const AttentionShape shape{6, 2, 64, DType::kBF16};
  Random random(77);
  std::vector<Sequence> sequences;
  for (int64_t length : {100, 7, 64, 257}) sequences.push_back(random_sequence(&random, shape, length));
  AttentionResult first;
  AttentionGradients first_gradients;
  bool same = true;
  for (int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const std::unique_ptr<Ops> ops = make_cpu_ops(isa, pool);
    const AttentionResult r = prefill(*ops, shape, sequences);
    const AttentionGradients g = backward(*ops, shape, sequences);
    if (threads == 1) {
      first = r;
      first_gradients = g;
    }
    same = same && same_bits(r.out, first.out) && same_bits(r.lse, first.lse) && same_bits(g.dq, first_gradients.dq) &&
           same_bits(g.dk, first_gradients.dk) && same_bits(g.dv, first_gradients.dv);
  }
  check(same, "1, 2 and 3 threads give the same bits");
}

void writes_pages_as_documented(Ops& ops) {
  const AttentionShape shape{2, 2, 6, DType::kBF16};
  Random random(3);
  const std::vector<Sequence> sequences = {random_sequence(&random, shape, 40)};
  PagedCache cache(shape, {40}, 0);
  attend(ops, shape, cache, sequences, {0}, {40});
  const uint16_t* keys = static_cast<const uint16_t*>(cache.pages().keys);
  const uint16_t* values = static_cast<const uint16_t*>(cache.pages().values);
  bool right = true;
  for (int64_t t = 0; t < 64; ++t)
    for (int64_t g = 0; g < shape.G; ++g)
      for (int64_t d = 0; d < shape.D; ++d) {
        const int64_t page = cache.page_table[static_cast<size_t>(t / kKvPageSize)] * cache.stride(),
                      slot = t % kKvPageSize;
        const size_t i = static_cast<size_t>((t * shape.G + g) * shape.D + d);
        const uint16_t k = t < 40 ? f32_to_bf16(sequences[0].k[i]) : 0, v = t < 40 ? f32_to_bf16(sequences[0].v[i]) : 0;
        right = right && keys[page + (g * shape.D + d) * kKvPageSize + slot] == k &&
                values[page + (g * kKvPageSize + slot) * shape.D + d] == v;
      }
  check(right,
        "keys are stored transposed per page, values row by row, both rounded to nearest even, the rest untouched");
}

void survives_large_scores(Ops& ops) {
  const AttentionShape shape{1, 1, 16, DType::kF32};
  Random random(4);
  Sequence s = random_sequence(&random, shape, 70);
  for (float& value : s.q) value *= 200;
  const AttentionResult r = prefill(ops, shape, {s});
  check_below(worst_error(r.out.data(), attention_reference(shape, s).out), 1e-4,
              "scores in the hundreds neither overflow nor vanish");
}

}  // namespace

int main() {
  std::vector<std::vector<float>> outputs;
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
    matches_references(*ops);
    matches_finite_differences(*ops);
    bits_do_not_depend_on_company(*ops);
    bits_do_not_depend_on_threads(isa);
    writes_pages_as_documented(*ops);
    survives_large_scores(*ops);
    if (isa == Isa::kPortable) continue;
    const AttentionShape shape{6, 2, 64, DType::kBF16};
    Random random(9);
    outputs.push_back(prefill(*ops, shape, {random_sequence(&random, shape, 130)}).out);
  }
  bool same = true;
  for (const auto& out : outputs) same = same && same_bits(out, outputs[0]);
  if (outputs.size() > 1) check(same, "AVX2 and AVX-512 give the same bits");
  return finish();
}
