// Every check of the executor: a kernel that is right passes under several schedules, and the same kernel with one defect
// seeded into it is caught, with the right code and the right words, under every schedule.
#include <cstring>

#include "check.h"
#include "exec/executor.h"

using namespace sim;
using sim::test::check;

namespace {

/// Before `body`: %d1 = a, %d2 = b, %r1 = n, %r2 = tid, %r3 = ctaid, %d4 = a + 4 tid, %d5 = b + 4 tid, %r4 = s,
/// %r5 = 4 tid, %r6 = s + 4 tid, %r8 = n rounded to a word of every lane.
std::string kernel(const std::string& body) {
  return R"(.version 7.4
.target sm_80
.address_size 64
.const .align 4 .b8 constants[16] = {1, 0, 0, 0, 2, 0, 0, 0};
.global .align 4 .u32 counter;
.visible .entry k(.param .u64 a, .param .u64 b, .param .u32 n)
{
.reg .pred %p<8>;
.reg .b32 %r<40>;
.reg .f32 %f<16>;
.reg .b64 %d<20>;
.shared .align 16 .b8 s[1024];
.local .align 8 .b8 frame[32];
ld.param.u64 %d1, [a];
ld.param.u64 %d2, [b];
ld.param.u32 %r1, [n];
mov.u32 %r2, %tid.x;
mov.u32 %r3, %ctaid.x;
mul.wide.u32 %d3, %r2, 4;
add.u64 %d4, %d1, %d3;
add.u64 %d5, %d2, %d3;
mov.u32 %r4, s;
shl.b32 %r5, %r2, 2;
add.u32 %r6, %r4, %r5;
xor.b32 %r7, %r5, 128;
add.u32 %r7, %r7, %r4;
)" + body +
         "\nret;\n}\n";
}

struct Case {
  const char* name;
  const char* body;
  const char* from;  // this part of the body …
  const char* to;    // … becomes this: the defect
  int code;
  const char* says;
  uint32_t blocks = 1, threads = 64;
};

const Case kCases[] = {
    {"a barrier between write and read of shared memory",
     "st.shared.u32 [%r6], %r2;\nbar.sync 0;\nld.shared.u32 %r9, [%r7];\nst.global.u32 [%d5], %r9;", "bar.sync 0;", "",
     719, "shared"},
    {"a barrier before a buffer is written again",
     "st.shared.u32 [%r6], %r2;\nbar.sync 0;\nld.shared.u32 %r9, [%r7];\nbar.sync 0;\nst.shared.u32 [%r6], %r9;",
     "bar.sync 0;\nst.shared.u32 [%r6], %r9;", "st.shared.u32 [%r6], %r9;", 719, "shared memory race"},
    {"two warps that write one word", "st.shared.u32 [%r6], %r2;", "[%r6]", "[%r4+8]", 719, "written by warp"},
    {"bar.warp.sync between lanes",
     "st.shared.u32 [%r6], %r2;\nbar.warp.sync -1;\nxor.b32 %r9, %r5, 4;\nadd.u32 %r9, %r9, %r4;\nld.shared.u32 %r10, "
     "[%r9];\nst.global.u32 [%d5], %r10;",
     "bar.warp.sync -1;", "", 719, "with no bar.warp.sync between"},
    {"shared memory is written before it is read",
     "st.shared.u32 [%r6], %r2;\nld.shared.u32 %r9, [%r6];\nst.global.u32 [%d5], %r9;", "[%r6], %r2", "[%r6+256], %r2",
     719, "shared read of 4 bytes at 0x0: byte 0 was never written"},
    {"global memory is written before it is read", "ld.global.u32 %r9, [%d4];\nst.global.u32 [%d5], %r9;", "[%d4]",
     "[%d5]", 719, "was never written; it is byte 0 of block"},
    {"a read inside of its block", "ld.global.u32 %r9, [%d4];", "[%d4]", "[%d4+4]", 700,
     "0 bytes after the end of block"},
    {"a read that does not straddle the end", "ld.global.v2.u32 {%r9, %r10}, [%d1+248];", "248", "256", 700,
     "after the end of block"},
    {"a write inside of its block", "st.global.u32 [%d5], %r9;", "[%d5]", "[%d5-8]", 700, "8 bytes before block"},
    {"a pointer that is not null", "ld.global.u32 %r9, [%d4];", "[%d4]", "[4]", 700, "null"},
    {"an aligned vector", "ld.global.v2.u32 {%r9, %r10}, [%d1+8];", "+8", "+4", 716, "misaligned"},
    {"an aligned access to shared memory", "st.shared.u64 [%r4+8], %d1;\n", "+8", "+12", 716, "misaligned", 1, 1},
    {"shared memory has an end", "st.shared.u32 [%r4+1020], %r2;", "1020", "1024", 700, "1024 bytes of shared memory",
     1, 1},
    {"local memory has an end", "st.local.u32 [frame+28], %r2;\nld.local.u32 %r9, [frame+28];", "[frame+28], %r2",
     "[frame+32], %r2", 700, "32 bytes of local memory"},
    {"constant memory is only read", "ld.const.u32 %r9, [constants];\nst.global.u32 [%d5], %r9;",
     "ld.const.u32 %r9, [constants]", "ld.const.u32 %r9, [constants+16]", 700, "constant read"},
    {"a barrier that all lanes reach", "setp.lt.u32 %p1, %r2, 16;\n@%p1 add.u32 %r9, %r2, 1;\nbar.sync 0;",
     "@%p1 add.u32 %r9, %r2, 1;", "@%p1 bra SKIP;\nbar.sync 0;\nSKIP:", 719, "barrier divergence"},
    {"a barrier that all threads live to see", "setp.lt.u32 %p1, %r2, 40;\nbar.sync 0;\n@%p1 exit;",
     "bar.sync 0;\n@%p1 exit;", "@%p1 exit;\nbar.sync 0;", 719, "barrier divergence: "},
    {"a barrier that all warps reach", "setp.lt.u32 %p1, %r2, 32;\nbar.sync 0;", "bar.sync 0;",
     "@%p1 bra OVER;\nbar.sync 0;\nOVER:\nbar.sync 1;", 719, "barrier divergence: the barrier cannot complete"},
    {"a shuffle with every named lane", "shfl.sync.bfly.b32 %r9, %r2, 1, 31, -1;", "shfl",
     "setp.eq.u32 %p1, %r2, 5;\n@%p1 exit;\nshfl", 719, "names lane 5, which has exited"},
    {"a shuffle outside of a branch",
     "setp.lt.u32 %p1, %r2, 7;\n@!%p1 bra OVER;\nadd.u32 %r9, %r2, 1;\nOVER:\nshfl.sync.bfly.b32 %r9, %r2, 1, 31, "
     "-1;\n",
     "add.u32 %r9, %r2, 1;\nOVER:\nshfl.sync.bfly.b32 %r9, %r2, 1, 31, -1;",
     "shfl.sync.bfly.b32 %r9, %r2, 1, 31, -1;\nOVER:", 719, "names lane 7, which has exited"},
    {"a shuffle that all lanes meet at",
     "setp.lt.u32 %p1, %r2, 7;\nshfl.sync.bfly.b32 %r9, %r2, 1, 31, -1;\nbar.warp.sync -1;",
     "shfl.sync.bfly.b32 %r9, %r2, 1, 31, -1;",
     "@%p1 shfl.sync.bfly.b32 %r9, %r2, 1, 31, -1;\n@!%p1 vote.sync.ballot.b32 %r9, %p0, -1;", 719,
     "never arrives, lanes 7-31"},
    {"a lane in its own member mask", "vote.sync.ballot.b32 %r9, %p0, -1;", "-1", "1", 719,
     "outside of its own member mask"},
    {"cp.async: a wait for the group that is read",
     "cp.async.ca.shared.global [%r6], [%d4], 4;\ncp.async.commit_group;\ncp.async.wait_group 0;\nld.shared.u32 %r9, "
     "[%r6];\nst.global.u32 [%d5], %r9;",
     "wait_group 0", "wait_group 1", 719, "shared read of 4 bytes"},
    {"cp.async: a barrier before others read",
     "cp.async.ca.shared.global [%r6], [%d4], 4;\ncp.async.wait_all;\nbar.sync 0;\nld.shared.u32 %r9, "
     "[%r7];\nst.global.u32 [%d5], %r9;",
     "bar.sync 0;", "", 719, ""},
    {"cp.async: a buffer that nobody reads any more",
     "st.shared.u32 [%r6], %r2;\nbar.sync 0;\nld.shared.u32 %r9, [%r7];\nbar.sync 0;\ncp.async.ca.shared.global [%r6], "
     "[%d4], "
     "4;\ncp.async.wait_all;",
     "bar.sync 0;\ncp.async", "cp.async", 719, "shared memory race"},
    {"cp.async: a source in bounds, or of size 0",
     "setp.lt.u32 %p1, %r2, 63;\nselp.b32 %r9, 4, 0, %p1;\ncp.async.ca.shared.global [%r6], [%d4+4], 4, "
     "%r9;\ncp.async.wait_all;",
     "4, %r9;", "4;", 700, "after the end of block"},
    {"a fence before the last block reads what others wrote",
     // Every block writes a word, then counts itself; the last one reads the words of all.
     "mul.wide.u32 %d6, %r3, 4;\nadd.u64 %d7, %d2, %d6;\nsetp.ne.u32 %p1, %r2, 0;\n@%p1 exit;\nst.global.u32 [%d7], "
     "%r3;\nmembar.gl;\natom.global.add.u32 %r9, [counter], 1;\nsetp.ne.u32 %p2, %r9, 3;\n@%p2 "
     "exit;\nmembar.gl;\nld.global.u32 %r10, "
     "[%d2];\nld.global.u32 %r11, [%d2+4];\nld.global.u32 %r12, [%d2+8];\nld.global.u32 %r13, [%d2+12];\n",
     "membar.gl;\natom", "atom", 719, "without a fence", 4, 32},
    {"blocks that write different words",
     "mul.wide.u32 %d6, %r3, 4;\nadd.u64 %d7, %d2, %d6;\nst.global.u32 [%d7], %r3;", "[%d7]", "[%d2]", 719,
     "a write of another value over what block", 4, 1},
    {"a non-coherent load of what nobody writes", "ld.global.nc.u32 %r9, [%d4];\nst.global.u32 [%d5], %r9;\n",
     "st.global.u32 [%d5], %r9;", "st.global.u32 [%d5], %r9;\nld.global.nc.u32 %r10, [%d5];", 719, "non-coherent read"},
    {"named barriers with one count",
     "setp.lt.u32 %p1, %r2, 32;\n@%p1 bra A;\nbar.sync 1, 64;\nbra B;\nA:\nbar.sync 1, 64;\nB:\n",
     "A:\nbar.sync 1, 64;", "A:\nbar.sync 1, 32;", 719, "barrier"},
    {"arrive on one side, sync on the other, orders the write",
     "setp.lt.u32 %p1, %r2, 32;\n@%p1 bra A;\nbar.sync 1, 64;\nld.shared.u32 %r9, [%r4+4];\nbra B;\nA:\nst.shared.u32 "
     "[%r6], %r2;\nbar.arrive 1, "
     "64;\nB:\n",
     "st.shared.u32 [%r6], %r2;\nbar.arrive 1, 64;", "bar.arrive 1, 64;\nst.shared.u32 [%r6], %r2;", 719, ""},
    {"atomics of all warps on one word",
     "st.shared.u32 [%r6], 0;\nbar.sync 0;\natom.shared.add.u32 %r9, [%r4], 1;\nbar.sync 0;\nld.shared.u32 %r10, "
     "[%r4];",
     "bar.sync 0;\nld.shared", "ld.shared", 719, "shared memory race"},
    {"a loop with an end", "mov.u32 %r9, 0;\nL:\nadd.u32 %r9, %r9, 1;\nsetp.lt.u32 %p1, %r9, 50;\n@%p1 bra L;",
     "%r9, %r9, 1", "%r9, %r9, 0", 702, "hang"},
    {"no trap", "setp.gt.u32 %p1, %r2, 200;\n@%p1 trap;", "200", "20", 719, "thread (21,0,0), warp 0 lane 21: trap"},
    {"the barrier's count fits", "bar.sync 2, 64;", "64", "40", 719, "no multiple of the warp size"},
};

/// An mbarrier of 64 threads at s + 512, and a wait for the phase that %d6 stands for, then a read of what the other warp wrote.
#define SIM_MBARRIER "setp.eq.u32 %p2, %r2, 0;\n@%p2 mbarrier.init.shared.b64 [%r4+512], 64;\nbar.sync 0;\n"
#define SIM_AWAIT                                                                                                   \
  "L:\nmbarrier.test_wait.shared.b64 %p1, [%r4+512], %d6;\n@!%p1 bra L;\nld.shared.u32 %r9, [%r7];\nst.global.u32 " \
  "[%d5], %r9;\n"
/// Before the part of the last block: %d7 = b + 4 ctaid, one thread of each block goes on, and all words of b are read at the end.
#define SIM_SHARE \
  "mul.wide.u32 %d6, %r3, 4;\nadd.u64 %d7, %d2, %d6;\nadd.u64 %d8, %d1, %d6;\nsetp.ne.u32 %p1, %r2, 0;\n@%p1 exit;\n"
#define SIM_READ_ALL                                                                                             \
  "ld.global.u32 %r10, [%d2];\nld.global.u32 %r11, [%d2+4];\nld.global.u32 %r12, [%d2+8];\nld.global.u32 %r13, " \
  "[%d2+12];\n"
#define SIM_COUNT "setp.ne.u32 %p2, %r9, 3;\n@%p2 exit;\n"
/// %d8 = a + 4 ctaid, %d9 = a + 4 (ctaid ^ 1), %d10 = a + ctaid, %d11 = a + (ctaid ^ 1).
#define SIM_NEIGHBOUR                                                                                                 \
  "xor.b32 %r9, %r3, 1;\nmul.wide.u32 %d6, %r3, 4;\nadd.u64 %d8, %d1, %d6;\nmul.wide.u32 %d6, %r9, 4;\nadd.u64 %d9, " \
  "%d1, %d6;\ncvt.u64.u32 %d6, %r3;\nadd.u64 "                                                                        \
  "%d10, %d1, %d6;\ncvt.u64.u32 %d6, %r9;\nadd.u64 %d11, %d1, %d6;\nadd.u32 %r12, %r3, 5;\n"

const Case kOrderCases[] = {
    {"a fence of the right scope",
     SIM_SHARE
     "st.global.u32 [%d7], %r3;\nfence.acq_rel.gpu;\natom.global.add.u32 %r9, [counter], 1;\n" SIM_COUNT SIM_READ_ALL,
     "acq_rel.gpu", "acq_rel.cta", 719, "without a fence", 4, 32},
    {"a fence that releases",
     SIM_SHARE
     "st.global.u32 [%d7], %r3;\nfence.sc.sys;\natom.global.add.u32 %r9, [counter], 1;\n" SIM_COUNT SIM_READ_ALL,
     "fence.sc.sys", "membar.cta", 719, "without a fence", 4, 32},
    {"an atomic that releases",
     SIM_SHARE "st.global.u32 [%d7], %r3;\natom.acq_rel.gpu.global.add.u32 %r9, [counter], 1;\n" SIM_COUNT SIM_READ_ALL,
     "acq_rel", "acquire", 719, "without a fence", 4, 32},
    {"an atomic that releases to other blocks",
     SIM_SHARE "st.global.u32 [%d7], %r3;\natom.acq_rel.gpu.global.add.u32 %r9, [counter], 1;\n" SIM_COUNT SIM_READ_ALL,
     "acq_rel.gpu", "acq_rel.cta", 719, "without a fence", 4, 32},
    {"a reduction that releases",
     SIM_SHARE
     "st.global.u32 [%d7], %r3;\nred.release.gpu.global.add.u32 [counter], 1;\nld.acquire.gpu.global.u32 %r9, "
     "[counter];\nsub.u32 %r9, %r9, 1;\n" SIM_COUNT SIM_READ_ALL,
     "red.release", "red.relaxed", 719, "without a fence", 4, 32},
    {"a store that releases",
     SIM_SHARE "st.global.u32 [%d7], %r3;\nst.release.gpu.global.u32 [%d8], 7;\nld.acquire.gpu.global.u32 %r9, "
               "[%d1];\nld.acquire.gpu.global.u32 %r10, "
               "[%d1+4];\nadd.u32 %r9, %r9, %r10;\nld.acquire.gpu.global.u32 %r10, [%d1+8];\nadd.u32 %r9, %r9, "
               "%r10;\nld.acquire.gpu.global.u32 "
               "%r10, [%d1+12];\nadd.u32 %r9, %r9, %r10;\nsub.u32 %r9, %r9, 25;\n" SIM_COUNT SIM_READ_ALL,
     "st.release", "st.relaxed", 719, "without a fence", 4, 32},
    {"volatile stores",
     SIM_SHARE "st.volatile.global.u32 [%d7], %r3;\natom.global.add.u32 %r9, [counter], 1;\n" SIM_COUNT SIM_READ_ALL,
     "st.volatile", "st", 719, "without a fence", 4, 32},
    {"a block's own half of a word", SIM_NEIGHBOUR "st.global.u16 [%d8], %r12;\nld.global.u32 %r10, [%d8];\n",
     "%r10, [%d8]", "%r10, [%d9]", 719, "a read of what block", 4, 1},
    {"a block's own byte",
     SIM_NEIGHBOUR "st.global.u8 [%d10], %r12;\nld.global.u8 %r10, [%d10];\nld.global.u8 %r10, [%d11+64];\n",
     "%r10, [%d10]", "%r10, [%d11]", 719, "a read of what block", 4, 1},
    {"words without another block's bytes", SIM_NEIGHBOUR "st.global.u8 [%d8+2], %r12;\nld.global.u32 %r10, [%d8];\n",
     "%r10, [%d8]", "%r10, [%d9]", 719, "a read of what block", 4, 1},
    {"bytes without another block's words", SIM_NEIGHBOUR "st.global.u32 [%d8], %r12;\nld.global.u8 %r10, [%d8+3];\n",
     "%r10, [%d8+3]", "%r10, [%d9+3]", 719, "a read of what block", 4, 1},
    {"a write beside another block's half of a word",
     SIM_NEIGHBOUR "st.global.u16 [%d8+2], %r12;\nshl.b32 %r12, %r12, 20;\nst.global.u32 [%d8+64], %r12;\n", "[%d8+64]",
     "[%d9]", 719, "a write of another value over what block", 4, 1},
    {"an atomic on what no other block wrote",
     SIM_NEIGHBOUR "st.global.u32 [%d8], %r12;\nred.global.add.u32 [%d8+64], 1;\n", "[%d8+64]", "[%d9]", 719,
     "of what block", 4, 1},
    {"a division", "div.u32 %r9, %r2, %r1;", "%r2, %r1", "%r1, %r2", 719,
     "thread (0,0,0), warp 0 lane 0: an integer division by zero"},
    {"a remainder", "rem.s64 %d6, %d3, %d1;", "%d3, %d1", "%d1, %d3", 719, "an integer division by zero"},
    {"an mbarrier between write and read",
     SIM_MBARRIER "st.shared.u32 [%r6], %r2;\nmbarrier.arrive.shared.b64 %d6, [%r4+512];\n" SIM_AWAIT,
     "st.shared.u32 [%r6], %r2;\nmbarrier.arrive.shared.b64 %d6, [%r4+512];\n",
     "mbarrier.arrive.shared.b64 %d6, [%r4+512];\nst.shared.u32 [%r6], %r2;\n", 719, "shared"},
    {"a wait for an mbarrier",
     SIM_MBARRIER "st.shared.u32 [%r6], %r2;\nmbarrier.arrive.shared.b64 %d6, [%r4+512];\n" SIM_AWAIT, "@!%p1 bra L;",
     "", 719, "shared"},
    {"an mbarrier that was made",
     SIM_MBARRIER "st.shared.u32 [%r6], %r2;\nmbarrier.arrive.shared.b64 %d6, [%r4+512];\n" SIM_AWAIT,
     "@%p2 mbarrier.init.shared.b64 [%r4+512], 64;", "", 719, "was never written"},
    {"an mbarrier for all who arrive",
     SIM_MBARRIER "st.shared.u32 [%r6], %r2;\nmbarrier.arrive.shared.b64 %d6, [%r4+512];\n" SIM_AWAIT, "[%r4+512], 64",
     "[%r4+512], 65", 702, "hang"},
    {"copies that arrive at an mbarrier",
     SIM_MBARRIER "cp.async.ca.shared.global [%r6], [%d4], 4;\ncp.async.mbarrier.arrive.shared.b64 "
                  "[%r4+512];\nmbarrier.arrive.shared.b64 %d6, "
                  "[%r4+512];\n" SIM_AWAIT,
     "cp.async.mbarrier.arrive.shared.b64 [%r4+512];\n", "", 719, "shared"},
    {"a flag in shared memory behind a fence",
     "setp.eq.u32 %p2, %r2, 0;\n@%p2 st.shared.u32 [%r4+512], 0;\nbar.sync 0;\nsetp.lt.u32 %p1, %r2, 32;\n@!%p1 bra "
     "W;\nst.shared.u32 [%r6], "
     "%r2;\nmembar.cta;\nbar.warp.sync -1;\n@%p2 st.volatile.shared.u32 [%r4+512], 1;\nbra "
     "END;\nW:\nld.volatile.shared.u32 %r9, "
     "[%r4+512];\nsetp.eq.u32 %p3, %r9, 0;\n@%p3 bra W;\nld.shared.u32 %r10, [%r7];\nEND:",
     "membar.cta;\n", "", 719, "shared memory race"},
};

struct Machine {
  DeviceMemory memory{1 << 24};
  uint64_t a = 0, b = 0;

  void run(const std::string& text, const Case& c, uint64_t seed) {
    a = memory.allocate(256, "input"), b = memory.allocate(256, "output");
    const std::vector<uint32_t> ones(64, 1);
    memory.write(a, ones.data(), 256);
    std::string log;
    const auto module = Module::load(text, memory, &log);
    Launch launch;
    launch.kernel = module->find("k");
    launch.grid[0] = c.blocks, launch.block[0] = c.threads;
    launch.parameters.resize(20);
    const uint32_t n = 64;
    std::memcpy(launch.parameters.data(), &a, 8);
    std::memcpy(launch.parameters.data() + 8, &b, 8);
    std::memcpy(launch.parameters.data() + 16, &n, 4);
    Options options;
    options.seed = seed;
    options.hang = 100000;
    execute(launch, memory, options, nullptr);
  }

  /// Another kernel with the buffers of the last one.
  void again(const std::string& text, uint32_t blocks) {
    std::string log;
    const auto module = Module::load(text, memory, &log);
    Launch launch;
    launch.kernel = module->find("k");
    launch.grid[0] = blocks;
    launch.parameters.resize(20);
    std::memcpy(launch.parameters.data(), &a, 8);
    std::memcpy(launch.parameters.data() + 8, &b, 8);
    execute(launch, memory, Options(), nullptr);
  }
};

void one(const Case& c, uint64_t seed) {
  const std::string title = std::string(c.name) + ", seed " + std::to_string(seed);
  try {
    Machine machine;
    machine.run(kernel(c.body), c, seed);
    check(true, title);
  } catch (const Fault& fault) {
    check(false, title + ": the right kernel faults: " + fault.message);
  }
  std::string body = c.body;
  const size_t at = body.find(c.from);
  if (!check(at != std::string::npos, title + ": nothing to replace")) return;
  body.replace(at, std::strlen(c.from), c.to);
  test::faults(c.code, c.says, title + ": the defect", [&] {
    Machine machine;
    machine.run(kernel(body), c, seed);
  });
}

/// What one launch wrote, every block of the next one may read.
void exit_releases() {
  try {
    Machine machine;
    machine.run(kernel("mul.wide.u32 %d6, %r3, 4;\nadd.u64 %d7, %d2, %d6;\nst.global.u32 [%d7], %r3;"),
                {"", "", "", "", 0, "", 4, 1}, 0);
    machine.again(
        kernel("xor.b32 %r9, %r3, 1;\nmul.wide.u32 %d6, %r9, 4;\nadd.u64 %d7, %d2, %d6;\nld.global.u32 %r10, [%d7];"),
        4);
    check(true, "the end of a launch releases");
  } catch (const Fault& fault) {
    check(false, "the end of a launch releases: " + fault.message);
  }
}

/// Functions that call themselves for ever, calls of what is no function, and of one with other parameters.
void calls() {
  const char* const kHead = ".version 7.4\n.target sm_80\n.address_size 64\n";
  const auto run = [&](const std::string& text) {
    Machine machine;
    machine.run(kHead + text, {"", "", "", "", 0, ""}, 0);
  };
  const std::string entry =
      ".visible .entry k(.param .u64 a, .param .u64 b, .param .u32 n)\n{\n.reg .b64 %d<4>;\n.reg .b32 %r<4>;\n";
  const std::string deep =
      ".func f(.param .b32 x)\n{\n.reg .b32 %r<2>;\n.reg .pred %p;\nld.param.u32 %r0, [x];\nsetp.eq.u32 %p, %r0, "
      "0;\n@%p ret;\nsub.u32 %r1, "
      "%r0, 1;\n{\n.param .b32 y;\nst.param.b32 [y], %r1;\ncall f, (y);\n}\nret;\n}\n";
  const auto call = [&](const std::string& depth) {
    return deep + entry + "{\n.param .b32 y;\nst.param.b32 [y], " + depth + ";\ncall f, (y);\n}\nret;\n}\n";
  };
  try {
    run(call("100"));
    check(true, "recursion");
  } catch (const Fault& fault) {
    check(false, "recursion: " + fault.message);
  }
  test::faults(714, "the call stack of a thread is exhausted: 1024 calls deep", "endless recursion",
               [&] { run(call("-1")); });
  const auto indirect = [&](const std::string& prepare, const std::string& arguments) {
    return ".func f(.param .b32 x)\n{\nret;\n}\n" + entry + "{\n.param .b32 y;\n.param .b64 z;\nmov.u64 %d1, f;\n" +
           prepare + "st.param.b32 [y], 1;\nst.param.b64 [z], %d1;\np: .callprototype _ (.param .b32 _);\ncall %d1, (" +
           arguments + "), p;\n}\nret;\n}\n";
  };
  try {
    run(indirect("", "y"));
    check(true, "call by address");
  } catch (const Fault& fault) {
    check(false, "call by address: " + fault.message);
  }
  test::faults(700, "which is no function", "a call of address 24", [&] { run(indirect("mov.u64 %d1, 24;\n", "y")); });
  test::faults(719, "a call of f with parameters of other sizes", "a call with another parameter",
               [&] { run(indirect("", "z")); });
}

void messages() {
  Machine machine;
  const Case c{"message", "", "", "", 0, ""};
  try {
    machine.run(kernel("bar.sync 0;\nld.global.u32 %r9, [%d4+4];"), c, 0);
    check(false, "no fault");
  } catch (const Fault& fault) {
    for (const char* part : {"kernel k, PTX line 28, ld.global.u32, block (0,0,0) thread (63,0,0), warp 1 lane 31: "
                             "global read of 4 bytes at 0x",
                             "after the end of block ", "(input, 256 bytes at 0x"}) {
      check(fault.message.find(part) != std::string::npos,
            std::string("the message says \"") + part + "\": " + fault.message);
    }
  }
  const auto load = [](const std::string& body, const char* says) {
    test::faults(218, says, "load of " + body, [&] {
      DeviceMemory memory(1 << 20);
      std::string log;
      Module::load(kernel(body), memory, &log);
    });
  };
  load("frobnicate.u32 %r9, %r2;", "PTX line 27: unknown form frobnicate.u32: no such opcode");
  load("add.rn.magic.f32 %f1, %f2, %f3;", "PTX line 27: unknown form add.rn.magic.f32: .magic is not known here");
  load("add.u32 %r9, %d1, 1;", "register %d1 has 64 bits, not 32");
  load("add.u32 %r9, %r99, 1;", "unknown register %r99");
  load("bra NOWHERE;", "unknown label NOWHERE");
  load("ld.global.u32 %r9, [nothing];", "unknown symbol nothing");
  load("add.u32 %r9, %r2", "expected");
}

}  // namespace

int main() {
  for (const Case& c : kCases) {
    for (uint64_t seed : {0, 1, 2, 3}) one(c, seed);
  }
  for (const Case& c : kOrderCases) {
    for (uint64_t seed : {0, 1, 2, 3}) one(c, seed);
  }
  exit_releases();
  calls();
  messages();
  return test::finish("checks");
}
