// The machine while it runs: decoded instructions, a warp with its registers, a block of warps, one launch.
//
// Every register, immediate and special register is a slot in a warp's arena: 32 lanes of 4 bytes (types of up to 32 bits,
// kept zero-extended), 32 lanes of 8 bytes, or, for a predicate, one word with a bit per lane. A handler runs all lanes of
// one instruction; `mask` says which of them count. The lanes of a warp that are at one instruction form a group; the
// group with the lowest pc runs first, and groups that meet become one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "exec/executor.h"
#include "exec/shared_shadow.h"
#include "memory/memory.h"
#include "ptx/ir.h"

namespace sim {

inline constexpr int kLanes = 32;
inline constexpr uint32_t kFull = 0xffffffffu;

struct Warp;
struct Instr;
using Handler = void (*)(Warp& warp, const Instr& instr, uint32_t mask);

/// What the warp loop itself has to do for an instruction.
enum class Control : uint8_t {
  kNone,        // run the handler, go on
  kCollective,  // as kNone, but every lane that op[3] (a member mask) names must be here
  kBranch,
  kBranchTable,
  kExit,
  kBarrier,
  kYield,  // as kNone; may ask (Warp::yields) that others get a turn
  kCall,   // the handler says where each lane goes on: Warp::next
};

enum BarrierKind : uint8_t { kSync, kArrive, kReduceAnd, kReduceOr, kReducePopcount };

struct Instr {
  Handler run = nullptr;
  uint32_t op[4] = {0, 0, 0, 0};  // slots, as byte offsets into the arena; op[0] is the result
  uint32_t guard = 0;             // slot of the predicate
  Control control = Control::kNone;
  bool guarded = false, guard_negated = false;
  uint8_t size = 0;                   // bytes of a memory access per element, of a cp.async, a barrier's kind…
  uint32_t more = 0, more_count = 0;  // further slots: Kernel::slots[more …]
  int32_t target = 0;                 // of a branch: index of an instruction; of a table branch: index of the table
  uint32_t flags = 0;                 // of the handler's own meaning
  int64_t immediate = 0;              // an address offset, a variant
  int line = 0;                       // of the PTX text
  uint32_t cache = 0;                 // index of the instruction's block cache
};

/// Where a slot of a constant comes from.
struct Constant {
  uint32_t slot;
  uint64_t bits;
  bool wide;
};
enum class Special : uint8_t {
  kTid,
  kNtid,
  kCtaid,
  kNctaid,
  kLane,
  kWarp,
  kWarps,
  kMaskEq,
  kMaskLt,
  kMaskLe,
  kMaskGt,
  kMaskGe,
  kZero,
  kDynamicShared,
  kTotalShared,
  kReserved0,
  kReserved1,
};
struct SpecialSlot {
  uint32_t slot;
  Special what;
  int axis;
  bool wide;
};

/// A function that is called through the stack: a recursive one, or one whose address is taken.
struct Callable {
  std::string name;
  uint64_t address = 0;  // as a program sees it
  uint32_t start = 0;    // its first instruction
  size_t frame_bytes = 0;
  struct Place {
    size_t offset, bytes;  // in a frame
  };
  std::vector<Place> parameters, returns;
  struct Saved {
    uint32_t slot;
    uint8_t width;  // Lowering::Width
  };
  std::vector<Saved> saved;  // its registers: one set for all calls
};
struct CallSite {
  int callable = -1;      // -1: the address is in op[2]
  bool relative = false;  // the caller has a frame on the stack itself
  std::vector<Callable::Place> arguments, results;
};

struct SourceText {
  ptx::SourcePlace place, outer;
};

struct Kernel {
  KernelFacts facts;
  std::vector<Instr> code;
  std::vector<uint32_t> slots;
  std::vector<Constant> constants;
  std::vector<SpecialSlot> specials;
  std::vector<std::vector<int>> tables;
  std::vector<Callable> callables;
  std::vector<CallSite> call_sites;
  std::vector<SourceText> places;  // per instruction
  std::map<int, std::string> files;
  std::vector<std::string> opcodes;  // per instruction, for messages
  size_t arena_bytes = 0;
  std::vector<std::pair<uint32_t, uint32_t>>
      cleared;                // slot and bytes of registers that may be read before they are set
  size_t frame_bytes = 0;     // local memory of a thread, call parameters and the stack included
  size_t stack_begin = 0;     // where frames of called functions start in it
  size_t dynamic_shared = 0;  // where it starts
  uint32_t caches = 0;
  bool reads_noncoherent = false;
  bool reserves_shared = false;  // uses the kilobyte that the system keeps for itself and cooperative groups
  int required[3] = {0, 0, 0};
};

struct Group {
  uint32_t mask = 0;
  int pc = 0;
  bool waiting = false;  // for lanes of its own warp, at a collective
  int barrier = -1;      // that it waits for
};

/// One cp.async of a warp that has not landed.
struct PendingCopy {
  uint32_t mask = 0;
  uint32_t group[kLanes];  // of each lane, counted by commits
  uint32_t to[kLanes];     // shared offsets
  const std::byte* from[kLanes];
  uint8_t bytes[kLanes];  // to be read; the rest of `size` becomes zero
  uint8_t size = 0;
  const Instr* instr = nullptr;
  uint64_t number = 0;  // of the warp's copies, in order
};

/// One lane's cp.async.mbarrier.arrive that did not arrive yet.
struct DeferredArrival {
  uint32_t at;  // shared offset of the object
  int lane;
  uint64_t copies;  // those with a smaller number have to land first
  const Instr* instr;
};

/// One call that a lane has not returned from.
struct LaneCall {
  uint32_t callable, site, back;  // back: where it goes on
  uint64_t frame, caller_frame;
  std::vector<uint64_t> saved;
};

struct Cta;

struct Warp {
  std::byte* arena = nullptr;
  Cta* cta = nullptr;
  uint32_t index = 0;         // in the block
  uint32_t exists = 0;        // lanes that were started
  uint32_t alive = 0;         // and have not exited
  std::vector<Group> groups;  // sorted by pc
  int current = 0;            // the group that runs
  bool rotated = false;       // it was picked to give every group a turn
  int pc = 0;
  std::byte* local = nullptr;  // kLanes frames
  std::vector<PendingCopy> copies;
  uint64_t copies_started = 0;
  std::vector<DeferredArrival> deferred;
  uint32_t commits[kLanes];
  bool yields = false;
  SharedShadow::Clock fenced;                // what others may know once they see a strong write of this warp
  uint32_t next[kLanes];                     // instructions, after a call or return
  std::vector<std::vector<LaneCall>> calls;  // per lane; empty when the kernel has no callables
  uint32_t sync = 0;                         // counts bar.warp.sync and barriers: orders the lanes' shared accesses

  uint32_t* word(uint32_t slot) { return reinterpret_cast<uint32_t*>(arena + slot); }
};

struct Waiting {
  uint32_t warp, lanes;
  const Instr* instr;
};

struct Barrier {
  uint32_t expected = 0;  // threads; 0: nobody is here
  uint32_t arrived = 0;
  bool counted = false;  // the instruction says how many
  std::vector<Waiting> waiting;
  uint32_t stamps[32] = {};  // of the shadow, per warp that arrived
  uint32_t reduce_and = 1, reduce_or = 0, reduce_count = 0;
};

/// Who arrived at an mbarrier object, in its current phase and in the one before.
struct MbarrierClocks {
  SharedShadow::Clock now, before;
};

struct Run;
struct Worker;

/// Small direct-mapped memory of the block that an instruction touched last.
struct CachedBlock {
  uint64_t base = 1, end = 0;
  Block* block = nullptr;
};

struct Cta {
  Run* run = nullptr;
  Worker* worker = nullptr;
  uint32_t id[3] = {0, 0, 0};
  uint64_t linear = 0;
  uint32_t serial = 0;  // that its global writes are marked with; a new one after each fence
  bool wrote = false;   // something since its last fence
  std::vector<Warp> warps;
  std::vector<std::byte> shared;
  std::vector<uint64_t> shared_initialised;
  SharedShadow shadow;
  Barrier barriers[16];
  std::map<uint32_t, MbarrierClocks> mbarriers;           // by shared offset
  std::map<uint32_t, SharedShadow::Clock> strong_writes;  // what a strong write there made known
  uint32_t shared_bytes = 0;
  uint32_t reserved = 0;  // where that kilobyte lies: behind the program's own shared memory
};

/// One launch, shared by its host threads.
struct Run {
  const Launch* launch = nullptr;
  const Kernel* kernel = nullptr;
  DeviceMemory* memory = nullptr;
  Options options;
  uint64_t blocks = 0;
  uint32_t threads = 0, warps = 0;
  std::atomic<uint64_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;  // atomics of several host threads, and the first fault
  uint32_t first_serial = 0;
  std::atomic<uint32_t> next_serial{0};
  uint32_t strong_serial = 0;  // marks writes by atomics and volatile stores: never a hazard by themselves
  bool ordered = false;        // whether the order of blocks is watched
  // Of serial first_serial + i: the block, and bit 63 when its writes are fenced. Chunks never move.
  static constexpr uint32_t kChunk = 1u << 14, kChunks = 1u << 14;
  std::unique_ptr<std::unique_ptr<std::atomic<uint64_t>[]>[]> serials;
};

/// A write over what another block wrote: a fault if the value changes.
struct Suspect {
  int lane;
  std::byte* at;
  std::byte old[16];
  uint32_t bytes;
  uint64_t address, block;
};

struct Worker {
  Run* run = nullptr;
  std::vector<Suspect> suspects;
  Counters counters;
  std::vector<CachedBlock> caches;
  std::vector<uint64_t> executed;  // per instruction, when coverage is asked for
  std::vector<std::byte> arena_bytes;
  std::byte* arenas = nullptr;
  size_t arena_stride = 0;
  std::vector<std::byte> local_bytes;
  uint64_t random = 0;

  uint64_t draw() {  // xorshift64*
    random ^= random >> 12, random ^= random << 25, random ^= random >> 27;
    return random * 0x2545f4914f6cdd1dull;
  }
};

/// Fault with kernel, PTX line, source line, block and thread in front; lane -1 for the warp as a whole.
[[noreturn]] void raise(const Warp& warp, const Instr& instr, int lane, int code, const std::string& what);
std::string hex(uint64_t value);

/// Runs the warp until it blocks, exits or used up its quantum of instructions.
enum class Pause : uint8_t { kBlocked, kExited, kQuantum };
Pause run_warp(Warp& warp, uint64_t quantum);
/// Runs one block to its end.
void run_block(Cta& cta);
/// Lands the lane's copies that were started before the one of this number.
void land_before(Warp& warp, int lane, uint64_t number);
/// A group arrives at a barrier; true when it may go on at once.
bool arrive(Warp& warp, const Instr& instr, Group& group);

}  // namespace sim
