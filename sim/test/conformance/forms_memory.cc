// Loads and stores of every width and space, atomics, cp.async with zero fill.
#include <cstring>

#include "lane_kernel.h"
#include "rounding.h"

namespace conformance {
namespace {

Lanes inputs(const std::function<Words(uint32_t lane)>& make) {
  Lanes in;
  for (uint32_t l = 0; l < 64; ++l) in.push_back(make(l));
  return in;
}
Words edge(uint32_t l) {
  constexpr uint32_t kEdges[] = {0,      1,          0x7f,       0x80,       0xff,       0x7fff,     0x8000,
                                 0xffff, 0x12345678, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 0xdeadbeef};
  return {kEdges[l % 14], kEdges[(l / 3) % 14], kEdges[(l * 5 + 1) % 14], 0x9abcdef0u + l};
}

uint64_t low_bits(uint64_t x, int bits) {
  return bits == 64 ? x : x & ((uint64_t{1} << bits) - 1);
}

/// ld of 8 to 64 bits into a 64-bit register: the upper bits are zero or the sign.
void loads(std::vector<LaneForm>& forms) {
  const Lanes in = inputs(edge);
  for (const std::string space : {"global", "shared", "local", "generic"}) {
    for (const std::string type : {"u8", "s8", "u16", "s16", "u32", "s32", "b32", "u64", "s64"}) {
      const int bits = std::stoi(type.substr(1));
      const std::string dotted = space == "generic" ? "" : "." + space;
      // Into which the lane's four words are written first; then read back at offset 8.
      std::string code, base = "%x";
      if (space == "global") {
        code = "mov.u64 %x, %out;\n";
      } else if (space == "generic") {
        code = "cvta.global.u64 %x, %out;\n";
      } else if (space == "shared") {
        code = "mul.lo.u32 %i, %lane, 16;\nmov.u32 %j, %tid.x;\nmul.lo.u32 %j, %j, 16;\nadd.u32 %i, %s, %j;\n";
        base = "%i";
      } else {
        code = "mov.u64 %x, frame;\n";
      }
      code = "{\n.local .align 16 .b8 frame[32];\n" + code + "st" + dotted + ".v4.u32 [" + base +
             "], {%a0, %a1, %a2, %a3};\n" + "ld" + dotted + "." + type + " %y, [" + base +
             "+8];\nmov.b64 {%o0, %o1}, %y;\n}";
      LaneForm form;
      form.name = "ld" + dotted + "." + type;
      form.code = code;
      form.in = in;
      form.block = 64;
      form.reference = [bits, type](const Lanes& v, size_t first, unsigned lane) {
        const Words& w = v[first + lane];
        uint64_t x = low_bits(w[2] | uint64_t{w[3]} << 32, bits);
        if (type[0] == 's' && bits < 64 && ((x >> (bits - 1)) & 1) != 0) x |= ~uint64_t{0} << bits;
        return Words{static_cast<uint32_t>(x), static_cast<uint32_t>(x >> 32), 0, 0};
      };
      forms.push_back(form);
    }
  }
  for (const std::string type : {"b8", "b16", "b32", "b64"}) {
    const int bits = std::stoi(type.substr(1));
    for (const std::string space : {"global", "shared"}) {
      LaneForm form;
      form.name = "st." + space + "." + type;
      const std::string base = space == "global" ? "%out" : "%i";
      form.code = "mov.u32 %j, %tid.x;\nmul.lo.u32 %j, %j, 16;\nadd.u32 %i, %s, %j;\nmov.b64 %x, {%a0, %a1};\nst." +
                  space + ".v4.u32 [" + base + "], {%a2, %a2, %a2, %a2};\nst." + space + "." + type + " [" + base +
                  "+8], %x;\nld." + space + ".v4.u32 {%o0, %o1, %o2, %o3}, [" + base + "];";
      form.in = in;
      form.block = 64;
      form.reference = [bits](const Lanes& v, size_t first, unsigned lane) {
        const Words& w = v[first + lane];
        uint64_t pair = w[2] | uint64_t{w[2]} << 32;
        const uint64_t value = w[0] | uint64_t{w[1]} << 32;
        pair = (pair & ~low_bits(~uint64_t{0}, bits)) | low_bits(value, bits);
        return Words{w[2], w[2], static_cast<uint32_t>(pair), static_cast<uint32_t>(pair >> 32)};
      };
      forms.push_back(form);
    }
  }
  for (const char* modifier : {"", ".volatile", ".relaxed.gpu", ".acquire.gpu", ".nc", ".ca", ".cg", ".cs",
                               ".L1::no_allocate", ".nc.L1::no_allocate.L2::128B"}) {
    LaneForm form;
    const std::string m = modifier;
    // The order of modifiers differs: ld.volatile.global, ld.relaxed.gpu.global, but ld.global.nc and ld.global.ca.
    const bool first = m == ".volatile" || m.find("gpu") != std::string::npos;
    const std::string opcode = first ? "ld" + m + ".global" : "ld.global" + m;
    form.name = opcode + ".v2.u32 and .v2.u64";
    form.code = opcode + ".v2.u32 {%o0, %o1}, [%in];\n" + opcode + ".v2.u64 {%x, %y}, [%in];\nmov.b64 {%o2, %o3}, %y;";
    form.in = in;
    form.reference = [](const Lanes& v, size_t start, unsigned lane) { return v[start + lane]; };
    forms.push_back(form);
  }
}

/// On a word of each lane's own: the old value, then the new one.
void atomics(std::vector<LaneForm>& forms) {
  struct Op {
    const char* name;
    uint64_t (*apply)(uint64_t old, uint64_t b, uint64_t c);
  };
  const Op kOps[] = {
      {"add.u32", [](uint64_t a, uint64_t b, uint64_t) { return a + b; }},
      {"add.s32", [](uint64_t a, uint64_t b, uint64_t) { return a + b; }},
      {"min.u32", [](uint64_t a, uint64_t b, uint64_t) { return a < b ? a : b; }},
      {"max.u32", [](uint64_t a, uint64_t b, uint64_t) { return a > b ? a : b; }},
      {"min.s32",
       [](uint64_t a, uint64_t b, uint64_t) { return static_cast<int32_t>(a) < static_cast<int32_t>(b) ? a : b; }},
      {"max.s32",
       [](uint64_t a, uint64_t b, uint64_t) { return static_cast<int32_t>(a) > static_cast<int32_t>(b) ? a : b; }},
      {"and.b32", [](uint64_t a, uint64_t b, uint64_t) { return a & b; }},
      {"or.b32", [](uint64_t a, uint64_t b, uint64_t) { return a | b; }},
      {"xor.b32", [](uint64_t a, uint64_t b, uint64_t) { return a ^ b; }},
      {"exch.b32", [](uint64_t, uint64_t b, uint64_t) { return b; }},
      {"inc.u32", [](uint64_t a, uint64_t b, uint64_t) { return a >= b ? 0 : a + 1; }},
      {"dec.u32", [](uint64_t a, uint64_t b, uint64_t) { return a == 0 || a > b ? b : a - 1; }},
      {"cas.b32", [](uint64_t a, uint64_t b, uint64_t c) { return a == b ? c : a; }},
      {"add.f32",
       [](uint64_t a, uint64_t b, uint64_t) {
         return encode(sum(decode(a, kF32), decode(b, kF32)), kF32, Mode::kNearest, 0x7fffffff);
       }},
      {"add.noftz.f16x2",
       [](uint64_t a, uint64_t b, uint64_t) {
         uint64_t r = 0;
         for (int half : {0, 16}) {
           r |= encode(sum(decode((a >> half) & 0xffff, kF16), decode((b >> half) & 0xffff, kF16)), kF16,
                       Mode::kNearest, 0x7fff)
                << half;
         }
         return r;
       }},
  };
  // Normal numbers for the floating-point forms: what subnormal ones do differs between memories.
  const Lanes integers = inputs(edge), floats = inputs([](uint32_t l) {
                                         constexpr uint32_t kValues[] = {0x3c003c00, 0xbc004200, 0x44008000, 0x3f800000,
                                                                         0x40490fdb, 0xc2f6e979, 0x7bff3c00};
                                         return Words{kValues[l % 7], kValues[l / 7 % 7], 0, 0};
                                       });
  for (const Op& op : kOps) {
    const std::string name = op.name;
    const bool is_float = name.find("f16") != std::string::npos || name.find("f32") != std::string::npos,
               cas = name.substr(0, 3) == "cas";
    for (const std::string space : {"global", "shared", ""}) {
      if (space == "shared" && name.find("f16") != std::string::npos) continue;
      const std::string dotted = space.empty() ? "" : "." + space, base = space == "shared" ? "%i" : "%x",
                        plain = space == "shared" ? ".shared" : ".global";
      const std::string at = space == "shared" ? "%i" : "%out";
      for (const bool returns : {true, false}) {
        if (!returns && (cas || name.substr(0, 4) == "exch")) continue;
        LaneForm form;
        form.name = (returns ? "atom" : "red") + dotted + "." + name;
        form.code = std::string("mov.u32 %j, %tid.x;\nmul.lo.u32 %j, %j, 4;\nadd.u32 %i, %s, %j;\n") +
                    (space.empty() ? "cvta.global.u64 %x, %out;\n" : "mov.u64 %x, %out;\n") + "st" + plain + ".u32 [" +
                    at + "], %a0;\n" +
                    (returns ? "atom" + dotted + "." + name + " %o0, [" : "red" + dotted + "." + name + " [") + base +
                    "], %a1" + (cas ? ", %a2" : "") + ";\nld" + plain + ".u32 %o1, [" + at + "];";
        if (name == "add.f32") {  // floating-point registers
          form.code = "{\n.reg .f32 %f, %g;\nmov.b32 %f, %a1;\n" + form.code + "\n}";
          form.code.replace(form.code.find("], %a1"), 6, "], %f");
          if (returns) {
            form.code.replace(form.code.find("%o0, ["), 4, "%g, ");
            form.code.insert(form.code.rfind("\n}"), "\nmov.b32 %o0, %g;");
          }
        }
        form.in = is_float ? floats : integers;
        if (cas) {
          for (size_t l = 0; l < form.in.size(); l += 2) form.in[l][1] = form.in[l][0];
        }
        form.block = 64;
        const auto apply = op.apply;
        form.reference = [apply, returns](const Lanes& v, size_t first, unsigned lane) {
          const Words& w = v[first + lane];
          return Words{returns ? w[0] : 0, static_cast<uint32_t>(apply(w[0], w[1], w[2])), 0, 0};
        };
        forms.push_back(form);
      }
    }
  }
  // All lanes of two warps on one word.
  LaneForm all;
  all.name = "atom.shared.add.u32 on one word";
  all.code =
      "setp.eq.u32 %p, %a3, 1;\n@%p st.shared.u32 [%s], 0;\nbar.sync 0;\natom.shared.add.u32 %o0, [%s], %a0;\nbar.sync "
      "0;\nld.shared.u32 %o1, [%s];\nmov.u32 "
      "%o0, 0;";
  all.in = inputs([](uint32_t l) { return Words{l * l, 0, 0, l == 0 ? 1u : 0u}; });
  all.block = 64;
  all.reference = [](const Lanes&, size_t, unsigned) { return Words{0, 63 * 64 * 127 / 6, 0, 0}; };
  forms.push_back(all);
}

void copies(std::vector<LaneForm>& forms) {
  for (const std::string level : {"ca", "cg"}) {
    for (int size : {4, 8, 16}) {
      if (level == "cg" && size != 16) continue;
      for (const bool shortened : {false, true}) {
        LaneForm form;
        form.name =
            "cp.async." + level + " of " + std::to_string(size) + (shortened ? " bytes with a source size" : " bytes");
        form.code =
            "mov.u32 %j, %tid.x;\nmul.lo.u32 %j, %j, 16;\nadd.u32 %i, %s, %j;\nst.shared.v4.u32 [%i], {7, 7, 7, "
            "7};\ncp.async." +
            level + ".shared.global [%i], [%in], " + std::to_string(size) + (shortened ? ", %a3" : "") +
            ";\ncp.async.commit_group;\ncp.async.wait_group 0;\nld.shared.v4.u32 {%o0, %o1, %o2, %o3}, [%i];";
        form.in = inputs([size](uint32_t l) {
          return Words{l + 1, ~l, l * 0x1010101u, l % static_cast<uint32_t>(size + 1)};
        });
        form.block = 64;
        form.reference = [size, shortened](const Lanes& v, size_t first, unsigned lane) {
          const Words& w = v[first + lane];
          Words out{7, 7, 7, 7};
          std::memset(out.data(), 0, static_cast<size_t>(size));
          std::memcpy(out.data(), w.data(), shortened ? w[3] : static_cast<size_t>(size));
          return out;
        };
        forms.push_back(form);
      }
    }
  }
  LaneForm groups;
  groups.name = "cp.async.wait_group leaves later groups in flight";
  groups.code =
      "mov.u32 %j, %tid.x;\nmul.lo.u32 %j, %j, 16;\nadd.u32 %i, %s, %j;\ncp.async.ca.shared.global [%i], [%in], "
      "4;\ncp.async.commit_group;\ncp.async.ca.shared."
      "global [%i+4], [%in+4], 4;\ncp.async.commit_group;\ncp.async.wait_group 1;\nld.shared.u32 %o0, "
      "[%i];\ncp.async.wait_all;\nld.shared.u32 %o1, [%i+4];";
  groups.in = inputs(edge);
  groups.block = 64;
  groups.reference = [](const Lanes& v, size_t first, unsigned lane) {
    return Words{v[first + lane][0], v[first + lane][1], 0, 0};
  };
  forms.push_back(groups);
}

}  // namespace

void memory_forms(Device& device, Tally& tally) {
  std::vector<LaneForm> forms;
  loads(forms);
  atomics(forms);
  copies(forms);
  run_lane_forms(device, tally, forms);
}

}  // namespace conformance
