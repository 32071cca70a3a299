// The table of system calls: what each one of this architecture gets, by name. Internal to the policy library and its tests.
// A call that is not named is absent, so that what a newer kernel brings is never open by accident.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum tg_rule {
  TG_RULE_ABSENT,   // ENOSYS, as on a kernel that does not have it; programs know how to do without
  TG_RULE_ALLOW,    // reaches the kernel
  TG_RULE_DENY,     // EPERM
  TG_RULE_IGNORE,   // does nothing and says 0: neither of use to a program nor a reason to fail
  TG_RULE_NO_DATA,  // ENODATA
  // Decided by the flags of the filter:
  TG_RULE_FORK,
  TG_RULE_EXECUTE,
  TG_RULE_TRUNCATE,
  TG_RULE_OWN_READ,       // as OWN, or allowed
  TG_RULE_AFFINITY_READ,  // as AFFINITY, or allowed
  // Decided by the arguments:
  TG_RULE_CLONE,       // threads; processes if the flags allow them; never namespaces
  TG_RULE_SIGNAL,      // argument 0 is the own process; any process if the flags allow processes
  TG_RULE_OWN,         // argument 0 is 0 or the own process
  TG_RULE_AFFINITY,    // likewise, or else ENOSYS: pthread_getattr_np asks for its thread and goes on after ENOSYS only
  TG_RULE_PRIORITY,    // of the own process
  TG_RULE_CLOCK,       // not the processor clock of another process
  TG_RULE_MMAP,        // no huge pages of the machine's pool
  TG_RULE_MADVISE,     // no merging with pages of others, no memory faults
  TG_RULE_PRCTL,       // the name of the thread, and what only reads
  TG_RULE_ARCH_PRCTL,  // base of FS and GS
  TG_RULE_IOCTL,       // size, waiting bytes, blocking, close-on-exec
  TG_RULE_FCNTL,       // descriptors and their flags; locks are taken without effect
  TG_RULE_SOCKETPAIR,  // AF_UNIX streams and packets, which cannot be pointed at another address; datagrams can
  TG_RULE_KILL,        // kills the process: numbers of the x32 ABI
  TG_RULES,
};

enum { TG_SYSCALLS = 470 };  // one more than the highest number that the table may name

// What `number` gets in a filter with these flags (enum tg_filter_flags): never a rule that flags decide.
enum tg_rule tg_syscall_rule(uint32_t number, unsigned flags);

#ifdef __cplusplus
}
#endif
