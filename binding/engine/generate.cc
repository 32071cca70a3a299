// Chunking of a step and sampling; see generate.h.
#include "engine/generate.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace toolgrad {
namespace {

constexpr int64_t kLogitBytes = int64_t{64} << 20;  // logits of sampled rows are made in groups of at most this size

// A run of one row's tokens inside a chunk.
struct Piece {
  size_t row;
  int64_t first, count;  // tokens of the row
};

std::vector<std::vector<Piece>> cut_into_chunks(const std::vector<StepRow>& rows) {
  std::vector<std::vector<Piece>> chunks;
  int64_t room = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto length = static_cast<int64_t>(rows[r].tokens.size());
    for (int64_t first = 0; first < length;) {
      if (room == 0) {
        chunks.emplace_back();
        room = kStepTokens;
      }
      const int64_t count = std::min(room, length - first);
      chunks.back().push_back({r, first, count});
      first += count;
      room -= count;
    }
  }
  return chunks;
}

constexpr int64_t kWord = 4, kKeyWords = sizeof(SampleKey) / kWord;  // what goes up and comes down is in words

// What the sampled rows of a chunk need besides activations, in the memory of the ops. What comes from the host lies in one
// piece, and so does what goes there: one copy each. R rows, logits for `at_once` of them.
struct SampleArrays {
  uint32_t *from_host = nullptr, *to_host = nullptr;
  int64_t R = 0, at_once = 0;
  float* logits = nullptr;
  HeadArrays head;

  void plan(Arena& arena, const ModelShape& shape, int64_t rows) {
    R = rows;
    at_once = std::clamp<int64_t>(kLogitBytes / (4 * shape.V), 1, std::max<int64_t>(R, 1));
    head.plan(arena, shape, R, false);
    logits = arena.take<float>(at_once * shape.V);
    from_host = arena.take<uint32_t>(R * (kKeyWords + 5));
    to_host = arena.take<uint32_t>(1 + 3 * R);
    head.row_index = reinterpret_cast<int32_t*>(from_host + R * (kKeyWords + 4));
    head.rstd = reinterpret_cast<float*>(to_host + 1);
  }
  // Up: keys, temperature, top-p, min-p, top-k, index in ids.
  SampleKey* keys() const { return reinterpret_cast<SampleKey*>(from_host); }
  const float* floats(int64_t array) const {
    return reinterpret_cast<const float*>(from_host + R * (kKeyWords + array));
  }
  const int32_t* top_k() const { return reinterpret_cast<const int32_t*>(from_host + R * (kKeyWords + 3)); }
  // Down: whether a hidden state is not finite, rstd, tokens, log-probs.
  int32_t* not_finite() const { return reinterpret_cast<int32_t*>(to_host); }
  int32_t* token() const { return reinterpret_cast<int32_t*>(to_host + 1 + R); }
  float* logprob() const { return reinterpret_cast<float*>(to_host + 1 + 2 * R); }
};

// The token batch of one chunk and the rows of it that are sampled.
struct Chunk {
  std::vector<int32_t> ids, positions, q_start{0}, kv_len, page_start, page_table;
  std::vector<int32_t> sampled_token;  // index in ids of the last token of a sampled row
  std::vector<size_t> sampled_row;

  Chunk(const std::vector<Piece>& pieces, const std::vector<StepRow>& rows, const KvPlan& plan) {
    for (const Piece& piece : pieces) {
      const StepRow& row = rows[piece.row];
      const KvPlan::Row& planned = plan.rows[piece.row];
      for (int64_t i = piece.first; i < piece.first + piece.count; ++i) {
        ids.push_back(row.tokens[static_cast<size_t>(i)]);
        positions.push_back(static_cast<int32_t>(planned.length_before + i));
      }
      q_start.push_back(static_cast<int32_t>(ids.size()));
      kv_len.push_back(static_cast<int32_t>(planned.length_before + piece.first + piece.count));
      page_start.push_back(static_cast<int32_t>(page_table.size()));
      page_table.insert(page_table.end(), planned.pages.begin(), planned.pages.end());
      const bool last = piece.first + piece.count == static_cast<int64_t>(row.tokens.size());
      if (!last || !row.sample) continue;
      sampled_token.push_back(static_cast<int32_t>(ids.size()) - 1);
      sampled_row.push_back(piece.row);
    }
  }

  TokenBatch batch() const {
    const auto S = static_cast<int64_t>(kv_len.size());
    return {ids.data(), positions.data(),
            sequence_map(q_start.data(), kv_len.data(), page_start.data(), page_table.data(), S)};
  }
};

// The host's part of `on`, in its order.
std::vector<uint32_t> sampling_of(const std::vector<StepRow>& rows, const KvPlan& plan, const Chunk& chunk) {
  const auto R = static_cast<int64_t>(chunk.sampled_row.size());
  std::vector<uint32_t> words(static_cast<size_t>(R * (kKeyWords + 5)));
  const auto put = [&](int64_t array, int64_t r, auto value) {
    static_assert(sizeof value == kWord);
    std::memcpy(&words[static_cast<size_t>(R * (kKeyWords + array) + r)], &value, sizeof value);
  };
  for (int64_t r = 0; r < R; ++r) {
    const size_t index = chunk.sampled_row[static_cast<size_t>(r)];
    const StepRow& row = rows[index];
    SampleKey key = row.key;
    key.position = static_cast<uint32_t>(plan.rows[index].length_after);
    std::memcpy(&words[static_cast<size_t>(r * kKeyWords)], &key, sizeof key);
    put(0, r, row.temperature);
    put(1, r, row.top_p);
    put(2, r, row.min_p);
    put(3, r, row.top_k);
    put(4, r, chunk.sampled_token[static_cast<size_t>(r)]);
  }
  return words;
}

// Queues the sampled rows, from the residual stream on.
void sample_rows(Model& model, const float* x, SampleArrays& on) {
  Ops& ops = model.ops();
  model.loss_head().gather_unchecked(x, on.R, on.head, on.not_finite());
  const PackedMatrix head = model.parameters().weight(model.parameters().layout().head());
  for (int64_t first = 0; first < on.R; first += on.at_once) {
    const int64_t count = std::min(on.at_once, on.R - first);
    ops.linear_forward({on.head.hidden + first * head.cols, head, nullptr, nullptr, on.logits, count});
    ops.sample_unchecked({on.logits, on.floats(0) + first, on.top_k() + first, on.floats(1) + first,
                          on.floats(2) + first, on.keys() + first, on.token() + first, on.logprob() + first, count,
                          head.rows});
  }
}

// Waits for them, and appends them to the result.
void read_samples(Memory& memory, const SampleArrays& on, StepResult* result) {
  const OnHost<uint32_t> words(memory, on.to_host, 1 + 3 * on.R);
  const auto floats = [&](int64_t from) {
    std::vector<float> values(static_cast<size_t>(on.R));
    std::memcpy(values.data(), words.data() + from, values.size() * kWord);
    return values;
  };
  LossHead::check(static_cast<int32_t>(words[0]), floats(1).data(), on.R);
  for (int64_t r = 0; r < on.R; ++r) {
    const auto token = static_cast<int32_t>(words[1 + on.R + r]);
    if (token < 0) bad_logits(r % on.at_once);
    result->tokens.push_back(token);
  }
  const std::vector<float> logprobs = floats(1 + 2 * on.R);
  result->logprobs.insert(result->logprobs.end(), logprobs.begin(), logprobs.end());
}

// The page table's room in the arena is a power of two: the arrays of a decoding step then stay where they are, so that its
// launches can be those of the step before (Ops::recorded).
int64_t page_room(int64_t pages) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(pages, 64))));
}

void run_chunk(Model& model, KvCache& cache, const std::vector<StepRow>& rows, const KvPlan& plan, const Chunk& chunk,
               AdapterUse use, StepResult* result) {
  const ModelShape& shape = model.shape();
  Memory& memory = *model.ops().memory();
  const TokenBatch host = chunk.batch();
  const auto R = static_cast<int64_t>(chunk.sampled_row.size()), pages = static_cast<int64_t>(chunk.page_table.size());
  Activations activations = model.activations_of(use);
  StagedBatch staged;
  SampleArrays samples;
  model.plan_arena("a step over " + std::to_string(host.map.T) + " tokens", [&](Arena& arena) {
    activations.plan_inference(arena, shape, host.map.T);
    if (R > 0) samples.plan(arena, shape, R);
    staged.plan(arena, host);
    arena.take<int32_t>(page_room(pages) - pages);
  });
  for (int64_t l = 0; l < shape.L; ++l) activations.layers[static_cast<size_t>(l)].pages = cache.layer(l);
  const TokenBatch batch = staged.upload(memory, host);
  if (R > 0) memory.upload(samples.from_host, sampling_of(rows, plan, chunk));
  const auto work = [&] {
    model.transformer().forward(batch, activations, 0);
    if (R > 0) sample_rows(model, activations.x, samples);
  };
  // One token a sequence, whatever it is: a step of this shape will come again.
  if (host.map.max_q == 1)
    model.ops().recorded(work);
  else
    work();
  if (R > 0) read_samples(memory, samples, result);
}

}  // namespace

std::vector<KvAppend> appends_of(const std::vector<StepRow>& rows) {
  std::vector<KvAppend> appends;
  for (const StepRow& row : rows) appends.push_back({row.seq, static_cast<int64_t>(row.tokens.size())});
  return appends;
}

int64_t step_bytes(const ModelShape& shape, DType product_rows, int64_t T, int64_t R) {
  return static_cast<int64_t>(Arena::measure([&](Arena& arena) {
    Activations activations;
    activations.product_dtype = product_rows;
    activations.plan_inference(arena, shape, T);
    if (R > 0) SampleArrays().plan(arena, shape, R);
  }));
}

StepResult step(Model& model, KvCache& cache, const std::vector<StepRow>& rows, AdapterUse use) {
  StepResult result;
  result.plan = cache.plan(appends_of(rows), model.weights_epoch());
  const KvPlan& plan = result.plan;
  try {
    for (const KvPlan::Row& row : plan.rows) model.rope().grow(row.length_after);
    cache.prepare(plan);
    for (const std::vector<Piece>& pieces : cut_into_chunks(rows))
      run_chunk(model, cache, rows, plan, Chunk(pieces, rows, plan), use, &result);
  } catch (...) {
    cache.roll_back(plan);
    throw;
  }
  return result;
}

}  // namespace toolgrad
