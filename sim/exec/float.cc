// Single and double precision: add, sub, mul, fma, mad, div, min, max, abs, neg, copysign, testp. The names are shared
// with integers and half precision, so the decoders here pass those on.
#include <algorithm>

#include "exec/floats.h"
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/packed.h"
#include "exec/types.h"

namespace sim {
namespace {

using ptx::Type;

constexpr uint32_t kRoundMask = 3, kFlush = 4, kSaturate = 8;

struct Add {
  template <class T>
  static T near(T a, T b, T) {
    return a + b;
  }
  template <class T>
  static T directed(T a, T b, T, Round r) {
    return add_rounded(a, b, r);
  }
};
struct Sub {
  template <class T>
  static T near(T a, T b, T) {
    return a - b;
  }
  template <class T>
  static T directed(T a, T b, T, Round r) {
    return add_rounded(a, -b, r);
  }
};
struct Mul {
  template <class T>
  static T near(T a, T b, T) {
    return a * b;
  }
  template <class T>
  static T directed(T a, T b, T, Round r) {
    return mul_rounded(a, b, r);
  }
};
struct Fma {
  static float near(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
  static double near(double a, double b, double c) { return __builtin_fma(a, b, c); }
  template <class T>
  static T directed(T a, T b, T c, Round r) {
    return fma_rounded(a, b, c, r);
  }
};
struct Div {
  template <class T>
  static T near(T a, T b, T) {
    return a / b;
  }
  template <class T>
  static T directed(T a, T b, T, Round r) {
    return div_rounded(a, b, r);
  }
};
/// div.approx: the reciprocal of a very large divisor is flushed to zero.
struct DivApprox {
  static float near(float a, float b, float) {
    const float size = __builtin_fabsf(b);
    const bool huge = size > 0x1p126f && size <= 3.402823466e38f;
    return huge ? a * (b > 0 ? 0.0f : -0.0f) : a / b;
  }
  static float directed(float a, float b, float c, Round) { return near(a, b, c); }
};

template <class Op, int Sources, bool Flush, bool Saturate>
void single(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2], *c = w.arena + in.op[Sources == 3 ? 3 : 2];
  write_lanes<float>(w.arena + in.op[0], mask, [a, b, c](int l) {
    float x = lane_of<float>(a, l), y = lane_of<float>(b, l), z = lane_of<float>(c, l);
    if (Flush) x = flush(x), y = flush(y), z = flush(z);
    float r = canonical(Op::near(x, y, z));
    if (Flush) r = flush(r);
    return Saturate ? saturate(r) : r;
  });
}
template <class Op, int Sources>
void single_directed(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2], *c = w.arena + in.op[Sources == 3 ? 3 : 2];
  const bool ftz = (in.flags & kFlush) != 0, sat = (in.flags & kSaturate) != 0;
  const Round round = static_cast<Round>(in.flags & kRoundMask);
  write_each<float>(w.arena + in.op[0], mask, [=](int l) {
    float x = lane_of<float>(a, l), y = lane_of<float>(b, l), z = lane_of<float>(c, l);
    if (ftz) x = flush(x), y = flush(y), z = flush(z);
    float r = canonical(Op::directed(x, y, z, round));
    if (ftz) r = flush(r);
    return sat ? saturate(r) : r;
  });
}
template <class Op, int Sources>
void twofold(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2], *c = w.arena + in.op[Sources == 3 ? 3 : 2];
  const Round round = static_cast<Round>(in.flags & kRoundMask);
  if (round == Round::kNearest) {
    write_lanes<double>(w.arena + in.op[0], mask, [a, b, c](int l) {
      return Op::near(lane_of<double>(a, l), lane_of<double>(b, l), lane_of<double>(c, l));
    });
  } else {
    write_each<double>(w.arena + in.op[0], mask, [=](int l) {
      return Op::directed(lane_of<double>(a, l), lane_of<double>(b, l), lane_of<double>(c, l), round);
    });
  }
}

template <class Op, int Sources>
void arithmetic(Form& f, Type type) {
  const int round = f.take_any({"rn", "rz", "rm", "rp"});
  f.out.flags = round > 0 ? static_cast<uint32_t>(round) : 0;
  const bool ftz = f.take("ftz"), sat = f.take("sat");
  const auto with = [&](Handler handler) {
    if (Sources == 3) three_operands(f, type, handler);
    if (Sources == 2) two_operands(f, type, handler);
  };
  if (type == Type::kF64) {
    if (ftz || sat) f.unknown("modifier of f64");
    return with(&twofold<Op, Sources>);
  }
  if (type != Type::kF32) f.unknown("type");
  f.out.flags |= (ftz ? kFlush : 0) | (sat ? kSaturate : 0);
  if (round > 0) return with(&single_directed<Op, Sources>);
  with(ftz ? (sat ? &single<Op, Sources, true, true> : &single<Op, Sources, true, false>)
           : (sat ? &single<Op, Sources, false, true> : &single<Op, Sources, false, false>));
}

/// -0 is below +0; a NaN gives the other operand, or the NaN with .NaN.
template <bool Least, bool KeepNaN, bool Flush>
float pick(float a, float b) {
  if (Flush) a = flush(a), b = flush(b);
  // As integers with the order of the numbers.
  const int32_t x = static_cast<int32_t>(bits_of(a)), y = static_cast<int32_t>(bits_of(b));
  const int32_t kx = x < 0 ? x ^ 0x7fffffff : x, ky = y < 0 ? y ^ 0x7fffffff : y;
  const float chosen = (Least ? kx < ky : kx > ky) ? a : b;
  const bool an = a != a, bn = b != b;
  if (KeepNaN) return an || bn ? float_of(kNaN32) : chosen;
  return an ? (bn ? float_of(kNaN32) : b) : bn ? a : chosen;
}
template <bool Least>
double pick_double(double a, double b) {
  if (a != a) return b;
  if (b != b) return a;
  if (a == b) return std::signbit(a) == Least ? a : b;
  return (Least ? a < b : a > b) ? a : b;
}
template <bool Least>
void least_most(Form& f) {
  if (paired_integers(f, Least ? "min" : "max")) return;
  const Type type = f.take_type();
  if (!ptx::is_float(type)) return integer_least_most(f, type, Least);
  if (half_arithmetic(f, type, Least ? "min" : "max")) return;
  if (type == Type::kF64) return two_operands(f, type, &binary<double, double, double, pick_double<Least>>);
  if (type != Type::kF32) f.unknown("type");
  const bool ftz = f.take("ftz"), nan = f.take("NaN");
  two_operands(f, type,
               nan ? (ftz ? &binary<float, float, float, pick<Least, true, true>>
                          : &binary<float, float, float, pick<Least, true, false>>)
                   : (ftz ? &binary<float, float, float, pick<Least, false, true>>
                          : &binary<float, float, float, pick<Least, false, false>>));
}

template <bool Negate, bool Flush>
float sign_change(float a) {
  const uint32_t bits = bits_of(Flush ? flush(a) : a);
  return float_of(Negate ? bits ^ 0x80000000u : bits & 0x7fffffffu);
}
template <bool Negate>
double sign_change_double(double a) {
  return Negate ? -a : __builtin_fabs(a);
}
template <bool Negate>
void sign(Form& f) {
  const Type type = f.take_type();
  if (!ptx::is_float(type)) return integer_sign(f, type, Negate);
  if (half_arithmetic(f, type, Negate ? "neg" : "abs")) return;
  if (type == Type::kF64) return one_operand(f, type, &unary<double, double, sign_change_double<Negate>>);
  if (type != Type::kF32) f.unknown("type");
  one_operand(f, type,
              f.take("ftz") ? &unary<float, float, sign_change<Negate, true>>
                            : &unary<float, float, sign_change<Negate, false>>);
}

float copy_sign(float sign, float size) {
  return float_of((bits_of(sign) & 0x80000000u) | (bits_of(size) & 0x7fffffffu));
}
double copy_sign_double(double sign, double size) {
  return __builtin_copysign(size, sign);
}

template <class T>
void test_property(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte* a = w.arena + in.op[1];
  const int64_t which = in.immediate;
  write_predicate(w, in.op[0], mask, lanes_where([a, which](int l) {
                    const T x = lane_of<T>(a, l);
                    switch (which) {
                      case 0:
                        return static_cast<bool>(std::isfinite(x));
                      case 1:
                        return static_cast<bool>(std::isinf(x));
                      case 2:
                        return !std::isnan(x);
                      case 3:
                        return static_cast<bool>(std::isnan(x));
                      case 4:
                        return static_cast<bool>(std::isnormal(x));
                      default:
                        return std::fpclassify(x) == FP_SUBNORMAL;
                    }
                  }));
}

}  // namespace

void add_float(Decoders& decoders) {
  decoders["add"] = [](Form& f) {
    if (paired_integers(f, "add")) return;
    const Type type = f.take_type();
    if (!ptx::is_float(type)) return integer_add(f, type, false);
    if (!half_arithmetic(f, type, "add")) arithmetic<Add, 2>(f, type);
  };
  decoders["sub"] = [](Form& f) {
    const Type type = f.take_type();
    if (!ptx::is_float(type)) return integer_add(f, type, true);
    if (!half_arithmetic(f, type, "sub")) arithmetic<Sub, 2>(f, type);
  };
  decoders["mul"] = [](Form& f) {
    const Type type = f.take_type();
    if (!ptx::is_float(type)) return integer_multiply(f, type, false);
    if (!half_arithmetic(f, type, "mul")) arithmetic<Mul, 2>(f, type);
  };
  decoders["fma"] = [](Form& f) {
    const Type type = f.take_type();
    if (!half_arithmetic(f, type, "fma")) arithmetic<Fma, 3>(f, type);
  };
  decoders["mad"] = [](Form& f) {
    const auto& modifiers = f.rest();
    if (std::find(modifiers.begin(), modifiers.end(), "cc") != modifiers.end()) return integer_mad_with_carry(f);
    const Type type = f.take_type();
    if (!ptx::is_float(type)) return integer_multiply(f, type, true);
    arithmetic<Fma, 3>(f, type);
  };
  decoders["div"] = [](Form& f) {
    const Type type = f.take_type();
    if (!ptx::is_float(type)) return integer_divide(f, type);
    if (type == Type::kF32 && f.take("approx")) return arithmetic<DivApprox, 2>(f, type);
    f.take("full");
    arithmetic<Div, 2>(f, type);
  };
  decoders["min"] = least_most<true>;
  decoders["max"] = least_most<false>;
  decoders["neg"] = sign<true>;
  decoders["abs"] = sign<false>;
  decoders["copysign"] = [](Form& f) {
    const Type type = f.take_type();
    if (type == Type::kF32) return two_operands(f, type, &binary<float, float, float, copy_sign>);
    if (type == Type::kF64) return two_operands(f, type, &binary<double, double, double, copy_sign_double>);
    f.unknown("type");
  };
  decoders["testp"] = [](Form& f) {
    const int which = f.take_any({"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
    const Type type = f.take_type();
    if (which < 0 || (type != Type::kF32 && type != Type::kF64)) f.unknown("form");
    f.expect_count(2, 2);
    f.out.immediate = which;
    f.out.op[0] = f.to(0, Type::kPred), f.out.op[1] = f.in(1, type);
    f.out.run = type == Type::kF32 ? &test_property<float> : &test_property<double>;
  };
}

}  // namespace sim
