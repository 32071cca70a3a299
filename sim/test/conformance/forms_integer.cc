// Integer arithmetic. The references work in 128 bits and cut the result.
#include "forms.h"

namespace conformance {
namespace {

using Wide = unsigned __int128;
using Signed = __int128;

struct Integer {
  const char* name;
  int bits;
  bool sign;
  char kind;
  const Values* values;
};
const Integer kTypes[] = {{"u16", 16, false, 'h', &kHalfWords}, {"s16", 16, true, 'h', &kHalfWords},
                          {"u32", 32, false, 'r', &kWords},     {"s32", 32, true, 'r', &kWords},
                          {"u64", 64, false, 'd', &kDoubles},   {"s64", 64, true, 'd', &kDoubles}};

uint64_t cut(Wide value, int bits) {
  return static_cast<uint64_t>(bits == 64 ? value : value & ((Wide{1} << bits) - 1));
}
Signed value_of(uint64_t bits, const Integer& type) {
  bits = cut(bits, type.bits);
  if (type.sign && ((bits >> (type.bits - 1)) & 1) != 0)
    return static_cast<Signed>(bits) - (static_cast<Signed>(1) << type.bits);
  return static_cast<Signed>(bits);
}
/// The high half of a product of up to 128 bits.
uint64_t high(Signed a, Signed b, int bits) {
  if (bits < 64) return cut(static_cast<Wide>(a * b) >> bits, bits);
  // Unsigned 64 x 64 does not fit into a signed product.
  const bool minus = (a < 0) != (b < 0);
  const Wide size = static_cast<Wide>(a < 0 ? -a : a) * static_cast<Wide>(b < 0 ? -b : b);
  return static_cast<uint64_t>((minus ? ~size + 1 : size) >> 64);
}
uint64_t low(Signed a, Signed b, int bits) {
  return cut(static_cast<Wide>(a) * static_cast<Wide>(b), bits);
}

template <class F>
void two(std::vector<ScalarForm>& forms, const std::string& name, const Integer& type, F f) {
  forms.push_back({name,
                   name + " %o, %a, %b;",
                   type.kind,
                   std::string(2, type.kind),
                   {type.values, type.values},
                   [type, f](const uint64_t* v) { return f(value_of(v[0], type), value_of(v[1], type)); }});
}

}  // namespace

void integer_forms(std::vector<ScalarForm>& forms) {
  for (const Integer& type : kTypes) {
    const std::string t = std::string(".") + type.name;
    const int bits = type.bits;
    two(forms, "add" + t, type, [bits](Signed a, Signed b) { return cut(static_cast<Wide>(a + b), bits); });
    two(forms, "sub" + t, type, [bits](Signed a, Signed b) { return cut(static_cast<Wide>(a - b), bits); });
    two(forms, "mul.lo" + t, type, [bits](Signed a, Signed b) { return low(a, b, bits); });
    two(forms, "mul.hi" + t, type, [bits](Signed a, Signed b) { return high(a, b, bits); });
    two(forms, "min" + t, type, [bits](Signed a, Signed b) { return cut(static_cast<Wide>(a < b ? a : b), bits); });
    two(forms, "max" + t, type, [bits](Signed a, Signed b) { return cut(static_cast<Wide>(a > b ? a : b), bits); });
    // Division by zero and the overflowing one are left to the machine: not part of the contract.
    static const Values kNotZero16 = {1, 2, 3, 0x7f, 0x1234, 0x7fff, 0x8001},
                        kNotZero32 = {1, 2, 3, 7, 1000, 0x7fffffff, 0x80000001},
                        kNotZero64 = {1, 2, 3, 7, 0x100000001, 0x7fffffffffffffff, 0x8000000000000001};
    const Values* divisors = bits == 16 ? &kNotZero16 : bits == 32 ? &kNotZero32 : &kNotZero64;
    two(forms, "div" + t, type, [bits](Signed a, Signed b) { return cut(static_cast<Wide>(a / b), bits); });
    forms.back().domains[1] = divisors;
    two(forms, "rem" + t, type, [bits](Signed a, Signed b) { return cut(static_cast<Wide>(a % b), bits); });
    forms.back().domains[1] = divisors;
    const std::string three(3, type.kind);
    static const Values kAddends = {
        0, 1, 0x7fff, 0x8000, 0xffff, 0x80000000, 0xffffffff, 0x8000000000000000, 0xffffffffffffffff};
    for (const char* part : {"lo", "hi"}) {
      const bool upper = part[0] == 'h';
      forms.push_back({std::string("mad.") + part + t,
                       std::string("mad.") + part + t + " %o, %a, %b, %c;",
                       type.kind,
                       three,
                       {type.values, type.values, &kAddends},
                       [type, upper](const uint64_t* v) {
                         const Signed a = value_of(v[0], type), b = value_of(v[1], type);
                         return cut(Wide{upper ? high(a, b, type.bits) : low(a, b, type.bits)} + v[2], type.bits);
                       }});
    }
    forms.push_back({"sad" + t,
                     "sad" + t + " %o, %a, %b, %c;",
                     type.kind,
                     three,
                     {type.values, type.values, &kAddends},
                     [type](const uint64_t* v) {
                       const Signed a = value_of(v[0], type), b = value_of(v[1], type);
                       return cut(static_cast<Wide>(a < b ? b - a : a - b) + v[2], type.bits);
                     }});
    if (type.sign) {
      forms.push_back({"abs" + t,
                       "abs" + t + " %o, %a;",
                       type.kind,
                       std::string(1, type.kind),
                       {type.values},
                       [type](const uint64_t* v) {
                         const Signed a = value_of(v[0], type);
                         return cut(static_cast<Wide>(a < 0 ? -a : a), type.bits);
                       }});
      forms.push_back({"neg" + t,
                       "neg" + t + " %o, %a;",
                       type.kind,
                       std::string(1, type.kind),
                       {type.values},
                       [type](const uint64_t* v) { return cut(static_cast<Wide>(-value_of(v[0], type)), type.bits); }});
    }
    if (bits == 64) continue;
    const char wide_kind = bits == 16 ? 'r' : 'd';
    forms.push_back({"mul.wide" + t,
                     "mul.wide" + t + " %o, %a, %b;",
                     wide_kind,
                     std::string(2, type.kind),
                     {type.values, type.values},
                     [type](const uint64_t* v) {
                       return cut(static_cast<Wide>(value_of(v[0], type) * value_of(v[1], type)), 2 * type.bits);
                     }});
    forms.push_back({"mad.wide" + t,
                     "mad.wide" + t + " %o, %a, %b, %c;",
                     wide_kind,
                     std::string(2, type.kind) + wide_kind,
                     {type.values, type.values, &kAddends},
                     [type](const uint64_t* v) {
                       return cut(static_cast<Wide>(value_of(v[0], type) * value_of(v[1], type)) + v[2], 2 * type.bits);
                     }});
  }
  const Integer s32{"s32", 32, true, 'r', &kWords};
  const auto saturated = [](Signed x) {
    return cut(static_cast<Wide>(x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x), 32);
  };
  two(forms, "add.sat.s32", s32, [saturated](Signed a, Signed b) { return saturated(a + b); });
  two(forms, "sub.sat.s32", s32, [saturated](Signed a, Signed b) { return saturated(a - b); });
  // Carries: a 128-bit sum in two 64-bit halves, its upper half out.
  const auto carries = [&](const std::string& name, const std::string& code, auto reference) {
    forms.push_back({name, code, 'd', "ddd", {&kDoubles, &kDoubles, &kDoubles}, reference});
  };
  carries("add.cc.u64 addc.u64", "add.cc.u64 %o, %a, %b;\naddc.u64 %o, %c, %b;",
          [](const uint64_t* v) { return v[2] + v[1] + static_cast<uint64_t>((Wide{v[0]} + v[1]) >> 64); });
  carries("sub.cc.u64 subc.u64", "sub.cc.u64 %o, %a, %b;\nsubc.u64 %o, %c, %b;",
          [](const uint64_t* v) { return v[2] - v[1] - (v[0] < v[1] ? 1 : 0); });
  carries("mad.lo.cc.u64 madc.hi.u64", "mad.lo.cc.u64 %o, %a, %b, %c;\nmadc.hi.u64 %o, %a, %b, %c;",
          [](const uint64_t* v) {
            const Wide product = Wide{v[0]} * v[1], first = Wide{static_cast<uint64_t>(product)} + v[2];
            return static_cast<uint64_t>(product >> 64) + v[2] + static_cast<uint64_t>(first >> 64);
          });
  forms.push_back({"add.cc.u32 addc.cc.u32 addc.u32",
                   "add.cc.u32 %o, %a, %b;\naddc.cc.u32 %o, %b, %c;\naddc.u32 %o, %a, %c;",
                   'r',
                   "rrr",
                   {&kWords, &kWords, &kWords},
                   [](const uint64_t* v) {
                     const uint64_t one = (v[0] + v[1]) >> 32, two_carry = (v[1] + v[2] + one) >> 32;
                     return (v[0] + v[2] + two_carry) & 0xffffffff;
                   }});
  // On GPUs a subtraction leaves the complement of the borrow, and takes it.
  forms.push_back({"sub.cc.u32 addc.u32",
                   "sub.cc.u32 %o, %a, %b;\naddc.u32 %o, %c, 0;",
                   'r',
                   "rrr",
                   {&kWords, &kWords, &kWords},
                   [](const uint64_t* v) { return (v[2] + (v[0] >= v[1] ? 1 : 0)) & 0xffffffff; }});
  forms.push_back({"add.cc.u32 subc.u32",
                   "add.cc.u32 %o, %a, %b;\nsubc.u32 %o, %c, 0;",
                   'r',
                   "rrr",
                   {&kWords, &kWords, &kWords},
                   [](const uint64_t* v) { return (v[2] - ((v[0] + v[1]) >> 32 == 0 ? 1 : 0)) & 0xffffffff; }});
  forms.push_back({"mul24.lo.u32", "mul24.lo.u32 %o, %a, %b;", 'r', "rr", {&kWords, &kWords}, [](const uint64_t* v) {
                     return ((v[0] & 0xffffff) * (v[1] & 0xffffff)) & 0xffffffff;
                   }});
  forms.push_back({"mul24.hi.u32", "mul24.hi.u32 %o, %a, %b;", 'r', "rr", {&kWords, &kWords}, [](const uint64_t* v) {
                     return (((v[0] & 0xffffff) * (v[1] & 0xffffff)) >> 16) & 0xffffffff;
                   }});
  const auto bytes = [](uint64_t x, int i, bool sign) -> int64_t {
    const int64_t byte = static_cast<int64_t>((x >> (8 * i)) & 0xff);
    return sign && byte > 127 ? byte - 256 : byte;
  };
  for (const bool sa : {false, true}) {
    for (const bool sb : {false, true}) {
      const std::string name = std::string("dp4a") + (sa ? ".s32" : ".u32") + (sb ? ".s32" : ".u32");
      forms.push_back(
          {name, name + " %o, %a, %b, %c;", 'r', "rrr", {&kWords, &kWords, &kShifts}, [=](const uint64_t* v) {
             int64_t total = static_cast<int64_t>(v[2]);
             for (int i = 0; i < 4; ++i) total += bytes(v[0], i, sa) * bytes(v[1], i, sb);
             return static_cast<uint64_t>(total) & 0xffffffff;
           }});
    }
  }
}

}  // namespace conformance
