// Logic, shifts and bit fields, with references that go bit by bit.
#include "forms.h"

namespace conformance {
namespace {

uint64_t ones(int bits) {
  return bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
}
bool bit(uint64_t x, int i) {
  return ((x >> i) & 1) != 0;
}

struct Size {
  const char* suffix;
  int bits;
  char kind;
  const Values* values;
};
const Size kSizes[] = {{"16", 16, 'h', &kHalfWords}, {"32", 32, 'r', &kWords}, {"64", 64, 'd', &kDoubles}};

uint64_t extracted(uint64_t a, uint64_t b, uint64_t c, int bits, bool sign) {
  const int position = static_cast<int>(b & 0xff), length = static_cast<int>(c & 0xff), top = bits - 1;
  const bool fill = sign && length > 0 && bit(a, position + length - 1 < top ? position + length - 1 : top);
  uint64_t result = 0;
  for (int i = 0; i < bits; ++i) {
    const bool inside = i < length && position + i <= top;
    if (inside ? bit(a, position + i) : fill) result |= uint64_t{1} << i;
  }
  return result;
}
uint64_t inserted(const uint64_t* v, int bits) {
  const int position = static_cast<int>(v[2] & 0xff), length = static_cast<int>(v[3] & 0xff);
  uint64_t result = v[1];
  for (int i = 0; i < length && position + i < bits; ++i) {
    const uint64_t at = uint64_t{1} << (position + i);
    result = bit(v[0], i) ? result | at : result & ~at;
  }
  return result;
}
uint64_t byte_of(uint64_t a, uint64_t b, unsigned index) {
  return index < 4 ? (a >> (8 * index)) & 0xff : (b >> (8 * (index - 4))) & 0xff;
}

}  // namespace

void bit_forms(std::vector<ScalarForm>& forms) {
  for (const Size& size : kSizes) {
    const int bits = size.bits;
    const std::string b = std::string(".b") + size.suffix;
    const auto two = [&](const std::string& op, auto f) {
      forms.push_back({op + b,
                       op + b + " %o, %a, %b;",
                       size.kind,
                       std::string(2, size.kind),
                       {size.values, size.values},
                       [f, bits](const uint64_t* v) { return f(v[0], v[1]) & ones(bits); }});
    };
    two("and", [](uint64_t x, uint64_t y) { return x & y; });
    two("or", [](uint64_t x, uint64_t y) { return x | y; });
    two("xor", [](uint64_t x, uint64_t y) { return x ^ y; });
    const std::string single(1, size.kind);
    forms.push_back({"not" + b, "not" + b + " %o, %a;", size.kind, single, {size.values}, [bits](const uint64_t* v) {
                       return ~v[0] & ones(bits);
                     }});
    forms.push_back({"cnot" + b, "cnot" + b + " %o, %a;", size.kind, single, {size.values}, [](const uint64_t* v) {
                       return v[0] == 0 ? 1 : 0;
                     }});
    const std::string shifted = single + "r";
    forms.push_back(
        {"shl" + b, "shl" + b + " %o, %a, %b;", size.kind, shifted, {size.values, &kShifts}, [bits](const uint64_t* v) {
           return v[1] >= static_cast<uint64_t>(bits) ? 0 : (v[0] << v[1]) & ones(bits);
         }});
    for (const char* sign : {"u", "s", "b"}) {
      const bool fill = sign[0] == 's';
      const std::string name = std::string("shr.") + sign + size.suffix;
      forms.push_back(
          {name, name + " %o, %a, %b;", size.kind, shifted, {size.values, &kShifts}, [bits, fill](const uint64_t* v) {
             uint64_t result = 0;
             for (int i = 0; i < bits; ++i) {
               const uint64_t from = static_cast<uint64_t>(i) + v[1];
               const bool on =
                   from < static_cast<uint64_t>(bits) ? bit(v[0], static_cast<int>(from)) : fill && bit(v[0], bits - 1);
               if (on) result |= uint64_t{1} << i;
             }
             return result;
           }});
    }
    if (bits == 16) continue;
    for (const char* sign : {"u", "s"}) {
      const bool fill = sign[0] == 's';
      std::string name = std::string("bfe.") + sign + size.suffix;
      forms.push_back({name,
                       name + " %o, %a, %b, %c;",
                       size.kind,
                       single + "rr",
                       {size.values, &kShifts, &kShifts},
                       [bits, fill](const uint64_t* v) { return extracted(v[0], v[1], v[2], bits, fill); }});
      for (const char* amount : {"", ".shiftamt"}) {
        name = std::string("bfind") + amount + "." + sign + size.suffix;
        const bool distance = amount[0] != '\0';
        forms.push_back(
            {name, name + " %o, %a;", 'r', single, {size.values}, [bits, fill, distance](const uint64_t* v) {
               const uint64_t x = fill && bit(v[0], bits - 1) ? ~v[0] & ones(bits) : v[0];
               for (int i = bits - 1; i >= 0; --i) {
                 if (bit(x, i)) return static_cast<uint64_t>(distance ? bits - 1 - i : i);
               }
               return uint64_t{0xffffffff};
             }});
      }
    }
    forms.push_back({"bfi" + b,
                     "bfi" + b + " %o, %a, %b, %c, %d;",
                     size.kind,
                     single + single + "rr",
                     {size.values, size.values, &kShifts, &kShifts},
                     [bits](const uint64_t* v) { return inserted(v, bits); }});
    forms.push_back({"brev" + b, "brev" + b + " %o, %a;", size.kind, single, {size.values}, [bits](const uint64_t* v) {
                       uint64_t result = 0;
                       for (int i = 0; i < bits; ++i) {
                         if (bit(v[0], i)) result |= uint64_t{1} << (bits - 1 - i);
                       }
                       return result;
                     }});
    forms.push_back({"popc" + b, "popc" + b + " %o, %a;", 'r', single, {size.values}, [bits](const uint64_t* v) {
                       uint64_t count = 0;
                       for (int i = 0; i < bits; ++i) count += bit(v[0], i) ? 1 : 0;
                       return count;
                     }});
    forms.push_back({"clz" + b, "clz" + b + " %o, %a;", 'r', single, {size.values}, [bits](const uint64_t* v) {
                       uint64_t count = 0;
                       while (count < static_cast<uint64_t>(bits) && !bit(v[0], bits - 1 - static_cast<int>(count)))
                         ++count;
                       return count;
                     }});
  }
  for (const char* side : {"l", "r"}) {
    for (const char* mode : {"clamp", "wrap"}) {
      const bool left = side[0] == 'l', clamp = mode[0] == 'c';
      const std::string name = std::string("shf.") + side + "." + mode + ".b32";
      forms.push_back(
          {name, name + " %o, %a, %b, %c;", 'r', "rrr", {&kWords, &kWords, &kShifts}, [left, clamp](const uint64_t* v) {
             const uint64_t by = clamp ? (v[2] > 32 ? 32 : v[2]) : v[2] & 31, pair = v[1] << 32 | v[0];
             return (left ? (by == 0 ? pair : pair << by) >> 32 : pair >> by) & 0xffffffff;
           }});
    }
  }
  for (int table : {0x00, 0xff, 0x96, 0xe8, 0xc0, 0xfe, 0x1b, 0x80, 0x78, 0xd2}) {
    const std::string name = "lop3.b32 table " + std::to_string(table);
    forms.push_back({name,
                     "lop3.b32 %o, %a, %b, %c, " + std::to_string(table) + ";",
                     'r',
                     "rrr",
                     {&kWords, &kWords, &kWords},
                     [table](const uint64_t* v) {
                       uint64_t result = 0;
                       for (int i = 0; i < 32; ++i) {
                         const int row = (bit(v[0], i) ? 4 : 0) | (bit(v[1], i) ? 2 : 0) | (bit(v[2], i) ? 1 : 0);
                         if ((table >> row) & 1) result |= uint64_t{1} << i;
                       }
                       return result;
                     }});
  }
  for (const bool clamp : {true, false}) {
    const std::string mode = clamp ? ".clamp" : ".wrap";
    forms.push_back({"bmsk" + mode + ".b32",
                     "bmsk" + mode + ".b32 %o, %a, %b;",
                     'r',
                     "rr",
                     {&kShifts, &kShifts},
                     [clamp](const uint64_t* v) {
                       const uint64_t from = clamp ? v[0] : v[0] & 31, count = clamp ? v[1] : v[1] & 31;
                       uint64_t result = 0;
                       for (uint64_t i = 0; i < 32; ++i) {
                         if (i >= from && i - from < count) result |= uint64_t{1} << i;
                       }
                       return result;
                     },
                     nullptr,
                     0,
                     0,
                     90});
    for (const bool sign : {false, true}) {
      const std::string name = "szext" + mode + (sign ? ".s32" : ".u32");
      forms.push_back({name,
                       name + " %o, %a, %b;",
                       'r',
                       "rr",
                       {&kWords, &kShifts},
                       [clamp, sign](const uint64_t* v) {
                         const uint64_t count = clamp ? v[1] : v[1] & 31;
                         uint64_t result = 0;
                         for (int i = 0; i < 32; ++i) {
                           const bool inside = static_cast<uint64_t>(i) < count;
                           const bool on =
                               inside ? bit(v[0], i) : sign && count > 0 && bit(v[0], static_cast<int>(count) - 1);
                           if (on) result |= uint64_t{1} << i;
                         }
                         return result;
                       },
                       nullptr,
                       0,
                       0,
                       90});
    }
  }
  const auto permutation = [&](const std::string& mode, auto pick) {
    const std::string name = "prmt.b32" + mode;
    forms.push_back(
        {name, name + " %o, %a, %b, %c;", 'r', "rrr", {&kWords, &kWords, &kSelectors}, [pick](const uint64_t* v) {
           uint64_t result = 0;
           for (unsigned i = 0; i < 4; ++i) result |= pick(v, i) << (8 * i);
           return result;
         }});
  };
  permutation("", [](const uint64_t* v, unsigned i) -> uint64_t {
    const unsigned selector = static_cast<unsigned>(v[2] >> (4 * i)) & 15;
    const uint64_t byte = byte_of(v[0], v[1], selector & 7);
    return selector < 8 ? byte : byte > 127 ? 0xff : 0;
  });
  // The table of the manual, byte by byte: sources of byte 0 … 3 for control 0 … 3.
  static constexpr unsigned kF4e[4][4] = {{0, 1, 2, 3}, {1, 2, 3, 4}, {2, 3, 4, 5}, {3, 4, 5, 6}};
  static constexpr unsigned kB4e[4][4] = {{0, 7, 6, 5}, {1, 0, 7, 6}, {2, 1, 0, 7}, {3, 2, 1, 0}};
  static constexpr unsigned kEcl[4][4] = {{0, 1, 2, 3}, {1, 1, 2, 3}, {2, 2, 2, 3}, {3, 3, 3, 3}};
  static constexpr unsigned kEcr[4][4] = {{0, 0, 0, 0}, {0, 1, 1, 1}, {0, 1, 2, 2}, {0, 1, 2, 3}};
  permutation(".f4e", [](const uint64_t* v, unsigned i) { return byte_of(v[0], v[1], kF4e[v[2] & 3][i]); });
  permutation(".b4e", [](const uint64_t* v, unsigned i) { return byte_of(v[0], v[1], kB4e[v[2] & 3][i]); });
  permutation(".ecl", [](const uint64_t* v, unsigned i) { return byte_of(v[0], v[1], kEcl[v[2] & 3][i]); });
  permutation(".ecr", [](const uint64_t* v, unsigned i) { return byte_of(v[0], v[1], kEcr[v[2] & 3][i]); });
  permutation(".rc8", [](const uint64_t* v, unsigned) { return byte_of(v[0], v[1], v[2] & 3); });
  permutation(".rc16", [](const uint64_t* v, unsigned i) { return byte_of(v[0], v[1], 2 * (v[2] & 1) + (i & 1)); });
}

}  // namespace conformance
