// Single and double precision arithmetic and the approximations. Exact references; the approximations are held to the
// error bounds that the PTX manual gives.
#include <cmath>
#include <cstring>

#include "forms.h"

namespace conformance {
namespace {

struct Rounding {
  const char* suffix;
  Mode mode;
};
const Rounding kRoundings[] = {{".rn", Mode::kNearest}, {".rz", Mode::kZero}, {".rm", Mode::kDown}, {".rp", Mode::kUp}};

struct Precision {
  const char* suffix;
  const Format* format;
  char kind;
  const Values *values, *few;
  uint64_t nan;
};
const Precision kSingle{".f32", &kF32, 'f', &kSingles, &kFewSingles, kNaN32};
const Precision kTwofold{".f64", &kF64, 'e', &kTwofolds, &kFewTwofolds, kNaN64};

using Operation = Exact (*)(const __float128*);

Exact op_add(const __float128* v) {
  return sum(v[0], v[1]);
}
Exact op_sub(const __float128* v) {
  return sum(v[0], -v[1]);
}
Exact op_mul(const __float128* v) {
  return product(v[0], v[1]);
}
Exact op_fma(const __float128* v) {
  return sum(v[0] * v[1], v[2]);
}
Exact op_div(const __float128* v) {
  return {v[0] / v[1], 0};  // a quotient of 53-bit numbers is exact or far from every midpoint
}
Exact op_rcp(const __float128* v) {
  return {1 / v[0], 0};
}
Exact op_sqrt(const __float128* v) {
  const __float128 x = v[0];
  if (!(x > 0) || x - x != 0) return {x == 0 ? x : x > 0 ? x : __float128(__builtin_nan("")), 0};
  const long double guess = std::sqrt(static_cast<long double>(x));
  __float128 root = guess;
  root = (root + x / root) / 2;  // one step of Newton: 113 bits
  return {root, 0};              // as for quotients: exact, or far from every midpoint
}

ScalarForm rounded(const std::string& op, const std::string& modifiers, int arity, const Precision& p, Mode mode,
                   bool ftz, bool sat, Operation f) {
  const std::string name = op + modifiers + (ftz ? ".ftz" : "") + (sat ? ".sat" : "") + p.suffix;
  ScalarForm form;
  form.name = name;
  form.code = name + (arity == 1 ? " %o, %a;" : arity == 2 ? " %o, %a, %b;" : " %o, %a, %b, %c;");
  form.result = p.kind;
  form.sources = std::string(static_cast<size_t>(arity), p.kind);
  form.domains.assign(static_cast<size_t>(arity), arity == 3 ? p.few : p.values);
  // NaN of single precision has fixed bits; of double precision it may carry an operand's.
  if (p.format == &kF64) form.format = p.format;
  form.reference = [=](const uint64_t* v) {
    __float128 x[3] = {};
    for (int i = 0; i < arity; ++i) x[i] = decode(ftz ? flush(v[i], *p.format) : v[i], *p.format);
    uint64_t r = encode(f(x), *p.format, mode, p.nan);
    // Rounding to a sum of zero takes its sign from the mode.
    if (arity >= 2 && f != op_mul && f != op_div &&
        (r << 1 & (p.format->bits == 32 ? 0xffffffff : ~uint64_t{0})) == 0) {
      const __float128 a = f == op_fma ? x[0] * x[1] : x[0], b = f == op_fma ? x[2] : f == op_sub ? -x[1] : x[1];
      if (f(x).value == 0 && f(x).sticky == 0) {
        const bool an = encode({a, 0}, *p.format, Mode::kNearest, 0) >> (p.format->bits - 1) != 0;
        const bool bn = encode({b, 0}, *p.format, Mode::kNearest, 0) >> (p.format->bits - 1) != 0;
        const bool minus = an == bn ? an : mode == Mode::kDown;
        r = static_cast<uint64_t>(minus) << (p.format->bits - 1);
      }
    }
    if (ftz) r = flush(r, *p.format);
    if (sat) {
      const __float128 y = decode(r, *p.format);
      r = !(y > 0) ? 0 : y >= 1 ? 0x3f800000 : r;
    }
    return r;
  };
  return form;
}

void arithmetic(std::vector<ScalarForm>& forms, const std::string& op, int arity, Operation f, bool saturates) {
  for (const Precision* p : {&kSingle, &kTwofold}) {
    for (const Rounding& rounding : kRoundings) {
      forms.push_back(rounded(op, rounding.suffix, arity, *p, rounding.mode, false, false, f));
      if (p == &kTwofold) continue;
      forms.push_back(rounded(op, rounding.suffix, arity, *p, rounding.mode, true, false, f));
      if (!saturates || rounding.mode != Mode::kNearest) continue;
      forms.push_back(rounded(op, rounding.suffix, arity, *p, rounding.mode, false, true, f));
      forms.push_back(rounded(op, rounding.suffix, arity, *p, rounding.mode, true, true, f));
    }
  }
}

bool minus(uint64_t bits, const Format& f) {
  return ((bits >> (f.bits - 1)) & 1) != 0;
}
uint64_t picked(uint64_t a, uint64_t b, const Precision& p, bool least, bool keep_nan) {
  const bool an = is_nan(a, *p.format), bn = is_nan(b, *p.format);
  if (an || bn) return (an && bn) || keep_nan ? p.nan : an ? b : a;
  const __float128 x = decode(a, *p.format), y = decode(b, *p.format);
  if (x == y) return minus(a, *p.format) == least ? a : b;
  return (x < y) == least ? a : b;
}

void pickers(std::vector<ScalarForm>& forms) {
  for (const char* op : {"min", "max"}) {
    const bool least = op[1] == 'i';
    for (const char* modifiers : {"", ".ftz", ".NaN", ".ftz.NaN"}) {
      const std::string m = modifiers, name = op + m + ".f32";
      const bool ftz = m.find("ftz") != std::string::npos, nan = m.find("NaN") != std::string::npos;
      forms.push_back({name, name + " %o, %a, %b;", 'f', "ff", {&kSingles, &kSingles}, [=](const uint64_t* v) {
                         return ftz ? picked(flush(v[0], kF32), flush(v[1], kF32), kSingle, least, nan)
                                    : picked(v[0], v[1], kSingle, least, nan);
                       }});
    }
    const std::string name = std::string(op) + ".f64";
    forms.push_back({name,
                     name + " %o, %a, %b;",
                     'e',
                     "ee",
                     {&kTwofolds, &kTwofolds},
                     [=](const uint64_t* v) { return picked(v[0], v[1], kTwofold, least, false); },
                     &kF64});
  }
}

/// `f` in long double; `ulps` of the result, or an absolute error; inputs and results flushed with ftz.
template <class F>
void approximation(std::vector<ScalarForm>& forms, const std::string& op, const Values& values, uint64_t ulps,
                   double absolute, F f) {
  for (const char* modifier : {"", ".ftz"}) {
    const bool ftz = modifier[0] != '\0';
    const std::string name = op + ".approx" + modifier + ".f32";
    ScalarForm form{name, name + " %o, %a;", 'f', "f", {&values}, nullptr};
    form.reference = [=](const uint64_t* v) {
      const uint64_t bits = ftz ? flush(v[0], kF32) : v[0];
      const long double x = static_cast<long double>(decode(bits, kF32));
      const uint64_t r = encode({static_cast<__float128>(f(x)), 0}, kF32, Mode::kNearest, kNaN32);
      return ftz ? flush(r, kF32) : r;
    };
    form.format = &kF32;
    form.ulps = ulps;
    form.absolute = absolute;
    forms.push_back(form);
  }
}

}  // namespace

void float_forms(std::vector<ScalarForm>& forms) {
  arithmetic(forms, "add", 2, op_add, true);
  arithmetic(forms, "sub", 2, op_sub, true);
  arithmetic(forms, "mul", 2, op_mul, true);
  arithmetic(forms, "fma", 3, op_fma, true);
  arithmetic(forms, "div", 2, op_div, false);
  arithmetic(forms, "rcp", 1, op_rcp, false);
  arithmetic(forms, "sqrt", 1, op_sqrt, false);
  pickers(forms);
  for (const Precision* p : {&kSingle, &kTwofold}) {
    const uint64_t sign = uint64_t{1} << (p->format->bits - 1);
    const std::string one(1, p->kind);
    // The sign of a NaN is nobody's business.
    forms.push_back({std::string("abs") + p->suffix,
                     std::string("abs") + p->suffix + " %o, %a;",
                     p->kind,
                     one,
                     {p->values},
                     [sign](const uint64_t* v) { return v[0] & ~sign; },
                     p->format});
    forms.push_back({std::string("neg") + p->suffix,
                     std::string("neg") + p->suffix + " %o, %a;",
                     p->kind,
                     one,
                     {p->values},
                     [sign](const uint64_t* v) { return v[0] ^ sign; },
                     p->format});
    forms.push_back({std::string("copysign") + p->suffix,
                     std::string("copysign") + p->suffix + " %o, %a, %b;",
                     p->kind,
                     one + one,
                     {p->values, p->values},
                     [sign](const uint64_t* v) { return (v[0] & sign) | (v[1] & ~sign); },
                     p->format});
    const Format& f = *p->format;
    const auto property = [&](const char* what, auto test) {
      const std::string name = std::string("testp.") + what + p->suffix;
      forms.push_back({name, name + " %o, %a;", 'p', one, {p->values}, [=, &f](const uint64_t* v) {
                         return test(v[0], f) ? 1 : 0;
                       }});
    };
    const auto finite = [](uint64_t x, const Format& g) {
      const __float128 y = decode(x, g);
      return y - y == 0;
    };
    property("finite", finite);
    property("infinite", [finite](uint64_t x, const Format& g) { return !is_nan(x, g) && !finite(x, g); });
    property("number", [](uint64_t x, const Format& g) { return !is_nan(x, g); });
    property("notanumber", [](uint64_t x, const Format& g) { return is_nan(x, g); });
    property("normal", [finite](uint64_t x, const Format& g) {
      return finite(x, g) && decode(x, g) != 0 && !is_subnormal(x, g);
    });
    property("subnormal", [](uint64_t x, const Format& g) { return is_subnormal(x, g); });
  }
  for (const char* name : {"abs.ftz.f32", "neg.ftz.f32"}) {
    const bool negate = name[0] == 'n';
    forms.push_back({name,
                     std::string(name) + " %o, %a;",
                     'f',
                     "f",
                     {&kSingles},
                     [negate](const uint64_t* v) {
                       const uint64_t x = flush(v[0], kF32);
                       return negate ? x ^ 0x80000000 : x & 0x7fffffff;
                     },
                     &kF32});
  }
  // The bounds of the manual: ex2 2 ulp, rcp 1 ulp, rsqrt 2^-22.9, sqrt 2^-23 relative, div 2 ulp, lg2 2^-22 absolute or
  // relative, sin and cos 2^-20.5 absolute in [-pi, pi], tanh 2^-11 relative.
  approximation(forms, "ex2", kSingles, 2, 0, [](long double x) { return std::exp2(x); });
  approximation(forms, "rcp", kSingles, 1, 0, [](long double x) { return 1 / x; });
  approximation(forms, "sqrt", kSingles, 2, 0, [](long double x) { return std::sqrt(x); });
  approximation(forms, "rsqrt", kSingles, 2, 0, [](long double x) { return 1 / std::sqrt(x); });
  approximation(forms, "lg2", kSingles, 2, 0x1p-22, [](long double x) { return std::log2(x); });
  approximation(forms, "sin", kAngles, 0, 0x1p-20, [](long double x) { return std::sin(x); });
  approximation(forms, "cos", kAngles, 0, 0x1p-20, [](long double x) { return std::cos(x); });
  forms.push_back({"tanh.approx.f32",
                   "tanh.approx.f32 %o, %a;",
                   'f',
                   "f",
                   {&kSingles},
                   [](const uint64_t* v) {
                     return encode(
                         {static_cast<__float128>(std::tanh(static_cast<long double>(decode(v[0], kF32)))), 0}, kF32,
                         Mode::kNearest, kNaN32);
                   },
                   &kF32,
                   4096});
  // Divisors up to 2^126, where div.approx has its bound of 2 ulp.
  static const Values kDivisors = {0x3f800000, 0xbf800001, 0x40490fdb, 0x00800000, 0x7e000000, 0x41200000, 0x33d6bf95};
  for (const char* name : {"div.approx.f32", "div.full.f32", "div.approx.ftz.f32", "div.full.ftz.f32"}) {
    const bool ftz = std::strstr(name, "ftz") != nullptr;
    ScalarForm form{name, std::string(name) + " %o, %a, %b;", 'f', "ff", {&kSingles, &kDivisors}, nullptr, &kF32, 2};
    form.reference = [ftz](const uint64_t* v) {
      const uint64_t a = ftz ? flush(v[0], kF32) : v[0];
      const uint64_t r = encode({decode(a, kF32) / decode(v[1], kF32), 0}, kF32, Mode::kNearest, kNaN32);
      return ftz ? flush(r, kF32) : r;
    };
    forms.push_back(form);
  }
}

}  // namespace conformance
