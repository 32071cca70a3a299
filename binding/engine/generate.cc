// Chunking of a step and sampling; see generate.h.
#include "engine/generate.h"

#include <algorithm>

#include "engine/error.h"

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

// The arrays of the sampler in the memory of the ops, for `rows` rows at a time.
struct SampleArrays {
  float *logits = nullptr, *temperature = nullptr, *top_p = nullptr, *min_p = nullptr, *logprob = nullptr;
  int32_t *top_k = nullptr, *token = nullptr;
  SampleKey* keys = nullptr;
  int64_t rows = 0;

  void plan(Arena& arena, int64_t at_once, int64_t V) {
    rows = at_once;
    logits = arena.take<float>(rows * V);
    temperature = arena.take<float>(rows);
    top_p = arena.take<float>(rows);
    min_p = arena.take<float>(rows);
    logprob = arena.take<float>(rows);
    top_k = arena.take<int32_t>(rows);
    token = arena.take<int32_t>(rows);
    keys = arena.take<SampleKey>(rows);
  }
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

void sample_rows(Model& model, const std::vector<StepRow>& rows, const KvPlan& plan, const Chunk& chunk,
                 const HeadArrays& arrays, const SampleArrays& on, StepResult* result) {
  Memory& memory = *model.ops().memory();
  const auto R = static_cast<int64_t>(chunk.sampled_row.size());
  const PackedMatrix head = model.parameters().weight(model.parameters().layout().head());
  for (int64_t first = 0; first < R; first += on.rows) {
    const int64_t count = std::min(on.rows, R - first);
    std::vector<float> temperature, top_p, min_p;
    std::vector<int32_t> top_k;
    std::vector<SampleKey> keys;
    for (int64_t r = first; r < first + count; ++r) {
      const size_t index = chunk.sampled_row[static_cast<size_t>(r)];
      const StepRow& row = rows[index];
      temperature.push_back(row.temperature);
      top_k.push_back(row.top_k);
      top_p.push_back(row.top_p);
      min_p.push_back(row.min_p);
      keys.push_back(row.key);
      keys.back().position = static_cast<uint32_t>(plan.rows[index].length_after);
    }
    memory.upload(on.temperature, temperature);
    memory.upload(on.top_k, top_k);
    memory.upload(on.top_p, top_p);
    memory.upload(on.min_p, min_p);
    memory.upload(on.keys, keys);
    model.ops().linear_forward({arrays.hidden + first * head.cols, head, nullptr, nullptr, on.logits, count});
    model.ops().sample(
        {on.logits, on.temperature, on.top_k, on.top_p, on.min_p, on.keys, on.token, on.logprob, count, head.rows});
    const OnHost<int32_t> token(memory, on.token, count);
    const OnHost<float> logprob(memory, on.logprob, count);
    result->tokens.insert(result->tokens.end(), token.data(), token.data() + count);
    result->logprobs.insert(result->logprobs.end(), logprob.data(), logprob.data() + count);
  }
}

void run_chunk(Model& model, KvCache& cache, const std::vector<StepRow>& rows, const KvPlan& plan, const Chunk& chunk,
               AdapterUse use, StepResult* result) {
  const ModelShape& shape = model.shape();
  const TokenBatch host = chunk.batch();
  const auto R = static_cast<int64_t>(chunk.sampled_row.size());
  const int64_t logit_rows = std::clamp<int64_t>(kLogitBytes / (4 * shape.V), 1, std::max<int64_t>(R, 1));
  Activations activations = model.activations_of(use);
  StagedBatch staged;
  HeadArrays arrays;
  SampleArrays samples;
  model.plan_arena("a step over " + std::to_string(host.map.T) + " tokens", [&](Arena& arena) {
    staged.plan(arena, host);
    activations.plan_inference(arena, shape, host.map.T);
    if (R == 0) return;
    arrays.plan(arena, shape, R, false);
    samples.plan(arena, logit_rows, shape.V);
  });
  for (int64_t l = 0; l < shape.L; ++l) activations.layers[static_cast<size_t>(l)].pages = cache.layer(l);
  model.transformer().forward(staged.upload(*model.ops().memory(), host), activations, 0);
  if (R == 0) return;
  model.loss_head().gather(activations.x, chunk.sampled_token, arrays);
  sample_rows(model, rows, plan, chunk, arrays, samples, result);
}

}  // namespace

std::vector<KvAppend> appends_of(const std::vector<StepRow>& rows) {
  std::vector<KvAppend> appends;
  for (const StepRow& row : rows) appends.push_back({row.seq, static_cast<int64_t>(row.tokens.size())});
  return appends;
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
