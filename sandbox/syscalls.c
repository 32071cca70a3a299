// The table of syscalls.h for x86-64 and arm64. The compiler takes a name that stands here twice for an error.
//
// Landlock knows nothing of chmod, chown, utime, attributes and locks, which also reach what a program may only read: they
// are ignored, so that programs which "tidy up" after themselves go on. Writing back to the disk is ignored because nothing a
// program writes outlives it. clone3 must stay absent: its flags lie in memory, where a filter cannot look.
#include "syscalls.h"

#include <asm/unistd.h>

#include "policy.h"

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "the table of system calls is written for x86-64 and arm64"
#endif

// Newer than some headers; numbers from 424 on are the same on every architecture.
#ifndef __NR_process_mrelease
#define __NR_process_mrelease 448
#endif
#ifndef __NR_futex_waitv
#define __NR_futex_waitv 449
#endif
#ifndef __NR_set_mempolicy_home_node
#define __NR_set_mempolicy_home_node 450
#endif
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif

enum {
  ALLOW = TG_RULE_ALLOW,
  DENY = TG_RULE_DENY,
  IGNORE = TG_RULE_IGNORE,
  NO_DATA = TG_RULE_NO_DATA,
  SIGNAL = TG_RULE_SIGNAL,
  OWN = TG_RULE_OWN,
  OWN_READ = TG_RULE_OWN_READ,
  CLOCK = TG_RULE_CLOCK,
};

// clang-format off
static const uint8_t table[TG_SYSCALLS] = {
    // Files that are open
    [__NR_read] = ALLOW, [__NR_write] = ALLOW, [__NR_readv] = ALLOW, [__NR_writev] = ALLOW, [__NR_pread64] = ALLOW,
    [__NR_pwrite64] = ALLOW, [__NR_preadv] = ALLOW, [__NR_pwritev] = ALLOW, [__NR_preadv2] = ALLOW,
    [__NR_pwritev2] = ALLOW, [__NR_lseek] = ALLOW, [__NR_sendfile] = ALLOW, [__NR_copy_file_range] = ALLOW,
    [__NR_close] = ALLOW, [__NR_close_range] = ALLOW, [__NR_dup] = ALLOW, [__NR_dup3] = ALLOW, [__NR_pipe2] = ALLOW,
    [__NR_ftruncate] = ALLOW, [__NR_fallocate] = ALLOW, [__NR_fadvise64] = ALLOW, [__NR_ppoll] = ALLOW,
    [__NR_pselect6] = ALLOW, [__NR_epoll_create1] = ALLOW, [__NR_epoll_ctl] = ALLOW, [__NR_epoll_pwait] = ALLOW,
    [__NR_epoll_pwait2] = ALLOW, [__NR_eventfd2] = ALLOW, [__NR_timerfd_create] = ALLOW, [__NR_timerfd_settime] = ALLOW,
    [__NR_timerfd_gettime] = ALLOW, [__NR_signalfd4] = ALLOW,
    [__NR_fsync] = IGNORE, [__NR_fdatasync] = IGNORE, [__NR_sync] = IGNORE, [__NR_syncfs] = IGNORE,
    [__NR_sync_file_range] = IGNORE, [__NR_msync] = IGNORE, [__NR_flock] = IGNORE,
    [__NR_fcntl] = TG_RULE_FCNTL,
    [__NR_ioctl] = TG_RULE_IOCTL,
    [__NR_splice] = DENY, [__NR_tee] = DENY, [__NR_vmsplice] = DENY, [__NR_readahead] = DENY, [__NR_io_setup] = DENY,
    [__NR_io_destroy] = DENY, [__NR_io_submit] = DENY, [__NR_io_cancel] = DENY, [__NR_io_getevents] = DENY,
    [__NR_io_pgetevents] = DENY,
    // Files by name; Landlock and the mounts say which
    [__NR_openat] = ALLOW, [__NR_fstat] = ALLOW, [__NR_newfstatat] = ALLOW, [__NR_statx] = ALLOW, [__NR_statfs] = ALLOW,
    [__NR_fstatfs] = ALLOW, [__NR_faccessat] = ALLOW, [__NR_faccessat2] = ALLOW, [__NR_readlinkat] = ALLOW,
    [__NR_getdents64] = ALLOW, [__NR_getcwd] = ALLOW, [__NR_chdir] = ALLOW, [__NR_fchdir] = ALLOW,
    [__NR_mkdirat] = ALLOW, [__NR_renameat] = ALLOW, [__NR_renameat2] = ALLOW, [__NR_linkat] = ALLOW,
    [__NR_symlinkat] = ALLOW, [__NR_unlinkat] = ALLOW, [__NR_umask] = ALLOW,
    [__NR_truncate] = TG_RULE_TRUNCATE,
    [__NR_fchmod] = IGNORE, [__NR_fchmodat] = IGNORE, [__NR_fchmodat2] = IGNORE, [__NR_fchown] = IGNORE,
    [__NR_fchownat] = IGNORE, [__NR_utimensat] = IGNORE, [__NR_setxattr] = IGNORE, [__NR_lsetxattr] = IGNORE,
    [__NR_fsetxattr] = IGNORE, [__NR_listxattr] = IGNORE, [__NR_llistxattr] = IGNORE, [__NR_flistxattr] = IGNORE,
    [__NR_removexattr] = IGNORE, [__NR_lremovexattr] = IGNORE, [__NR_fremovexattr] = IGNORE,
    [__NR_getxattr] = NO_DATA, [__NR_lgetxattr] = NO_DATA, [__NR_fgetxattr] = NO_DATA,
    [__NR_mknodat] = DENY, [__NR_name_to_handle_at] = DENY, [__NR_open_by_handle_at] = DENY,
    [__NR_inotify_init1] = DENY, [__NR_inotify_add_watch] = DENY, [__NR_inotify_rm_watch] = DENY,
    [__NR_fanotify_init] = DENY, [__NR_fanotify_mark] = DENY, [__NR_quotactl] = DENY,
    [__NR_quotactl_fd] = DENY,
    // Memory
    [__NR_munmap] = ALLOW, [__NR_mprotect] = ALLOW, [__NR_mremap] = ALLOW, [__NR_brk] = ALLOW,
    [__NR_mmap] = TG_RULE_MMAP,
    [__NR_madvise] = TG_RULE_MADVISE,
    [__NR_mlock] = DENY, [__NR_mlock2] = DENY, [__NR_mlockall] = DENY, [__NR_munlock] = DENY, [__NR_munlockall] = DENY,
    [__NR_mincore] = DENY, [__NR_remap_file_pages] = DENY, [__NR_memfd_create] = DENY, [__NR_memfd_secret] = DENY,
    [__NR_mbind] = DENY, [__NR_get_mempolicy] = DENY, [__NR_set_mempolicy] = DENY,
    [__NR_set_mempolicy_home_node] = DENY, [__NR_migrate_pages] = DENY, [__NR_move_pages] = DENY,
    [__NR_userfaultfd] = DENY, [__NR_process_madvise] = DENY, [__NR_process_mrelease] = DENY,
    // Threads, processes and signals
    [__NR_exit] = ALLOW, [__NR_exit_group] = ALLOW, [__NR_futex] = ALLOW, [__NR_futex_waitv] = ALLOW,
    [__NR_set_tid_address] = ALLOW, [__NR_set_robust_list] = ALLOW, [__NR_rseq] = ALLOW, [__NR_restart_syscall] = ALLOW,
    [__NR_gettid] = ALLOW, [__NR_getpid] = ALLOW, [__NR_getppid] = ALLOW, [__NR_setpgid] = ALLOW, [__NR_setsid] = ALLOW,
    [__NR_wait4] = ALLOW, [__NR_waitid] = ALLOW, [__NR_sched_yield] = ALLOW, [__NR_sched_get_priority_max] = ALLOW,
    [__NR_sched_get_priority_min] = ALLOW, [__NR_getcpu] = ALLOW, [__NR_rt_sigaction] = ALLOW,
    [__NR_rt_sigprocmask] = ALLOW, [__NR_rt_sigreturn] = ALLOW, [__NR_rt_sigpending] = ALLOW,
    [__NR_rt_sigtimedwait] = ALLOW, [__NR_rt_sigsuspend] = ALLOW, [__NR_sigaltstack] = ALLOW, [__NR_getitimer] = ALLOW,
    [__NR_setitimer] = ALLOW, [__NR_timer_settime] = ALLOW, [__NR_timer_gettime] = ALLOW,
    [__NR_timer_getoverrun] = ALLOW, [__NR_timer_delete] = ALLOW,
    [__NR_kill] = SIGNAL, [__NR_tgkill] = SIGNAL, [__NR_rt_sigqueueinfo] = SIGNAL, [__NR_rt_tgsigqueueinfo] = SIGNAL,
    [__NR_prlimit64] = OWN, [__NR_sched_setaffinity] = OWN,
    [__NR_sched_getaffinity] = TG_RULE_AFFINITY_READ,
    [__NR_sched_getparam] = OWN_READ, [__NR_sched_getscheduler] = OWN_READ,
    [__NR_sched_getattr] = OWN_READ, [__NR_sched_rr_get_interval] = OWN_READ, [__NR_getpgid] = OWN_READ,
    [__NR_getsid] = OWN_READ,
    [__NR_clone] = TG_RULE_CLONE,
    [__NR_execve] = TG_RULE_EXECUTE, [__NR_execveat] = TG_RULE_EXECUTE,
    [__NR_getpriority] = TG_RULE_PRIORITY,
    [__NR_prctl] = TG_RULE_PRCTL,
    [__NR_tkill] = DENY, [__NR_pidfd_open] = DENY, [__NR_pidfd_getfd] = DENY, [__NR_pidfd_send_signal] = DENY,
    [__NR_ptrace] = DENY, [__NR_process_vm_readv] = DENY, [__NR_process_vm_writev] = DENY, [__NR_kcmp] = DENY,
    [__NR_get_robust_list] = DENY, [__NR_setpriority] = DENY, [__NR_ioprio_set] = DENY, [__NR_ioprio_get] = DENY,
    [__NR_sched_setparam] = DENY, [__NR_sched_setscheduler] = DENY, [__NR_sched_setattr] = DENY, [__NR_unshare] = DENY,
    [__NR_setns] = DENY, [__NR_personality] = DENY, [__NR_seccomp] = DENY, [__NR_landlock_create_ruleset] = DENY,
    [__NR_landlock_add_rule] = DENY, [__NR_landlock_restrict_self] = DENY,
    // Who and when
    [__NR_getuid] = ALLOW, [__NR_geteuid] = ALLOW, [__NR_getgid] = ALLOW, [__NR_getegid] = ALLOW,
    [__NR_getresuid] = ALLOW, [__NR_getresgid] = ALLOW, [__NR_getgroups] = ALLOW, [__NR_uname] = ALLOW,
    [__NR_sysinfo] = ALLOW, [__NR_times] = ALLOW, [__NR_getrusage] = ALLOW, [__NR_getrlimit] = ALLOW,
    [__NR_setrlimit] = ALLOW, [__NR_gettimeofday] = ALLOW, [__NR_nanosleep] = ALLOW, [__NR_getrandom] = ALLOW,
    [__NR_clock_gettime] = CLOCK, [__NR_clock_getres] = CLOCK, [__NR_clock_nanosleep] = CLOCK,
    [__NR_timer_create] = CLOCK,
    [__NR_setuid] = DENY, [__NR_setgid] = DENY, [__NR_setreuid] = DENY, [__NR_setregid] = DENY, [__NR_setresuid] = DENY,
    [__NR_setresgid] = DENY, [__NR_setfsuid] = DENY, [__NR_setfsgid] = DENY, [__NR_setgroups] = DENY,
    [__NR_capget] = DENY, [__NR_capset] = DENY, [__NR_settimeofday] = DENY, [__NR_clock_settime] = DENY,
    [__NR_clock_adjtime] = DENY, [__NR_adjtimex] = DENY,
    // Pairs of sockets inside the process; every other one is denied where it is made
    [__NR_sendto] = ALLOW, [__NR_recvfrom] = ALLOW, [__NR_sendmsg] = ALLOW, [__NR_recvmsg] = ALLOW,
    [__NR_shutdown] = ALLOW, [__NR_getsockname] = ALLOW, [__NR_getpeername] = ALLOW, [__NR_getsockopt] = ALLOW,
    [__NR_socketpair] = TG_RULE_SOCKETPAIR,
    [__NR_socket] = DENY, [__NR_connect] = DENY, [__NR_bind] = DENY, [__NR_listen] = DENY, [__NR_accept] = DENY,
    [__NR_accept4] = DENY, [__NR_setsockopt] = DENY, [__NR_sendmmsg] = DENY, [__NR_recvmmsg] = DENY,
    [__NR_shmget] = DENY, [__NR_shmat] = DENY, [__NR_shmctl] = DENY, [__NR_shmdt] = DENY, [__NR_semget] = DENY,
    [__NR_semop] = DENY, [__NR_semctl] = DENY, [__NR_semtimedop] = DENY, [__NR_msgget] = DENY, [__NR_msgsnd] = DENY,
    [__NR_msgrcv] = DENY, [__NR_msgctl] = DENY, [__NR_mq_open] = DENY, [__NR_mq_unlink] = DENY,
    [__NR_mq_timedsend] = DENY, [__NR_mq_timedreceive] = DENY, [__NR_mq_notify] = DENY, [__NR_mq_getsetattr] = DENY,
    [__NR_add_key] = DENY, [__NR_request_key] = DENY, [__NR_keyctl] = DENY,
    // The machine
    [__NR_bpf] = DENY, [__NR_perf_event_open] = DENY, [__NR_io_uring_setup] = DENY, [__NR_io_uring_enter] = DENY,
    [__NR_io_uring_register] = DENY, [__NR_mount] = DENY, [__NR_umount2] = DENY, [__NR_mount_setattr] = DENY,
    [__NR_move_mount] = DENY, [__NR_open_tree] = DENY, [__NR_fsopen] = DENY, [__NR_fsconfig] = DENY,
    [__NR_fsmount] = DENY, [__NR_fspick] = DENY, [__NR_pivot_root] = DENY, [__NR_chroot] = DENY, [__NR_swapon] = DENY,
    [__NR_swapoff] = DENY, [__NR_reboot] = DENY, [__NR_kexec_load] = DENY, [__NR_kexec_file_load] = DENY,
    [__NR_init_module] = DENY, [__NR_finit_module] = DENY, [__NR_delete_module] = DENY, [__NR_acct] = DENY,
    [__NR_syslog] = DENY, [__NR_sethostname] = DENY, [__NR_setdomainname] = DENY, [__NR_vhangup] = DENY,
#ifdef __x86_64__  // calls from before the *at family, and what only this architecture has
    // Files that are open
    [__NR_dup2] = ALLOW, [__NR_pipe] = ALLOW, [__NR_poll] = ALLOW, [__NR_select] = ALLOW, [__NR_epoll_create] = ALLOW,
    [__NR_epoll_wait] = ALLOW, [__NR_eventfd] = ALLOW, [__NR_signalfd] = ALLOW,
    // Files by name; Landlock and the mounts say which
    [__NR_open] = ALLOW, [__NR_creat] = ALLOW, [__NR_stat] = ALLOW, [__NR_lstat] = ALLOW, [__NR_access] = ALLOW,
    [__NR_readlink] = ALLOW, [__NR_getdents] = ALLOW, [__NR_mkdir] = ALLOW, [__NR_rmdir] = ALLOW, [__NR_rename] = ALLOW,
    [__NR_link] = ALLOW, [__NR_symlink] = ALLOW, [__NR_unlink] = ALLOW,
    [__NR_chmod] = IGNORE, [__NR_chown] = IGNORE, [__NR_lchown] = IGNORE, [__NR_utime] = IGNORE, [__NR_utimes] = IGNORE,
    [__NR_futimesat] = IGNORE,
    [__NR_mknod] = DENY, [__NR_inotify_init] = DENY, [__NR_ustat] = DENY, [__NR_sysfs] = DENY,
    // Threads, processes and signals
    [__NR_getpgrp] = ALLOW, [__NR_pause] = ALLOW, [__NR_alarm] = ALLOW,
    [__NR_fork] = TG_RULE_FORK, [__NR_vfork] = TG_RULE_FORK,
    [__NR_arch_prctl] = TG_RULE_ARCH_PRCTL,
    [__NR_set_thread_area] = DENY, [__NR_get_thread_area] = DENY, [__NR_modify_ldt] = DENY, [__NR_iopl] = DENY,
    [__NR_ioperm] = DENY,
    // Who and when
    [__NR_time] = ALLOW,
    // The machine
    [__NR_uselib] = DENY,
#endif
};
// clang-format on

enum tg_rule tg_syscall_rule(uint32_t number, unsigned flags) {
#ifdef __x86_64__
  if (number >= 0x40000000) return TG_RULE_KILL;
#endif
  const enum tg_rule rule = number < TG_SYSCALLS ? (enum tg_rule)table[number] : TG_RULE_ABSENT;
  const int forks = (flags & (TG_ALLOW_FORK | TG_ALLOW_PROCESSES)) != 0;
  switch (rule) {
    case TG_RULE_FORK:
      return forks ? TG_RULE_ALLOW : TG_RULE_DENY;
    case TG_RULE_EXECUTE:
      return flags & TG_ALLOW_PROCESSES ? TG_RULE_ALLOW : TG_RULE_DENY;
    case TG_RULE_TRUNCATE:
      return flags & TG_DENY_TRUNCATE ? TG_RULE_DENY : TG_RULE_ALLOW;
    case TG_RULE_SIGNAL:
      return forks ? TG_RULE_ALLOW : rule;
    case TG_RULE_OWN_READ:
      return forks ? TG_RULE_ALLOW : TG_RULE_OWN;
    case TG_RULE_AFFINITY_READ:
      return forks ? TG_RULE_ALLOW : TG_RULE_AFFINITY;
    default:
      return rule;
  }
}
