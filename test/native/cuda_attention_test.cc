// Attention on the GPU: forward and backward against fp64 on inputs that bf16 holds exactly and against the CPU, and the bit
// equalities that make a recomputed log-prob equal the sampled one: alone or packed, prefill, pieces or token by token.
#include <algorithm>
#include <cstdio>

#include "attention_reference.h"
#include "cuda_arrays.h"
#include "cuda_conflicts.h"
#include "ops/ops.h"
#include "testing.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

const float kNan = std::numeric_limits<float>::quiet_NaN();

// Every kernel's head size, sizes between them, groups of 1 to 20 query heads (more than a tile of decoding holds).
const std::vector<AttentionShape> kShapes = {
    {3, 3, 8, DType::kBF16},  {10, 2, 16, DType::kBF16}, {6, 2, 32, DType::kBF16},  {2, 1, 40, DType::kBF16},
    {4, 1, 64, DType::kBF16}, {2, 2, 96, DType::kBF16},  {2, 1, 128, DType::kBF16}, {20, 1, 16, DType::kBF16},
};

Sequence exact_sequence(Random* random, const AttentionShape& shape, int64_t length) {
  Sequence s = random_sequence(random, shape, length);
  for (auto* values : {&s.q, &s.k, &s.v, &s.dout}) *values = rounded_to(DType::kBF16, *values);
  return s;
}

// The tokens [begin[s], end[s]) of each sequence on the GPU, their pages (with what earlier calls wrote) made on the host.
struct Batch {
  std::vector<int32_t> q_start{0}, kv_len;
  std::vector<float> q, k, v, dout;
  SequenceMap map;
  Batch(const AttentionShape& shape, const PagedCache& cache, const std::vector<Sequence>& sequences,
        const std::vector<int64_t>& begin, const std::vector<int64_t>& end) {
    const auto append = [](std::vector<float>& to, const std::vector<float>& from, int64_t first, int64_t last) {
      to.insert(to.end(), from.begin() + first, from.begin() + last);
    };
    for (size_t s = 0; s < sequences.size(); ++s) {
      q_start.push_back(q_start.back() + static_cast<int32_t>(end[s] - begin[s]));
      kv_len.push_back(static_cast<int32_t>(end[s]));
      append(q, sequences[s].q, begin[s] * shape.H * shape.D, end[s] * shape.H * shape.D);
      append(dout, sequences[s].dout, begin[s] * shape.H * shape.D, end[s] * shape.H * shape.D);
      append(k, sequences[s].k, begin[s] * shape.G * shape.D, end[s] * shape.G * shape.D);
      append(v, sequences[s].v, begin[s] * shape.G * shape.D, end[s] * shape.G * shape.D);
    }
    map = sequence_map(q_start.data(), kv_len.data(), cache.page_start.data(), cache.page_table.data(),
                       static_cast<int64_t>(sequences.size()));
  }
};

struct Gpu {
  cuda::CudaDevice& device;
  Ops& cpu;
  Placement placement = Placement::kFlush;

  std::vector<uint16_t> page_elements(const void* data, const PagedCache& cache) const {
    const auto* from = static_cast<const uint16_t*>(data);
    return {from, from + static_cast<int64_t>(cache.page_table.size()) * cache.stride()};
  }
  // Runs f(pages, map) with both on the device.
  template <class F>
  void with_pages(const Batch& batch, PagedCache& cache, F f) {
    cpu.kv_write({batch.k.data(), batch.v.data(), cache.pages(), batch.map});
    KvPages pages = cache.pages();
    DeviceArray<uint16_t> keys(device, page_elements(pages.keys, cache), placement);
    DeviceArray<uint16_t> values(device, page_elements(pages.values, cache), placement);
    DeviceArray<int32_t> q_start(device, batch.q_start, placement), kv_len(device, batch.kv_len, placement);
    DeviceArray<int32_t> page_start(device, cache.page_start, placement), table(device, cache.page_table, placement);
    pages.keys = keys.data();
    pages.values = values.data();
    SequenceMap map = batch.map;
    map.q_start = q_start.data();
    map.kv_len = kv_len.data();
    map.page_start = page_start.data();
    map.page_table = table.data();
    f(pages, map);
  }
  AttentionResult attend(const AttentionShape& shape, PagedCache& cache, const std::vector<Sequence>& sequences,
                         const std::vector<int64_t>& begin, const std::vector<int64_t>& end) {
    const Batch batch(shape, cache, sequences, begin, end);
    AttentionResult r;
    with_pages(batch, cache, [&](const KvPages& pages, const SequenceMap& map) {
      DeviceArray<float> q(device, batch.q, placement), out(device, nans(map.T * shape.H * shape.D), placement);
      DeviceArray<float> lse(device, nans(map.T * shape.H), placement);
      cuda::attention_forward(device, {q.data(), pages, map, out.data(), lse.data(), shape.H, shape.scale()});
      r.out = out.values();
      r.lse = lse.values();
    });
    return r;
  }
  AttentionResult prefill(const AttentionShape& shape, const std::vector<Sequence>& sequences, float fill = 0) {
    std::vector<int64_t> begin(sequences.size(), 0), end;
    for (const Sequence& s : sequences) end.push_back(s.length);
    PagedCache cache(shape, end, fill);
    return attend(shape, cache, sequences, begin, end);
  }
  AttentionGradients backward(const AttentionShape& shape, const std::vector<Sequence>& sequences, float fill = 0) {
    std::vector<int64_t> begin(sequences.size(), 0), end;
    for (const Sequence& s : sequences) end.push_back(s.length);
    PagedCache cache(shape, end, fill);
    const Batch batch(shape, cache, sequences, begin, end);
    AttentionGradients g;
    with_pages(batch, cache, [&](const KvPages& pages, const SequenceMap& map) {
      const int64_t rows = map.T * shape.H, keys = map.T * shape.G * shape.D;
      DeviceArray<float> q(device, batch.q, placement), dout(device, batch.dout, placement);
      DeviceArray<float> out(device, nans(rows * shape.D), placement), lse(device, nans(rows), placement);
      DeviceArray<float> dq(device, nans(rows * shape.D), placement);
      DeviceArray<float> dk(device, nans(keys), placement), dv(device, nans(keys), placement);
      cuda::attention_forward(device, {q.data(), pages, map, out.data(), lse.data(), shape.H, shape.scale()});
      cuda::attention_backward(device, {dout.data(), q.data(), out.data(), lse.data(), pages, map, dq.data(), dk.data(),
                                        dv.data(), shape.H, shape.scale()});
      g.dq = dq.values();
      g.dk = dk.values();
      g.dv = dv.values();
    });
    return g;
  }
};

bool same_bits(const float* a, const float* b, size_t n) {
  return std::memcmp(a, b, n * sizeof(float)) == 0;
}
bool same_gradients(const AttentionGradients& a, const AttentionGradients& b) {
  return test::same_bits(a.dq, b.dq) && test::same_bits(a.dk, b.dk) && test::same_bits(a.dv, b.dv);
}
double worst_difference(const std::vector<float>& a, const std::vector<float>& b) {
  return worst_error(a.data(), std::vector<double>(b.begin(), b.end()));
}

void matches_references(Gpu gpu) {
  AttentionErrors errors;
  double cpu_forward = 0, cpu_gradients = 0;
  for (const AttentionShape& shape : kShapes) {
    Random random(static_cast<uint64_t>(shape.D));
    std::vector<Sequence> sequences;
    for (int64_t length : {1, 5, 31, 33, 64, 65, 130}) sequences.push_back(exact_sequence(&random, shape, length));
    const AttentionResult found = gpu.prefill(shape, sequences);
    const AttentionGradients gradients = gpu.backward(shape, sequences);
    errors.add(shape, sequences, found, gradients);
    std::vector<Sequence> any;
    for (int64_t length : {3, 70}) any.push_back(random_sequence(&random, shape, length));
    const AttentionGradients ours = gpu.backward(shape, any), theirs = backward(gpu.cpu, shape, any);
    cpu_forward =
        std::max(cpu_forward, worst_difference(gpu.prefill(shape, any).out, prefill(gpu.cpu, shape, any).out));
    cpu_gradients = std::max({cpu_gradients, worst_difference(ours.dq, theirs.dq), worst_difference(ours.dk, theirs.dk),
                              worst_difference(ours.dv, theirs.dv)});
  }
  check_below(errors.forward, 5e-3, "attention output against float64, relative to the largest value");
  check_below(errors.lse, 2e-6, "log-sum-exp of the scores");
  check_below(errors.dq, 1e-2, "dq");
  check_below(errors.dk, 1e-2, "dk");
  check_below(errors.dv, 5e-3, "dv");
  check_below(cpu_forward, 2e-2, "attention output against the CPU, which does not round q and p to bf16");
  check_below(cpu_gradients, 3e-2, "dq, dk and dv against the CPU");
}

// Sequences beyond a chunk of 512 keys: parts that wait in `out` (prefill) and in scratch memory (decoding) are merged alike.
void merges_chunks(Gpu gpu) {
  bool decoded = true, pieces = true, offset = true;
  double forward = 0, lse = 0;
  // Groups of 9 and 10: rows of decoding in both halves of a tile.
  const AttentionShape shapes[] = {{9, 1, 8, DType::kBF16},
                                   {10, 2, 16, DType::kBF16},
                                   {10, 1, 32, DType::kBF16},
                                   {9, 1, 64, DType::kBF16},
                                   {9, 1, 128, DType::kBF16}};
  for (const AttentionShape& shape : shapes) {
    Random random(12);
    const int64_t longest = shape.D <= 16 ? 1100 : 530;
    const std::vector<Sequence> sequences = {exact_sequence(&random, shape, longest),
                                             exact_sequence(&random, shape, 513), exact_sequence(&random, shape, 40)};
    const AttentionResult all = gpu.prefill(shape, sequences);
    Gpu at_offset = gpu;
    at_offset.placement = Placement::kOffset;
    offset = offset && test::same_bits(at_offset.prefill(shape, sequences).out, all.out);
    int64_t token = 0;
    for (const Sequence& s : sequences) {
      const AttentionReference r = attention_reference(shape, s);
      forward = std::max(forward, worst_error(all.out.data() + token * shape.H * shape.D, r.out));
      lse = std::max(lse, worst_error(all.lse.data() + token * shape.H, r.lse));
      token += s.length;
    }
    // The last tokens of all three in one batch: one, four (both decoding) and seven of them (prefill).
    for (const std::vector<int64_t>& last : {std::vector<int64_t>{1, 1, 1}, {4, 1, 7}, {7, 4, 2}}) {
      PagedCache cache(shape, {longest, 513, 40}, 0);
      std::vector<int64_t> begin, end;
      for (size_t i = 0; i < 3; ++i) {
        begin.push_back(sequences[i].length - last[i]);
        end.push_back(sequences[i].length);
      }
      const Batch before(shape, cache, sequences, {0, 0, 0}, begin);
      gpu.cpu.kv_write({before.k.data(), before.v.data(), cache.pages(), before.map});
      const AttentionResult tail = gpu.attend(shape, cache, sequences, begin, end);
      offset = offset && test::same_bits(at_offset.attend(shape, cache, sequences, begin, end).out, tail.out);
      int64_t from = 0, row = 0;
      for (size_t i = 0; i < 3; ++i) {
        const int64_t at = from + begin[i], width = shape.H * shape.D;
        const bool same = same_bits(tail.out.data() + row * width, all.out.data() + at * width,
                                    static_cast<size_t>(last[i] * width)) &&
                          same_bits(tail.lse.data() + row * shape.H, all.lse.data() + at * shape.H,
                                    static_cast<size_t>(last[i] * shape.H));
        (last[i] <= 4 ? decoded : pieces) = (last[i] <= 4 ? decoded : pieces) && same;
        from += sequences[i].length;
        row += last[i];
      }
    }
  }
  check_below(forward, 5e-3, "output over several chunks against float64");
  check_below(lse, 2e-6, "log-sum-exp over several chunks");
  check(offset, "an output aligned to 4 bytes only gives the same bits over several chunks");
  check(decoded, "decoding over several chunks gives the bits of prefill");
  check(pieces, "a late piece over several chunks gives the bits of one prefill");
}

// Every head size that the kernels take, in one chunk (decoding writes its output itself), at both alignments.
void takes_every_head_size(Gpu gpu) {
  bool decoded = true, gradients = true;
  double forward = 0, backward = 0;
  for (int64_t D = 8; D <= 128; D += 8) {
    const AttentionShape shape{9, 1, D, DType::kBF16};
    Random random(13);
    const std::vector<Sequence> sequences = {exact_sequence(&random, shape, 70), exact_sequence(&random, shape, 3)};
    const AttentionResult all = gpu.prefill(shape, sequences);
    const AttentionGradients all_gradients = gpu.backward(shape, sequences);
    const AttentionReference r = attention_reference(shape, sequences[0]);
    forward = std::max(forward, worst_error(all.out.data(), r.out));
    backward = std::max({backward, worst_error(all_gradients.dq.data(), r.dq),
                         worst_error(all_gradients.dk.data(), r.dk), worst_error(all_gradients.dv.data(), r.dv)});
    for (const Placement placement : {Placement::kFlush, Placement::kOffset}) {
      Gpu placed = gpu;
      placed.placement = placement;
      PagedCache cache(shape, {70, 3}, 0);
      const Batch before(shape, cache, sequences, {0, 0}, {68, 0});
      gpu.cpu.kv_write({before.k.data(), before.v.data(), cache.pages(), before.map});
      const AttentionResult tail = placed.attend(shape, cache, sequences, {68, 0}, {70, 3});
      decoded = decoded && same_bits(tail.out.data(), all.out.data() + 68 * shape.H * D, tail.out.size()) &&
                same_bits(tail.lse.data(), all.lse.data() + 68 * shape.H, tail.lse.size());
      gradients = gradients && same_gradients(placed.backward(shape, sequences), all_gradients);
    }
  }
  check_below(forward, 5e-3, "head sizes 8, 16 ... 128 forward against float64");
  check_below(backward, 1e-2, "head sizes 8, 16 ... 128 backward against float64");
  check(decoded, "decoding two or three tokens of a short sequence gives the bits of prefill");
  check(gradients, "gradients do not depend on alignment");
}

void bits_do_not_depend_on_company(Gpu gpu) {
  bool packed = true, decoded = true, pieces = true, stale = true, leaked = true, gradients = true, placed = true;
  bool repeated = true, offset = true;
  for (const AttentionShape& shape : kShapes) {
    Random random(static_cast<uint64_t>(shape.D + 1000));
    std::vector<Sequence> sequences;
    for (int64_t length : {67, 1, 33, 4}) sequences.push_back(random_sequence(&random, shape, length));
    const AttentionResult all = gpu.prefill(shape, sequences);
    const AttentionGradients all_gradients = gpu.backward(shape, sequences);
    repeated = repeated && test::same_bits(gpu.prefill(shape, sequences).out, all.out) &&
               same_gradients(gpu.backward(shape, sequences), all_gradients);
    stale = stale && test::same_bits(gpu.prefill(shape, sequences, kNan).out, all.out) &&
            same_gradients(gpu.backward(shape, sequences, kNan), all_gradients);
    Gpu among_nan = gpu;
    among_nan.placement = Placement::kAmongNan;
    placed = placed && test::same_bits(among_nan.prefill(shape, sequences).out, all.out) &&
             same_gradients(among_nan.backward(shape, sequences), all_gradients);

    Gpu at_offset = gpu;
    at_offset.placement = Placement::kOffset;
    offset = offset && test::same_bits(at_offset.prefill(shape, sequences).out, all.out) &&
             same_gradients(at_offset.backward(shape, sequences), all_gradients);

    std::vector<Sequence> poisoned = sequences;
    for (auto* values : {&poisoned[2].q, &poisoned[2].k, &poisoned[2].v, &poisoned[2].dout})
      std::fill(values->begin(), values->end(), kNan);
    const AttentionResult beside_nan = gpu.prefill(shape, poisoned);
    const AttentionGradients beside_nan_gradients = gpu.backward(shape, poisoned);

    int64_t token = 0;
    for (size_t s = 0; s < sequences.size(); ++s) {
      const int64_t length = sequences[s].length;
      const size_t q = static_cast<size_t>(token * shape.H * shape.D),
                   k = static_cast<size_t>(token * shape.G * shape.D);
      const size_t nq = sequences[s].q.size(), nk = sequences[s].k.size(), nl = static_cast<size_t>(length * shape.H);
      const float* out = all.out.data() + q;
      const float* lse = all.lse.data() + token * shape.H;
      const auto same_part = [&](const AttentionGradients& g, size_t gq, size_t gk) {
        return same_bits(g.dq.data() + gq, all_gradients.dq.data() + q, nq) &&
               same_bits(g.dk.data() + gk, all_gradients.dk.data() + k, nk) &&
               same_bits(g.dv.data() + gk, all_gradients.dv.data() + k, nk);
      };
      const AttentionResult alone = gpu.prefill(shape, {sequences[s]});
      packed = packed && same_bits(alone.out.data(), out, nq) && same_bits(alone.lse.data(), lse, nl);
      gradients = gradients && same_part(gpu.backward(shape, {sequences[s]}), 0, 0);
      if (s != 2)
        leaked = leaked && same_bits(beside_nan.out.data() + q, out, nq) && same_part(beside_nan_gradients, q, k);

      // Token by token (a few of them), and in pieces; slots that are not written yet hold NaN.
      PagedCache one_cache(shape, {length}, kNan), piece_cache(shape, {length}, kNan);
      const int64_t start = std::max<int64_t>(0, length - 5);
      const Batch before(shape, one_cache, {sequences[s]}, {0}, {start});
      if (start > 0) gpu.cpu.kv_write({before.k.data(), before.v.data(), one_cache.pages(), before.map});
      for (int64_t t = start; t < length; ++t) {
        const AttentionResult one = gpu.attend(shape, one_cache, {sequences[s]}, {t}, {t + 1});
        decoded = decoded && same_bits(one.out.data(), out + t * shape.H * shape.D, one.out.size()) &&
                  same_bits(one.lse.data(), lse + t * shape.H, one.lse.size());
      }
      const int64_t marks[] = {0, 1, 20, 64, length};
      for (int i = 0; i < 4; ++i) {
        const int64_t begin = std::min(marks[i], length), end = std::min(marks[i + 1], length);
        if (begin == end) continue;
        const AttentionResult piece = gpu.attend(shape, piece_cache, {sequences[s]}, {begin}, {end});
        pieces = pieces && same_bits(piece.out.data(), out + begin * shape.H * shape.D, piece.out.size());
      }
      token += length;
    }
  }
  check(packed, "a sequence has the same bits alone and packed");
  check(decoded, "token by token over the cache gives the bits of one prefill");
  check(pieces, "prefill in pieces gives the bits of one prefill");
  check(stale, "NaN in slots that were never written changes nothing");
  check(leaked, "NaN in other sequences changes nothing");
  check(gradients, "the gradients of a sequence have the same bits alone and packed");
  check(placed, "arrays among NaN give the bits of arrays of their own");
  check(offset, "arrays aligned to 4 bytes only give the same bits");
  check(repeated, "a second run gives the same bits");
}

void survives_large_scores(Gpu gpu) {
  const AttentionShape shape{1, 1, 16, DType::kBF16};
  Random random(4);
  Sequence s = random_sequence(&random, shape, 70);
  for (float& value : s.q) value *= 200;
  s.q = rounded_to(DType::kBF16, s.q);
  check_below(worst_error(gpu.prefill(shape, {s}).out.data(), attention_reference(shape, s).out), 5e-3,
              "scores in the hundreds neither overflow nor vanish");
}

}  // namespace

int main() {
  const std::shared_ptr<cuda::CudaDevice> device = open_gpu();
  if (device == nullptr) return kSkipped;
  Backend cpu(best_isa(), 2);
  const Gpu gpu{*device, *cpu.ops};
  matches_references(gpu);
  merges_chunks(gpu);
  takes_every_head_size(gpu);
  bits_do_not_depend_on_company(gpu);
  survives_large_scores(gpu);
  AttentionForward odd{};
  odd.pages.D = 12;
  odd.pages.G = odd.H = 1;
  odd.map.S = odd.map.T = odd.map.max_q = odd.map.max_kv = 1;
  check_throws([&] { cuda::attention_forward(*device, odd); }, "ERR_MODEL_SHAPE", "head size",
               "a head size that no kernel covers is refused");
  check_conflicts();
  return finish();
}
