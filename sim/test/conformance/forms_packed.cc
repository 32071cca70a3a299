// Bytes and halves of a word: dp2a, video instructions, pairs of 16-bit integers, 8-bit floats.
#include <algorithm>
#include <cmath>

#include "forms.h"

namespace conformance {
namespace {

int64_t lane(uint64_t word, int i, int bits, bool sign) {
  const int64_t x = static_cast<int64_t>((word >> (bits * i)) & ((uint64_t{1} << bits) - 1));
  return sign && x >= (int64_t{1} << (bits - 1)) ? x - (int64_t{1} << bits) : x;
}
const Values kBytes = {0,          1,          0x7f,       0x80,       0xff,       0x00ff7f80, 0x80007fff,
                       0x8000ffff, 0x01020304, 0xfffefdfc, 0xdeadbeef, 0x7f7f8080, 0xffffffff, 0x12345678};
using Apply = int64_t (*)(int64_t, int64_t);

ScalarForm three(const std::string& name, std::function<uint64_t(const uint64_t*)> reference, int sm = 80) {
  ScalarForm form{name, name + " %o, %a, %b, %c;", 'r', "rrr", {&kBytes, &kBytes, &kShifts}, std::move(reference)};
  form.sm = sm;
  return form;
}

void dot_products(std::vector<ScalarForm>& forms) {
  for (const bool high : {false, true}) {
    for (const bool a : {false, true}) {
      for (const bool b : {false, true}) {
        forms.push_back(
            three(std::string("dp2a.") + (high ? "hi" : "lo") + (a ? ".s32" : ".u32") + (b ? ".s32" : ".u32"),
                  [=](const uint64_t* v) {
                    int64_t sum = static_cast<int64_t>(v[2]);
                    for (int i = 0; i < 2; ++i) sum += lane(v[0], i, 16, a) * lane(v[1], i + (high ? 2 : 0), 8, b);
                    return static_cast<uint64_t>(sum) & 0xffffffff;
                  }));
      }
    }
  }
}

void video(std::vector<ScalarForm>& forms) {
  struct Op {
    const char* name;
    Apply apply;
    bool saturates;
  };
  const Op kOps[] = {
      {"vadd", [](int64_t x, int64_t y) { return x + y; }, true},
      {"vsub", [](int64_t x, int64_t y) { return x - y; }, true},
      {"vabsdiff", [](int64_t x, int64_t y) { return x < y ? y - x : x - y; }, true},
      {"vmin", [](int64_t x, int64_t y) { return std::min(x, y); }, false},
      {"vmax", [](int64_t x, int64_t y) { return std::max(x, y); }, false},
      {"vavrg", [](int64_t x, int64_t y) { return x + y >= 0 ? (x + y + 1) >> 1 : (x + y) >> 1; }, false}};
  const auto clamp = [](int64_t x, int bits, bool sign) {
    const int64_t high = (int64_t{1} << (sign ? bits - 1 : bits)) - 1;
    return std::clamp(x, sign ? -high - 1 : 0, high);
  };
  for (const Op& op : kOps) {
    const Apply apply = op.apply;
    for (const bool sign : {false, true}) {
      const std::string type = sign ? ".s32" : ".u32", types = type + type + type;
      for (const int count : {2, 4}) {
        const int bits = 32 / count;
        for (const std::string how : {"", ".sat", ".add"}) {
          if (how == ".sat" && !op.saturates) continue;
          forms.push_back(three(op.name + std::to_string(count) + types + how, [=](const uint64_t* v) {
            uint64_t result = 0, sum = v[2];
            for (int i = 0; i < count; ++i) {
              int64_t t = apply(lane(v[0], i, bits, sign), lane(v[1], i, bits, sign));
              if (how == ".sat") t = clamp(t, bits, sign);
              sum += static_cast<uint64_t>(t);
              result |= (static_cast<uint64_t>(t) & ((uint64_t{1} << bits) - 1)) << (bits * i);
            }
            return (how == ".add" ? sum : result) & 0xffffffff;
          }));
        }
      }
      if (op.name == std::string("vavrg")) continue;
      for (const std::string how : {"", ".sat"}) {
        ScalarForm form = three(op.name + types + how, [=](const uint64_t* v) {
          const int64_t t = apply(lane(v[0], 2, 8, sign), lane(v[1], 1, 16, sign));
          return static_cast<uint64_t>(how.empty() ? t : clamp(t, 32, sign)) & 0xffffffff;
        });
        form.code = form.name + " %o, %a.b2, %b.h1;";
        forms.push_back(form);
      }
    }
  }
  forms.push_back(three("vset4.s32.s32.lt.add", [](const uint64_t* v) {
    uint64_t sum = v[2];
    for (int i = 0; i < 4; ++i) sum += lane(v[0], i, 8, true) < lane(v[1], i, 8, true) ? 1 : 0;
    return sum & 0xffffffff;
  }));
  ScalarForm shift = three("vshl.u32.u32.u32.wrap", [](const uint64_t* v) {
    return (lane(v[0], 1, 16, false) << (lane(v[1], 0, 8, false) & 31)) & 0xffffffff;
  });
  shift.code = shift.name + " %o, %a.h1, %b.b0;";
  forms.push_back(shift);
  ScalarForm second = three("vadd.s32.s32.s32.max", [](const uint64_t* v) {
    const int32_t sum = static_cast<int32_t>(static_cast<uint32_t>(lane(v[0], 0, 8, true) + lane(v[1], 3, 8, true)));
    return static_cast<uint64_t>(static_cast<uint32_t>(std::max(sum, static_cast<int32_t>(v[2]))));
  });
  second.code = second.name + " %o, %a.b0, %b.b3, %c;";
  forms.push_back(second);
}

void pairs(std::vector<ScalarForm>& forms) {
  struct Op {
    const char* name;
    Apply apply;
    bool sign, relu;
  };
  const Op kOps[] = {{"add.u16x2", [](int64_t x, int64_t y) { return x + y; }, false, false},
                     {"add.s16x2", [](int64_t x, int64_t y) { return x + y; }, true, false},
                     {"min.u16x2", [](int64_t x, int64_t y) { return std::min(x, y); }, false, false},
                     {"min.s16x2", [](int64_t x, int64_t y) { return std::min(x, y); }, true, false},
                     {"max.u16x2", [](int64_t x, int64_t y) { return std::max(x, y); }, false, false},
                     {"max.s16x2.relu", [](int64_t x, int64_t y) { return std::max(x, y); }, true, true}};
  for (const Op& op : kOps) {
    std::string code = op.name;
    if (op.relu) code = "max.relu.s16x2";
    ScalarForm form{code, code + " %o, %a, %b;", 'r', "rr", {&kBytes, &kBytes}, [op](const uint64_t* v) {
                      uint64_t result = 0;
                      for (int i = 0; i < 2; ++i) {
                        const int64_t r = op.apply(lane(v[0], i, 16, op.sign), lane(v[1], i, 16, op.sign));
                        result |= (static_cast<uint64_t>(op.relu ? std::max<int64_t>(r, 0) : r) & 0xffff) << (16 * i);
                      }
                      return result;
                    }};
    form.sm = 90;
    forms.push_back(form);
  }
}

/// What the code of an 8-bit float is worth.
double eight(uint64_t code, bool e5m2) {
  const int mantissa = e5m2 ? 2 : 3, bias = e5m2 ? 15 : 7;
  const int exponent = static_cast<int>((code & 0x7f) >> mantissa),
            fraction = static_cast<int>(code & ((1u << mantissa) - 1));
  if (e5m2 ? exponent == 31 : (code & 0x7f) == 0x7f) return e5m2 && fraction == 0 ? HUGE_VAL : std::nan("");
  return exponent == 0 ? std::ldexp(fraction, 1 - bias - mantissa)
                       : std::ldexp(fraction + (1 << mantissa), exponent - bias - mantissa);
}

void eight_bits(std::vector<ScalarForm>& forms) {
  static const Values kCodes = [] {
    Values all;
    for (uint64_t i = 0; i < 256; ++i) all.push_back(i | ((i * 37 + 11) & 0xff) << 8);
    return all;
  }();
  for (const bool e5m2 : {false, true}) {
    const std::string name = e5m2 ? "e5m2x2" : "e4m3x2";
    ScalarForm narrow{"cvt.rn.satfinite." + name + ".f32",
                      "cvt.rn.satfinite." + name + ".f32 %o, %a, %b;",
                      'h',
                      "ff",
                      {&kSingles, &kFewSingles},
                      [e5m2](const uint64_t* v) {
                        // The nearest of all codes that are finite; of two, the even one.
                        const auto one = [&](uint64_t bits) -> uint64_t {
                          const double x = static_cast<double>(decode(bits & 0x7fffffff, kF32));
                          if (x != x) return 0x7f;
                          uint64_t best = 0;
                          for (uint64_t code = 0; code < 0x7f; ++code) {
                            const double c = eight(code, e5m2), b = eight(best, e5m2);
                            if (!std::isfinite(c)) continue;
                            const double near = std::abs(c - x), before = std::abs(b - x);
                            if (near < before || (near == before && (code & 1) == 0)) best = code;
                          }
                          if (x >= (e5m2 ? 57344 : 448)) best = e5m2 ? 0x7b : 0x7e;
                          return best | (bits >> 31) << 7;
                        };
                        return one(v[0]) << 8 | one(v[1]);
                      }};
    narrow.sm = 90;
    forms.push_back(narrow);
    ScalarForm wide{
        "cvt.rn.f16x2." + name, "cvt.rn.f16x2." + name + " %o, %a;", 'r', "h", {&kCodes}, [e5m2](const uint64_t* v) {
          uint64_t result = 0;
          for (int i = 0; i < 2; ++i) {
            const uint64_t code = (v[0] >> (8 * i)) & 0xff;
            const double x = eight(code, e5m2);
            uint64_t half = x != x ? 0x7fff : x == HUGE_VAL ? 0x7c00 : 0;
            if (std::isfinite(x) && x != 0) {
              const int e = std::max(std::ilogb(x), -14);
              const uint64_t steps = static_cast<uint64_t>(std::ldexp(x, 10 - e));
              half = steps + static_cast<uint64_t>(e + 14) * 1024;
            }
            result |= (half | (x != x ? 0 : (code >> 7) << 15)) << (16 * i);
          }
          return result;
        }};
    wide.sm = 90;
    forms.push_back(wide);
  }
}

}  // namespace

void packed_forms(std::vector<ScalarForm>& forms) {
  dot_products(forms);
  video(forms);
  pairs(forms);
  eight_bits(forms);
}

}  // namespace conformance
