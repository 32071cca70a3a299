// atom and red, in global and shared memory. The lanes of a warp go one after the other, in an order that depends on the
// seed: nothing may rely on it.
#include "exec/access.h"
#include "exec/block_order.h"
#include "exec/floats.h"
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/place.h"

namespace sim {
namespace {

using ptx::Type;

template <class T>
using Apply = T (*)(T old, T b, T c);

template <class T>
T op_add(T a, T b, T) {
  using U = std::make_unsigned_t<T>;
  return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
}
float op_add_float(float a, float b, float) {
  return canonical(a + b);
}
/// Global memory flushes subnormal numbers in single-precision atomics; shared memory does not.
float op_add_flush(float a, float b, float) {
  return flush(canonical(flush(a) + flush(b)));
}
double op_add_double(double a, double b, double) {
  return a + b;
}
uint16_t op_add_half(uint16_t a, uint16_t b, uint16_t) {
  return to_half(from_half(a) + from_half(b));
}
uint16_t op_add_bfloat(uint16_t a, uint16_t b, uint16_t) {
  return to_bfloat(from_bfloat(a) + from_bfloat(b));
}
template <uint16_t (*F)(uint16_t, uint16_t, uint16_t)>
uint32_t op_pair(uint32_t a, uint32_t b, uint32_t) {
  const uint32_t low = F(static_cast<uint16_t>(a), static_cast<uint16_t>(b), 0);
  return low | static_cast<uint32_t>(F(static_cast<uint16_t>(a >> 16), static_cast<uint16_t>(b >> 16), 0)) << 16;
}
template <class T>
T op_min(T a, T b, T) {
  return b < a ? b : a;
}
template <class T>
T op_max(T a, T b, T) {
  return b > a ? b : a;
}
template <class T>
T op_and(T a, T b, T) {
  return a & b;
}
template <class T>
T op_or(T a, T b, T) {
  return a | b;
}
template <class T>
T op_xor(T a, T b, T) {
  return a ^ b;
}
template <class T>
T op_exch(T, T b, T) {
  return b;
}
template <class T>
T op_cas(T a, T b, T c) {
  return a == b ? c : a;
}
uint32_t op_inc(uint32_t a, uint32_t b, uint32_t) {
  return a >= b ? 0 : a + 1;
}
uint32_t op_dec(uint32_t a, uint32_t b, uint32_t) {
  return a == 0 || a > b ? b : a - 1;
}

/// op[0] the old value (or the sink), op[1] the address, op[2] b, op[3] c.
template <class T, Apply<T> F>
void atomic(Warp& w, const Instr& in, uint32_t mask) {
  if ((in.flags & kReleaseBlock) != 0) fence(w, (in.flags & kRelease) != 0);
  alignas(64) uint64_t addresses[kLanes];
  Run& run = *w.cta->run;
  const std::byte *b = w.arena + in.op[2], *c = w.arena + in.op[3];
  alignas(64) Stored<T> old[kLanes];
  std::memcpy(old, w.arena + in.op[0], sizeof old);
  const uint32_t turn = run.options.seed == 0 ? 0 : static_cast<uint32_t>(w.cta->worker->draw() & 31);
  uint32_t left = mask;
  while (left != 0) {
    Access access;
    addresses_of(w, in, left, addresses);
    resolve(w, in, left, addresses, sizeof(T), Use::kAtomic, access);
    std::unique_lock<std::mutex> lock(run.mutex, std::defer_lock);
    if (run.options.threads > 1 && !access.shared) lock.lock();
    for (uint32_t i = 0; i < kLanes; ++i) {
      const uint32_t l = (i + turn) & 31;
      if (!((access.mask >> l) & 1)) continue;
      std::byte* at = access.data + access.offset[l];
      T value;
      std::memcpy(&value, at, sizeof(T));
      const T next = F(value, lane_of<T>(b, static_cast<int>(l)), lane_of<T>(c, static_cast<int>(l)));
      std::memcpy(at, &next, sizeof(T));
      old[l] = stored<T>(value);
    }
    mark_written(w, in, access, sizeof(T));
    left &= ~access.mask;
  }
  if (in.size != 0) {  // atom
    using U = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
    blend(reinterpret_cast<U*>(w.arena + in.op[0]), reinterpret_cast<const U*>(old), mask);
  }
}

enum Operation { kAdd, kMin, kMax, kAnd, kOr, kXor, kExch, kCas, kInc, kDec };

Handler choose(Operation operation, Type type, bool shared) {
  switch (operation) {
    case kAdd:
      switch (type) {
        case Type::kU32:
        case Type::kS32:
          return &atomic<uint32_t, op_add<uint32_t>>;
        case Type::kU64:
        case Type::kS64:
          return &atomic<uint64_t, op_add<uint64_t>>;
        case Type::kF32:
          return shared ? &atomic<float, op_add_float> : &atomic<float, op_add_flush>;
        case Type::kF64:
          return &atomic<double, op_add_double>;
        case Type::kF16:
          return &atomic<uint16_t, op_add_half>;
        case Type::kBF16:
          return &atomic<uint16_t, op_add_bfloat>;
        case Type::kF16x2:
          return &atomic<uint32_t, op_pair<op_add_half>>;
        case Type::kBF16x2:
          return &atomic<uint32_t, op_pair<op_add_bfloat>>;
        default:
          return nullptr;
      }
    case kMin:
    case kMax:
      switch (type) {
        case Type::kU32:
          return operation == kMin ? &atomic<uint32_t, op_min<uint32_t>> : &atomic<uint32_t, op_max<uint32_t>>;
        case Type::kS32:
          return operation == kMin ? &atomic<int32_t, op_min<int32_t>> : &atomic<int32_t, op_max<int32_t>>;
        case Type::kU64:
          return operation == kMin ? &atomic<uint64_t, op_min<uint64_t>> : &atomic<uint64_t, op_max<uint64_t>>;
        case Type::kS64:
          return operation == kMin ? &atomic<int64_t, op_min<int64_t>> : &atomic<int64_t, op_max<int64_t>>;
        default:
          return nullptr;
      }
    case kInc:
    case kDec:
      if (type != Type::kU32) return nullptr;
      return operation == kInc ? &atomic<uint32_t, op_inc> : &atomic<uint32_t, op_dec>;
    default:
      break;
  }
  if (type == Type::kB16 && operation == kCas) return &atomic<uint16_t, op_cas<uint16_t>>;
  if (type == Type::kB32 || type == Type::kU32 || type == Type::kS32) {
    constexpr Handler kAll[] = {&atomic<uint32_t, op_and<uint32_t>>, &atomic<uint32_t, op_or<uint32_t>>,
                                &atomic<uint32_t, op_xor<uint32_t>>, &atomic<uint32_t, op_exch<uint32_t>>,
                                &atomic<uint32_t, op_cas<uint32_t>>};
    return kAll[operation - kAnd];
  }
  if (type == Type::kB64 || type == Type::kU64 || type == Type::kS64) {
    constexpr Handler kAll[] = {&atomic<uint64_t, op_and<uint64_t>>, &atomic<uint64_t, op_or<uint64_t>>,
                                &atomic<uint64_t, op_xor<uint64_t>>, &atomic<uint64_t, op_exch<uint64_t>>,
                                &atomic<uint64_t, op_cas<uint64_t>>};
    return kAll[operation - kAnd];
  }
  return nullptr;
}

void atomic_form(Form& f, bool returns) {
  const int order = f.take_any({"relaxed", "acquire", "release", "acq_rel"});
  const int scope = f.take_any({"cta", "cluster", "gpu", "sys"});
  take_space(f, false);
  const uint32_t space = f.out.flags & 7;
  if (space != 0 && space != 2 && space != 4) f.unknown("state space");
  f.out.flags |= kStrong;
  if (order >= 2) f.out.flags |= scope != 0 ? kRelease | kReleaseBlock : kReleaseBlock;
  const int operation = f.take_any({"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"});
  f.take("noftz");
  f.take("L2::cache_hint");
  const Type type = f.take_type();
  if (operation < 0) f.unknown("operation");
  const size_t first = returns ? 1 : 0, sources = operation == kCas ? 2 : 1;
  f.expect_count(first + 1 + sources, first + 2 + sources);
  f.out.run = choose(static_cast<Operation>(operation), type, space == kSharedSpace);
  if (f.out.run == nullptr) f.unknown("operation and type");
  set_address(f, f.operand(first));
  ptx::Operand sink;
  sink.kind = ptx::Operand::kSink;
  f.out.op[0] = returns ? f.to(0, type) : f.to(sink, type);
  f.out.op[2] = f.in(first + 1, type);
  f.out.op[3] = sources == 2 ? f.in(first + 2, type) : f.out.op[2];
  f.out.size = returns ? 1 : 0;
}

}  // namespace

void add_atomics(Decoders& decoders) {
  decoders["atom"] = [](Form& f) { atomic_form(f, true); };
  decoders["red"] = [](Form& f) { atomic_form(f, false); };
}

}  // namespace sim
