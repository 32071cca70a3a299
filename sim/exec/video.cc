// Video instructions: arithmetic on selected bytes and halves of a word (vadd, vsub, vabsdiff, vmin, vmax, vset, vshl, vshr)
// and on two or four lanes of a word (vadd2 … vset4). Not there: vmad, a part as destination, masks and lane selectors.
#include <algorithm>

#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/types.h"

namespace sim {
namespace {

using ptx::Type;

enum Operation : uint32_t { kAdd, kSub, kDifference, kMin, kMax, kAverage, kSet, kShiftLeft, kShiftRight };
constexpr const char* kNames[] = {"vadd", "vsub", "vabsdiff", "vmin", "vmax", "vavrg", "vset", "vshl", "vshr"};
enum Second : uint32_t { kNone, kSecondAdd, kSecondMin, kSecondMax };

/// Everything about one instruction, from Instr::flags, immediate and size (2 or 4 lanes; 1: scalar).
struct Video {
  Operation operation;
  Second second;
  uint32_t compare;  // eq ne lt le gt ge
  bool to_signed, a_signed, b_signed, saturate, wrap;
  uint32_t a_part, b_part;  // 0 the word, 1 … 4 byte 0 … 3, 5 and 6 the halves
};
uint64_t packed(const Video& v) {
  return v.operation | v.second << 4 | v.compare << 6 | static_cast<uint64_t>(v.to_signed) << 9 |
         static_cast<uint64_t>(v.a_signed) << 10 | static_cast<uint64_t>(v.b_signed) << 11 |
         static_cast<uint64_t>(v.saturate) << 12 | static_cast<uint64_t>(v.wrap) << 13 |
         static_cast<uint64_t>(v.a_part) << 14 | static_cast<uint64_t>(v.b_part) << 17;
}
Video unpacked(uint64_t x) {
  return {static_cast<Operation>(x & 15),
          static_cast<Second>((x >> 4) & 3),
          static_cast<uint32_t>((x >> 6) & 7),
          ((x >> 9) & 1) != 0,
          ((x >> 10) & 1) != 0,
          ((x >> 11) & 1) != 0,
          ((x >> 12) & 1) != 0,
          ((x >> 13) & 1) != 0,
          static_cast<uint32_t>((x >> 14) & 7),
          static_cast<uint32_t>((x >> 17) & 7)};
}

int64_t extended(uint32_t bits, int size, bool sign) {
  const int64_t value = static_cast<int64_t>(size == 32 ? bits : bits & ((1u << size) - 1));
  return sign && ((value >> (size - 1)) & 1) != 0 ? value - (int64_t{1} << size) : value;
}
int64_t part_of(uint32_t word, uint32_t part, bool sign) {
  if (part == 0) return extended(word, 32, sign);
  if (part <= 4) return extended(word >> (8 * (part - 1)), 8, sign);
  return extended(word >> (16 * (part - 5)), 16, sign);
}
int64_t clamped(int64_t x, int size, bool sign) {
  const int64_t high = (int64_t{1} << (sign ? size - 1 : size)) - 1, low = sign ? -high - 1 : 0;
  return std::clamp(x, low, high);
}

int64_t operate(const Video& v, int64_t a, int64_t b) {
  switch (v.operation) {
    case kAdd:
      return a + b;
    case kSub:
      return a - b;
    case kDifference:
      return a < b ? b - a : a - b;
    case kMin:
      return std::min(a, b);
    case kMax:
      return std::max(a, b);
    case kAverage:
      return a + b >= 0 ? (a + b + 1) >> 1 : (a + b) >> 1;
    case kSet: {
      const bool met[] = {a == b, a != b, a<b, a <= b, a> b, a >= b};
      return met[v.compare] ? 1 : 0;
    }
    default: {
      const uint64_t by = static_cast<uint64_t>(b), n = v.wrap ? by & 31 : std::min<uint64_t>(by, 32);
      // 34 bits are kept to the left, as the manual's temporary has them; the sum of 32 and 32 fits in 64.
      return v.operation == kShiftLeft ? static_cast<int64_t>(static_cast<uint64_t>(a) << n) : a >> n;
    }
  }
}

uint32_t scalar(const Video& v, uint32_t a, uint32_t b, uint32_t c) {
  int64_t t = operate(v, part_of(a, v.a_part, v.a_signed), part_of(b, v.b_part, v.b_signed));
  if (v.saturate) t = clamped(t, 32, v.to_signed);
  const uint32_t first = static_cast<uint32_t>(static_cast<uint64_t>(t));
  if (v.second == kNone) return first;
  if (v.second == kSecondAdd) return first + c;
  const bool less = v.to_signed ? static_cast<int32_t>(first) < static_cast<int32_t>(c) : first < c;
  return less == (v.second == kSecondMin) ? first : c;
}

uint32_t lanes(const Video& v, int count, uint32_t a, uint32_t b, uint32_t c) {
  const int size = 32 / count;
  uint32_t result = 0, sum = c;
  for (int i = 0; i < count; ++i) {
    int64_t t = operate(v, extended(a >> (size * i), size, v.a_signed), extended(b >> (size * i), size, v.b_signed));
    if (v.saturate) t = clamped(t, size, v.to_signed);
    const uint32_t bits = static_cast<uint32_t>(static_cast<uint64_t>(t));
    sum += bits;
    result |= (bits & ((1u << size) - 1)) << (size * i);
  }
  return v.second == kSecondAdd ? sum : result;
}

void run(Warp& w, const Instr& in, uint32_t mask) {
  const Video v = unpacked(static_cast<uint64_t>(in.immediate));
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2], *c = w.arena + in.op[3];
  const int count = in.size;
  write_each<uint32_t>(w.arena + in.op[0], mask, [=](int l) {
    const uint32_t x = lane_of<uint32_t>(a, l), y = lane_of<uint32_t>(b, l), z = lane_of<uint32_t>(c, l);
    return count == 1 ? scalar(v, x, y, z) : lanes(v, count, x, y, z);
  });
}

/// A register with a part behind it, %r1.b2.
uint32_t part_operand(Form& f, size_t index, Type type, uint32_t* part) {
  ptx::Operand operand = f.operand(index);
  constexpr const char* kParts[] = {"", "b0", "b1", "b2", "b3", "h0", "h1"};
  const auto known = std::find(std::begin(kParts), std::end(kParts), operand.selector);
  if (known == std::end(kParts)) f.unknown("part ." + operand.selector);
  *part = static_cast<uint32_t>(known - std::begin(kParts));
  operand.selector.clear();
  return f.in(operand, type);
}

void video(Form& f) {
  std::string name = f.source.opcode;
  int count = 1;
  if (name.back() == '2' || name.back() == '4') {
    count = name.back() - '0';
    name.pop_back();
  }
  const auto found = std::find(std::begin(kNames), std::end(kNames), name);
  Video v{};
  v.operation = static_cast<Operation>(found - std::begin(kNames));
  const bool sets = v.operation == kSet, shifts = v.operation >= kShiftLeft;
  const Type to = sets ? Type::kU32 : f.take_type(), a = f.take_type(), b = f.take_type();
  for (Type type : {to, a, b}) {
    if (type != Type::kU32 && type != Type::kS32) f.unknown("types");
  }
  v.to_signed = to == Type::kS32, v.a_signed = a == Type::kS32, v.b_signed = b == Type::kS32;
  if (shifts) {
    if (b != Type::kU32) f.unknown("types");
    const int mode = f.take_any({"clamp", "wrap"});
    if (mode < 0) f.unknown("form");
    v.wrap = mode == 1;
  }
  if (sets) {
    const int compare = f.take_any({"eq", "ne", "lt", "le", "gt", "ge"});
    if (compare < 0) f.unknown("comparison");
    v.compare = static_cast<uint32_t>(compare);
  } else {
    v.saturate = f.take("sat");
  }
  const int second = count == 1 ? f.take_any({"add", "min", "max"}) : f.take_any({"add"});
  v.second = static_cast<Second>(second + 1);
  f.expect_count(second >= 0 || count > 1 ? 4 : 3, second >= 0 || count > 1 ? 4 : 3);
  if (!f.operand(0).selector.empty()) f.unknown("a part as destination");
  f.out.op[0] = f.to(0, Type::kB32);
  f.out.op[1] = part_operand(f, 1, a, &v.a_part);
  f.out.op[2] = part_operand(f, 2, b, &v.b_part);
  if (count > 1 && (v.a_part != 0 || v.b_part != 0)) f.unknown("lane selectors");
  f.out.op[3] = f.count() == 4 ? f.in(3, Type::kB32) : f.out.op[1];
  f.out.size = static_cast<uint8_t>(count);
  f.out.immediate = static_cast<int64_t>(packed(v));
  f.out.run = run;
}

}  // namespace

void add_video(Decoders& decoders) {
  for (const char* name : kNames) {
    const std::string base = name;
    const bool shifts = base == "vshl" || base == "vshr", average = base == "vavrg";
    if (!average) decoders[base] = video;
    if (shifts) continue;
    decoders[base + "2"] = video;
    decoders[base + "4"] = video;
  }
}

}  // namespace sim
