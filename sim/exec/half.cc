// f16 and bf16, single and in pairs: every operation is exact or rounded to odd in single precision, then rounded once.
#include "exec/floats.h"
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/types.h"

namespace sim {
namespace {

using ptx::Type;

struct Half {
  static float widen(uint16_t h) { return from_half(h); }
  static uint16_t narrow(float x) { return to_half(x); }
  static constexpr uint16_t kExponent = 0x7c00;
};
struct Brain {
  static float widen(uint16_t h) { return from_bfloat(h); }
  static uint16_t narrow(float x) { return to_bfloat(x); }
  static constexpr uint16_t kExponent = 0x7f80;
};

enum HalfFlags : uint32_t { kFlush = 1, kSaturate = 2, kRelu = 4, kKeepNaN = 8 };

template <class Format>
uint16_t flushed(uint16_t h) {
  return (h & Format::kExponent) == 0 ? h & 0x8000u : h;
}
template <class Format>
uint16_t finished(float x, uint32_t flags) {
  if ((flags & kSaturate) != 0) x = saturate(x);
  if ((flags & kRelu) != 0 && x <= 0) x = 0;  // -0, too
  const uint16_t result = Format::narrow(x);
  return (flags & kFlush) != 0 ? flushed<Format>(result) : result;
}

// f16 and bf16 sums and products rounded to single precision first are rounded correctly in the end: 24 bits are at
// least twice 11 bits and two more.
struct HalfAdd {
  template <class Format>
  static uint16_t run(uint16_t a, uint16_t b, uint16_t, uint32_t flags) {
    return finished<Format>(Format::widen(a) + Format::widen(b), flags);
  }
};
struct HalfSub {
  template <class Format>
  static uint16_t run(uint16_t a, uint16_t b, uint16_t, uint32_t flags) {
    return finished<Format>(Format::widen(a) - Format::widen(b), flags);
  }
};
struct HalfMul {
  template <class Format>
  static uint16_t run(uint16_t a, uint16_t b, uint16_t, uint32_t flags) {
    return finished<Format>(narrow_odd(static_cast<double>(Format::widen(a)) * Format::widen(b)), flags);
  }
};
struct HalfFma {
  template <class Format>
  static uint16_t run(uint16_t a, uint16_t b, uint16_t c, uint32_t flags) {
    return finished<Format>(fma_odd(Format::widen(a), Format::widen(b), Format::widen(c)), flags);
  }
};
template <bool Least>
struct HalfPick {
  template <class Format>
  static uint16_t run(uint16_t a, uint16_t b, uint16_t, uint32_t flags) {
    const bool an = (a & 0x7fffu) > Format::kExponent, bn = (b & 0x7fffu) > Format::kExponent;
    if (an || bn) {
      if ((an && bn) || (flags & kKeepNaN) != 0) return 0x7fff;
      return an ? b : a;
    }
    const int ka = (a & 0x8000u) != 0 ? -1 - (a & 0x7fff) : a, kb = (b & 0x8000u) != 0 ? -1 - (b & 0x7fff) : b;
    return (Least ? ka < kb : ka > kb) ? a : b;
  }
};
struct HalfNegate {
  template <class Format>
  static uint16_t run(uint16_t a, uint16_t, uint16_t, uint32_t) {
    return static_cast<uint16_t>(a ^ 0x8000u);
  }
};
struct HalfAbsolute {
  template <class Format>
  static uint16_t run(uint16_t a, uint16_t, uint16_t, uint32_t) {
    return static_cast<uint16_t>(a & 0x7fffu);
  }
};

template <class Op, class Format, bool Pair>
void half(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2], *c = w.arena + in.op[3];
  const uint32_t flags = in.flags;
  write_each<uint32_t>(w.arena + in.op[0], mask, [=](int l) {
    const uint32_t x = lane_of<uint32_t>(a, l), y = lane_of<uint32_t>(b, l), z = lane_of<uint32_t>(c, l);
    const auto part = [flags](uint32_t v) {
      const uint16_t h = static_cast<uint16_t>(v);
      return (flags & kFlush) != 0 ? flushed<Format>(h) : h;
    };
    const auto low = [part](uint32_t v) { return part(v); };
    const auto high = [part](uint32_t v) { return part(v >> 16); };
    const uint32_t result = Op::template run<Format>(low(x), low(y), low(z), flags);
    if (!Pair) return result;
    return result | static_cast<uint32_t>(Op::template run<Format>(high(x), high(y), high(z), flags)) << 16;
  });
}

template <class Op>
Handler choose(Type type) {
  switch (type) {
    case Type::kF16:
      return &half<Op, Half, false>;
    case Type::kF16x2:
      return &half<Op, Half, true>;
    case Type::kBF16:
      return &half<Op, Brain, false>;
    default:
      return &half<Op, Brain, true>;
  }
}

struct Named {
  const char* opcode;
  int sources;
  Handler (*choose)(Type);
  const char* allowed;  // letters of the modifiers: f(tz) s(at) r(elu) n(aN)
};
constexpr Named kOps[] = {
    {"add", 2, &choose<HalfAdd>, "fs"},        {"sub", 2, &choose<HalfSub>, "fs"},
    {"mul", 2, &choose<HalfMul>, "fs"},        {"fma", 3, &choose<HalfFma>, "fsr"},
    {"min", 2, &choose<HalfPick<true>>, "fn"}, {"max", 2, &choose<HalfPick<false>>, "fn"},
    {"neg", 1, &choose<HalfNegate>, "f"},      {"abs", 1, &choose<HalfAbsolute>, "f"},
};

}  // namespace

bool half_arithmetic(Form& f, Type type, const std::string& what) {
  if (type != Type::kF16 && type != Type::kF16x2 && type != Type::kBF16 && type != Type::kBF16x2) return false;
  for (const Named& op : kOps) {
    if (what != op.opcode) continue;
    const std::string allowed = op.allowed;
    const auto flag = [&](char letter, const char* modifier, uint32_t bit) {
      if (allowed.find(letter) != std::string::npos && f.take(modifier)) f.out.flags |= bit;
    };
    flag('f', "ftz", kFlush), flag('s', "sat", kSaturate), flag('r', "relu", kRelu), flag('n', "NaN", kKeepNaN);
    f.take("rn");
    if (op.sources == 1) one_operand(f, type, op.choose(type));
    if (op.sources == 2) two_operands(f, type, op.choose(type));
    if (op.sources == 3) three_operands(f, type, op.choose(type));
    // Unused sources read the first one: slot 0 is only a word.
    for (int i = op.sources + 1; i < 4; ++i) f.out.op[i] = f.out.op[1];
    return true;
  }
  return false;
}

}  // namespace sim
