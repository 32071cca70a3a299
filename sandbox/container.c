// What a container's process sees of the kernel, for tests: the filter of Docker's default profile for a container without
// added capabilities, from moby/profiles seccomp v0.2.3 (May 2026). Where the profile allows all but a few calls of a kernel
// it knows, this denies those few (EPERM); numbers after the last it knows are absent (ENOSYS), as runc makes them.
// clone3 is absent too, by the profile. Calls of other architectures, which the profile judges likewise, are all denied.
#include <asm/unistd.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "assembler.h"
#include "policy.h"

#ifdef __x86_64__
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

enum { AFTER_LAST_KNOWN = 467 };  // removexattrat is the last name in the profile

// clang-format off
static const uint16_t denied[] = {
    // Namespaces and mounts
    __NR_unshare, __NR_setns, __NR_mount, __NR_umount2, __NR_pivot_root, __NR_open_tree, __NR_move_mount, __NR_fsopen,
    __NR_fsconfig, __NR_fsmount, __NR_fspick, __NR_mount_setattr, __NR_sethostname, __NR_setdomainname,
    // Keyrings, programs and events of the kernel
    __NR_add_key, __NR_request_key, __NR_keyctl, __NR_bpf, __NR_perf_event_open, __NR_userfaultfd, __NR_io_uring_setup,
    __NR_io_uring_enter, __NR_io_uring_register, __NR_fanotify_init,
    459, 460, 461,  // lsm_get_self_attr, lsm_set_self_attr, lsm_list_modules
    // Other processes, and files without their names
    __NR_kcmp, __NR_pidfd_getfd, __NR_process_madvise, __NR_open_by_handle_at, __NR_lookup_dcookie,
    // NUMA; 450 is set_mempolicy_home_node
    __NR_mbind, __NR_get_mempolicy, __NR_set_mempolicy, 450, __NR_migrate_pages, __NR_move_pages,
    // The machine
    __NR_init_module, __NR_finit_module, __NR_delete_module, __NR_kexec_load, __NR_kexec_file_load, __NR_reboot,
    __NR_swapon, __NR_swapoff, __NR_acct, __NR_syslog, __NR_vhangup, __NR_quotactl, __NR_quotactl_fd,
    __NR_settimeofday, __NR_clock_settime,
#ifdef __x86_64__
    __NR_iopl, __NR_ioperm, __NR_uselib, __NR_ustat, __NR_sysfs,
#endif
};
// clang-format on

static uint16_t assemble(struct tg_assembly* program) {
  const uint16_t absent = tg_return(program, SECCOMP_RET_ERRNO | ENOSYS);
  const uint16_t deny = tg_return(program, SECCOMP_RET_ERRNO | EPERM);
  const uint16_t allow = tg_return(program, SECCOMP_RET_ALLOW);
  const uint32_t namespaces =
      CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  static const uint32_t families[] = {38 /* AF_ALG */, 40 /* AF_VSOCK */};
  static const uint32_t personalities[] = {0, 0x8, 0x20000, 0x20008, 0xffffffff};
  uint16_t places[AFTER_LAST_KNOWN];
  for (size_t i = 0; i < AFTER_LAST_KNOWN; ++i) places[i] = allow;
  for (size_t i = 0; i < sizeof denied / sizeof *denied; ++i) places[denied[i]] = deny;
  places[__NR_clone3] = absent;
  tg_branch(program, BPF_JSET, namespaces, deny, allow);
  places[__NR_clone] = tg_load_argument(program, 0);
  tg_branch_any(program, families, sizeof families / sizeof *families, deny, allow);
  places[__NR_socket] = tg_load_argument(program, 0);
  tg_branch_any(program, personalities, sizeof personalities / sizeof *personalities, allow, deny);
  places[__NR_personality] = tg_load_argument(program, 0);
  uint16_t start = tg_branch_numbers(program, places, AFTER_LAST_KNOWN, absent);
#ifdef __x86_64__
  start = tg_branch(program, BPF_JGE, 0x40000000, deny, start);
#endif
  start = tg_load_number(program);
  tg_branch(program, BPF_JEQ, NATIVE_ARCHITECTURE, start, deny);
  return tg_load_architecture(program);
}

int tg_pretend_container(void) {
  struct tg_assembly assembly = {0};
  struct sock_filter code[TG_LONGEST_PROGRAM];
  assemble(&assembly);
  const struct sock_fprog program = {tg_assembled(&assembly, code, TG_LONGEST_PROGRAM), code};
  if (program.len == 0) return -E2BIG;
  if (syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0) return 0;
  if (errno != EACCES) return -errno;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  return syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : -errno;
}
