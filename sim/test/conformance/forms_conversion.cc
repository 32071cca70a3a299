// cvt between all types that one instruction can convert, with every rounding, saturation and flushing it allows.
#include "forms.h"

namespace conformance {
namespace {

struct Integer {
  const char* name;
  int bits;
  bool sign;
};
const Integer kIntegers[] = {{"u8", 8, false},   {"s8", 8, true},   {"u16", 16, false}, {"s16", 16, true},
                             {"u32", 32, false}, {"s32", 32, true}, {"u64", 64, false}, {"s64", 64, true}};
struct Float {
  const char* name;
  const Format* format;
  char kind;
  const Values* values;
  uint64_t nan;
};
const Float kHalf{"f16", &kF16, 'h', &kHalves, kNaN16}, kSingle{"f32", &kF32, 'f', &kSingles, kNaN32},
    kDouble{"f64", &kF64, 'e', &kTwofolds, kNaN64};
const Float kBrain{"bf16", &kBF16, 'h', &kBrains, kNaN16};
const Float* const kFloats[] = {&kHalf, &kSingle, &kDouble};

struct Rounding {
  const char* suffix;
  Mode mode;
};
const Rounding kRoundings[] = {{"rn", Mode::kNearest}, {"rz", Mode::kZero}, {"rm", Mode::kDown}, {"rp", Mode::kUp}};

char kind_of(const Integer& type) {
  return type.bits <= 16 ? 'h' : type.bits == 32 ? 'r' : 'd';
}
const Values& values_of(const Integer& type) {
  return type.bits <= 16 ? kHalfWords : type.bits == 32 ? kWords : kDoubles;
}
uint64_t ones(int bits) {
  return bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
}
__int128 value_of(uint64_t bits, const Integer& type) {
  const uint64_t low = bits & ones(type.bits);
  if (type.sign && ((low >> (type.bits - 1)) & 1) != 0)
    return static_cast<__int128>(low) - (static_cast<__int128>(1) << type.bits);
  return static_cast<__int128>(low);
}
__int128 clamped(__int128 x, const Integer& type) {
  const __int128 high = (static_cast<__int128>(1) << (type.sign ? type.bits - 1 : type.bits)) - 1,
                 low = type.sign ? -high - 1 : 0;
  return x > high ? high : x < low ? low : x;
}
/// In a register of the type's kind: 8 bits are extended to 16.
uint64_t in_register(__int128 x, const Integer& type) {
  const uint64_t low = static_cast<uint64_t>(x) & ones(type.bits);
  return static_cast<uint64_t>(value_of(low, type)) & ones(type.bits <= 16 ? 16 : type.bits);
}

void integers(std::vector<ScalarForm>& forms) {
  for (const Integer& to : kIntegers) {
    for (const Integer& from : kIntegers) {
      for (const bool sat : {false, true}) {
        // .sat only where the target cannot hold all values of the source.
        if (sat &&
            clamped(static_cast<__int128>(1) << 100, from) ==
                clamped(clamped(static_cast<__int128>(1) << 100, from), to) &&
            clamped(-(static_cast<__int128>(1) << 100), from) ==
                clamped(clamped(-(static_cast<__int128>(1) << 100), from), to)) {
          continue;
        }
        const std::string name = std::string("cvt") + (sat ? ".sat." : ".") + to.name + "." + from.name;
        forms.push_back({name,
                         name + " %o, %a;",
                         kind_of(to),
                         std::string(1, kind_of(from)),
                         {&values_of(from)},
                         [to, from, sat](const uint64_t* v) {
                           const __int128 x = value_of(v[0], from);
                           return in_register(sat ? clamped(x, to) : x, to);
                         }});
      }
    }
  }
}

void integers_and_floats(std::vector<ScalarForm>& forms) {
  for (const Integer& integer : kIntegers) {
    for (const Float* f : kFloats) {
      for (const Rounding& rounding : kRoundings) {
        const Mode mode = rounding.mode;
        std::string name = std::string("cvt.") + rounding.suffix + "." + f->name + "." + integer.name;
        forms.push_back(
            {name,
             name + " %o, %a;",
             f->kind,
             std::string(1, kind_of(integer)),
             {&values_of(integer)},
             [=, &integer](const uint64_t* v) {
               return encode({static_cast<__float128>(value_of(v[0], integer)), 0}, *f->format, mode, f->nan);
             }});
        name = std::string("cvt.") + rounding.suffix + "i." + integer.name + "." + f->name;
        forms.push_back({name,
                         name + " %o, %a;",
                         kind_of(integer),
                         std::string(1, f->kind),
                         {f->values},
                         [=, &integer](const uint64_t* v) {
                           if (is_nan(v[0], *f->format)) {
                             const bool zero = f->format != &kF64 && integer.bits < 64;
                             return in_register(zero ? 0 : static_cast<__int128>(1) << (integer.bits - 1), integer);
                           }
                           __float128 x = integral(decode(v[0], *f->format), mode);
                           if (x > 0x1p100) x = 0x1p100;
                           if (x < -0x1p100) x = -0x1p100;
                           return in_register(clamped(static_cast<__int128>(x), integer), integer);
                         }});
      }
    }
  }
}

void floats(std::vector<ScalarForm>& forms) {
  for (const Float* to : kFloats) {
    for (const Float* from : kFloats) {
      const std::string types = std::string(".") + to->name + "." + from->name;
      const auto convert = [&](const std::string& modifiers, Mode mode, bool whole, bool ftz, bool sat) {
        const std::string name = "cvt" + modifiers + types;
        forms.push_back({name,
                         name + " %o, %a;",
                         to->kind,
                         std::string(1, from->kind),
                         {from->values},
                         [=](const uint64_t* v) {
                           // Flushing is for single precision, on either side.
                           const uint64_t bits = ftz && from->format == &kF32 ? flush(v[0], kF32) : v[0];
                           __float128 x = decode(bits, *from->format);
                           if (whole) x = integral(x, mode);
                           uint64_t r = encode({x, 0}, *to->format, mode, to->nan);
                           if (whole && x == 0) r = (bits >> (from->format->bits - 1)) << (to->format->bits - 1);
                           if (ftz && to->format == &kF32) r = flush(r, kF32);
                           if (sat) {
                             const __float128 y = decode(r, *to->format);
                             r = !(y > 0) ? 0 : y >= 1 ? encode({1, 0}, *to->format, Mode::kNearest, 0) : r;
                           }
                           return r;
                         },
                         to->format});
      };
      const bool narrows = to->format->bits < from->format->bits, same = to == from;
      if (narrows) {
        for (const Rounding& rounding : kRoundings)
          convert(std::string(".") + rounding.suffix, rounding.mode, false, false, false);
      } else if (!same) {
        convert("", Mode::kNearest, false, false, false);
      }
      if (same) {
        for (const Rounding& rounding : kRoundings)
          convert(std::string(".") + rounding.suffix + "i", rounding.mode, true, false, false);
      }
      if (to->format == &kF32 || from->format == &kF32) {
        const std::string rounding = narrows ? ".rn" : same ? ".rni" : "";
        convert(rounding + ".ftz", Mode::kNearest, same, true, false);
        if (to->format == &kF32) convert(rounding + ".ftz.sat", Mode::kNearest, same, true, true);
      }
      if (narrows) convert(".rn.sat", Mode::kNearest, false, false, true);
    }
  }
}

uint64_t brain(uint64_t single, Mode mode, bool relu) {
  const uint64_t r = encode({decode(single, kF32), 0}, kBF16, mode, kNaN16);
  return relu && !is_nan(r, kBF16) && (r & 0x8000) != 0 ? 0 : r;
}
uint64_t half(uint64_t single, Mode mode, bool relu) {
  const uint64_t r = encode({decode(single, kF32), 0}, kF16, mode, kNaN16);
  return relu && !is_nan(r, kF16) && (r & 0x8000) != 0 ? 0 : r;
}

}  // namespace

void conversion_forms(std::vector<ScalarForm>& forms) {
  integers(forms);
  integers_and_floats(forms);
  floats(forms);
  for (const char* rounding : {"rn", "rz"}) {
    const Mode mode = rounding[1] == 'n' ? Mode::kNearest : Mode::kZero;
    for (const bool relu : {false, true}) {
      const std::string m = std::string("cvt.") + rounding + (relu ? ".relu" : "");
      forms.push_back({m + ".bf16.f32", m + ".bf16.f32 %o, %a;", 'h', "f", {&kSingles}, [=](const uint64_t* v) {
                         return brain(v[0], mode, relu);
                       }});
      forms.push_back(
          {m + ".bf16x2.f32", m + ".bf16x2.f32 %o, %a, %b;", 'r', "ff", {&kSingles, &kSingles}, [=](const uint64_t* v) {
             return brain(v[0], mode, relu) << 16 | brain(v[1], mode, relu);
           }});
      forms.push_back(
          {m + ".f16x2.f32", m + ".f16x2.f32 %o, %a, %b;", 'r', "ff", {&kSingles, &kSingles}, [=](const uint64_t* v) {
             return half(v[0], mode, relu) << 16 | half(v[1], mode, relu);
           }});
    }
  }
  forms.push_back({"cvt.rna.tf32.f32",
                   "cvt.rna.tf32.f32 %o, %a;",
                   'r',
                   "f",
                   {&kSingles},
                   [](const uint64_t* v) {
                     // Ten bits of fraction and the exponents of single precision, in the upper bits of a word.
                     static const Format kTf32{11, -126, 8, 32};
                     return encode({decode(v[0], kF32), 0}, kTf32, Mode::kAway, kNaN32);
                   },
                   &kF32});
  forms.push_back({"cvt.f32.bf16",
                   "cvt.f32.bf16 %o, %a;",
                   'f',
                   "h",
                   {&kBrains},
                   [](const uint64_t* v) {
                     return encode({decode(v[0], kBF16), 0}, kF32, Mode::kNearest, kNaN32);
                   },
                   &kF32,
                   0,
                   0,
                   90});
  // Registers may be wider than the type: zeros or the sign go into the rest.
  forms.push_back({"cvt.s16.s32 to .b32", "cvt.s16.s32 %o, %a;", 'r', "r", {&kWords}, [](const uint64_t* v) {
                     const uint64_t low = v[0] & 0xffff;
                     return low >= 0x8000 ? low | 0xffff0000 : low;
                   }});
  forms.push_back({"cvt.u16.u32 to .b32", "cvt.u16.u32 %o, %a;", 'r', "r", {&kWords}, [](const uint64_t* v) {
                     return v[0] & 0xffff;
                   }});
  forms.push_back({"cvt.s64.s8 from .b32", "cvt.s64.s8 %o, %a;", 'd', "r", {&kWords}, [](const uint64_t* v) {
                     const uint64_t low = v[0] & 0xff;
                     return low >= 0x80 ? low | ~uint64_t{0xff} : low;
                   }});
}

}  // namespace conformance
