// f16 and bf16, alone and in pairs.
#include "forms.h"

namespace conformance {
namespace {

struct Half {
  const char* name;
  const Format* format;
  const Values *values, *few;
};
const Half kHalf{"f16", &kF16, &kHalves, &kFewHalves};
const Half kBrain{"bf16", &kBF16, &kBrains, &kFewBrains};

using Single = uint64_t (*)(const uint64_t*, const Format&, bool ftz, bool sat);

uint64_t finish(uint64_t r, const Format& f, bool ftz, bool sat) {
  if (ftz) r = flush(r, f);
  if (!sat) return r;
  const __float128 x = decode(r, f);
  return !(x > 0) ? 0 : x >= 1 ? encode({1, 0}, f, Mode::kNearest, 0) : r;
}
uint64_t zero_sign(const Exact& exact, uint64_t r, uint64_t a, uint64_t b, const Format& f) {
  if (exact.value != 0 || exact.sticky != 0) return r;
  const uint64_t sign = uint64_t{1} << (f.bits - 1);
  return a & b & sign;
}
uint64_t add(const uint64_t* v, const Format& f, bool ftz, bool sat) {
  const Exact exact = sum(decode(v[0], f), decode(v[1], f));
  return finish(zero_sign(exact, encode(exact, f, Mode::kNearest, kNaN16), v[0], v[1], f), f, ftz, sat);
}
uint64_t sub(const uint64_t* v, const Format& f, bool ftz, bool sat) {
  const uint64_t turned[] = {v[0], v[1] ^ (uint64_t{1} << (f.bits - 1))};
  return add(turned, f, ftz, sat);
}
uint64_t mul(const uint64_t* v, const Format& f, bool ftz, bool sat) {
  return finish(encode(product(decode(v[0], f), decode(v[1], f)), f, Mode::kNearest, kNaN16), f, ftz, sat);
}
uint64_t fma(const uint64_t* v, const Format& f, bool ftz, bool sat) {
  const __float128 p = decode(v[0], f) * decode(v[1], f);
  const Exact exact = sum(p, decode(v[2], f));
  const uint64_t sign = encode({p, 0}, f, Mode::kNearest, 0);
  return finish(zero_sign(exact, encode(exact, f, Mode::kNearest, kNaN16), sign, v[2], f), f, ftz, sat);
}
uint64_t fma_relu(const uint64_t* v, const Format& f, bool, bool) {
  const uint64_t r = fma(v, f, false, false);
  return is_nan(r, f) ? kNaN16 : decode(r, f) > 0 ? r : 0;
}
template <bool Least, bool KeepNaN>
uint64_t pick(const uint64_t* v, const Format& f, bool, bool) {
  const bool an = is_nan(v[0], f), bn = is_nan(v[1], f);
  if (an || bn) return (an && bn) || KeepNaN ? kNaN16 : an ? v[1] : v[0];
  const __float128 x = decode(v[0], f), y = decode(v[1], f);
  if (x == y) return ((v[0] >> 15) & 1) == (Least ? 1u : 0u) ? v[0] : v[1];
  return (x < y) == Least ? v[0] : v[1];
}
uint64_t negated(const uint64_t* v, const Format&, bool, bool) {
  return v[0] ^ 0x8000;
}
uint64_t absolute(const uint64_t* v, const Format&, bool, bool) {
  return v[0] & 0x7fff;
}

/// The form on single values, and on pairs that hold the value and another one.
void both(std::vector<ScalarForm>& forms, const std::string& op, const Half& half, int arity, Single f,
          bool ftz = false, bool sat = false, int sm = 80) {
  const char* const operands[] = {" %o, %a;", " %o, %a, %b;", " %o, %a, %b, %c;"};
  const Format& format = *half.format;
  const Values* values = arity == 3 ? half.few : half.values;
  const size_t n = static_cast<size_t>(arity);
  ScalarForm form;
  form.name = op + "." + half.name;
  form.code = form.name + operands[arity - 1];
  form.result = 'h';
  form.sources = std::string(n, 'h');
  form.domains.assign(n, values);
  form.sm = sm;
  form.format = half.format;
  form.reference = [=, &format](const uint64_t* v) {
    uint64_t x[3];
    for (size_t i = 0; i < n; ++i) x[i] = ftz ? flush(v[i], format) : v[i];
    return f(x, format, ftz, sat);
  };
  forms.push_back(form);
  // Pairs: %a packed with its neighbour in the list is made here, in the kernel, from 16-bit values.
  ScalarForm pair = form;
  pair.name = op + "." + half.name + "x2";
  std::string code = "{\n.reg .b16 %low, %high;\n.reg .b32 %x, %y, %z, %r;\n";
  const char* const registers[] = {"%x", "%y", "%z"};
  for (size_t i = 0; i < n; ++i) {
    // The upper half is the source of the next operand (cyclically).
    code += std::string("mov.b32 ") + registers[i] + ", {%" + static_cast<char>('a' + i) + ", %" +
            static_cast<char>('a' + (i + 1) % n) + "};\n";
  }
  code += pair.name + " %r, %x" + (arity > 1 ? ", %y" : "") + (arity > 2 ? ", %z" : "") + ";\n";
  pair.code = code + "mov.b32 {%low, %high}, %r;\n" + "mov.b16 %o, %high;\n}";
  pair.reference = [=, &format](const uint64_t* v) {
    uint64_t x[3];
    for (size_t i = 0; i < n; ++i) x[i] = ftz ? flush(v[(i + 1) % n], format) : v[(i + 1) % n];
    return f(x, format, ftz, sat);
  };
  forms.push_back(pair);
  pair.name += ", lower half";
  pair.code.replace(pair.code.find("mov.b16 %o, %high"), 17, "mov.b16 %o, %low");
  pair.reference = form.reference;
  forms.push_back(pair);
}

}  // namespace

void half_forms(std::vector<ScalarForm>& forms) {
  for (const bool ftz : {false, true}) {
    for (const bool sat : {false, true}) {
      const std::string m = std::string(ftz ? ".ftz" : "") + (sat ? ".sat" : "");
      both(forms, "add" + m, kHalf, 2, add, ftz, sat);
      both(forms, "sub" + m, kHalf, 2, sub, ftz, sat);
      both(forms, "mul" + m, kHalf, 2, mul, ftz, sat);
      both(forms, "fma.rn" + m, kHalf, 3, fma, ftz, sat);
    }
  }
  both(forms, "fma.rn.relu", kHalf, 3, fma_relu);
  both(forms, "fma.rn", kBrain, 3, fma);
  both(forms, "fma.rn.relu", kBrain, 3, fma_relu);
  for (const Half* half : {&kHalf, &kBrain}) {
    both(forms, "min", *half, 2, pick<true, false>);
    both(forms, "max", *half, 2, pick<false, false>);
    both(forms, "min.NaN", *half, 2, pick<true, true>);
    both(forms, "max.NaN", *half, 2, pick<false, true>);
    both(forms, "neg", *half, 1, negated);
    both(forms, "abs", *half, 1, absolute);
  }
  both(forms, "add", kBrain, 2, add, false, false, 90);
  both(forms, "sub", kBrain, 2, sub, false, false, 90);
  both(forms, "mul", kBrain, 2, mul, false, false, 90);
}

}  // namespace conformance
