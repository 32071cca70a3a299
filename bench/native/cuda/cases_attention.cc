// Cases of attention and its paged cache.
#include <cmath>
#include <cstdint>

#include "cases.h"
#include "ops/ops.h"

namespace toolgrad::bench {
namespace {

using cuda::Launcher;

double real(int64_t n) {
  return static_cast<double>(n);
}
std::string batch_text(const Batch& b, const Model& m) {
  return std::to_string(b.S) + " x " + std::to_string(b.queries) + " tokens at " + std::to_string(b.keys) + ", H " +
         std::to_string(m.H) + ", G " + std::to_string(m.G) + ", D " + std::to_string(m.D);
}
/// Pairs of query and key that the causal mask lets through, of one head.
double visible_pairs(const Batch& b) {
  const double first = real(b.keys - b.queries + 1);
  return real(b.S) * real(b.queries) * (first + real(b.keys)) / 2;
}

/// The paged cache of a batch, its pages in a scattered order.
struct Cache {
  KvPages pages;
  SequenceMap map;
  Cache(Arena& arena, const Batch& b, const Model& m) {
    const int64_t each = (b.keys + kKvPageSize - 1) / kKvPageSize, count = b.S * each;
    const int64_t stride = m.G * m.D * kKvPageSize;
    std::vector<int32_t> q_start{0}, kv_len, page_start, table;
    for (int64_t s = 0; s < b.S; ++s) {
      q_start.push_back(static_cast<int32_t>((s + 1) * b.queries));
      kv_len.push_back(static_cast<int32_t>(b.keys));
      page_start.push_back(static_cast<int32_t>(s * each));
    }
    int64_t step = 7;  // no divisor of count: every page once
    while (count > 1 && count % step == 0) step += 2;
    for (int64_t i = 0; i < count; ++i) table.push_back(static_cast<int32_t>(i * step % count));
    pages = {arena.halves(count * stride), arena.halves(count * stride), DType::kBF16, stride, m.G, m.D};
    map = {arena.values(q_start),
           arena.values(kv_len),
           arena.values(page_start),
           arena.values(table),
           b.S,
           b.tokens(),
           b.queries,
           b.keys};
  }
};

void forward(Cases& cases, const std::string& phase, const Batch& b, const Model& m, bool training) {
  const double q = real(b.tokens() * m.H * m.D), kv = 2 * real(b.S * b.keys * m.G * m.D);
  const double bytes = 8 * q + 2 * kv + (training ? 4 * real(b.tokens() * m.H) : 0);
  const int64_t chunks = b.queries <= 4 ? (b.keys + 511) / 512 : 1;
  const double parts = chunks > 1 ? 8 * real(b.tokens() * m.H * chunks * (m.D + 2)) : 0;
  const Work work = b.queries <= 4 ? Work::kDecode : Work::kAttention;
  cases.push_back({"attention", phase, batch_text(b, m), work, 4 * real(m.H * m.D) * visible_pairs(b), bytes,
                   bytes + parts, b, [=](Launcher& gpu, Arena& arena) {
                     const Cache cache(arena, b, m);
                     const AttentionForward op{arena.floats(b.tokens() * m.H * m.D),
                                               cache.pages,
                                               cache.map,
                                               arena.zeros<float>(b.tokens() * m.H * m.D),
                                               training ? arena.zeros<float>(b.tokens() * m.H) : nullptr,
                                               m.H,
                                               1.0f / std::sqrt(static_cast<float>(m.D))};
                     return [&gpu, op] { cuda::attention_forward(gpu, op); };
                   }});
}

void backward(Cases& cases, const std::string& phase, const Batch& b, const Model& m) {
  const double q = real(b.tokens() * m.H * m.D), kv = 2 * real(b.tokens() * m.G * m.D);
  const double bytes = 16 * q + 6 * kv + 4 * real(b.tokens() * m.H);
  cases.push_back({"attention gradient", phase, batch_text(b, m), Work::kAttentionBackward,
                   10 * real(m.H * m.D) * visible_pairs(b), bytes,
                   bytes + 20 * q + 2 * kv,  // q and dout as bf16, for two kernels; dout and out for the row sums
                   b, [=](Launcher& gpu, Arena& arena) {
                     const Cache cache(arena, b, m);
                     const int64_t rows = b.tokens() * m.H;
                     const AttentionBackward op{arena.floats(rows * m.D),
                                                arena.floats(rows * m.D),
                                                arena.floats(rows * m.D),
                                                arena.floats(rows),
                                                cache.pages,
                                                cache.map,
                                                arena.zeros<float>(rows * m.D),
                                                arena.zeros<float>(b.tokens() * m.G * m.D),
                                                arena.zeros<float>(b.tokens() * m.G * m.D),
                                                m.H,
                                                1.0f / std::sqrt(static_cast<float>(m.D))};
                     return [&gpu, op] { cuda::attention_backward(gpu, op); };
                   }});
}

void write(Cases& cases, const std::string& phase, const Batch& b, const Model& m) {
  const double bytes = 12 * real(b.tokens() * m.G * m.D);
  cases.push_back(
      {"KV write", phase, batch_text(b, m), Work::kStream, 0, bytes, bytes, b, [=](Launcher& gpu, Arena& arena) {
         const Cache cache(arena, b, m);
         const KvWrite op{arena.floats(b.tokens() * m.G * m.D), arena.floats(b.tokens() * m.G * m.D), cache.pages,
                          cache.map};
         return [&gpu, op] { cuda::kv_write(gpu, op); };
       }});
}

// As many fresh pages as sequences, and as many forks, of four layers.
void prepare(Cases& cases, const std::string& phase, const Batch& b, const Model& m) {
  constexpr int64_t kLayers = 4, kSlots = 16;
  const int64_t pages = 3 * b.S, stride = m.G * m.D * kKvPageSize;
  const double bytes = real(kLayers * b.S) * (4 * real(stride) + 8 * real(kSlots * m.G * m.D));
  cases.push_back({"KV pages", phase, std::to_string(b.S) + " cleared, " + std::to_string(b.S) + " copied, 4 layers",
                   Work::kStream, 0, bytes, bytes, b, [=](Launcher& gpu, Arena& arena) {
                     uint16_t* cache = arena.halves(2 * kLayers * pages * stride);
                     std::vector<int32_t> fresh, from, to, slots;
                     for (int64_t s = 0; s < b.S; ++s) {
                       fresh.push_back(static_cast<int32_t>(s));
                       from.push_back(static_cast<int32_t>(b.S + s));
                       to.push_back(static_cast<int32_t>(2 * b.S + s));
                       slots.push_back(kSlots);
                     }
                     return [=, &gpu] {
                       cuda::kv_prepare(gpu, {{cache, cache + pages * stride, DType::kBF16, stride, m.G, m.D},
                                              kLayers,
                                              4 * pages * stride,
                                              fresh.data(),
                                              b.S,
                                              from.data(),
                                              to.data(),
                                              slots.data(),
                                              b.S});
                     };
                   }});
}

}  // namespace

void add_attention_cases(Cases& cases, const Model& model, const Phases& phases) {
  forward(cases, "prefill", phases.prefill, model, false);
  write(cases, "prefill", phases.prefill, model);
  for (const Batch& batch : {phases.decode_one, phases.decode_many}) {
    const std::string phase = "decode " + std::to_string(batch.S);
    forward(cases, phase, batch, model, false);
    write(cases, phase, batch, model);
    prepare(cases, phase, batch, model);
  }
  forward(cases, "training", phases.train, model, true);
  backward(cases, "training", phases.train, model);
}

}  // namespace toolgrad::bench
