// The filter of the sandbox: an allow list (syscalls.c) as a program that halves the range of numbers, with the checks of
// arguments behind it. At loading time the kernel runs it through once for every number, so its depth counts, not its length.
//
// Arguments are compared by their lower half, because of every argument judged here the kernel itself takes the lower half
// only: they are ints, unsigned ints, or flags whose upper half it ignores.
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "assembler.h"
#include "policy.h"
#include "syscalls.h"

#ifdef __x86_64__
#include <asm/prctl.h>
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

// Where each outcome stands in the program, and which of its instructions hold the process id, counted from the end.
struct outline {
  struct tg_assembly program;
  uint16_t allow, deny, ignore, absent, kill;
  uint16_t pids[8];
  uint16_t pid_count;
  unsigned flags;
};

static uint16_t refuse(struct outline* to, int error) {
  return tg_return(&to->program, SECCOMP_RET_ERRNO | (uint32_t)error);
}

static int knows_own_process(const struct outline* to) {
  return (to->flags & (TG_ALLOW_FORK | TG_ALLOW_PROCESSES)) == 0;  // what forks has a child with another id
}

// Allows if the loaded value is the process id.
static uint16_t branch_own(struct outline* to, uint16_t otherwise) {
  const uint16_t place = tg_branch(&to->program, BPF_JEQ, 0, to->allow, otherwise);
  to->pids[to->pid_count++] = place;
  return place;
}

static uint16_t check_signal(struct outline* to) {
  branch_own(to, to->deny);
  return tg_load_argument(&to->program, 0);
}

// Allows if the argument is 0 or the process id.
static uint16_t check_own(struct outline* to, unsigned argument, uint16_t otherwise) {
  const uint16_t other = knows_own_process(to) ? branch_own(to, otherwise) : otherwise;
  tg_branch(&to->program, BPF_JEQ, 0, to->allow, other);
  return tg_load_argument(&to->program, argument);
}

static uint16_t check_priority(struct outline* to) {
  const uint16_t who = check_own(to, 1, to->deny);
  tg_branch(&to->program, BPF_JEQ, PRIO_PROCESS, who, to->deny);
  return tg_load_argument(&to->program, 0);
}

// A thread shares memory, signal handlers and the process; glibc and musl set more of these flags, and no others.
static uint16_t check_clone(struct outline* to) {
  const uint32_t thread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
  const uint32_t harmless = CSIGNAL | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
                            CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_DETACHED;
  if (knows_own_process(to)) {
    tg_branch(&to->program, BPF_JEQ, thread, to->allow, to->deny);
    const uint16_t complete = tg_and(&to->program, thread);
    tg_branch(&to->program, BPF_JSET, ~(thread | harmless), to->deny, complete);
  } else {
    tg_branch(&to->program, BPF_JSET, ~(thread | harmless | CLONE_VFORK), to->deny, to->allow);
  }
  return tg_load_argument(&to->program, 0);
}

// Negative numbers are processor clocks of processes and threads, by id, and clocks of open devices.
static uint16_t check_clock(struct outline* to) {
  tg_branch(&to->program, BPF_JGE, 16, to->deny, to->allow);
  return tg_load_argument(&to->program, 0);
}

static uint16_t check_mmap(struct outline* to) {
  tg_branch(&to->program, BPF_JSET, MAP_HUGETLB, to->deny, to->allow);
  return tg_load_argument(&to->program, 3);
}

static uint16_t check_madvise(struct outline* to) {
  static const uint32_t denied[] = {MADV_MERGEABLE, MADV_HWPOISON, 101 /* MADV_SOFT_OFFLINE */};
  tg_branch_any(&to->program, denied, sizeof denied / sizeof *denied, to->deny, to->allow);
  return tg_load_argument(&to->program, 2);
}

static uint16_t check_prctl(struct outline* to) {
  static const uint32_t allowed[] = {PR_SET_NAME,         PR_GET_NAME,        PR_GET_PDEATHSIG,
                                     PR_GET_DUMPABLE,     PR_GET_KEEPCAPS,    PR_CAPBSET_READ,
                                     PR_GET_TIMERSLACK,   PR_GET_THP_DISABLE, PR_SET_NO_NEW_PRIVS,
                                     PR_GET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_GET_CHILD_SUBREAPER};
  tg_branch_any(&to->program, allowed, sizeof allowed / sizeof *allowed, to->allow, to->deny);
  return tg_load_argument(&to->program, 0);
}

#ifdef __x86_64__
static uint16_t check_arch_prctl(struct outline* to) {
  static const uint32_t allowed[] = {ARCH_SET_FS, ARCH_GET_FS, ARCH_SET_GS, ARCH_GET_GS};
  tg_branch_any(&to->program, allowed, sizeof allowed / sizeof *allowed, to->allow, to->deny);
  return tg_load_argument(&to->program, 0);
}
#endif

// FICLONE fails as on a file system that cannot share blocks, for which programs have a way round.
static uint16_t check_ioctl(struct outline* to) {
  static const uint32_t allowed[] = {TCGETS, TCGETS2, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX};
  const uint16_t unsupported = refuse(to, EOPNOTSUPP);
  const uint16_t other = tg_branch(&to->program, BPF_JEQ, FICLONE, unsupported, to->deny);
  tg_branch_any(&to->program, allowed, sizeof allowed / sizeof *allowed, to->allow, other);
  return tg_load_argument(&to->program, 1);
}

// Nobody gets a lock, so asking who holds one (as SQLite does) says the truth: nobody in a sandbox.
static uint16_t check_fcntl(struct outline* to) {
  static const uint32_t allowed[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,      F_GETFL,
                                     F_SETFL, F_GETLK,         F_OFD_GETLK, F_GETPIPE_SZ, F_GET_SEALS};
  static const uint32_t ignored[] = {F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW};
  const uint16_t other = tg_branch_any(&to->program, ignored, sizeof ignored / sizeof *ignored, to->ignore, to->deny);
  tg_branch_any(&to->program, allowed, sizeof allowed / sizeof *allowed, to->allow, other);
  return tg_load_argument(&to->program, 1);
}

// A datagram socket of a pair still sends to any address, so only types that stay connected to each other. AF_UNIX takes
// SOCK_RAW for SOCK_DGRAM.
static uint16_t check_socketpair(struct outline* to) {
  static const uint32_t allowed[] = {SOCK_STREAM, SOCK_SEQPACKET};
  tg_branch_any(&to->program, allowed, sizeof allowed / sizeof *allowed, to->allow, to->deny);
  tg_and(&to->program, 0xf);  // the rest are SOCK_CLOEXEC and SOCK_NONBLOCK
  const uint16_t type = tg_load_argument(&to->program, 1);
  tg_branch(&to->program, BPF_JEQ, AF_UNIX, type, to->deny);
  return tg_load_argument(&to->program, 0);
}

static uint16_t check(struct outline* to, enum tg_rule rule) {
  switch (rule) {
    case TG_RULE_ALLOW:
      return to->allow;
    case TG_RULE_DENY:
      return to->deny;
    case TG_RULE_IGNORE:
      return to->ignore;
    case TG_RULE_NO_DATA:
      return refuse(to, ENODATA);
    case TG_RULE_CLONE:
      return check_clone(to);
    case TG_RULE_SIGNAL:
      return check_signal(to);
    case TG_RULE_OWN:
      return check_own(to, 0, to->deny);
    case TG_RULE_AFFINITY:
      return check_own(to, 0, to->absent);
    case TG_RULE_PRIORITY:
      return check_priority(to);
    case TG_RULE_CLOCK:
      return check_clock(to);
    case TG_RULE_MMAP:
      return check_mmap(to);
    case TG_RULE_MADVISE:
      return check_madvise(to);
    case TG_RULE_PRCTL:
      return check_prctl(to);
#ifdef __x86_64__
    case TG_RULE_ARCH_PRCTL:
      return check_arch_prctl(to);
#endif
    case TG_RULE_IOCTL:
      return check_ioctl(to);
    case TG_RULE_FCNTL:
      return check_fcntl(to);
    case TG_RULE_SOCKETPAIR:
      return check_socketpair(to);
    default:
      return to->absent;
  }
}

static void assemble(struct outline* to) {
  uint16_t of_rule[TG_RULES] = {0};
  uint16_t places[TG_SYSCALLS];
  to->kill = tg_return(&to->program, SECCOMP_RET_KILL_PROCESS);
  to->absent = refuse(to, ENOSYS);
  to->deny = refuse(to, EPERM);
  to->ignore = refuse(to, 0);
  to->allow = tg_return(&to->program, SECCOMP_RET_ALLOW);
  for (uint32_t number = 0; number < TG_SYSCALLS; ++number) {
    const enum tg_rule rule = tg_syscall_rule(number, to->flags);
    if (of_rule[rule] == 0) of_rule[rule] = check(to, rule);  // 0 is the place of `kill`, which no number in here has
    places[number] = of_rule[rule];
  }
  uint16_t start = tg_branch_numbers(&to->program, places, TG_SYSCALLS, to->absent);
#ifdef __x86_64__
  start = tg_branch(&to->program, BPF_JGE, 0x40000000, to->kill, start);
#endif
  start = tg_load_number(&to->program);
  tg_branch(&to->program, BPF_JEQ, NATIVE_ARCHITECTURE, start, to->kill);
  tg_load_architecture(&to->program);
}

int tg_filter_build(struct tg_filter* filter, unsigned flags) {
  *filter = (struct tg_filter){0};
  if (tg_landlock_abi() < 3) flags |= TG_DENY_TRUNCATE;
  struct outline* outline = calloc(1, sizeof *outline);
  if (outline == NULL) return -ENOMEM;
  outline->flags = flags;
  assemble(outline);
  const uint16_t length = outline->program.used;
  filter->code = calloc(length, sizeof *filter->code);
  if (filter->code != NULL) filter->length = tg_assembled(&outline->program, filter->code, length);
  filter->pid_count = outline->pid_count;
  for (uint16_t i = 0; i < outline->pid_count; ++i) filter->pid_places[i] = (uint16_t)(length - 1 - outline->pids[i]);
  free(outline);
  if (filter->code == NULL) return -ENOMEM;
  if (filter->length > 0) return 0;
  tg_filter_free(filter);
  return -E2BIG;
}

void tg_filter_free(struct tg_filter* filter) {
  free(filter->code);
  *filter = (struct tg_filter){0};
}

int tg_seccomp(struct tg_filter* filter) {
  for (uint16_t i = 0; i < filter->pid_count; ++i) filter->code[filter->pid_places[i]].k = (uint32_t)getpid();
  const struct sock_fprog program = {filter->length, filter->code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  if (syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) return -errno;
  return 0;
}
