// RMSNorm, RoPE, SwiGLU, rows by index, embedding, panels, AdamW and reductions on the GPU: against float64 or, where the
// contract says so, to the bit of the CPU; in-place forms; a row alone and in a batch; schedules and neighbours.
#include <algorithm>
#include <limits>

#include "cuda_conflicts.h"
#include "cuda_settled.h"
#include "engine/adamw_math.h"
#include "engine/philox.h"
#include "ops/ops.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

using Floats = std::vector<float>;
using Gpu = cuda::CudaDevice;
using Array = DeviceArray<float>;

// One row and column, a warp's row with a tail, unaligned rows, the longest row of a warp, a block's row, rows of many rounds,
// more rows than a block or a group of dw takes, more groups than the second pass of dw takes at once.
struct RowShape {
  int64_t T, C;
};
const RowShape kRowShapes[] = {{1, 1},     {5, 8},   {9, 24},    {70, 72},  {3, 130},
                               {130, 512}, {7, 516}, {65, 1001}, {2, 4100}, {3000, 8}};
// Every tail of a group of four columns, in each of two unrolled rounds of a warp and of a block.
const RowShape kTails[] = {{3, 127},  {3, 129},  {3, 130},  {3, 131},  {2, 257},  {2, 258},  {2, 259},  {2, 1021},
                           {2, 1022}, {2, 1023}, {2, 1025}, {2, 1026}, {2, 1027}, {2, 2049}, {2, 2050}, {2, 2051}};

void rms_norm(Gpu& gpu) {
  double y_error = 0, dx_error = 0, dw_error = 0;
  bool alone = true, in_place = true, accumulates = true, over_dy = true;
  Random random(1);
  std::vector<RowShape> shapes(std::begin(kRowShapes), std::end(kRowShapes));
  shapes.insert(shapes.end(), std::begin(kTails), std::end(kTails));
  for (const auto [T, C] : shapes) {
    const Floats x = random.normals(T * C), w = random.normals(C), dy = random.normals(T * C), dw0 = random.normals(C);
    const Floats stream = random.normals(T * C);
    const float eps = 1e-5f;
    const auto run = [&, C = C](Placement placement, int64_t first, int64_t count) {
      Array xs(gpu, rows_of(x, first, count, C), placement), ws(gpu, w, placement), ys(gpu, nans(count * C), placement);
      Array dys(gpu, rows_of(dy, first, count, C), placement), rstd(gpu, nans(count), placement);
      Array dx(gpu, nans(count * C), placement), dw(gpu, dw0, placement);
      Array sum(gpu, rows_of(stream, first, count, C), placement);
      cuda::rms_norm_forward(gpu, {xs.data(), ws.data(), ys.data(), rstd.data(), count, C, eps});
      cuda::rms_norm_backward(gpu,
                              {dys.data(), xs.data(), ws.data(), rstd.data(), dx.data(), dw.data(), count, C, false});
      cuda::rms_norm_backward(gpu,
                              {dys.data(), xs.data(), ws.data(), rstd.data(), sum.data(), nullptr, count, C, true});
      Floats all = ys.values();
      append(all, dx.values());
      append(all, sum.values());
      append(all, dw.values());
      // In place: y over x, dx over dy.
      Array dw2(gpu, dw0, placement);
      cuda::rms_norm_backward(gpu,
                              {dys.data(), xs.data(), ws.data(), rstd.data(), dys.data(), dw2.data(), count, C, false});
      cuda::rms_norm_forward(gpu, {xs.data(), ws.data(), xs.data(), nullptr, count, C, eps});
      in_place = in_place && same_bits(xs.values(), ys.values());
      over_dy = over_dy && same_bits(dys.values(), dx.values()) && same_bits(dw2.values(), dw.values());
      return all;
    };
    const Floats all =
        settled("rms_norm", Views::kAny, [&, T = T](Placement placement) { return run(placement, 0, T); });
    const Floats y = rows_of(all, 0, T, C), dx = rows_of(all, T, T, C), sum = rows_of(all, 2 * T, T, C);
    const Floats dw = rows_of(all, 3 * T, 1, C);
    std::vector<double> y64, dx64, dw64(dw0.begin(), dw0.end());
    double term = 0;  // the largest term of dx: with one column its two terms cancel
    for (int64_t t = 0; t < T; ++t) {
      const auto at = [&, C = C](const Floats& v, int64_t c) { return static_cast<double>(v[t * C + c]); };
      double squares = 0, product = 0;
      for (int64_t c = 0; c < C; ++c) squares += at(x, c) * at(x, c);
      const double r = 1 / std::sqrt(squares / static_cast<double>(C) + static_cast<double>(eps));
      for (int64_t c = 0; c < C; ++c) {
        y64.push_back(at(x, c) * r * static_cast<double>(w[c]));
        dw64[c] += at(dy, c) * at(x, c) * r;
        product += at(dy, c) * static_cast<double>(w[c]) * at(x, c) * r;
        term = std::max(term, std::fabs(at(dy, c) * static_cast<double>(w[c]) * r));
      }
      for (int64_t c = 0; c < C; ++c)
        dx64.push_back(r * (at(dy, c) * static_cast<double>(w[c]) - at(x, c) * r * product / static_cast<double>(C)));
    }
    y_error = std::max(y_error, worst_error(y, y64));
    dx_error = std::max(dx_error, worst_error(dx, dx64, term));
    dw_error = std::max(dw_error, worst_error(dw, dw64));
    for (size_t i = 0; i < dx.size(); ++i) accumulates = accumulates && sum[i] == stream[i] + dx[i];
    for (int64_t t = 0; t < T; t += std::max<int64_t>(1, T / 3)) {
      const Floats one = run(Placement::kFlush, t, 1);
      alone = alone && same_bits(rows_of(one, 0, 2, C), [&, C = C] {
                Floats expected = rows_of(y, t, 1, C);
                append(expected, rows_of(dx, t, 1, C));
                return expected;
              }());
    }
  }
  check_below(y_error, 4e-7, "rms_norm forward against float64, relative to the largest value");
  check_below(dx_error, 2e-6, "rms_norm dx, relative to its largest term");
  check_below(dw_error, 1e-6, "rms_norm dw, onto what is there");
  check(alone, "rms_norm: a row has the same bits alone and in a batch");
  check(in_place, "rms_norm: y may be x's buffer");
  check(over_dy, "rms_norm: dx may be dy's buffer");
  check(accumulates, "rms_norm: accumulate adds exactly dx");
}

void rope(Gpu& gpu, Ops& cpu) {
  bool same = true;
  Random random(2);
  for (const int64_t D : {2, 8, 24, 72, 128, 250}) {
    for (const int64_t heads : {1, 3, 40}) {
      const int64_t T = 11, half = D / 2, positions = 60;
      const Floats cos = random.normals(positions * half), sin = random.normals(positions * half);
      const Floats x = random.normals(T * heads * D);
      std::vector<int32_t> at;
      for (int64_t t = 0; t < T; ++t) at.push_back(static_cast<int32_t>(random.next() % positions));
      at[0] = static_cast<int32_t>(positions) - 1;
      for (const bool backward : {false, true}) {
        const Floats found = settled("rope", Views::kAny, [&](Placement placement) {
          Array xs(gpu, x, placement), c(gpu, cos, placement), s(gpu, sin, placement);
          DeviceArray<int32_t> p(gpu, at, placement);
          cuda::rope(gpu, {xs.data(), c.data(), s.data(), p.data(), T, heads, D, backward});
          return xs.values();
        });
        Floats expected = x;
        cpu.rope({expected.data(), cos.data(), sin.data(), at.data(), T, heads, D, backward});
        same = same && same_bits(found, expected);
      }
    }
  }
  check(same, "rope has the CPU's bits, forward and backward");
}

void swiglu(Gpu& gpu) {
  Random random(3);
  double act_error = 0, gate_error = 0, up_error = 0;
  bool in_place = true, ends = true;
  for (const int64_t n : {1, 3, 72, 1024, 1029, 5003}) {
    Floats gate = random.normals(n, 3), up = random.normals(n), dact = random.normals(n);
    gate[0] = n % 2 == 0 ? 200 : -200;
    gate[n / 2] = 0;
    const Floats all = settled("swiglu", Views::kAny, [&](Placement placement) {
      Array g(gpu, gate, placement), u(gpu, up, placement), d(gpu, dact, placement), a(gpu, nans(n), placement);
      Array dg(gpu, nans(n), placement), du(gpu, nans(n), placement);
      cuda::swiglu_forward(gpu, {g.data(), u.data(), a.data(), 1, n});
      cuda::swiglu_backward(gpu, {d.data(), g.data(), u.data(), dg.data(), du.data(), 1, n});
      Floats values = a.values();
      append(values, dg.values());
      append(values, du.values());
      cuda::swiglu_backward(gpu, {d.data(), g.data(), u.data(), g.data(), u.data(), 1, n});
      in_place = in_place && same_bits(g.values(), dg.values()) && same_bits(u.values(), du.values());
      return values;
    });
    std::vector<double> act, dgate, dup;
    for (int64_t i = 0; i < n; ++i) {
      const double g = gate[i], u = up[i], d = dact[i], s = 1 / (1 + std::exp(-g));
      act.push_back(g * s * u);
      dgate.push_back(d * u * s * (1 + g * (1 - s)));
      dup.push_back(d * g * s);
    }
    const auto part = [&](int64_t i) { return rows_of(all, i, 1, n); };
    act_error = std::max(act_error, worst_error(part(0), act));
    gate_error = std::max(gate_error, worst_error(part(1), dgate));
    up_error = std::max(up_error, worst_error(part(2), dup));
    const float end = part(0)[0];
    ends = ends && (gate[0] > 0 ? end == 200 * up[0] : end == 0);
  }
  check_below(act_error, 3e-7, "swiglu forward against float64");
  check_below(gate_error, 4e-7, "swiglu dgate");
  check_below(up_error, 3e-7, "swiglu dup");
  check(in_place, "swiglu: dgate and dup may overwrite gate and up");
  check(ends, "swiglu: gates of +-200 give up times 200 and 0");
}

void rows_by_index(Gpu& gpu, Ops& cpu) {
  Random random(4);
  bool same = true;
  for (const auto [T, C] : kRowShapes) {
    std::vector<int32_t> rows;
    for (int64_t t = T - 1; t >= 0; t -= 2) rows.push_back(static_cast<int32_t>(t));
    const auto R = static_cast<int64_t>(rows.size());
    const Floats x = random.normals(T * C), old = random.normals(T * C);
    const Floats found = settled("rows by index", Views::kAny, [&, T = T, C = C](Placement placement) {
      Array from(gpu, x, placement), gathered(gpu, nans(R * C), placement), scattered(gpu, old, placement);
      DeviceArray<int32_t> index(gpu, rows, placement);
      cuda::gather_rows(gpu, {from.data(), index.data(), gathered.data(), R, C});
      cuda::scatter_rows(gpu, {gathered.data(), index.data(), scattered.data(), R, T, C});
      cuda::add(gpu, from.data(), scattered.data(), T * C);
      Floats all = gathered.values();
      append(all, scattered.values());
      append(all, from.values());
      return all;
    });
    Floats gathered(R * C), scattered(T * C), sum = x;
    cpu.gather_rows({x.data(), rows.data(), gathered.data(), R, C});
    cpu.scatter_rows({gathered.data(), rows.data(), scattered.data(), R, T, C});
    cpu.add(sum.data(), scattered.data(), T * C);
    append(gathered, scattered);
    append(gathered, sum);
    same = same && same_bits(found, gathered);
  }
  check(same, "gather_rows, scatter_rows (zero elsewhere) and add have the CPU's bits");
}

void embedding(Gpu& gpu, Ops& cpu) {
  Random random(5);
  bool forward = true, backward = true;
  struct Shape {
    int64_t V, C, T, distinct;
  };
  // One id for all tokens, all different, more tokens than a window, more columns than a block.
  for (const Shape& s :
       {Shape{1, 1, 1, 1}, {53, 72, 200, 53}, {20, 24, 700, 1}, {900, 8, 1300, 900}, {33, 1030, 40, 7}}) {
    std::vector<int32_t> ids;
    for (int64_t t = 0; t < s.T; ++t)
      ids.push_back(static_cast<int32_t>(s.V - 1 - static_cast<int64_t>(random.next() % s.distinct)));
    const Floats table = random.normals(s.V * s.C), dx = random.normals(s.T * s.C);
    const Packed bf16(cpu, table, s.V, s.C, DType::kBF16), f32(cpu, table, s.V, s.C, DType::kF32);
    const Packed gradient(cpu, random.normals(s.V * s.C), s.V, s.C, DType::kF32);
    const auto elements = [&](const Packed& packed, auto kind) {
      using T = decltype(kind);
      const auto* data = reinterpret_cast<const T*>(packed.bytes.data());
      return std::vector<T>(data, data + packed_elements(s.V, s.C));
    };
    const Floats found = settled("embedding", Views::kAny, [&](Placement placement) {
      DeviceArray<int32_t> id(gpu, ids, placement);
      DeviceArray<uint16_t> narrow(gpu, elements(bf16, uint16_t{}), placement);
      Array wide(gpu, elements(f32, 0.0f), placement), grad(gpu, elements(gradient, 0.0f), placement);
      Array x(gpu, nans(s.T * s.C), placement), x32(gpu, nans(s.T * s.C), placement), d(gpu, dx, placement);
      cuda::embedding_forward(gpu, {id.data(), {narrow.data(), DType::kBF16, s.V, s.C}, x.data(), s.T});
      cuda::embedding_forward(gpu, {id.data(), {wide.data(), DType::kF32, s.V, s.C}, x32.data(), s.T});
      cuda::embedding_backward(gpu, {id.data(), d.data(), {grad.data(), DType::kF32, s.V, s.C}, s.T});
      Floats all = x.values();
      append(all, x32.values());
      append(all, grad.values());
      return all;
    });
    Floats x(s.T * s.C), x32(s.T * s.C);
    cpu.embedding_forward({ids.data(), bf16.matrix, x.data(), s.T});
    cpu.embedding_forward({ids.data(), f32.matrix, x32.data(), s.T});
    append(x, x32);
    forward = forward && same_bits(rows_of(found, 0, 2 * s.T, s.C), x);
    cpu.embedding_backward({ids.data(), dx.data(), gradient.matrix, s.T});
    backward = backward && same_bits(Floats(found.begin() + 2 * s.T * s.C, found.end()), elements(gradient, 0.0f));
  }
  check(forward, "embedding rows come out of the packed table, fp32 and bf16");
  check(backward, "embedding gradients are added in token order: the CPU's bits");
}

void panels(Gpu& gpu, Ops& cpu) {
  Random random(6);
  bool packs = true, unpacks = true;
  for (const auto& [rows, cols] :
       {std::pair<int64_t, int64_t>{1, 1}, {16, 64}, {17, 65}, {40, 24}, {5, 200}, {33, 8}}) {
    const Floats values = random.normals(rows * cols);
    for (const DType dtype : {DType::kBF16, DType::kF32}) {
      const Packed expected(cpu, values, rows, cols, dtype);
      const Floats found = settled("pack", Views::kAny, [&, rows = rows, cols = cols](Placement placement) {
        Array from(gpu, values, placement), back(gpu, nans(rows * cols), placement);
        const int64_t size = packed_elements(rows, cols);
        const std::vector<uint8_t> dirty(size * static_cast<int64_t>(dtype_size(dtype)), 0xff);
        DeviceArray<uint8_t> to(gpu, dirty, placement);
        const PackedMatrix matrix{to.data(), dtype, rows, cols};
        cuda::pack(gpu, from.data(), matrix);
        cuda::unpack(gpu, matrix, back.data());
        packs = packs && to.values() == expected.bytes;
        return back.values();
      });
      unpacks = unpacks && same_bits(found, expected.unpacked(cpu));
    }
  }
  bool rounded = true;
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{1, 8}, {16, 64}, {33, 72}, {5, 200}}) {
    const Floats values = random.normals(rows * cols);
    const Packed packed(cpu, values, rows, cols, DType::kBF16);
    const Floats found = settled("unpack to bf16 rows", [&, rows = rows, cols = cols](Placement placement) {
      DeviceArray<uint8_t> from(gpu, packed.bytes, placement);
      DeviceArray<uint16_t> to(gpu, std::vector<uint16_t>(static_cast<size_t>(rows * cols), 0xffff), placement);
      cuda::unpack_rounded(gpu, {from.data(), DType::kBF16, rows, cols}, to.data());
      Floats back;
      for (const uint16_t bits : to.values()) back.push_back(bf16_to_f32(bits));
      return back;
    });
    rounded = rounded && same_bits(found, packed.unpacked(cpu));
  }
  check(rounded, "unpacking to bf16 rows keeps every bit");
  check(packs, "pack makes the CPU's panels: rounding, zero rows at the end");
  check(unpacks, "unpack gives the rows back");
}

void adamw(Gpu& gpu, Ops& cpu) {
  Random random(7);
  bool same = true, weights = true;
  for (const int64_t n : {1, 3, 64, 1024, 1027, 4001}) {
    const Floats master = random.normals(n), m = random.normals(n, 0.1f), grad = random.normals(n);
    Floats v = random.normals(n, 0.1f);
    for (float& value : v) value = value * value;
    for (const int kind : {0, 1, 2}) {
      const DType dtype = kind == 0 ? DType::kBF16 : DType::kF32;
      AdamW op{nullptr, nullptr, nullptr, nullptr, nullptr, dtype, kind == 2, n, 1e-3, 0.9, 0.999, 1e-8, 0.1, 0.7f, 5};
      std::vector<uint8_t> weight_bytes;
      const Floats found = settled("adamw", Views::kAny, [&](Placement placement) {
        Array p(gpu, master, placement), m1(gpu, m, placement), m2(gpu, v, placement), g(gpu, grad, placement);
        DeviceArray<uint8_t> w(gpu, std::vector<uint8_t>(n * static_cast<int64_t>(dtype_size(dtype)), 0xff), placement);
        AdamW on = op;
        on.master = p.data(), on.m = m1.data(), on.v = m2.data(), on.grad = g.data(), on.weight = w.data();
        cuda::adamw(gpu, on);
        weight_bytes = w.values();
        Floats all = p.values();
        append(all, m1.values());
        append(all, m2.values());
        return all;
      });
      Floats p = master, m1 = m, m2 = v;
      std::vector<uint8_t> w(weight_bytes.size());
      op.master = p.data(), op.m = m1.data(), op.v = m2.data(), op.grad = grad.data(), op.weight = w.data();
      cpu.adamw(op);
      append(p, m1);
      append(p, m2);
      same = same && same_bits(found, p);
      weights = weights && weight_bytes == w;
    }
  }
  check(same, "adamw: masters and moments have the CPU's bits");
  check(weights, "adamw: the compute copy has them too, in bf16, fp32 and fp32 rounded to bf16");
}

// Rounding at random: each weight becomes one of its two bf16 neighbours, the same one for the same seed and step, and the
// mean over many draws is the exact value.
void adamw_without_master(Gpu& gpu) {
  Random random(8);
  const int64_t n = 2003;
  Floats start = rounded_to(DType::kBF16, random.normals(n));
  const Floats grad = random.normals(n);
  std::vector<uint16_t> bits;
  for (const float value : start) bits.push_back(f32_to_bf16(value));
  const AdamWStep step = adamw_step(1e-3, 0.9, 0.999, 1e-8, 0.1, 1, 1);
  Floats exact = start;
  for (int64_t i = 0; i < n; ++i) {
    float m = 0, v = 0;
    adamw_element(step, grad[i], &exact[i], &m, &v);
  }
  const auto run = [&](uint64_t seed, Placement placement) {
    DeviceArray<uint16_t> w(gpu, bits, placement);
    Array m(gpu, Floats(n, 0.0f), placement), v(gpu, Floats(n, 0.0f), placement), g(gpu, grad, placement);
    AdamW op{nullptr, m.data(), v.data(), g.data(), w.data(), DType::kBF16, false, n, 1e-3, 0.9,
             0.999,   1e-8,     0.1,      1,        1};
    cuda::adamw_without_master(gpu, op, seed);
    Floats values;
    for (const uint16_t value : w.values()) values.push_back(bf16_to_f32(value));
    return values;
  };
  settled("adamw without master", Views::kAny, [&](Placement placement) { return run(3, placement); });
  constexpr int kDraws = 64;
  bool neighbour = true;
  double bias = 0, spread = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    const Floats found = run(100 + draw, Placement::kFlush);
    for (int64_t i = 0; i < n; ++i) {
      const float down = f32_from_bits(f32_bits(exact[i]) & 0xffff0000u);
      const float up = f32_from_bits((f32_bits(exact[i]) & 0xffff0000u) + 0x10000u);
      neighbour = neighbour && (found[i] == down || found[i] == up);
      const double unit = std::fabs(static_cast<double>(up) - static_cast<double>(down));
      bias += (static_cast<double>(found[i]) - static_cast<double>(exact[i])) / unit;
      spread += std::pow((static_cast<double>(found[i]) - static_cast<double>(exact[i])) / unit, 2);
    }
  }
  // The bits at random are Philox's, words of a draw in the order of elements (kernels/adamw.h); the seed has a high half too.
  const uint64_t seed = 0x9876543210fedcbaull;
  Floats keyed;
  for (int64_t i = 0; i < n; ++i) {
    const Philox4 draw = philox4x32({{static_cast<uint32_t>(i / 4), 0, 1, 0}}, static_cast<uint32_t>(seed),
                                    static_cast<uint32_t>(seed >> 32));
    keyed.push_back(f32_from_bits((f32_bits(exact[i]) + (draw.v[i % 4] & 0xffffu)) & 0xffff0000u));
  }
  check(same_bits(run(seed, Placement::kFlush), keyed),
        "adamw without master: rounded by the words of Philox that seed, step and element name");
  check(neighbour, "adamw without master: every weight is one of the two bf16 neighbours of the exact value");
  check_below(std::fabs(bias) / (n * kDraws), 4 * std::sqrt(spread) / (n * kDraws),
              "adamw without master: the mean rounding error, in units of the last place, against four sigma");

  // Four elements of one thread, each not finite once; the others stay what they are.
  bool spread_alone = true;
  const Floats usual = run(3, Placement::kFlush);
  for (int64_t j = 0; j < 4; ++j) {
    for (const float value : {NAN, INFINITY, -INFINITY}) {
      const std::vector<uint16_t> before = bits;
      bits[static_cast<size_t>(8 + j)] = f32_to_bf16(value);
      const Floats found = run(3, Placement::kFlush);
      for (int64_t i = 0; i < n; ++i)
        spread_alone = spread_alone && (i != 8 + j          ? found[i] == usual[i]
                                        : std::isnan(value) ? std::isnan(found[i])
                                                            : found[i] == value);
      bits = before;
    }
  }
  check(spread_alone, "adamw without master: NaN and infinities stay what they are, each alone");
}

void reductions(Gpu& gpu) {
  Random random(9);
  double worst = 0;
  bool finite = true, found_bad = true;
  std::vector<int64_t> lengths = {4096, 4097, 100003, 4300007};
  for (int64_t round = 0; round < 4; ++round)  // every tail in each of the four rounds of a block
    for (int64_t tail = 1; tail < 4; ++tail) lengths.push_back(1024 * round + 40 + tail);
  for (const int64_t n : lengths) {
    Floats x = random.normals(std::min<int64_t>(n, 100003));
    x.resize(n, 0.25f);
    long double sum = 0;
    for (const float value : x) sum += static_cast<long double>(value) * static_cast<long double>(value);
    double found = 0;
    settled("sum_of_squares", Views::kAny, [&](Placement placement) {
      Array on(gpu, x, placement);
      found = cuda::sum_of_squares(gpu, on.data(), n);
      finite = finite && cuda::all_finite(gpu, on.data(), n);
      Floats bits(2);
      std::memcpy(bits.data(), &found, sizeof found);
      return bits;
    });
    worst = std::max(worst, std::fabs(found / static_cast<double>(sum) - 1));
    for (const int64_t at : {int64_t{0}, n / 2, n - 1})
      for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
        Floats spoiled = x;
        spoiled[at] = bad;
        Array on(gpu, spoiled);
        found_bad = found_bad && !cuda::all_finite(gpu, on.data(), n);
      }
  }
  // Several blocks find something at once.
  Floats full_of_nan(50000, 1.0f);
  for (size_t i = 0; i < full_of_nan.size(); i += 3000) full_of_nan[i] = std::numeric_limits<float>::quiet_NaN();
  Array spoiled(gpu, full_of_nan);
  found_bad = found_bad && !cuda::all_finite(gpu, spoiled.data(), static_cast<int64_t>(full_of_nan.size()));
  Array huge(gpu, Floats(3, 1e30f));
  check_below(worst, 1e-14, "sum_of_squares, relative");
  check_below(std::fabs(cuda::sum_of_squares(gpu, huge.data(), 3) / 3e60 - 1), 1e-6,
              "sum_of_squares beyond the range of fp32");
  check(cuda::sum_of_squares(gpu, nullptr, 0) == 0 && cuda::all_finite(gpu, nullptr, 0),
        "nothing has the sum 0 and is finite");
  check(finite, "all_finite accepts finite numbers of every length");
  check(found_bad, "all_finite finds one NaN or infinity at the start, in the middle, at the end");
}

}  // namespace

int main() {
  const std::shared_ptr<Gpu> gpu = open_gpu();
  if (gpu == nullptr) return kSkipped;
  Backend cpu(best_isa(), 1);
  rms_norm(*gpu);
  rope(*gpu, *cpu.ops);
  swiglu(*gpu);
  rows_by_index(*gpu, *cpu.ops);
  embedding(*gpu, *cpu.ops);
  panels(*gpu, *cpu.ops);
  adamw(*gpu, *cpu.ops);
  adamw_without_master(*gpu);
  reductions(*gpu);
  check_conflicts();
  return finish();
}
