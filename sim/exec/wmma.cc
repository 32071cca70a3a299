// wmma.load, wmma.store and wmma.mma, and the mma.sync of integers and double precision.
//
// Which element of a matrix lies where in a wmma fragment is not documented, and no program may depend on it. Here element n
// (row-major) is number n / 32 of lane n % 32; fragments that have room for more hold everything several times.
#include <algorithm>
#include <array>
#include <cstring>

#include "exec/access.h"
#include "exec/floats.h"
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/place.h"
#include "exec/tensor_sums.h"

namespace sim {
namespace {

using ptx::Type;

struct Shape {
  const char* name;
  int m, n, k;
};
constexpr Shape kShapes[] = {{"m16n16k16", 16, 16, 16},
                             {"m8n32k16", 8, 32, 16},
                             {"m32n8k16", 32, 8, 16},
                             {"m16n16k8", 16, 16, 8},
                             {"m8n8k4", 8, 8, 4}};

/// Bits of one element; 0 for types that no fragment has.
int element_bits(Type type) {
  switch (type) {
    case Type::kS8:
    case Type::kU8:
      return 8;
    case Type::kF16:
    case Type::kBF16:
      return 16;
    case Type::kTF32:
    case Type::kF32:
    case Type::kS32:
      return 32;
    case Type::kF64:
      return 64;
    default:
      return 0;
  }
}
/// Registers of a fragment, as the manual lists them; 0: the type does not go with the shape.
int registers_of(const Shape& s, Type type, char matrix) {
  const int elements = matrix == 'a' ? s.m * s.k : matrix == 'b' ? s.k * s.n : s.m * s.n;
  const bool sixteen = s.k == 16, sum = matrix == 'c' || matrix == 'd';
  switch (type) {
    case Type::kF16:
      return !sixteen ? 0 : sum ? 4 : 8;
    case Type::kBF16:
    case Type::kS8:
    case Type::kU8:
      return sixteen && !sum ? elements * element_bits(type) / 1024 : 0;
    case Type::kTF32:
      return s.k == 8 && !sum ? 4 : 0;
    case Type::kF32:
      return sum && s.k >= 8 ? 8 : 0;
    case Type::kS32:
      return sum && sixteen ? 8 : 0;
    case Type::kF64:
      return s.k == 4 ? elements / 32 : 0;
    default:
      return 0;
  }
}

const Shape* take_shape(Form& f) {
  for (const Shape& shape : kShapes) {
    if (f.take(shape.name)) return &shape;
  }
  f.unknown("shape");
}
Type register_type(Type type) {
  return type == Type::kF64 ? Type::kB64 : Type::kB32;
}
void fragment(Form& f, size_t index, int count, Type type, bool result) {
  const ptx::Operand& vector = f.operand(index);
  const bool alone = count == 1 && vector.kind == ptx::Operand::kRegister;
  if (count == 0 ||
      (!alone && (vector.kind != ptx::Operand::kVector || vector.parts.size() != static_cast<size_t>(count)))) {
    f.unknown("operand " + std::to_string(index + 1) + " is no vector of " + std::to_string(count));
  }
  for (int i = 0; i < count; ++i) {
    const ptx::Operand& part = alone ? vector : vector.parts[static_cast<size_t>(i)];
    f.more(result ? f.to(part, register_type(type)) : f.in(part, register_type(type)));
  }
}

/// The bits of element `e` of a lane's fragment.
uint64_t get(Warp& w, const uint32_t* slots, int bits, int e, int lane) {
  if (bits == 64) return reinterpret_cast<const uint64_t*>(w.arena + slots[e])[lane];
  const int per = 32 / bits;
  const uint32_t word = w.word(slots[e / per])[lane] >> (bits * (e % per));
  return bits == 32 ? word : word & ((1u << bits) - 1);
}
void put(Warp& w, const uint32_t* slots, int bits, int e, int lane, uint64_t value) {
  if (bits == 64) {
    reinterpret_cast<uint64_t*>(w.arena + slots[e])[lane] = value;
    return;
  }
  const int per = 32 / bits, at = bits * (e % per);
  uint32_t& word = w.word(slots[e / per])[lane];
  const uint32_t keep = bits == 32 ? 0 : ~(((1u << bits) - 1) << at);
  word = (word & keep) | static_cast<uint32_t>(value) << at;
}

constexpr uint32_t kColumnMajor = 1 << 16;

/// more: the fragment; op[2]: the stride in elements; size: bits of an element; target: rows << 8 | columns.
template <bool Store>
void move(Warp& w, const Instr& in, uint32_t mask) {
  if (mask != kFull) raise(w, in, -1, 719, "wmma needs all 32 lanes of a warp");
  const uint32_t* slots = w.cta->run->kernel->slots.data() + in.more;
  const int bits = in.size, columns = in.target & 255, rows = in.target >> 8;
  const uint32_t bytes = static_cast<uint32_t>(bits / 8);
  const int held = static_cast<int>(in.more_count) * (bits == 64 ? 1 : 32 / bits), distinct = rows * columns / kLanes;
  alignas(64) uint64_t base[kLanes], addresses[kLanes];
  addresses_of(w, in, mask, base);
  const std::byte* strides = w.arena + in.op[2];
  for (int l = 1; l < kLanes; ++l) {
    if (base[l] != base[0] || lane_of<uint32_t>(strides, l) != lane_of<uint32_t>(strides, 0)) {
      raise(w, in, l, 719, "wmma: the lanes of a warp give different addresses or strides");
    }
  }
  const uint64_t stride = lane_of<uint32_t>(strides, 0);
  // A row, or 16 bytes of it, has to be aligned as a whole.
  const uint64_t line = static_cast<uint64_t>((in.flags & kColumnMajor) != 0 ? rows : columns) * bytes,
                 whole = std::min<uint64_t>(line, 16);
  if (base[0] % whole != 0 || stride * bytes % whole != 0) {
    raise(w, in, 0, 716,
          "wmma: address " + hex(base[0]) + " or stride " + std::to_string(stride) +
              " is misaligned: rows have to start on " + std::to_string(whole) + " bytes");
  }
  for (int e = 0; e < distinct; ++e) {
    for (int l = 0; l < kLanes; ++l) {
      const uint64_t n = static_cast<uint64_t>(e * kLanes + l), row = n / static_cast<uint64_t>(columns),
                     column = n % static_cast<uint64_t>(columns);
      const uint64_t at = (in.flags & kColumnMajor) != 0 ? column * stride + row : row * stride + column;
      addresses[l] = base[l] + at * bytes;
    }
    Access access;
    resolve(w, in, mask, addresses, bytes, Store ? Use::kWrite : Use::kRead, access);
    if (access.mask != mask) raise(w, in, -1, 700, "wmma: a matrix outside of one block of memory");
    for (int l = 0; l < kLanes; ++l) {
      uint64_t value = 0;
      if (Store) {
        value = get(w, slots, bits, e, l);
        std::memcpy(access.data + access.offset[l], &value, bytes);
      } else {
        std::memcpy(&value, access.data + access.offset[l], bytes);
        for (int again = e; again < held; again += distinct) put(w, slots, bits, again, l, value);
      }
    }
    if (Store) mark_written(w, in, access, bytes);
  }
}

template <bool Store>
void move_form(Form& f) {
  const int matrix = Store ? (f.take("d") ? 3 : -1) : f.take_any({"a", "b", "c"});
  if (matrix < 0 || !f.take("sync") || !f.take("aligned")) f.unknown("form");
  const int layout = f.take_any({"row", "col"});
  const Shape* shape = take_shape(f);
  take_space(f, false);
  const Type type = f.take_type();
  // wmma.load.c and store.d name .f32 for every shape; a and b of k 8 are .tf32.
  const int registers = registers_of(*shape, type, "abcd"[matrix]);
  if (layout < 0 || registers == 0) f.unknown("layout or type");
  const int rows = matrix == 1 ? shape->k : shape->m, columns = matrix == 0 ? shape->k : shape->n;
  f.expect_count(2, 3);
  fragment(f, Store ? 1 : 0, registers, type, !Store);
  set_address(f, f.operand(Store ? 0 : 1));
  f.out.op[2] = f.count() == 3 ? f.in(2, Type::kU32) : f.constant(static_cast<uint32_t>(layout == 1 ? rows : columns));
  f.out.size = static_cast<uint8_t>(element_bits(type));
  f.out.target = rows << 8 | columns;
  f.out.flags |= layout == 1 ? kColumnMajor : 0;
  f.out.control = Control::kCollective;
  f.out.op[3] = f.constant(kFull);
  f.out.run = &move<Store>;
}

struct Types {
  Type a, b, sum_in, sum_out;
};

int32_t saturated(int64_t x, bool finite) {
  if (finite) x = std::clamp<int64_t>(x, INT32_MIN, INT32_MAX);
  return static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint64_t>(x)));
}

float widened(uint64_t bits, Type type) {
  const uint32_t word = static_cast<uint32_t>(bits);
  return type == Type::kBF16   ? float_of(word << 16)
         : type == Type::kF16  ? from_half(static_cast<uint16_t>(word))
         : type == Type::kTF32 ? float_of(word & 0xffffe000u)
                               : float_of(word);
}

float dot(const Run& run, const float* a, const float* b, int k, float c, Type type, bool half_sum) {
  const TensorSums how = run.options.tensor;
  if (how.group != 0) {
    const Element element = type == Type::kBF16  ? Element::kBrain
                            : type == Type::kF16 ? Element::kHalf
                                                 : Element::kTf32;
    return tensor_sum(a, b, k, c, element, half_sum, how);
  }
  for (int i = 0; i < k; ++i) c = __builtin_fmaf(a[i], b[i], c);
  return c;
}

/// more: d, a, b, c; target: shape; flags: types and .satfinite.
void multiply(Warp& w, const Instr& in, uint32_t mask) {
  if (mask != kFull) raise(w, in, -1, 719, "wmma needs all 32 lanes of a warp");
  ++w.cta->worker->counters.mma;
  const Shape& s = kShapes[in.target];
  const Types types{static_cast<Type>(in.flags & 31), static_cast<Type>((in.flags >> 5) & 31),
                    static_cast<Type>((in.flags >> 10) & 31), static_cast<Type>((in.flags >> 15) & 31)};
  const bool finite = ((in.flags >> 20) & 1) != 0;
  const uint32_t* d = w.cta->run->kernel->slots.data() + in.more;
  const uint32_t* a = d + registers_of(s, types.sum_out, 'd');
  const uint32_t* b = a + registers_of(s, types.a, 'a');
  const uint32_t* c = b + registers_of(s, types.b, 'b');
  const auto bits_at = [&](const uint32_t* slots, Type type, int n) {
    return get(w, slots, element_bits(type), n / kLanes, n % kLanes);
  };
  std::array<uint64_t, 256> results;
  for (int i = 0; i < s.m; ++i) {
    for (int j = 0; j < s.n; ++j) {
      const int at = i * s.n + j;
      const uint64_t start = bits_at(c, types.sum_in, at);
      uint64_t& result = results[static_cast<size_t>(at)];
      if (types.a == Type::kF64) {
        double sum = std::bit_cast<double>(start);
        for (int k = 0; k < s.k; ++k) {
          sum = __builtin_fma(std::bit_cast<double>(bits_at(a, types.a, i * s.k + k)),
                              std::bit_cast<double>(bits_at(b, types.b, k * s.n + j)), sum);
        }
        result = std::bit_cast<uint64_t>(sum);
      } else if (types.sum_in == Type::kS32) {
        int64_t sum = static_cast<int32_t>(start);
        for (int k = 0; k < s.k; ++k) {
          const uint64_t x = bits_at(a, types.a, i * s.k + k), y = bits_at(b, types.b, k * s.n + j);
          sum += (types.a == Type::kS8 ? static_cast<int8_t>(x) : static_cast<int64_t>(x)) *
                 (types.b == Type::kS8 ? static_cast<int8_t>(y) : static_cast<int64_t>(y));
        }
        result = static_cast<uint32_t>(saturated(sum, finite));
      } else {
        float x[16], y[16];
        for (int k = 0; k < s.k; ++k) {
          x[k] = widened(bits_at(a, types.a, i * s.k + k), types.a);
          y[k] = widened(bits_at(b, types.b, k * s.n + j), types.b);
        }
        const float sum =
            dot(*w.cta->run, x, y, s.k, widened(start, types.sum_in), types.a, types.sum_out == Type::kF16);
        if (types.sum_out == Type::kF16) {
          uint16_t half = to_half(sum);
          if (finite && (half & 0x7fff) == 0x7c00) --half;
          result = half;
        } else {
          result = bits_of(canonical(sum));
        }
      }
    }
  }
  const int bits = element_bits(types.sum_out);
  for (int n = 0; n < s.m * s.n; ++n) put(w, d, bits, n / kLanes, n % kLanes, results[static_cast<size_t>(n)]);
}

void multiply_form(Form& f) {
  if (!f.take("sync") || !f.take("aligned")) f.unknown("form");
  const int a_layout = f.take_any({"row", "col"}), b_layout = f.take_any({"row", "col"});
  if (a_layout < 0) f.unknown("layout");
  const Shape* shape = take_shape(f);
  std::vector<Type> named;
  for (Type type; (type = f.take_type()) != Type::kNone;) named.push_back(type);
  if (named.size() != 2 && named.size() != 4) f.unknown("types");
  const Types types = named.size() == 2 ? Types{Type::kF16, Type::kF16, named[1], named[0]}
                                        : Types{named[1], named[2], named[3], named[0]};
  static_cast<void>(b_layout);  // twice the same word leaves nothing to take
  const bool finite = f.take("satfinite");
  f.take("rn");
  const bool integers = types.a == Type::kS8 || types.a == Type::kU8;
  const auto halves = [](Type type) { return type == Type::kF16 || type == Type::kF32; };
  const bool fits = integers ? (types.b == Type::kS8 || types.b == Type::kU8) && types.sum_in == Type::kS32 &&
                                   types.sum_out == Type::kS32
                    : types.a != types.b    ? false
                    : types.a == Type::kF16 ? halves(types.sum_in) && halves(types.sum_out)
                    : types.a == Type::kF64 ? types.sum_in == Type::kF64 && types.sum_out == Type::kF64
                                            : (types.a == Type::kBF16 || types.a == Type::kTF32) &&
                                                  types.sum_in == Type::kF32 && types.sum_out == Type::kF32;
  if (!fits || (finite && !integers && types.sum_out != Type::kF16)) f.unknown("types");
  f.expect_count(4, 4);
  fragment(f, 0, registers_of(*shape, types.sum_out, 'd'), types.sum_out, true);
  fragment(f, 1, registers_of(*shape, types.a, 'a'), types.a, false);
  fragment(f, 2, registers_of(*shape, types.b, 'b'), types.b, false);
  fragment(f, 3, registers_of(*shape, types.sum_in, 'c'), types.sum_in, false);
  f.out.target = static_cast<int32_t>(shape - kShapes);
  f.out.flags = static_cast<uint32_t>(types.a) | static_cast<uint32_t>(types.b) << 5 |
                static_cast<uint32_t>(types.sum_in) << 10 | static_cast<uint32_t>(types.sum_out) << 15 |
                (finite ? 1u << 20 : 0);
  f.out.control = Control::kCollective;
  f.out.op[3] = f.constant(kFull);
  f.out.run = multiply;
}

/// mma.sync of bytes: a register holds 8 rows (g) of 4 lanes (t) with 4 bytes each, as for 16-bit types with 2 elements.
template <int K, bool AllRows>
void multiply_bytes(Warp& w, const Instr& in, uint32_t mask) {
  if (mask != kFull) raise(w, in, -1, 719, "mma needs all 32 lanes of a warp");
  ++w.cta->worker->counters.mma;
  constexpr int kRowBlocks = AllRows ? 2 : 1, kBlocks = K / 16;
  const uint32_t* d = w.cta->run->kernel->slots.data() + in.more;
  const uint32_t *a = d + 2 * kRowBlocks, *b = a + kRowBlocks * kBlocks, *c = b + kBlocks;
  const auto byte_at = [&](const uint32_t* slots, int block, int row, int column, bool sign) -> int64_t {
    const uint32_t word = w.word(slots[block])[4 * row + column / 4] >> (8 * (column % 4));
    return sign ? static_cast<int8_t>(word) : static_cast<int64_t>(word & 0xff);
  };
  const bool a_signed = (in.flags & 1) != 0, b_signed = (in.flags & 2) != 0, finite = (in.flags & 4) != 0;
  uint32_t results[2 * kRowBlocks][kLanes];
  for (int part = 0; part < kRowBlocks; ++part) {
    for (int g = 0; g < 8; ++g) {
      for (int n = 0; n < 8; ++n) {
        const int lane = 4 * g + n / 2, which = 2 * part + n % 2;
        int64_t sum = static_cast<int32_t>(w.word(c[which])[lane]);
        for (int k = 0; k < K; ++k) {
          sum +=
              byte_at(a, part + kRowBlocks * (k / 16), g, k % 16, a_signed) * byte_at(b, k / 16, n, k % 16, b_signed);
        }
        results[which][lane] = static_cast<uint32_t>(saturated(sum, finite));
      }
    }
  }
  for (int i = 0; i < 2 * kRowBlocks; ++i) std::memcpy(w.word(d[i]), results[i], sizeof results[i]);
}

/// mma.sync m8n8k4 of double precision: A's row and B's column is lane / 4, k is lane % 4.
void multiply_doubles(Warp& w, const Instr& in, uint32_t mask) {
  if (mask != kFull) raise(w, in, -1, 719, "mma needs all 32 lanes of a warp");
  ++w.cta->worker->counters.mma;
  const uint32_t* slots = w.cta->run->kernel->slots.data() + in.more;
  const auto at = [&](int slot) { return reinterpret_cast<double*>(w.arena + slots[slot]); };
  double results[2][kLanes];
  for (int g = 0; g < 8; ++g) {
    for (int n = 0; n < 8; ++n) {
      double sum = at(4 + n % 2)[4 * g + n / 2];
      for (int k = 0; k < 4; ++k) sum = __builtin_fma(at(2)[4 * g + k], at(3)[4 * n + k], sum);
      results[n % 2][4 * g + n / 2] = sum;
    }
  }
  for (int i = 0; i < 2; ++i) std::memcpy(at(i), results[i], sizeof results[i]);
}

}  // namespace

bool mma_of_other_types(Form& f) {
  const auto named = [&](const char* word) {
    return std::find(f.rest().begin(), f.rest().end(), word) != f.rest().end();
  };
  if (named("f64")) {
    if (!f.take("m8n8k4") || !f.take("row") || !f.take("col")) f.unknown("shape or layout");
    for (int i = 0; i < 4; ++i) {
      if (f.take_type() != Type::kF64) f.unknown("types");
    }
    f.take("rn");
    f.expect_count(4, 4);
    fragment(f, 0, 2, Type::kF64, true);
    fragment(f, 1, 1, Type::kF64, false), fragment(f, 2, 1, Type::kF64, false), fragment(f, 3, 2, Type::kF64, false);
    f.out.run = multiply_doubles;
  } else if (named("s32")) {
    const int shape = f.take_any({"m8n8k16", "m16n8k16", "m16n8k32"});
    if (shape < 0 || !f.take("row") || !f.take("col")) f.unknown("shape or layout");
    const Type d = f.take_type(), a = f.take_type(), b = f.take_type(), c = f.take_type();
    const auto byte = [](Type type) { return type == Type::kS8 || type == Type::kU8; };
    if (d != Type::kS32 || c != Type::kS32 || !byte(a) || !byte(b)) f.unknown("types");
    f.out.flags = (a == Type::kS8 ? 1u : 0) | (b == Type::kS8 ? 2u : 0) | (f.take("satfinite") ? 4u : 0);
    const int rows = shape == 0 ? 1 : 2, blocks = shape == 2 ? 2 : 1;
    f.expect_count(4, 4);
    fragment(f, 0, 2 * rows, Type::kS32, true);
    fragment(f, 1, rows * blocks, Type::kS32, false), fragment(f, 2, blocks, Type::kS32, false);
    fragment(f, 3, 2 * rows, Type::kS32, false);
    f.out.run = shape == 0   ? &multiply_bytes<16, false>
                : shape == 1 ? &multiply_bytes<16, true>
                             : &multiply_bytes<32, true>;
  } else {
    return false;
  }
  f.out.control = Control::kCollective;
  f.out.op[3] = f.constant(kFull);
  return true;
}

void add_wmma(Decoders& decoders) {
  decoders["wmma"] = [](Form& f) {
    const int what = f.take_any({"load", "store", "mma"});
    if (what < 0) f.unknown("form");
    if (what == 0) return move_form<false>(f);
    if (what == 1) return move_form<true>(f);
    multiply_form(f);
  };
}

}  // namespace sim
