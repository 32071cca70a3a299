// mma of bytes and double precision, wmma, and mbarrier, on single warps.
#include <cstring>

#include "lane_kernel.h"

namespace conformance {
namespace {

uint32_t scramble(uint32_t x) {
  x ^= x >> 16, x *= 0x7feb352d, x ^= x >> 15, x *= 0x846ca68b;
  return x ^ (x >> 16);
}

Lanes inputs(const std::function<Words(uint32_t lane)>& make) {
  Lanes in;
  for (uint32_t l = 0; l < 64; ++l) in.push_back(make(l));
  return in;
}

/// A: a0 … of the four words, B: a1, a2; C: a3, a0, a1, a2. Rows and columns as the manual gives them for 8-bit types.
void bytes(std::vector<LaneForm>& forms) {
  struct Shape {
    const char* name;
    int m, k;
  };
  for (const Shape& shape : {Shape{"m8n8k16", 8, 16}, Shape{"m16n8k16", 16, 16}, Shape{"m16n8k32", 16, 32}}) {
    for (const std::string types : {"s8.s8", "u8.s8", "s8.u8", "u8.u8"}) {
      const bool a_signed = types[0] == 's', b_signed = types[3] == 's', tall = shape.m == 16, deep = shape.k == 32;
      LaneForm form;
      form.name = std::string("mma.sync.aligned.") + shape.name + ".row.col.s32." + types + ".s32";
      form.code = form.name + (tall ? " {%o0, %o1, %o2, %o3}" : " {%o0, %o1}") +
                  (deep   ? ", {%a0, %a1, %a2, %a3}, {%a1, %a2}"
                   : tall ? ", {%a0, %a1}, {%a1}"
                          : ", {%a0}, {%a1}") +
                  (tall ? ", {%a3, %a0, %a1, %a2};" : ", {%a3, %a0};");
      form.in = inputs([](uint32_t l) {
        return Words{scramble(4 * l), scramble(4 * l + 1), scramble(4 * l + 2), scramble(4 * l + 3)};
      });
      const int k_all = shape.k;
      form.reference = [=](const Lanes& in, size_t first, unsigned lane) {
        const auto byte = [](uint32_t word, int i, bool sign) -> int64_t {
          const uint32_t b = (word >> (8 * i)) & 0xff;
          return sign ? static_cast<int8_t>(b) : static_cast<int64_t>(b);
        };
        Words out{};
        for (int i = 0; i < (tall ? 4 : 2); ++i) {
          const int row = static_cast<int>(lane / 4) + (i >= 2 ? 8 : 0),
                    column = static_cast<int>(lane % 4) * 2 + i % 2;
          int64_t sum = static_cast<int32_t>(in[first + lane][(i + 3) % 4]);
          for (int k = 0; k < k_all; ++k) {
            // The lane, word and byte that hold element (row, k) of A and (k, column) of B.
            const size_t a_lane = static_cast<size_t>(row % 8 * 4 + k % 16 / 4),
                         b_lane = static_cast<size_t>(column * 4 + k % 16 / 4);
            const size_t a_word = static_cast<size_t>((row >= 8 ? 1 : 0) + (k >= 16 ? 2 : 0));
            sum += byte(in[first + a_lane][a_word], k % 4, a_signed) *
                   byte(in[first + b_lane][k >= 16 ? 2 : 1], k % 4, b_signed);
          }
          out[static_cast<size_t>(i)] = static_cast<uint32_t>(static_cast<uint64_t>(sum));
        }
        return out;
      };
      forms.push_back(form);
    }
  }
}

void doubles(std::vector<LaneForm>& forms) {
  LaneForm form;
  form.name = "mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64";
  form.code =
      "{\n.reg .f64 %e<6>;\ncvt.rn.f64.s32 %e0, %a0;\ncvt.rn.f64.s32 %e1, %a1;\ncvt.rn.f64.s32 %e2, "
      "%a2;\ncvt.rn.f64.s32 %e3, %a3;\n" +
      form.name + " {%e4, %e5}, {%e0}, {%e1}, {%e2, %e3};\ncvt.rzi.s32.f64 %o0, %e4;\ncvt.rzi.s32.f64 %o1, %e5;\n}";
  form.in = inputs([](uint32_t l) {
    return Words{scramble(l) % 1000, scramble(l + 64) % 1000, scramble(l + 128) % 1000, scramble(l + 192) % 1000};
  });
  form.reference = [](const Lanes& in, size_t first, unsigned lane) {
    Words out{in[first + lane][2], in[first + lane][3], 0, 0};
    for (size_t i = 0; i < 2; ++i) {
      for (size_t k = 0; k < 4; ++k)
        out[i] += in[first + lane / 4 * 4 + k][0] * in[first + (lane % 4 * 2 + i) * 4 + k][1];
    }
    return out;
  };
  forms.push_back(form);
}

/// D = A Aᵀ + C for a matrix of small numbers, in f16 and bf16; each lane sees four numbers of the upper half.
void wmma(std::vector<LaneForm>& forms) {
  for (const bool brain : {false, true}) {
    const std::string type = brain ? "bf16" : "f16", many = brain ? "4" : "8";
    const auto list = [&](const std::string& name, int count) {
      std::string text = "{";
      for (int i = 0; i < count; ++i) text += (i != 0 ? ", %" : "%") + name + std::to_string(i);
      return text + "}";
    };
    const int count = brain ? 4 : 8;
    LaneForm form;
    form.name = "wmma m16n16k16 of " + type;
    form.code =
        "{\n.reg .b32 %u<8>, %v<8>;\n.reg .f32 %c<8>, %d<8>;\nmul.lo.u32 %i, %lane, 16;\nadd.u32 %i, %i, %s;\n"
        "st.shared.v4.u32 [%i], {%a0, %a1, %a2, %a3};\nst.shared.v4.u32 [%i+1024], {0x40400000, 0x40400000, "
        "0x40400000, 0x40400000};\n"
        "st.shared.v4.u32 [%i+1536], {0x40400000, 0x40400000, 0x40400000, 0x40400000};\nbar.sync 0;\n"
        "wmma.load.a.sync.aligned.row.m16n16k16.shared." +
        type + " " + list("u", count) + ", [%s], 16;\nwmma.load.b.sync.aligned.col.m16n16k16.shared." + type + " " +
        list("v", count) + ", [%s], 16;\nwmma.load.c.sync.aligned.row.m16n16k16.shared.f32 " + list("c", 8) +
        ", [%s+1024], 16;\n" + "wmma.mma.sync.aligned.row.col.m16n16k16." +
        (brain ? "f32.bf16.bf16.f32 " : "f32.f32 ") + list("d", 8) + ", " + list("u", count) + ", " + list("v", count) +
        ", " + list("c", 8) + ";\nwmma.store.d.sync.aligned.row.m16n16k16.shared.f32 [%s+2048], " + list("d", 8) +
        ", 16;\nbar.sync 0;\nld.shared.v4.u32 {%o0, %o1, %o2, %o3}, [%i+2048];\n}";
    form.in = inputs([brain](uint32_t l) {
      constexpr uint32_t kHalf[] = {0, 0x3c00, 0x4000, 0xbc00}, kBrain[] = {0, 0x3f80, 0x4000, 0xbf80};
      Words w;
      for (uint32_t i = 0; i < 4; ++i) {
        const uint32_t low = scramble(8 * l + i) % 4, high = scramble(8 * l + i + 4) % 4;
        w[i] = (brain ? kBrain : kHalf)[low] | (brain ? kBrain : kHalf)[high] << 16;
      }
      return w;
    });
    form.reference = [brain](const Lanes& in, size_t first, unsigned lane) {
      const auto at = [&](size_t row, size_t column) -> float {
        const size_t word = row * 8 + column / 2;
        const uint32_t bits = (in[first + word / 4][word % 4] >> (16 * (column % 2))) & 0xffff;
        return bits == 0 ? 0.0f : bits == 0x4000 ? 2.0f : bits == (brain ? 0x3f80u : 0x3c00u) ? 1.0f : -1.0f;
      };
      Words out;
      for (size_t i = 0; i < 4; ++i) {
        float sum = 3;
        for (size_t k = 0; k < 16; ++k) sum += at(lane / 4, k) * at(lane % 4 * 4 + i, k);
        std::memcpy(&out[i], &sum, 4);
      }
      return out;
    };
    forms.push_back(form);
  }
}

void barriers(std::vector<LaneForm>& forms) {
  LaneForm phases;
  phases.name = "mbarrier.arrive, test_wait, parity, arrive_drop, inval";
  phases.code =
      "setp.eq.u32 %q, %lane, 0;\n@%q mbarrier.init.shared.b64 [%s], 32;\nbar.warp.sync "
      "-1;\nmbarrier.arrive.shared.b64 %x, [%s];\nW0:\n"
      "mbarrier.test_wait.shared.b64 %p, [%s], %x;\n@!%p bra W0;\nbar.warp.sync "
      "-1;\nmbarrier.test_wait.parity.shared.b64 %p, [%s], 0;\n"
      "selp.u32 %o0, 1, 0, %p;\nmbarrier.test_wait.parity.shared.b64 %p, [%s], 1;\nselp.u32 %o1, 1, 0, "
      "%p;\nbar.warp.sync -1;\nsetp.ge.u32 %r, "
      "%lane, 16;\n@%r mbarrier.arrive_drop.shared.b64 _, [%s];\n@!%r mbarrier.arrive.shared.b64 %x, "
      "[%s];\nW1:\nmbarrier.test_wait.parity.shared.b64 "
      "%p, [%s], 1;\n@!%p bra W1;\nbar.warp.sync -1;\nmbarrier.arrive.noComplete.shared.b64 %x, [%s+1024], 1;\n";
  // Half of the lanes are left: after one of them arrived 15 are pending.
  phases.code.replace(phases.code.find("mbarrier.arrive.noComplete"), std::string::npos,
                      "@%q mbarrier.arrive.noComplete.shared.b64 %x, [%s], 2;\n@%q mbarrier.arrive.shared.b64 %x, "
                      "[%s];\n@%q mbarrier.pending_count.b64 "
                      "%o2, %x;\nbar.warp.sync -1;\n@%q mbarrier.inval.shared.b64 [%s];");
  phases.in = inputs([](uint32_t) { return Words{}; });
  phases.reference = [](const Lanes&, size_t, unsigned lane) { return Words{1, 0, lane == 0 ? 14u : 0u, 0}; };
  forms.push_back(phases);
  for (const bool increments : {false, true}) {
    LaneForm copies;
    copies.name = std::string("cp.async.mbarrier.arrive") + (increments ? "" : ".noinc");
    copies.code = "setp.eq.u32 %q, %lane, 0;\n@%q mbarrier.init.shared.b64 [%s], " +
                  std::string(increments ? "32" : "64") +
                  ";\nbar.warp.sync -1;\nmul.lo.u32 %i, %lane, 16;\nadd.u32 %i, %i, %s;\ncp.async.ca.shared.global "
                  "[%i+64], [%in], 16;\n" +
                  copies.name +
                  ".shared.b64 [%s];\nmbarrier.arrive.shared.b64 %x, [%s];\nW:\nmbarrier.test_wait.shared.b64 %p, "
                  "[%s], %x;\n@!%p bra "
                  "W;\nxor.b32 %j, %lane, 5;\nmul.lo.u32 %j, %j, 16;\nadd.u32 %j, %j, %s;\nld.shared.v4.u32 {%o0, %o1, "
                  "%o2, %o3}, [%j+64];";
    copies.in = inputs([](uint32_t l) { return Words{l, scramble(l), ~l, 7}; });
    copies.reference = [](const Lanes& in, size_t first, unsigned lane) { return in[first + (lane ^ 5)]; };
    forms.push_back(copies);
  }
}

}  // namespace

void more_matrix_forms(Device& device, Tally& tally) {
  std::vector<LaneForm> forms;
  bytes(forms);
  doubles(forms);
  wmma(forms);
  barriers(forms);
  run_lane_forms(device, tally, forms);
}

}  // namespace conformance
