// The sandbox's system call filter, run through an interpreter of classic BPF: for every number, and every argument that the
// rules speak of, the program says what the rule says. The rules of arguments are written here a second time, from the policy
// and not from the code. Needs no kernel with seccomp, so it also runs where another architecture is emulated.
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "assembler.h"
#include "check.h"
#include "policy.h"
#include "syscalls.h"

#ifdef __x86_64__
#include <asm/prctl.h>
#endif

namespace {

using toolgrad::test::check;
using toolgrad::test::Random;

#ifdef __x86_64__
constexpr uint32_t kNative = AUDIT_ARCH_X86_64;
constexpr uint32_t kForeign[] = {AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, 0, 0xffffffff};
#else
constexpr uint32_t kNative = AUDIT_ARCH_AARCH64;
constexpr uint32_t kForeign[] = {AUDIT_ARCH_ARM, AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, 0, 0xffffffff};
#endif
constexpr uint32_t kAllow = SECCOMP_RET_ALLOW, kKill = SECCOMP_RET_KILL_PROCESS, kPid = 4242;
constexpr uint32_t error(int number) {
  return SECCOMP_RET_ERRNO | static_cast<uint32_t>(number);
}

struct Run {
  uint32_t action;
  unsigned steps;
};

// What the kernel would do; 0 steps for a program that it would not accept.
Run run(const sock_filter* code, size_t length, const seccomp_data& data) {
  uint32_t a = 0;
  size_t at = 0;
  for (unsigned steps = 1; at < length; ++steps, ++at) {
    const sock_filter& i = code[at];
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (i.k % 4 != 0 || i.k > sizeof data - 4) return {0, 0};
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + i.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= i.k;
        break;
      case BPF_JMP | BPF_JA:
        at += i.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += a == i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        at += a >= i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        at += (a & i.k) != 0 ? i.jt : i.jf;
        break;
      case BPF_RET | BPF_K:
        return {i.k, steps};
      default:
        return {0, 0};
    }
  }
  return {0, 0};
}

seccomp_data call(uint32_t number, const uint64_t (&args)[6], uint32_t architecture = kNative) {
  seccomp_data data{};
  data.nr = static_cast<int>(number);
  data.arch = architecture;
  data.instruction_pointer = 0x123456789abcdefull;
  std::memcpy(data.args, args, sizeof args);
  return data;
}

bool one_of(uint64_t value, const std::set<uint32_t>& values) {
  return values.count(static_cast<uint32_t>(value)) > 0;
}
uint32_t if_only(bool allowed) {
  return allowed ? kAllow : error(EPERM);
}

uint32_t expected(const seccomp_data& data, unsigned flags) {
  if (data.arch != kNative) return kKill;
  const auto low = [&](int i) { return static_cast<uint32_t>(data.args[i]); };
  const bool forks = (flags & (TG_ALLOW_FORK | TG_ALLOW_PROCESSES)) != 0;
  const auto own = [&](uint32_t id) { return id == 0 || (id == kPid && !forks); };
  switch (tg_syscall_rule(static_cast<uint32_t>(data.nr), flags)) {
    case TG_RULE_ALLOW:
      return kAllow;
    case TG_RULE_DENY:
      return error(EPERM);
    case TG_RULE_IGNORE:
      return error(0);
    case TG_RULE_NO_DATA:
      return error(ENODATA);
    case TG_RULE_ABSENT:
      return error(ENOSYS);
    case TG_RULE_KILL:
      return kKill;
    case TG_RULE_CLONE: {
      const uint32_t flags = low(0);  // 0x00010900 are CLONE_THREAD, CLONE_SIGHAND and CLONE_VM
      if (forks) return if_only((flags & 0xfe82b000) == 0);
      return if_only((flags & 0xfe82f000) == 0 && (flags & 0x00010900) == 0x00010900);
    }
    case TG_RULE_SIGNAL:
      return if_only(low(0) == kPid);
    case TG_RULE_OWN:
      return if_only(own(low(0)));
    case TG_RULE_AFFINITY:
      return own(low(0)) ? kAllow : error(ENOSYS);
    case TG_RULE_PRIORITY:
      return if_only(low(0) == 0 && own(low(1)));
    case TG_RULE_CLOCK:
      return if_only(low(0) <= 15);
    case TG_RULE_MMAP:
      return if_only((low(3) & MAP_HUGETLB) == 0);
    case TG_RULE_MADVISE:
      return if_only(!one_of(low(2), {12, 100, 101}));
    case TG_RULE_PRCTL:
      return if_only(one_of(low(0), {2, 3, 7, 15, 16, 23, 30, 37, 38, 39, 40, 42}));
#ifdef __x86_64__
    case TG_RULE_ARCH_PRCTL:
      return if_only(one_of(low(0), {0x1001, 0x1002, 0x1003, 0x1004}));
#endif
    case TG_RULE_IOCTL:
      if (low(1) == FICLONE) return error(EOPNOTSUPP);
      return if_only(one_of(low(1), {TCGETS, TCGETS2, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX}));
    case TG_RULE_FCNTL:
      if (one_of(low(1), {6, 7, 37, 38})) return error(0);
      return if_only(one_of(low(1), {0, 1, 2, 3, 4, 5, 36, 1030, 1032, 1034}));
    case TG_RULE_SOCKETPAIR:
      return if_only(low(0) == 1 && one_of(low(1) & 0xf, {1, 5}));
    default:
      return 0;
  }
}

std::string text(uint32_t action) {
  if (action == kAllow) return "allow";
  if (action == kKill) return "kill";
  if ((action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO) return "errno " + std::to_string(action & 0xffff);
  return "invalid";
}

class Filter {
 public:
  explicit Filter(unsigned flags) : flags_(flags | (tg_landlock_abi() < 3 ? TG_DENY_TRUNCATE : 0)) {
    check(tg_filter_build(&filter_, flags) == 0, name() + " is built");
    for (int i = 0; i < filter_.pid_count; ++i) filter_.code[filter_.pid_places[i]].k = kPid;
  }
  ~Filter() { tg_filter_free(&filter_); }
  Filter(const Filter&) = delete;

  std::string name() const { return "filter with flags " + std::to_string(flags_); }
  uint16_t length() const { return filter_.length; }
  uint16_t pids() const { return filter_.pid_count; }
  unsigned deepest() const { return deepest_; }

  uint32_t action(const seccomp_data& data) const { return run(filter_.code, filter_.length, data).action; }

  // Compares one call; prints the first few that differ.
  void compare(const seccomp_data& data) {
    const Run got = run(filter_.code, filter_.length, data);
    const uint32_t want = expected(data, flags_);
    ++compared_;
    if (got.steps > deepest_) deepest_ = got.steps;
    if (got.steps > 0 && got.action == want) return;
    if (++wrong_ <= 5)
      std::printf("       call %d args %llx %llx %llx %llx: %s, expected %s\n", data.nr, data.args[0], data.args[1],
                  data.args[2], data.args[3], text(got.action).c_str(), text(want).c_str());
  }

  // Every value for one argument of a call, alone and with rubbish in its upper half.
  void sweep(uint32_t number, int argument, const std::vector<uint64_t>& values, std::vector<uint64_t> others = {}) {
    uint64_t args[6] = {};
    for (size_t i = 0; i < others.size(); ++i) args[i] = others[i];
    for (const uint64_t value : values)
      for (const uint64_t upper : {uint64_t{0}, uint64_t{1} << 32, ~uint64_t{0} << 32}) {
        args[argument] = value | upper;
        compare(call(number, args));
      }
  }

  void finish(const std::string& what) {
    check(compared_ > 0 && wrong_ == 0,
          name() + ": " + what + " (" + std::to_string(compared_) + " calls, " + std::to_string(wrong_) + " wrong)");
    compared_ = wrong_ = 0;
  }

 private:
  unsigned flags_;
  tg_filter filter_{};
  unsigned deepest_ = 0;
  long compared_ = 0, wrong_ = 0;
};

std::vector<uint64_t> up_to(uint64_t end) {
  std::vector<uint64_t> all;
  for (uint64_t i = 0; i < end; ++i) all.push_back(i);
  return all;
}

// Values with one, two and no bits flipped.
std::vector<uint64_t> around(uint32_t value) {
  std::vector<uint64_t> all{value};
  for (int i = 0; i < 32; ++i)
    for (int j = i; j < 32; ++j) all.push_back(value ^ (1u << i) ^ (i == j ? 0 : 1u << j));
  return all;
}

void compare_numbers(Filter& filter) {
  std::vector<uint32_t> numbers{0x3fffffff, 0x40000000, 0x40000001, 0x40000027, 0x400001ff,
                                0x40000200, 0x7fffffff, 0x80000000, 0xffffffff};
  for (uint32_t i = 0; i < 1024; ++i) numbers.push_back(i);
  Random random(7);
  const std::vector<uint64_t> pool{0,
                                   1,
                                   2,
                                   5,
                                   7,
                                   12,
                                   15,
                                   16,
                                   37,
                                   kPid,
                                   1030,
                                   4241,
                                   4243,
                                   0x1002,
                                   0x5401,
                                   FICLONE,
                                   100,
                                   0x40000,
                                   TIOCSTI,
                                   0x10900,
                                   ~0ull,
                                   ~uint64_t{kPid},
                                   1ull << 32 | kPid,
                                   SIGCHLD,
                                   CLONE_NEWUSER};
  for (const uint32_t number : numbers) {
    const uint64_t zeros[6] = {};
    filter.compare(call(number, zeros));
    for (const uint32_t architecture : kForeign) filter.compare(call(number, zeros, architecture));
    for (int i = 0; i < 200; ++i) {
      uint64_t args[6];
      for (uint64_t& arg : args) arg = random.next() % 4 == 0 ? random.next() : pool[random.next() % pool.size()];
      filter.compare(call(number, args));
    }
  }
  filter.finish("every number from 0 to 1023, x32 numbers and foreign architectures get what the table says");
}

void compare_arguments(Filter& filter) {
  std::vector<uint64_t> ids{0, 1, kPid - 1, kPid, kPid + 1, 0xffffffff, static_cast<uint32_t>(-static_cast<int>(kPid))};
  for (const uint32_t number : {__NR_kill, __NR_tgkill, __NR_rt_sigqueueinfo, __NR_rt_tgsigqueueinfo, __NR_prlimit64,
                                __NR_sched_setaffinity, __NR_sched_getaffinity, __NR_getpgid, __NR_getsid})
    filter.sweep(number, 0, ids);
  filter.sweep(__NR_getpriority, 1, ids);
  filter.sweep(__NR_getpriority, 0, up_to(5));
  for (const uint32_t flags :
       {0x003d0f00u, 0x007d0f00u, 0x01200011u, 0x00004111u, 0x11u, 0u})  // glibc, musl, fork, vfork
    filter.sweep(__NR_clone, 0, around(flags));
  std::vector<uint64_t> clocks = up_to(40);
  for (int64_t i = 1; i < 40; ++i) clocks.push_back(static_cast<uint32_t>(-i));
  for (const uint32_t number : {__NR_clock_gettime, __NR_clock_getres, __NR_clock_nanosleep, __NR_timer_create})
    filter.sweep(number, 0, clocks);
  filter.sweep(__NR_mmap, 3, around(MAP_PRIVATE | MAP_ANONYMOUS));
  filter.sweep(__NR_madvise, 2, up_to(256));
  filter.sweep(__NR_prctl, 0, up_to(256));
  filter.sweep(__NR_prctl, 0, {PR_SET_PTRACER, 0x53564d41, 0xffffffff});
#ifdef __x86_64__
  filter.sweep(__NR_arch_prctl, 0, up_to(0x6000));
#endif
  filter.sweep(__NR_ioctl, 1, up_to(0x6000));
  filter.sweep(__NR_ioctl, 1, {TCGETS2, FICLONE, FICLONERANGE, FS_IOC_SETFLAGS, 0xffffffff});
  filter.sweep(__NR_fcntl, 1, up_to(2048));
  for (const uint64_t family : up_to(50)) filter.sweep(__NR_socketpair, 1, up_to(32), {family});
  filter.sweep(__NR_socketpair, 1, around(SOCK_STREAM), {1});
  filter.finish("arguments are judged as the rules say, by their lower half");
}

void compare_assembler() {
  static tg_assembly assembly;
  static sock_filter code[TG_LONGEST_PROGRAM];
  Random random(3);
  long wrong = 0, compared = 0, jumps = 0;
  for (int round = 0; round < 60; ++round) {
    const size_t count = 1 + random.next() % TG_MOST_NUMBERS;
    const unsigned kinds = 2 + random.next() % 40;
    assembly.used = assembly.too_long = 0;
    std::vector<uint16_t> ends, places;
    for (unsigned i = 0; i < kinds; ++i) ends.push_back(tg_return(&assembly, 1000 + i));
    for (size_t i = 0; i < count; ++i) places.push_back(ends[1 + random.next() % (kinds - 1)]);
    tg_branch_numbers(&assembly, places.data(), count, ends[0]);
    tg_load_number(&assembly);
    const uint16_t length = tg_assembled(&assembly, code, TG_LONGEST_PROGRAM);
    for (uint16_t i = 0; i < length; ++i) jumps += code[i].code == (BPF_JMP | BPF_JA);
    for (uint32_t number = 0; number < 2 * TG_MOST_NUMBERS; ++number, ++compared)
      wrong += run(code, length, call(number, {})).action != 1000u + (number < count ? places[number] : ends[0]);
  }
  check(wrong == 0 && jumps > 0, "programs of up to 512 ranges reach every one of their ends, over " +
                                     std::to_string(jumps) + " long jumps (" + std::to_string(compared) + " runs)");
  check(tg_assembled(&assembly, code, 3) == 0, "a program that does not fit is not cut short");
  while (assembly.too_long == 0) tg_return(&assembly, 0);
  check(tg_assembled(&assembly, code, TG_LONGEST_PROGRAM) == 0, "a program over the limit is refused");
}

// Not from the table: what may never be open, whatever is edited there.
void compare_with_a_list_of_dangers(const Filter& filter) {
  std::string open;
  for (const uint32_t number : {__NR_ptrace,
                                __NR_process_vm_readv,
                                __NR_process_vm_writev,
                                __NR_pidfd_getfd,
                                __NR_pidfd_open,
                                __NR_unshare,
                                __NR_setns,
                                __NR_mount,
                                __NR_pivot_root,
                                __NR_chroot,
                                __NR_bpf,
                                __NR_perf_event_open,
                                __NR_userfaultfd,
                                __NR_io_uring_setup,
                                __NR_keyctl,
                                __NR_add_key,
                                __NR_init_module,
                                __NR_kexec_load,
                                __NR_open_by_handle_at,
                                __NR_fanotify_init,
                                __NR_inotify_add_watch,
                                __NR_personality,
                                __NR_socket,
                                __NR_connect,
                                __NR_bind,
                                __NR_shmget,
                                __NR_msgget,
                                __NR_semget,
                                __NR_mq_open,
                                __NR_memfd_create,
                                __NR_splice,
                                __NR_vmsplice,
                                __NR_clone3,
                                __NR_seccomp,
                                __NR_setuid,
                                __NR_capset,
                                __NR_mlock,
                                __NR_setpriority,
                                __NR_tkill})
    for (const uint64_t arg : {uint64_t{0}, uint64_t{1}, uint64_t{kPid}, ~uint64_t{0}})
      if (filter.action(call(number, {arg, arg, arg, arg, arg, arg})) == kAllow) open += " " + std::to_string(number);
  check(open.empty(), filter.name() + ": nothing on a list of dangers is open" + open);
}

}  // namespace

int main() {
  compare_assembler();
  for (unsigned flags = 0; flags < 8; ++flags) {
    Filter filter(flags);
    compare_numbers(filter);
    compare_arguments(filter);
    compare_with_a_list_of_dangers(filter);
    std::printf("       %d instructions, %d of them with the process id, at most %u on the way to an answer\n",
                filter.length(), filter.pids(), filter.deepest());
  }
  return toolgrad::test::finish();
}
