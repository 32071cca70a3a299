// What a program may do to the machine: resource limits, files (Landlock), system calls (seccomp). Each function takes
// effect on the calling process, for good, and is called by it between fork and the first instruction of the program, in
// this order: tg_limit, tg_drop_capabilities, tg_landlock, tg_seccomp. They return 0 or -errno and never print, exit or
// allocate after a fork. A process for which one of them failed must not run a program.
// Nothing here comes from the program: all is told by the trainer.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sock_filter;

struct tg_limits {
  uint64_t memory_bytes;  // RLIMIT_AS
  uint64_t file_bytes;    // RLIMIT_FSIZE
  uint32_t cpu_seconds;   // RLIMIT_CPU, soft; hard is one more. The supervisor's clock is finer and comes first.
  uint32_t processes;     // RLIMIT_NPROC if not 0, which only counts rightly in a user namespace of its own
};

// Lowers every resource limit of the calling process, soft and hard: those above, open files 64, core, locked memory and
// message queues 0, pending signals 128, stack 8 MiB.
int tg_limit(const struct tg_limits* limits);

// Gives up every capability and the way back to one, so that a program of root cannot raise its limits again or pass over the
// owners of files. Sets no_new_privs. What needs a capability (mounts, another user) comes before it.
int tg_drop_capabilities(void);

// Highest Landlock ABI of the kernel, or -errno (ENOSYS: not built in, EOPNOTSUPP: switched off).
int tg_landlock_abi(void);

// Denies every file access that the running ABI can govern, except reading beneath `read_fds` (descriptors of directories
// or files, O_PATH), executing beneath them too if `execute`, and anything but execution and special files beneath
// `work_fd` (-1: none). A character device among `read_fds`, such as /dev/null, may be written too. TCP, abstract sockets and
// signals out of the domain are denied where the ABI knows them. Sets no_new_privs.
int tg_landlock(const int* read_fds, size_t count, int work_fd, int execute);

enum tg_filter_flags {
  TG_ALLOW_PROCESSES = 1,  // fork, vfork, execve; kill is not limited to the own process
  TG_ALLOW_FORK = 2,       // fork without execve: sessions, whose interpreter forks before each cell; kill as above
  TG_DENY_TRUNCATE = 4,    // truncate by name; set by itself where Landlock cannot govern it (ABI below 3, or none)
};

// A filter made once, before any fork: a few hundred instructions with places for the caller's process id.
struct tg_filter {
  struct sock_filter* code;
  uint16_t length;
  uint16_t pid_places[8];
  uint16_t pid_count;
};

// Builds the filter of this architecture (x86-64, arm64). Allocates `code`.
int tg_filter_build(struct tg_filter* filter, unsigned flags);
void tg_filter_free(struct tg_filter* filter);

// Writes the caller's process id into the filter and loads it; sets no_new_privs.
int tg_seccomp(struct tg_filter* filter);

// What Docker's default profile denies, as far as a sandbox meets it: namespaces, mounts, keyrings, kernel modules and so on.
// For tests: what runs under it sees what a container sees. The sandbox's own filter may be loaded under it. Sets no_new_privs
// unless the caller has CAP_SYS_ADMIN, as a container's runtime has.
int tg_pretend_container(void);

#ifdef __cplusplus
}
#endif
