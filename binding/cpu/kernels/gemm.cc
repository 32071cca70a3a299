// y = x W^T (+ bias) (+ residual), W in panels of 16 output rows, bf16 or fp32; and the gate and up products of an MLP with
// SwiGLU behind them.
//
// Reduction: one fp32 FMA chain per output element over k, from 0, for every T; then bias, then residual, each rounded. With
// bf16 weights x is rounded to bf16 first (gemm_rows.h). Rows, panels and threads only decide which worker runs a chain. Per
// worker: one widened weight block and accumulator tiles. Few rows stream several panels at once, so the chains' latency hides
// behind the memory's.
#include "cpu/kernels/gemm_block.h"
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/swiglu.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

constexpr int64_t kRowBlock = 384;  // rows that share one widened weight block
constexpr int64_t kPanelsOfTask =
    4;  // few rows: tasks are cut at multiples of this, enough chains to hide their latency

// A product of T rows and `panels` panels, cut into tasks: row blocks, and in each of them parts of the panels.
struct Cut {
  int64_t T = 0, K = 0, panels = 0, row_blocks = 0, parts = 0, unit = 1;

  Cut(int64_t rows, int64_t N, int64_t width, int threads) : T(rows), K(width), panels(div_up(N, kPanelRows)) {
    const int64_t work = T * K * N;
    row_blocks = row_blocks_for(T, kRowBlock, div_up(panels, kTilePanels), threads, work);
    unit = at_most(group_panels(block_rows()), kPanelsOfTask);
    parts = at_most(column_tasks_for(row_blocks, threads, work), div_up(panels, unit));
  }
  int64_t block_rows() const { return div_up(T, row_blocks); }
  int64_t tasks() const { return row_blocks * parts; }
  // Floats of one accumulator tile.
  int64_t acc_floats() const { return at_least(block_rows() * group_panels(block_rows()), kTileRows * 8) * kPanelRows; }
};
// What one task computes.
struct Piece {
  int64_t row0, row1, panel0, panel1;

  Piece(const Cut& cut, int64_t task) {
    const int64_t block = task / cut.parts, part = task % cut.parts, units = div_up(cut.panels, cut.unit);
    row0 = cut.T * block / cut.row_blocks, row1 = cut.T * (block + 1) / cut.row_blocks;
    panel0 = units * part / cut.parts * cut.unit;
    panel1 = at_most(cut.panels, units * (part + 1) / cut.parts * cut.unit);
  }
  int64_t rows() const { return row1 - row0; }
};

// Calls f(first panel, panels, whether as many panels come next) for the panels that are worked on together.
template <class F>
void each_group(const Piece& piece, F&& f) {
  const int group = group_panels(piece.rows());
  for (int64_t p = piece.panel0; p < piece.panel1; p += group) {
    const int panels = static_cast<int>(at_most(group, piece.panel1 - p));
    f(p, panels, p + 2 * panels <= piece.panel1);
  }
}

struct Out {
  float* data;  // of row row0 and the group's first column
  int64_t row;
  bool padded;  // has room for whole panels
};

// Memory of one worker.
struct Room {
  float *wide, *acc;
};

// The rows of a piece times `panels` panels from p on. acc: a tile, not used when the chains can run in `out`.
template <class W>
void product(const LinearForward& op, Strip<RowElement<W>> x, const Piece& piece, int64_t p, int panels, bool more,
             Out out, const Room& room) {
  const int64_t K = op.w.cols, N = op.w.rows, n0 = p * kPanelRows, columns = at_most(panels * kPanelRows, N - n0);
  // The chains run in the result itself unless it holds the residual or the last panel is wider than it.
  const bool direct = op.residual == nullptr && (out.padded || columns == panels * kPanelRows);
  float* c = direct ? out.data : room.acc;
  const int64_t c_row = direct ? out.row : panels * kPanelRows;
  const W* w = panel(static_cast<const W*>(op.w.data), K, p);
  forward_block(x, piece.rows(), K, w, panels, c, c_row, room.wide, more);
  if (direct && op.bias == nullptr) return;
  for (int64_t r = 0; r < piece.rows(); ++r) {
    for (int64_t n = 0; n < columns; n += kLanes) {
      const int valid = static_cast<int>(at_most(kLanes, columns - n));
      Vec v = load(c + r * c_row + n);
      if (op.bias != nullptr) v = v + load_partial(op.bias + n0 + n, valid);
      if (op.residual != nullptr) v = v + load_partial(op.residual + (piece.row0 + r) * N + n0 + n, valid);
      if (valid == kLanes)
        store(out.data + r * out.row + n, v);
      else
        store_partial(out.data + r * out.row + n, v, valid);
    }
  }
}

template <class W>
Strip<RowElement<W>> rows_of(Strip<RowElement<W>> x, const Piece& piece) {
  return {x.data + piece.row0 * x.row, x.row};
}

template <class W>
void forward_task(const LinearForward& op, const float* copy, const Piece& piece, const Room& room) {
  const int64_t N = op.w.rows;
  const Strip<RowElement<W>> rows = rows_of<W>(strip_of<W>(op.x, copy, op.T, op.w.cols), piece);
  each_group(piece, [&](int64_t p, int panels, bool more) {
    product<W>(op, rows, piece, p, panels, more, {op.y + piece.row0 * N + p * kPanelRows, N, false}, room);
  });
}

// room.acc: three tiles.
template <class W>
void gated_task(const GatedForward& op, Strip<RowElement<W>> all, const Piece& piece, const Room& room,
                int64_t acc_floats) {
  const int64_t F = op.w_gate.rows;
  const Strip<RowElement<W>> x = rows_of<W>(all, piece);
  const LinearForward gate{op.x, op.w_gate, op.bias_gate, nullptr, op.gate, op.T};
  const LinearForward up{op.x, op.w_up, op.bias_up, nullptr, op.up, op.T};
  each_group(piece, [&](int64_t p, int panels, bool more) {
    const int64_t n0 = p * kPanelRows, at = piece.row0 * F + n0, columns = at_most(panels * kPanelRows, F - n0);
    const int64_t width = panels * kPanelRows;
    const Out to_gate = op.keep ? Out{op.gate + at, F, false} : Out{room.acc + acc_floats, width, true};
    const Out to_up = op.keep ? Out{op.up + at, F, false} : Out{room.acc + 2 * acc_floats, width, true};
    product<W>(gate, x, piece, p, panels, more, to_gate, room);
    product<W>(up, x, piece, p, panels, more, to_up, room);
    for (int64_t r = 0; r < piece.rows(); ++r) {
      const float *g = to_gate.data + r * to_gate.row, *u = to_up.data + r * to_up.row;
      each_vector(0, columns, [&](int64_t n, int valid) {
        put_product_row(op.act, piece.row0 + r, F, n0 + n, swiglu(load_lanes(g + n, valid), load_lanes(u + n, valid)),
                        valid);
      });
    }
  });
}

template <class W>
void gated(const GatedForward& op, ThreadPool& pool, Scratch& scratch) {
  const int threads = pool.threads();
  const Cut cut(op.T, op.w_gate.rows, op.w_gate.cols, threads);
  const int64_t acc_floats = cut.acc_floats();
  const Room all{scratch.floats(0, threads * kWideFloats), scratch.floats(1, threads * 3 * acc_floats)};
  float* copy = scratch.floats(kRowsSlot, rows_floats<W>(op.x.dtype, op.T, cut.K));
  const Strip<RowElement<W>> x = product_rows<W>(op.x, op.T, cut.K, copy, pool);
  pool.parallel_for(cut.tasks(), [&](int64_t task, int worker) {
    const Room room{all.wide + worker * kWideFloats, all.acc + worker * 3 * acc_floats};
    gated_task<W>(op, x, Piece(cut, task), room, acc_floats);
  });
}

bool computes(const LinearForward& op) {
  return op.T > 0 && op.w.rows > 0;
}

bool same_rows(const LinearForward& a, const LinearForward& b) {
  return computes(a) && a.x.data == b.x.data && a.T == b.T && a.w.cols == b.w.cols && a.w.dtype == b.w.dtype;
}

}  // namespace

void linear_forward(const LinearForward* ops, int64_t count, ThreadPool& pool, Scratch& scratch) {
  constexpr int64_t kMost = 8;
  for (; count > kMost; ops += kMost, count -= kMost) linear_forward(ops, kMost, pool, scratch);
  const int threads = pool.threads();
  int64_t ends[kMost], copied[kMost], tasks = 0, acc_floats = 0, copies = 0, work = 0;
  const auto cut_of = [&](int64_t i) { return Cut(ops[i].T, ops[i].w.rows, ops[i].w.cols, threads); };
  const auto is_bf16 = [&](int64_t i) { return ops[i].w.dtype == DType::kBF16; };
  for (int64_t i = 0; i < count; ++i) {
    const LinearForward& op = ops[i];
    copied[i] = copies;
    if (computes(op)) {
      const Cut cut = cut_of(i);
      tasks += cut.tasks();
      acc_floats = at_least(acc_floats, cut.acc_floats());
      work += op.T * op.w.rows * op.w.cols;
      if (i > 0 && same_rows(ops[i - 1], op))
        copied[i] = copied[i - 1];
      else
        copies += is_bf16(i) ? rows_floats<uint16_t>(op.x.dtype, op.T, op.w.cols)
                             : rows_floats<float>(op.x.dtype, op.T, op.w.cols);
    }
    ends[i] = tasks;
  }
  const Room all{scratch.floats(0, threads * kWideFloats), scratch.floats(1, threads * acc_floats)};
  float* copy = scratch.floats(kRowsSlot, copies);
  for (int64_t i = 0; i < count; ++i) {
    if (!computes(ops[i]) || (i > 0 && same_rows(ops[i - 1], ops[i]))) continue;
    if (is_bf16(i))
      product_rows<uint16_t>(ops[i].x, ops[i].T, ops[i].w.cols, copy + copied[i], pool);
    else
      product_rows<float>(ops[i].x, ops[i].T, ops[i].w.cols, copy + copied[i], pool);
  }
  auto run = [&](int64_t task, int worker) {
    int64_t i = 0;
    while (task >= ends[i]) ++i;
    const Piece piece(cut_of(i), task - (i == 0 ? 0 : ends[i - 1]));
    const Room room{all.wide + worker * kWideFloats, all.acc + worker * acc_floats};
    is_bf16(i) ? forward_task<uint16_t>(ops[i], copy + copied[i], piece, room)
               : forward_task<float>(ops[i], copy + copied[i], piece, room);
  };
  if (work < kInlineWork)
    for (int64_t task = 0; task < tasks; ++task) run(task, 0);
  else
    pool.parallel_for(tasks, run);
}

void gated_forward(const GatedForward& op, ThreadPool& pool, Scratch& scratch) {
  if (op.T <= 0 || op.w_gate.rows <= 0) return;
  op.w_gate.dtype == DType::kBF16 ? gated<uint16_t>(op, pool, scratch) : gated<float>(op, pool, scratch);
}

}  // namespace toolgrad::TOOLGRAD_ISA
