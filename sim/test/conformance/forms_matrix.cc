// mma, ldmatrix and stmatrix, against the layouts of the PTX manual written out element by element.
#include <cmath>
#include <cstring>

#include "device.h"
#include "lane_kernel.h"
#include "rounding.h"

namespace conformance {
namespace {

uint32_t scramble(uint32_t x) {
  x ^= x >> 16, x *= 0x7feb352d, x ^= x >> 15, x *= 0x846ca68b;
  return x ^ (x >> 16);
}

struct Shape {
  const char* name;  // of the instruction
  const Format* in;  // of A and B
  bool half_sum;     // C and D are f16
  int k;
};
const Format kTf32{11, -126, 8, 32};
const Shape kShapes[] = {
    {"m16n8k16.row.col.f32.bf16.bf16.f32", &kBF16, false, 16}, {"m16n8k8.row.col.f32.bf16.bf16.f32", &kBF16, false, 8},
    {"m16n8k16.row.col.f32.f16.f16.f32", &kF16, false, 16},    {"m16n8k8.row.col.f32.f16.f16.f32", &kF16, false, 8},
    {"m16n8k16.row.col.f16.f16.f16.f16", &kF16, true, 16},     {"m16n8k8.row.col.f16.f16.f16.f16", &kF16, true, 8},
    {"m16n8k8.row.col.f32.tf32.tf32.f32", &kTf32, false, 8},   {"m16n8k4.row.col.f32.tf32.tf32.f32", &kTf32, false, 4},
};

struct Place {
  int row, column;
};
/// Element i of a lane's fragment, as the manual says it.
Place place_a(const Shape& shape, int lane, int i) {
  const int group = lane >> 2, thread = lane % 4;
  if (shape.in == &kTf32) return {(i & 1) == 0 ? group : group + 8, (i < 2 ? thread : thread + 4)};
  if (shape.k == 8) return {i < 2 ? group : group + 8, thread * 2 + (i & 1)};
  return {(i < 2 || (i >= 4 && i < 6)) ? group : group + 8, i < 4 ? thread * 2 + (i & 1) : thread * 2 + (i & 1) + 8};
}
Place place_b(const Shape& shape, int lane, int i) {
  const int group = lane >> 2, thread = lane % 4;
  if (shape.in == &kTf32) return {i == 0 ? thread : thread + 4, group};
  return {i < 2 ? thread * 2 + (i & 1) : thread * 2 + (i & 1) + 8, group};
}
Place place_c(int lane, int i) {
  return {i < 2 ? lane >> 2 : (lane >> 2) + 8, (lane % 4) * 2 + (i & 1)};
}

std::string braces(const std::string& prefix, int count) {
  std::string text = "{";
  for (int i = 0; i < count; ++i) text += (i != 0 ? ", %" : "%") + prefix + std::to_string(i);
  return text + "}";
}

/// in: per lane 4 words of A, 2 of B, 4 of C; out: 4 words of D.
std::string kernel(const Shape& shape, const std::string& entry) {
  const int per = shape.in == &kTf32 ? 4 : 8, blocks = shape.k / per, sums = shape.half_sum ? 2 : 4;
  std::string text = ".visible .entry " + entry + "(.param .u64 in, .param .u64 out, .param .u32 n)\n{\n";
  text += std::string(".reg .b32 %a<4>, %b<2>, %i;\n.reg ") + (shape.half_sum ? ".b32" : ".f32") +
          " %c<4>, %d<4>;\n.reg .b64 %in, %out, %x;\n";
  text +=
      "mov.u32 %i, %ctaid.x;\nmul.lo.u32 %i, %i, 32;\n{\n.reg .b32 %t;\nmov.u32 %t, %tid.x;\nadd.u32 %i, %i, %t;\n}\n";
  text +=
      "ld.param.u64 %in, [in];\nld.param.u64 %out, [out];\ncvta.to.global.u64 %in, %in;\ncvta.to.global.u64 %out, "
      "%out;\n";
  text += "mul.wide.u32 %x, %i, 40;\nadd.u64 %in, %in, %x;\nmul.wide.u32 %x, %i, 16;\nadd.u64 %out, %out, %x;\n";
  for (int i = 0; i < 4; ++i)
    text += "ld.global.b32 %a" + std::to_string(i) + ", [%in+" + std::to_string(4 * i) + "];\n";
  for (int i = 0; i < 2; ++i)
    text += "ld.global.b32 %b" + std::to_string(i) + ", [%in+" + std::to_string(16 + 4 * i) + "];\n";
  for (int i = 0; i < 4; ++i)
    text += "ld.global.b32 %c" + std::to_string(i) + ", [%in+" + std::to_string(24 + 4 * i) + "];\n";
  text += std::string("mma.sync.aligned.") + shape.name + " " + braces("d", sums) + ", " + braces("a", 2 * blocks) +
          ", " + (blocks == 1 ? "{%b0}" : braces("b", blocks)) + ", " + braces("c", sums) + ";\n";
  for (int i = 0; i < sums; ++i)
    text += "st.global.b32 [%out+" + std::to_string(4 * i) + "], %d" + std::to_string(i) + ";\n";
  return text + "ret;\n}\n";
}

/// Small integers make every sum exact, whatever the order; other values are compared within what the order can do.
void multiply(Device& device, Tally& tally, const Shape& shape, Device::Module module, const std::string& entry,
              bool exact) {
  tally.form(std::string("mma.sync.aligned.") + shape.name + (exact ? ", exact sums" : ", rounded sums"));
  constexpr int kWarps = 8;
  const bool tf32 = shape.in == &kTf32;
  const int elements_a = 16 * shape.k / 32, elements_b = 8 * shape.k / 32;
  const auto value = [&](uint32_t index, bool sum) {
    const int32_t small = static_cast<int32_t>(scramble(index) % 17) - 8;
    if (exact) return static_cast<double>(sum ? small * 3 : small);
    const double real = static_cast<double>(static_cast<int32_t>(scramble(index))) * 0x1p-30;
    return static_cast<double>(
        decode(encode({real, 0}, sum ? (shape.half_sum ? kF16 : kF32) : *shape.in, Mode::kNearest, 0),
               sum ? (shape.half_sum ? kF16 : kF32) : *shape.in));
  };
  std::vector<std::byte> in(kWarps * 32 * 40), out(kWarps * 32 * 16);
  std::vector<double> a(kWarps * 256), b(kWarps * 256), c(kWarps * 128);
  for (int w = 0; w < kWarps; ++w) {
    for (int l = 0; l < 32; ++l) {
      uint32_t words[10] = {};
      const auto put = [&](int word, int element, double x) {
        const uint64_t bits = encode({x, 0}, *shape.in, Mode::kNearest, 0);
        words[word] |= static_cast<uint32_t>(bits) << (tf32 ? 0 : 16 * (element & 1));
      };
      for (int i = 0; i < elements_a; ++i) {
        const Place at = place_a(shape, l, i);
        const double x = value(static_cast<uint32_t>((w * 16 + at.row) * 16 + at.column), false);
        a[static_cast<size_t>(w * 256 + at.row * 16 + at.column)] = x;
        put(tf32 ? i : i / 2, i, x);
      }
      for (int i = 0; i < elements_b; ++i) {
        const Place at = place_b(shape, l, i);
        const double x = value(static_cast<uint32_t>(100000 + (w * 16 + at.row) * 8 + at.column), false);
        b[static_cast<size_t>(w * 256 + at.row * 8 + at.column)] = x;
        put(4 + (tf32 ? i : i / 2), i, x);
      }
      for (int i = 0; i < 4; ++i) {
        const Place at = place_c(l, i);
        const double x = value(static_cast<uint32_t>(200000 + (w * 16 + at.row) * 8 + at.column), true);
        c[static_cast<size_t>(w * 128 + at.row * 8 + at.column)] = x;
        if (shape.half_sum) {
          words[6 + i / 2] |= static_cast<uint32_t>(encode({x, 0}, kF16, Mode::kNearest, 0)) << (16 * (i & 1));
        } else {
          words[6 + i] = static_cast<uint32_t>(encode({x, 0}, kF32, Mode::kNearest, 0));
        }
      }
      std::memcpy(in.data() + (w * 32 + l) * 40, words, 40);
    }
  }
  device.run(module, entry, in, out, kWarps * 32, 32);
  for (int w = 0; w < kWarps; ++w) {
    for (int l = 0; l < 32; ++l) {
      uint32_t words[4];
      std::memcpy(words, out.data() + (w * 32 + l) * 16, 16);
      for (int i = 0; i < 4; ++i) {
        const Place at = place_c(l, i);
        double want = c[static_cast<size_t>(w * 128 + at.row * 8 + at.column)], size = std::fabs(want);
        for (int k = 0; k < shape.k; ++k) {
          const double term =
              a[static_cast<size_t>(w * 256 + at.row * 16 + k)] * b[static_cast<size_t>(w * 256 + k * 8 + at.column)];
          want += term, size += std::fabs(term);
        }
        const Format& format = shape.half_sum ? kF16 : kF32;
        const uint64_t bits = shape.half_sum ? (words[i / 2] >> (16 * (i & 1))) & 0xffff : words[i];
        const double got = static_cast<double>(decode(bits, format));
        const double bound = exact ? 0 : size * (shape.half_sum ? 0x1p-10 : 0x1p-20);
        tally.check(std::fabs(got - want) <= bound, "warp " + std::to_string(w) + " row " + std::to_string(at.row) +
                                                        " column " + std::to_string(at.column) + " gives " +
                                                        std::to_string(got) + ", not " + std::to_string(want));
      }
    }
  }
}

/// Shared memory holds 32 rows of 8 halves, in places that the lanes know: %a1 is where lane l's row lies.
void load_store(std::vector<LaneForm>& forms) {
  // Rows of 16 bytes in a scattered order; word k of row r is scramble(4 r + k).
  const auto slot = [](uint32_t row) { return (row * 5 + 3) % 32; };
  Lanes in;
  for (uint32_t l = 0; l < 32; ++l) in.push_back({0, slot(l) * 16, l, 1});
  const auto element = [](uint32_t row, uint32_t column) {
    return (scramble(4 * row + column / 2) >> (16 * (column & 1))) & 0xffff;
  };
  for (uint32_t count : {1u, 2u, 4u}) {
    for (const bool transposed : {false, true}) {
      const std::string suffix =
          std::string(".sync.aligned.m8n8.x") + std::to_string(count) + (transposed ? ".trans" : "") + ".shared.b16";
      const std::string registers = count == 1 ? "{%o0}" : count == 2 ? "{%o0, %o1}" : "{%o0, %o1, %o2, %o3}";
      // Each lane writes its own row; the words come with the input of a first pass: computed here, they are constants.
      std::string fill = "add.u32 %i, %s, %a1;\n";
      LaneForm load;
      load.name = "ldmatrix" + suffix;
      load.in = in;
      // The row's words are read from `rows`, a table in constant memory.
      fill +=
          "mul.wide.u32 %x, %a2, 16;\nmov.u64 %y, rows;\nadd.u64 %x, %x, %y;\nld.const.v4.u32 {%o0, %o1, %o2, %o3}, "
          "[%x];\nst.shared.v4.u32 [%i], {%o0, "
          "%o1, %o2, %o3};\nbar.sync 0;\nmov.u32 %o0, 0;\nmov.u32 %o1, 0;\nmov.u32 %o2, 0;\nmov.u32 %o3, 0;\n";
      load.code = fill + "ldmatrix" + suffix + " " + registers + ", [%i];";
      load.reference = [=](const Lanes&, size_t, unsigned lane) {
        Words out{};
        for (uint32_t m = 0; m < count; ++m) {
          const uint32_t row = lane / 4, column = lane % 4 * 2;
          const uint32_t low = transposed ? element(8 * m + column, row) : element(8 * m + row, column);
          const uint32_t high = transposed ? element(8 * m + column + 1, row) : element(8 * m + row, column + 1);
          out[m] = low | high << 16;
        }
        return out;
      };
      forms.push_back(load);
      LaneForm store;
      store.name = "stmatrix" + suffix;
      store.sm = 90;
      store.in = in;
      // Registers hold the table's rows lane by lane; afterwards lane l reads its own row of the first matrices.
      store.code =
          "mul.wide.u32 %x, %a2, 16;\nmov.u64 %y, rows;\nadd.u64 %x, %x, %y;\nld.const.v4.u32 {%o0, %o1, %o2, %o3}, "
          "[%x];\nadd.u32 %i, %s, "
          "%a1;\nst.shared.v4.u32 [%i], {0, 0, 0, 0};\nbar.sync 0;\nstmatrix" +
          suffix + " [%i], " + registers + ";\nbar.sync 0;\nld.shared.v4.u32 {%o0, %o1, %o2, %o3}, [%i];";
      store.reference = [=](const Lanes&, size_t, unsigned lane) {
        Words out{};
        if (lane >= 8 * count) return out;
        const uint32_t m = lane / 8, row = lane % 8;
        for (uint32_t column = 0; column < 8; ++column) {
          // The lane whose fragment holds element (row, column), or (column, row).
          const uint32_t r = transposed ? column : row, c = transposed ? row : column, holder = 4 * r + c / 2;
          const uint32_t half = (scramble(4 * holder + m) >> (16 * (c & 1))) & 0xffff;
          out[column / 2] |= half << (16 * (column & 1));
        }
        return out;
      };
      forms.push_back(store);
    }
  }
}

}  // namespace

void matrix_forms(Device& device, Tally& tally) {
  std::string text = ".version 7.4\n.target sm_80\n.address_size 64\n";
  const auto entry = [](size_t i) { return "mma_" + std::to_string(i); };
  for (size_t i = 0; i < std::size(kShapes); ++i) text += kernel(kShapes[i], entry(i));
  const Device::Module module = device.load(text);
  for (size_t i = 0; i < std::size(kShapes); ++i) {
    multiply(device, tally, kShapes[i], module, entry(i), true);
    multiply(device, tally, kShapes[i], module, entry(i), false);
  }
  device.unload(module);
  std::string table = ".const .align 16 .u32 rows[128] = {";
  for (uint32_t i = 0; i < 128; ++i) table += (i != 0 ? ", " : "") + std::to_string(scramble(i));
  std::vector<LaneForm> forms;
  load_store(forms);
  run_lane_forms(device, tally, forms, table + "};\n");
}

}  // namespace conformance
