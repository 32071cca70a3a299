// Exchanges between lanes, block barriers with a reduction: shfl, vote, match, redux, bar.red, activemask, elect.
#include "lane_kernel.h"

namespace conformance {
namespace {

uint32_t scramble(uint32_t x) {
  x ^= x >> 16, x *= 0x7feb352d, x ^= x >> 15, x *= 0x846ca68b;
  return x ^ (x >> 16);
}

/// Warps whose words are (a value, a lane or distance, a second value, the member mask).
Lanes inputs(size_t warps, const std::function<Words(size_t warp, uint32_t lane)>& make) {
  Lanes in;
  for (size_t w = 0; w < warps; ++w) {
    for (uint32_t l = 0; l < 32; ++l) in.push_back(make(w, l));
  }
  return in;
}
const uint32_t kMasks[] = {0xffffffff, 0x0000ffff, 0x80000001, 0x55555555, 0x0000fff0, 0x00000100};

void shuffles(std::vector<LaneForm>& forms) {
  for (const std::string mode : {"up", "down", "bfly", "idx"}) {
    for (uint32_t width : {32u, 16u, 8u, 2u}) {
      const uint32_t control = (32 - width) << 8 | (mode == "up" ? 0 : 31);
      LaneForm form;
      form.name = "shfl.sync." + mode + ".b32 width " + std::to_string(width);
      form.code =
          "shfl.sync." + mode + ".b32 %o0|%p, %a0, %a1, " + std::to_string(control) + ", -1;\nselp.u32 %o1, 1, 0, %p;";
      // 16 warps with one distance for all lanes, then warps where every lane has its own (for idx only: a lane there is read by any).
      form.in = inputs(20, [&](size_t w, uint32_t l) {
        const uint32_t by = w < 16          ? static_cast<uint32_t>(w * 2 + (w & 1)) & 31
                            : mode == "idx" ? scramble(l + 40 * static_cast<uint32_t>(w)) & 31
                                            : 1;
        return Words{scramble(l + 1000 * static_cast<uint32_t>(w)), by, 0, 1};
      });
      form.reference = [mode, width](const Lanes& in, size_t first, unsigned lane) {
        const int by = static_cast<int>(in[first + lane][1]), start = static_cast<int>(lane / width * width),
                  l = static_cast<int>(lane);
        const int end = start + static_cast<int>(width);
        int from = mode == "up"     ? l - by
                   : mode == "down" ? l + by
                   : mode == "bfly" ? l ^ by
                                    : start + by % static_cast<int>(width);
        const bool ok = mode == "up" ? from >= start : from < end;
        if (!ok) from = l;
        return Words{in[first + static_cast<size_t>(from)][0], ok ? 1u : 0u, 0, 0};
      };
      forms.push_back(form);
    }
  }
}

/// Lanes outside of the mask step aside; the instruction stands under a guard.
std::string guarded(const std::string& code) {
  return "shr.u32 %o3, %a3, %lane;\nand.b32 %o3, %o3, 1;\nsetp.ne.u32 %r, %o3, 0;\nmov.u32 %o3, 0;\nsetp.ne.u32 %q, "
         "%a0, 0;\n" +
         code;
}

void votes(std::vector<LaneForm>& forms) {
  const Lanes in = inputs(24, [](size_t w, uint32_t l) {
    const uint32_t kind = static_cast<uint32_t>(w) % 4, mask = kMasks[w / 4];
    return Words{kind == 0   ? 0
                 : kind == 1 ? 1
                 : kind == 2 ? scramble(l + static_cast<uint32_t>(w)) & 1
                 : l == 8    ? 1u
                             : 0u,
                 0, 0, mask};
  });
  for (const std::string mode : {"all", "any", "uni", "ballot"}) {
    const bool ballot = mode == "ballot";
    LaneForm form;
    form.name = "vote.sync." + mode;
    form.code = guarded(ballot ? "@%r vote.sync.ballot.b32 %o0, %q, %a3;"
                               : "@%r vote.sync." + mode + ".pred %p, %q, %a3;\n@%r selp.u32 %o0, 1, 0, %p;");
    form.in = in;
    form.reference = [mode](const Lanes& v, size_t first, unsigned lane) {
      const uint32_t mask = v[first + lane][3];
      if (((mask >> lane) & 1) == 0) return Words{};
      uint32_t yes = 0, no = 0;
      for (uint32_t l = 0; l < 32; ++l) {
        if (((mask >> l) & 1) != 0) (v[first + l][0] != 0 ? yes : no) |= 1u << l;
      }
      const uint32_t result = mode == "all"   ? no == 0
                              : mode == "any" ? yes != 0
                              : mode == "uni" ? no == 0 || yes == 0
                                              : yes;
      return Words{result, 0, 0, 0};
    };
    forms.push_back(form);
  }
}

void matches(std::vector<LaneForm>& forms) {
  const Lanes in = inputs(18, [](size_t w, uint32_t l) {
    const uint32_t kind = static_cast<uint32_t>(w) % 3;
    return Words{kind == 0   ? 7
                 : kind == 1 ? scramble(l * 7 + static_cast<uint32_t>(w)) & 3
                             : l,
                 kind == 0 ? 9 : l & 1, 0, kMasks[w / 3]};
  });
  for (const bool wide : {false, true}) {
    for (const bool all : {false, true}) {
      const std::string type = wide ? "b64" : "b32", value = wide ? "%x" : "%a0";
      LaneForm form;
      form.name = std::string("match.") + (all ? "all" : "any") + ".sync." + type;
      form.code =
          guarded(std::string("mov.b64 %x, {%a0, %a1};\n") + "@%r match." + (all ? "all" : "any") + ".sync." + type +
                  (all ? " %o0|%p, " : " %o0, ") + value + ", %a3;\n" + (all ? "@%r selp.u32 %o1, 1, 0, %p;" : ""));
      form.in = in;
      form.reference = [wide, all](const Lanes& v, size_t first, unsigned lane) {
        const uint32_t mask = v[first + lane][3];
        if (((mask >> lane) & 1) == 0) return Words{};
        uint32_t same = 0;
        for (uint32_t l = 0; l < 32; ++l) {
          const bool equal = v[first + l][0] == v[first + lane][0] && (!wide || v[first + l][1] == v[first + lane][1]);
          if (((mask >> l) & 1) != 0 && equal) same |= 1u << l;
        }
        if (!all) return Words{same, 0, 0, 0};
        return Words{same == mask ? mask : 0, same == mask ? 1u : 0u, 0, 0};
      };
      forms.push_back(form);
    }
  }
}

void reductions(std::vector<LaneForm>& forms) {
  const Lanes in = inputs(12, [](size_t w, uint32_t l) {
    const uint32_t x = scramble(l + 77 * static_cast<uint32_t>(w));
    return Words{w % 2 == 0 ? x : x | 0x80000000u, 0, 0, kMasks[w / 2]};
  });
  for (const std::string form_name :
       {"add.u32", "add.s32", "min.u32", "min.s32", "max.u32", "max.s32", "and.b32", "or.b32", "xor.b32"}) {
    LaneForm form;
    form.name = "redux.sync." + form_name;
    form.code = guarded("@%r redux.sync." + form_name + " %o0, %a0, %a3;");
    form.in = in;
    form.reference = [form_name](const Lanes& v, size_t first, unsigned lane) {
      const uint32_t mask = v[first + lane][3];
      if (((mask >> lane) & 1) == 0) return Words{};
      const bool sign = form_name[4] == 's';
      uint32_t total = 0;
      bool any = false;
      for (uint32_t l = 0; l < 32; ++l) {
        if (((mask >> l) & 1) == 0) continue;
        const uint32_t x = v[first + l][0];
        const bool less = sign ? static_cast<int32_t>(x) < static_cast<int32_t>(total) : x < total;
        if (!any) {
          total = x;
        } else if (form_name[0] == 'a' && form_name[1] == 'd') {
          total += x;
        } else if (form_name[0] == 'm') {
          total = less == (form_name[1] == 'i') ? x : total;
        } else {
          total = form_name[0] == 'a' ? total & x : form_name[0] == 'o' ? total | x : total ^ x;
        }
        any = true;
      }
      return Words{total, 0, 0, 0};
    };
    forms.push_back(form);
  }
}

void barriers(std::vector<LaneForm>& forms) {
  // Blocks of four warps; a count over all of them.
  const Lanes in = inputs(12, [](size_t w, uint32_t l) {
    return Words{w < 4 ? 1u : w < 8 ? 0u : scramble(l + static_cast<uint32_t>(w)) & 1, 0, 0, 1};
  });
  for (const std::string mode : {"popc", "and", "or"}) {
    LaneForm form;
    form.name = "bar.red." + mode;
    form.code = "setp.ne.u32 %q, %a0, 0;\n" + (mode == "popc"
                                                   ? std::string("bar.red.popc.u32 %o0, 0, %q;")
                                                   : "bar.red." + mode + ".pred %p, 1, %q;\nselp.u32 %o0, 1, 0, %p;");
    form.in = in;
    form.block = 128;
    form.reference = [mode](const Lanes& v, size_t first, unsigned) {
      uint32_t count = 0;
      for (size_t l = first / 128 * 128; l < first / 128 * 128 + 128; ++l) count += v[l][0];
      return Words{mode == "popc" ? count : mode == "and" ? count == 128 : count > 0, 0, 0, 0};
    };
    forms.push_back(form);
  }
  LaneForm active;
  active.name = "activemask.b32, %laneid, %lanemask_*";
  active.code =
      "activemask.b32 %o0;\nmov.u32 %o1, %lanemask_lt;\nmov.u32 %o2, %lanemask_ge;\nmov.u32 %o3, %lanemask_eq;";
  active.in = in;
  active.reference = [](const Lanes&, size_t, unsigned lane) {
    const uint32_t below = lane == 0 ? 0 : 0xffffffffu >> (32 - lane);
    return Words{0xffffffff, below, ~below, 1u << lane};
  };
  forms.push_back(active);
  LaneForm elected;
  elected.name = "elect.sync";
  elected.code =
      "elect.sync %o0|%p, -1;\nselp.u32 %o1, 1, 0, %p;\nshfl.sync.idx.b32 %o0, %o0, 0, 31, -1;\nvote.sync.ballot.b32 "
      "%o2, %p, "
      "-1;\npopc.b32 %o2, %o2;\nmov.u32 %o0, 0;\nmov.u32 %o1, 0;";
  elected.in = in;
  elected.sm = 90;
  elected.reference = [](const Lanes&, size_t, unsigned) { return Words{0, 0, 1, 0}; };  // one lane, whichever
  forms.push_back(elected);
}

/// Divergence: a loop whose count depends on the lane, a branch table, nested branches.
void flow(std::vector<LaneForm>& forms) {
  const Lanes in = inputs(4, [](size_t w, uint32_t l) {
    return Words{scramble(l + 9 * static_cast<uint32_t>(w)) % 50, l % 5, 0, 1};
  });
  LaneForm loop;
  loop.name = "a loop of each lane's own length";
  loop.code =
      "LOOP:\nsetp.ge.u32 %p, %o1, %a0;\n@%p bra DONE;\nadd.u32 %o1, %o1, 1;\nadd.u32 %o0, %o0, %o1;\nbra "
      "LOOP;\nDONE:\nvote.sync.ballot.b32 %o2, "
      "%r, -1;";
  loop.in = in;
  loop.reference = [](const Lanes& v, size_t first, unsigned lane) {
    const uint32_t n = v[first + lane][0];
    return Words{n * (n + 1) / 2, n, 0xffffffff, 0};
  };
  forms.push_back(loop);
  LaneForm table;
  table.name = "brx.idx";
  table.code =
      "TABLE: .branchtargets L0, L1, L2, L3, L4;\nbrx.idx %a1, TABLE;\nL0:\nmov.u32 %o0, 10;\nbra END;\nL1:\nmov.u32 "
      "%o0, 21;\nbra "
      "END;\nL2:\nmov.u32 %o0, 32;\nL3:\nadd.u32 %o0, %o0, 43;\nbra END;\nL4:\nmov.u32 %o0, 54;\nEND:\nbar.warp.sync "
      "-1;";
  table.in = in;
  table.reference = [](const Lanes& v, size_t first, unsigned lane) {
    constexpr uint32_t kWant[] = {10, 21, 75, 43, 54};
    return Words{kWant[v[first + lane][1]], 0, 0, 0};
  };
  forms.push_back(table);
  LaneForm call;
  call.name = "call of a device function";
  call.code =
      "{\n.param .b32 argument;\n.param .b32 result;\nst.param.b32 [argument], %a0;\n@%r call.uni (result), square, "
      "(argument);\nld.param.b32 %o0, "
      "[result];\n}";
  call.in = in;
  call.reference = [](const Lanes& v, size_t first, unsigned lane) {
    return Words{v[first + lane][0] * v[first + lane][0] + 1, 0, 0, 0};
  };
  forms.push_back(call);
}

}  // namespace

void warp_forms(Device& device, Tally& tally) {
  std::vector<LaneForm> forms;
  shuffles(forms);
  votes(forms);
  matches(forms);
  reductions(forms);
  barriers(forms);
  flow(forms);
  run_lane_forms(device, tally, forms,
                 ".func (.param .b32 r) square(.param .b32 a)\n{\n.reg .b32 %v;\nld.param.b32 %v, [a];\nmad.lo.u32 %v, "
                 "%v, %v, 1;\nst.param.b32 [r], "
                 "%v;\nret;\n}\n");
}

}  // namespace conformance
