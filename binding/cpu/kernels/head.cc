// The loss head: hidden states to log-prob, entropy and gradients, in tiles of kVocabTile columns.
//
// Forward: logits of a row block exist one tile at a time, per worker; per-tile statistics [rows, tiles] are merged in
// tile order. Backward: logits of a row block are recomputed a few tiles at a time and turned into dz, which products read as
// they read other rows; then dhidden gets one chain per tile, added in tile order (a single chain over V loses four digits), and
// dw continues its chain over rows. Every chain has one order: bits do not depend on R, blocks or threads. Memory:
// O(row block * (tiles + kBackwardColumns)), never [R, V].
#include "cpu/kernels/gemm_block.h"
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/softmax_tile.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

constexpr int64_t kForwardRows = 240;       // rows whose logits tile one worker holds
constexpr int64_t kBackwardRows = 512;      // rows whose dz is held at once
constexpr int64_t kBackwardColumns = 2048;  // columns of dz held at once: 8 tiles
constexpr int kPanelsPerTile = kVocabTile / kPanelRows;
constexpr int kStepsSlot = 6;  // of scratch memory: hidden states as dW reads them

// Elements from row to row of dz; the rows do not collide in L1.
template <class W>
constexpr int64_t dz_row() {
  return kBackwardColumns / kNumbersOf<W> + kLanes;
}

// out[r][0..255] = the logits of one tile (raw); columns past V are the zero padding's products.
template <class W>
void tile_logits(Strip<RowElement<W>> hidden, int64_t rows, PackedMatrix w, int64_t tile_index, float* out,
                 int64_t out_row, float* wide) {
  const int64_t C = w.cols, first = tile_index * kPanelsPerTile;
  const int panels = static_cast<int>(at_most(kPanelsPerTile, div_up(w.rows, kPanelRows) - first));
  const int group = group_panels(rows);
  const W* data = static_cast<const W*>(w.data);
  for (int p = 0; p < panels; p += group) {
    const int now = static_cast<int>(at_most(group, panels - p));
    forward_block<W>(hidden, rows, C, panel(data, C, first + p), now, out + p * kLanes, out_row, wide,
                     p + 2 * now <= panels);
  }
}

struct GradientRow {
  float lse, entropy, d_logprob, d_entropy, inv_temperature;
  int label;  // within the tile, or outside [0, kVocabTile)
};

// Logits become dz in place: -p (d_logprob + d_entropy (log p + H)) / T, plus d_logprob / T at the label; 0 past n.
TOOLGRAD_INLINE void logits_to_gradient(float* z, int n, const GradientRow& row) {
  const Vec scale = broadcast(row.inv_temperature), lse = broadcast(row.lse), entropy = broadcast(row.entropy);
  const Vec d_logprob = broadcast(row.d_logprob), d_entropy = broadcast(row.d_entropy), floor = broadcast(-128.0f);
  for (int i = 0; i < kVocabTile; i += kLanes) {
    if (i >= n) {
      store(z + i, zero());
      continue;
    }
    const Vec log_p = load(z + i) * scale - lse;
    const Vec slope = fma(d_entropy, max(floor, log_p) + entropy, d_logprob);
    const Vec dz = (zero() - exp(log_p) * slope) * scale;
    store(z + i, n - i >= kLanes ? dz : take_first(dz, zero(), n - i));
  }
  if (row.label >= 0 && row.label < n) z[row.label] += row.d_logprob * row.inv_temperature;
}

// sum[r][k] += part[r][k] for columns [k0, k1); `first`: sum = part.
void add_columns(const float* part, float* sum, int64_t rows, int64_t C, int64_t k0, int64_t k1, bool first) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = part + r * C;
    float* to = sum + r * C;
    for (int64_t k = k0; k < k1; ++k) to[k] = first ? from[k] : to[k] + from[k];
  }
}

// One tile of dz to where products read it.
TOOLGRAD_INLINE void put_gradient(const float* z, int64_t columns, float* to, float) {
  std::memcpy(to, z, static_cast<size_t>(columns) * sizeof(float));
}
template <class A>
TOOLGRAD_INLINE void put_gradient(const float* z, int64_t columns, A* to, uint16_t) {
  each_vector(0, columns, [&](int64_t c, int n) { put_rounded(to, c, load_lanes(z + c, n), n); });
}

template <class W>
void forward(const HeadForward& op, ThreadPool& pool, Scratch& scratch) {
  const int64_t C = op.w.cols, V = op.w.rows, tiles = div_up(V, kVocabTile);
  const int threads = pool.threads();
  const float inv_temperature = 1.0f / op.temperature;
  const int64_t blocks = div_up(op.R, kForwardRows), most_rows = div_up(op.R, blocks);
  float* wide = scratch.floats(0, threads * kWideFloats);
  float* logits = scratch.floats(1, threads * most_rows * kVocabTile);
  auto* stats = static_cast<TileStats*>(scratch.bytes(2, most_rows * tiles * sizeof(TileStats)));
  float* label_z = scratch.floats(3, most_rows);
  float* copy = scratch.floats(kRowsSlot, rows_floats<W>(DType::kF32, most_rows, C));
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t row0 = op.R * block / blocks, rows = op.R * (block + 1) / blocks - row0;
    const Strip<RowElement<W>> hidden = product_rows<W>(op.hidden + row0 * C, rows, C, copy, pool);
    const int64_t parts = row_blocks_for(rows, rows, tiles, threads, rows * C * V);
    pool.parallel_for(tiles * parts, [&](int64_t task, int worker) {
      const int64_t t = task / parts, part = task % parts;
      const int64_t first = rows * part / parts, last = rows * (part + 1) / parts;
      float* my_logits = logits + worker * most_rows * kVocabTile;
      tile_logits<W>({hidden.data + first * hidden.row, hidden.row}, last - first, op.w, t, my_logits, kVocabTile,
                     wide + worker * kWideFloats);
      const int n = tile_columns(V, t);
      for (int64_t r = first; r < last; ++r) {
        const float* row = my_logits + (r - first) * kVocabTile;
        stats[r * tiles + t] = digest_tile(row, n, inv_temperature);
        const int64_t label = op.labels[row0 + r] - t * kVocabTile;
        if (label >= 0 && label < n) label_z[r] = row[label] * inv_temperature;
      }
    });
    pool.parallel_for(div_up(rows, 16), [&](int64_t part, int) {
      for (int64_t r = part * 16; r < at_most(rows, part * 16 + 16); ++r) {
        const RowStats merged = merge_tiles(stats + r * tiles, tiles);
        op.logprob[row0 + r] = row_logprob(merged, label_z[r]);
        op.entropy[row0 + r] = static_cast<float>(merged.entropy);
        op.lse[row0 + r] = static_cast<float>(merged.max + merged.log_sum);
      }
    });
  }
}

template <class W>
void backward(const HeadBackward& op, ThreadPool& pool, Scratch& scratch) {
  using A = RowElement<W>;
  const int64_t C = op.w.cols, V = op.w.rows;
  const int threads = pool.threads();
  const float inv_temperature = 1.0f / op.temperature;
  const int64_t blocks = div_up(op.R, kBackwardRows), most_rows = div_up(op.R, blocks);
  const int64_t column_step = kTilePanels * kLanes, column_parts = at_least(1, at_most(4 * threads, C / column_step));
  const W* weights = static_cast<const W*>(op.w.data);
  float* wide = scratch.floats(0, threads * kWideFloats);
  float* tiles_of = scratch.floats(1, threads * most_rows * kVocabTile);  // a worker's logits; later its edge
  A* dz = reinterpret_cast<A*>(scratch.floats(2, most_rows * dz_row<W>()));
  float* partial = scratch.floats(3, most_rows * C);  // dhidden of one tile; tasks own different columns
  float* copy = scratch.floats(kRowsSlot, rows_floats<W>(DType::kF32, most_rows, C));
  float* step_copy = scratch.floats(kStepsSlot, sizeof(W) == 2 ? steps_floats<W>(DType::kF32, most_rows, C) : 0);
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t row0 = op.R * block / blocks, rows = op.R * (block + 1) / blocks - row0;
    const float* hidden = op.hidden + row0 * C;
    const Strip<A> strips = product_rows<W>(hidden, rows, C, copy, pool);
    Strip<A> steps;
    if constexpr (sizeof(W) == 2)
      steps = product_steps<W>(hidden, rows, C, step_copy, pool);
    else
      steps = {hidden, C};
    const int64_t padding = padded_floats<W>(steps.row);
    float* padded = scratch.floats(4, threads * padding);
    for (int64_t v0 = 0; v0 < V; v0 += kBackwardColumns) {
      const int64_t v1 = at_most(V, v0 + kBackwardColumns), tiles = div_up(v1 - v0, kVocabTile);
      const int64_t parts = row_blocks_for(rows, rows, tiles, threads, rows * C * (v1 - v0));
      pool.parallel_for(tiles * parts, [&](int64_t task, int worker) {
        const int64_t t = task / parts, part = task % parts, tile_index = v0 / kVocabTile + t;
        const int64_t first = rows * part / parts, last = rows * (part + 1) / parts;
        float* logits = tiles_of + worker * most_rows * kVocabTile;
        tile_logits<W>({strips.data + first * strips.row, strips.row}, last - first, op.w, tile_index, logits,
                       kVocabTile, wide + worker * kWideFloats);
        const int n = tile_columns(V, tile_index);
        for (int64_t r = first; r < last; ++r) {
          const int64_t i = row0 + r, label = op.labels[i] - tile_index * kVocabTile;
          float* z = logits + (r - first) * kVocabTile;
          logits_to_gradient(z, n,
                             {op.lse[i], op.entropy[i], op.d_logprob[i], op.d_entropy[i], inv_temperature,
                              label >= 0 && label < n ? static_cast<int>(label) : -1});
          put_gradient(z, kVocabTile, dz + r * dz_row<W>() + t * kVocabTile / kNumbersOf<W>, W{});
        }
      });
      // dhidden (cut over columns of C) and dw (cut over panels of V) both read dz.
      const int64_t group = kWeightPanels * kPanelRows, groups = op.dw.data == nullptr ? 0 : div_up(v1 - v0, group);
      pool.parallel_for(column_parts + groups, [&](int64_t task, int worker) {
        float* my_wide = wide + worker * kWideFloats;
        if (task < column_parts) {
          const int64_t column_steps = div_up(C, column_step);
          const int64_t k0 = column_steps * task / column_parts * column_step;
          const int64_t k1 = at_most(C, column_steps * (task + 1) / column_parts * column_step);
          float* my_edge = tiles_of + worker * most_rows * kVocabTile;
          for (int64_t k = k0; k < k1; k += column_step) {
            const int now = static_cast<int>(div_up(at_most(column_step, k1 - k), kLanes));
            for (int64_t v = v0; v < v1; v += kVocabTile) {
              const Strip<A> tile{dz + (v - v0) / kNumbersOf<W>, dz_row<W>()};
              backward_input_block<W>(tile, rows, weights, C, v, at_most(v1, v + kVocabTile), k, now, partial, C, true,
                                      my_wide, my_edge);
              add_columns(partial, op.dhidden + row0 * C, rows, C, k, at_most(C, k + now * kLanes), v == 0);
            }
          }
        } else {
          const int64_t from = (task - column_parts) * group, columns = at_most(group, v1 - v0 - from);
          float* dw = static_cast<float*>(op.dw.data) + (v0 + from) * C;
          backward_weight_block<W>(steps, dz + from / kNumbersOf<W>, dz_row<W>(), rows, dw, C, 0, C,
                                   static_cast<int>(div_up(columns, kPanelRows)), columns, my_wide,
                                   padded + worker * padding);
        }
      });
    }
  }
}

}  // namespace

void head_forward(const HeadForward& op, ThreadPool& pool, Scratch& scratch) {
  if (op.R <= 0) return;
  op.w.dtype == DType::kBF16 ? forward<uint16_t>(op, pool, scratch) : forward<float>(op, pool, scratch);
}

void head_backward(const HeadBackward& op, ThreadPool& pool, Scratch& scratch) {
  if (op.R <= 0) return;
  op.w.dtype == DType::kBF16 ? backward<uint16_t>(op, pool, scratch) : backward<float>(op, pool, scratch);
}

}  // namespace toolgrad::TOOLGRAD_ISA
