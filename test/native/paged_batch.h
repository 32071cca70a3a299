// A packed batch of sequences over paged keys and values, with everything owned, to drive the attention ops in tests.
#pragma once

#include <cstring>
#include <limits>
#include <vector>

#include "check.h"
#include "cpu/cpu.h"
#include "engine/dtype.h"

namespace toolgrad::test {

struct AttentionShape {
  int64_t H, G, D;
  DType dtype;
  float scale() const { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(D))); }
};

/// q, k, v of one sequence: [length, heads, D].
struct Sequence {
  int64_t length;
  std::vector<float> q, k, v, dout;
};
inline Sequence random_sequence(Random* random, const AttentionShape& shape, int64_t length) {
  return {length, random->normals(length * shape.H * shape.D), random->normals(length * shape.G * shape.D),
          random->normals(length * shape.G * shape.D), random->normals(length * shape.H * shape.D)};
}

/// What the cache holds of x.
inline float cached(float x, DType dtype) {
  return dtype == DType::kBF16 ? bf16_to_f32(f32_to_bf16(x)) : x;
}

/// Pages filled with `fill` (a slot that was never written keeps it); pages are handed out in a scattered order.
class PagedCache {
 public:
  PagedCache(const AttentionShape& shape, const std::vector<int64_t>& capacities, float fill) : shape_(shape) {
    std::vector<int32_t> order;
    int64_t total = 0;
    for (int64_t capacity : capacities) total += (capacity + kKvPageSize - 1) / kKvPageSize;
    for (int64_t i = 0; i < total; ++i)
      order.push_back(static_cast<int32_t>(total % 7 == 0 ? total - 1 - i : i * 7 % total));
    size_t next = 0;
    for (int64_t capacity : capacities) {
      page_start.push_back(static_cast<int32_t>(page_table.size()));
      for (int64_t i = 0; i < (capacity + kKvPageSize - 1) / kKvPageSize; ++i) page_table.push_back(order[next++]);
    }
    const size_t elements = static_cast<size_t>(total * stride());
    if (shape.dtype == DType::kBF16) {
      halves_[0].assign(elements, f32_to_bf16(fill));
      halves_[1] = halves_[0];
    } else {
      floats_[0].assign(elements, fill);
      floats_[1] = floats_[0];
    }
  }
  KvPages pages() {
    const bool half = shape_.dtype == DType::kBF16;
    return {half ? static_cast<void*>(halves_[0].data()) : floats_[0].data(),
            half ? static_cast<void*>(halves_[1].data()) : floats_[1].data(),
            shape_.dtype,
            stride(),
            shape_.G,
            shape_.D};
  }
  int64_t stride() const { return shape_.G * shape_.D * kKvPageSize; }

  std::vector<int32_t> page_start, page_table;

 private:
  AttentionShape shape_;
  std::vector<uint16_t> halves_[2];
  std::vector<float> floats_[2];
};

struct AttentionResult {
  std::vector<float> out, lse;  // [T, H, D], [T, H]
};

/// The tokens [begin[s], end[s]) of each sequence: written to the cache and attended to, in one call each.
inline AttentionResult attend(Ops& ops, const AttentionShape& shape, PagedCache& cache,
                              const std::vector<Sequence>& sequences, const std::vector<int64_t>& begin,
                              const std::vector<int64_t>& end) {
  std::vector<int32_t> q_start{0}, kv_len;
  std::vector<float> q, k, v;
  const auto append = [](std::vector<float>& to, const std::vector<float>& from, int64_t first, int64_t last) {
    to.insert(to.end(), from.begin() + first, from.begin() + last);
  };
  for (size_t s = 0; s < sequences.size(); ++s) {
    q_start.push_back(q_start.back() + static_cast<int32_t>(end[s] - begin[s]));
    kv_len.push_back(static_cast<int32_t>(end[s]));
    append(q, sequences[s].q, begin[s] * shape.H * shape.D, end[s] * shape.H * shape.D);
    append(k, sequences[s].k, begin[s] * shape.G * shape.D, end[s] * shape.G * shape.D);
    append(v, sequences[s].v, begin[s] * shape.G * shape.D, end[s] * shape.G * shape.D);
  }
  const int64_t T = q_start.back();
  const SequenceMap map = sequence_map(q_start.data(), kv_len.data(), cache.page_start.data(), cache.page_table.data(),
                                       static_cast<int64_t>(sequences.size()));
  ops.kv_write({k.data(), v.data(), cache.pages(), map});
  AttentionResult r;
  r.out.assign(static_cast<size_t>(T * shape.H * shape.D), std::numeric_limits<float>::quiet_NaN());
  r.lse.assign(static_cast<size_t>(T * shape.H), std::numeric_limits<float>::quiet_NaN());
  ops.attention_forward({q.data(), cache.pages(), map, r.out.data(), r.lse.data(), shape.H, shape.scale()});
  return r;
}

/// Whole sequences in one call.
inline AttentionResult prefill(Ops& ops, const AttentionShape& shape, const std::vector<Sequence>& sequences,
                               float fill = 0) {
  std::vector<int64_t> begin(sequences.size(), 0), end;
  for (const Sequence& s : sequences) end.push_back(s.length);
  PagedCache cache(shape, end, fill);
  return attend(ops, shape, cache, sequences, begin, end);
}

struct AttentionGradients {
  std::vector<float> dq, dk, dv;
};
inline AttentionGradients backward(Ops& ops, const AttentionShape& shape, const std::vector<Sequence>& sequences,
                                   float fill = 0) {
  std::vector<int64_t> begin(sequences.size(), 0), end;
  std::vector<int32_t> q_start{0}, kv_len;
  std::vector<float> q, dout;
  for (const Sequence& s : sequences) {
    end.push_back(s.length);
    q_start.push_back(q_start.back() + static_cast<int32_t>(s.length));
    kv_len.push_back(static_cast<int32_t>(s.length));
    q.insert(q.end(), s.q.begin(), s.q.end());
    dout.insert(dout.end(), s.dout.begin(), s.dout.end());
  }
  PagedCache cache(shape, end, fill);
  const AttentionResult forward = attend(ops, shape, cache, sequences, begin, end);
  const int64_t T = q_start.back();
  const SequenceMap map = sequence_map(q_start.data(), kv_len.data(), cache.page_start.data(), cache.page_table.data(),
                                       static_cast<int64_t>(sequences.size()));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  AttentionGradients g;
  g.dq.assign(static_cast<size_t>(T * shape.H * shape.D), nan);
  g.dk.assign(static_cast<size_t>(T * shape.G * shape.D), nan);
  g.dv.assign(static_cast<size_t>(T * shape.G * shape.D), nan);
  ops.attention_backward({dout.data(), q.data(), forward.out.data(), forward.lse.data(), cache.pages(), map,
                          g.dq.data(), g.dk.data(), g.dv.data(), shape.H, shape.scale()});
  return g;
}

}  // namespace toolgrad::test
