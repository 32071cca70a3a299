// setp, set, selp, slct and mov.
#include "forms.h"

namespace conformance {
namespace {

struct Source {
  const char* name;
  char kind;
  const Values* values;
  const Format* format;  // null: an integer
  int bits;
  bool sign;
};
const Source kSources[] = {{"u16", 'h', &kHalfWords, nullptr, 16, false}, {"s16", 'h', &kHalfWords, nullptr, 16, true},
                           {"u32", 'r', &kWords, nullptr, 32, false},     {"s32", 'r', &kWords, nullptr, 32, true},
                           {"u64", 'd', &kDoubles, nullptr, 64, false},   {"s64", 'd', &kDoubles, nullptr, 64, true},
                           {"f32", 'f', &kSingles, &kF32, 32, true},      {"f64", 'e', &kTwofolds, &kF64, 64, true},
                           {"f16", 'h', &kHalves, &kF16, 16, true}};

/// -1, 0, 1, or 2 for unordered.
int order(uint64_t a, uint64_t b, const Source& type) {
  if (type.format != nullptr) {
    const __float128 x = decode(a, *type.format), y = decode(b, *type.format);
    return is_nan(x) || is_nan(y) ? 2 : x < y ? -1 : x > y ? 1 : 0;
  }
  const uint64_t top = type.sign ? uint64_t{1} << (type.bits - 1) : 0;
  a ^= top, b ^= top;
  return a < b ? -1 : a > b ? 1 : 0;
}

bool met(const std::string& op, int order) {
  if (op == "num") return order != 2;
  if (op == "nan") return order == 2;
  const bool or_unordered = op.size() == 3;
  if (order == 2) return or_unordered;
  const std::string base = op.substr(0, 2);
  if (base == "eq") return order == 0;
  if (base == "ne") return order != 0;
  if (base == "lt" || base == "lo") return order < 0;
  if (base == "le" || base == "ls") return order <= 0;
  if (base == "gt" || base == "hi") return order > 0;
  return order >= 0;
}

}  // namespace

void comparison_forms(std::vector<ScalarForm>& forms) {
  for (const Source& type : kSources) {
    std::vector<std::string> ops = {"eq", "ne", "lt", "le", "gt", "ge"};
    if (type.format != nullptr) {
      for (const char* op : {"equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"}) ops.push_back(op);
    } else if (!type.sign) {
      for (const char* op : {"lo", "ls", "hi", "hs"}) ops.push_back(op);
    }
    const std::string two(2, type.kind);
    for (const std::string& op : ops) {
      const std::string name = "setp." + op + "." + type.name;
      forms.push_back(
          {name, name + " %o, %a, %b;", 'p', two, {type.values, type.values}, [=, &type](const uint64_t* v) {
             return met(op, order(v[0], v[1], type)) ? 1 : 0;
           }});
    }
  }
  for (const char* op : {"eq", "lt", "geu", "nan"}) {
    const std::string name = std::string("setp.") + op + ".ftz.f32";
    forms.push_back({name, name + " %o, %a, %b;", 'p', "ff", {&kSingles, &kSingles}, [op](const uint64_t* v) {
                       return met(op, order(flush(v[0], kF32), flush(v[1], kF32), kSources[6])) ? 1 : 0;
                     }});
  }
  for (const char* combine : {"and", "or", "xor"}) {
    for (const char* negation : {"", "!"}) {
      const std::string name = std::string("setp.lt.") + combine + ".s32 " + negation + "p";
      const auto combined = [combine, negation](bool met, bool c) {
        if (negation[0] != '\0') c = !c;
        return combine[0] == 'a' ? met && c : combine[0] == 'o' ? met || c : met != c;
      };
      const std::string code = std::string("setp.lt.") + combine + ".s32";
      forms.push_back(
          {name,
           code + " %o, %a, %b, " + negation + "%c;",
           'p',
           "rrp",
           {&kWords, &kWords, &kPredicates},
           [combined](const uint64_t* v) { return combined(order(v[0], v[1], kSources[3]) < 0, v[2] != 0) ? 1 : 0; }});
      forms.push_back(
          {name + ", second result",
           "{\n.reg .pred %first;\n" + code + " %first|%o, %a, %b, " + negation + "%c;\n}",
           'p',
           "rrp",
           {&kWords, &kWords, &kPredicates},
           [combined](const uint64_t* v) { return combined(order(v[0], v[1], kSources[3]) >= 0, v[2] != 0) ? 1 : 0; }});
    }
  }
  forms.push_back(
      {"set.lt.u32.s32", "set.lt.u32.s32 %o, %a, %b;", 'r', "rr", {&kWords, &kWords}, [](const uint64_t* v) {
         return order(v[0], v[1], kSources[3]) < 0 ? 0xffffffff : 0;
       }});
  forms.push_back(
      {"set.gtu.f32.f32", "set.gtu.f32.f32 %o, %a, %b;", 'f', "ff", {&kSingles, &kSingles}, [](const uint64_t* v) {
         return met("gtu", order(v[0], v[1], kSources[6])) ? 0x3f800000 : 0;
       }});
  forms.push_back({"set.eq.and.u32.u32",
                   "set.eq.and.u32.u32 %o, %a, %b, !%c;",
                   'r',
                   "rrp",
                   {&kWords, &kWords, &kPredicates},
                   [](const uint64_t* v) { return v[0] == v[1] && v[2] == 0 ? 0xffffffff : 0; }});
  for (const char* op : {"eq", "lt", "neu", "nan", "ge"}) {
    // Both halves of a pair are compared; %o gives what the second result or the upper half says.
    const std::string compare = op, types = std::string(op) + ".f16x2";
    const std::string pack =
        "{\n.reg .b32 %x, %y, %r;\n.reg .b16 %low;\n.reg .pred %first;\nmov.b32 %x, {%b, %a};\nmov.b32 %y, {%a, %b};\n";
    forms.push_back({"setp." + types,
                     pack + "setp." + types + " %first|%o, %x, %y;\n}",
                     'p',
                     "hh",
                     {&kHalves, &kHalves},
                     [compare](const uint64_t* v) { return met(compare, order(v[0], v[1], kSources[8])) ? 1 : 0; }});
    forms.push_back(
        {"set." + types + ".f16x2",
         pack + "set." + types + ".f16x2 %r, %x, %y;\nmov.b32 {%low, %o}, %r;\n}",
         'h',
         "hh",
         {&kHalves, &kHalves},
         [compare](const uint64_t* v) { return met(compare, order(v[0], v[1], kSources[8])) ? 0x3c00 : 0; }});
    const std::string single = std::string("set.") + op + ".f16.f16";
    forms.push_back({single, single + " %o, %a, %b;", 'h', "hh", {&kHalves, &kHalves}, [compare](const uint64_t* v) {
                       return met(compare, order(v[0], v[1], kSources[8])) ? 0x3c00 : 0;
                     }});
  }
  for (const auto& [name, kind, values] :
       {std::tuple{"selp.b16", 'h', &kHalfWords}, std::tuple{"selp.b32", 'r', &kWords},
        std::tuple{"selp.b64", 'd', &kDoubles}, std::tuple{"selp.f32", 'f', &kSingles},
        std::tuple{"selp.f64", 'e', &kTwofolds}}) {
    forms.push_back({name,
                     std::string(name) + " %o, %a, %b, %c;",
                     kind,
                     std::string(2, kind) + "p",
                     {values, values, &kPredicates},
                     [](const uint64_t* v) { return v[2] != 0 ? v[0] : v[1]; }});
  }
  forms.push_back(
      {"slct.u32.s32", "slct.u32.s32 %o, %a, %b, %c;", 'r', "rrr", {&kWords, &kWords, &kWords}, [](const uint64_t* v) {
         return (v[2] & 0x80000000) == 0 ? v[0] : v[1];
       }});
  forms.push_back({"slct.b64.f32",
                   "slct.b64.f32 %o, %a, %b, %c;",
                   'd',
                   "ddf",
                   {&kDoubles, &kDoubles, &kFewSingles},
                   [](const uint64_t* v) {
                     return decode(v[2], kF32) >= 0 ? v[0] : v[1];  // -0 counts as positive, NaN as negative
                   }});
  for (const char* op : {"and", "or", "xor"}) {
    const std::string name = std::string(op) + ".pred";
    forms.push_back({name, name + " %o, %a, %b;", 'p', "pp", {&kPredicates, &kPredicates}, [op](const uint64_t* v) {
                       return op[0] == 'a' ? v[0] & v[1] : op[0] == 'o' ? v[0] | v[1] : v[0] ^ v[1];
                     }});
  }
  forms.push_back(
      {"not.pred", "not.pred %o, %a;", 'p', "p", {&kPredicates}, [](const uint64_t* v) { return v[0] ^ 1; }});
  forms.push_back({"mov.b64 {,}",
                   "{\n.reg .b32 %x, %y;\nmov.b64 {%x, %y}, %a;\nmov.b64 %o, {%y, %x};\n}",
                   'd',
                   "d",
                   {&kDoubles},
                   [](const uint64_t* v) { return v[0] >> 32 | v[0] << 32; }});
  forms.push_back({"mov.b32 {,}",
                   "{\n.reg .b16 %x, %y;\nmov.b32 {%x, %y}, %a;\nmov.b32 %o, {%y, %x};\n}",
                   'r',
                   "r",
                   {&kWords},
                   [](const uint64_t* v) { return (v[0] >> 16 | v[0] << 16) & 0xffffffff; }});
  forms.push_back({"mov.b64 {,,,}",
                   "{\n.reg .b16 %x, %y, %z, %w;\nmov.b64 {%x, %y, %z, %w}, %a;\nmov.b64 %o, {%w, %z, %y, %x};\n}",
                   'd',
                   "d",
                   {&kDoubles},
                   [](const uint64_t* v) {
                     return v[0] >> 48 | (v[0] >> 32 & 0xffff) << 16 | (v[0] >> 16 & 0xffff) << 32 |
                            (v[0] & 0xffff) << 48;
                   }});
}

}  // namespace conformance
