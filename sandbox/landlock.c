// What a program may do with files, by Landlock: all rights that the running kernel knows are taken away, and few given back.
// The structures and constants are the kernel's, of ABI 1 to 7; headers older than the kernel lack some.
#include <errno.h>
#include <linux/types.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "policy.h"

struct ruleset {
  uint64_t handled_files;
  uint64_t handled_net;  // the kernel takes a longer structure than it knows if the rest is zero
  uint64_t scoped;
};

struct beneath {
  uint64_t allowed;
  int32_t parent_fd;
} __attribute__((packed));

enum { CREATE_VERSION = 1, RULE_BENEATH = 1, LOG_SAME_EXEC_OFF = 1 };

enum {
  EXECUTE = 1 << 0,
  WRITE_FILE = 1 << 1,
  READ_FILE = 1 << 2,
  READ_DIR = 1 << 3,
  REMOVE_DIR = 1 << 4,
  REMOVE_FILE = 1 << 5,
  MAKE_DIR = 1 << 7,
  MAKE_REG = 1 << 8,
  MAKE_SYM = 1 << 12,
  REFER = 1 << 13,     // ABI 2
  TRUNCATE = 1 << 14,  // ABI 3
};

static const uint64_t work_rights =
    WRITE_FILE | READ_FILE | READ_DIR | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | REFER | TRUNCATE;

// Without REFER (ABI 1) the kernel denies every link and rename between directories by itself.
static struct ruleset everything(int abi) {
  struct ruleset all = {.handled_files = (1 << 13) - 1};
  if (abi >= 2) all.handled_files |= REFER;
  if (abi >= 3) all.handled_files |= TRUNCATE;
  if (abi >= 4) all.handled_net = 1 << 0 | 1 << 1;  // bind and connect, TCP
  if (abi >= 5) all.handled_files |= 1 << 15;       // ioctl on devices
  if (abi >= 6) all.scoped = 1 << 0 | 1 << 1;       // abstract sockets, signals
  return all;
}

int tg_landlock_abi(void) {
  const long abi = syscall(__NR_landlock_create_ruleset, NULL, 0, CREATE_VERSION);
  return abi < 0 ? -errno : (int)abi;
}

static int allow(int ruleset, int fd, uint64_t rights) {
  const struct beneath rule = {rights, fd};
  return syscall(__NR_landlock_add_rule, ruleset, RULE_BENEATH, &rule, 0) == 0 ? 0 : -errno;
}

static int allow_reading(int ruleset, int fd, int execute) {
  struct stat about;
  if (fstat(fd, &about) != 0) return -errno;
  uint64_t rights = READ_FILE;  // the kernel refuses rights of directories for anything else
  if (S_ISDIR(about.st_mode)) rights |= READ_DIR;
  if (S_ISCHR(about.st_mode)) rights |= WRITE_FILE;
  if (execute && !S_ISCHR(about.st_mode)) rights |= EXECUTE;
  return allow(ruleset, fd, rights);
}

static int add_rules(int ruleset, const int* read_fds, size_t count, int work_fd, int execute, uint64_t handled) {
  for (size_t i = 0; i < count; ++i) {
    const int failed = allow_reading(ruleset, read_fds[i], execute);
    if (failed != 0) return failed;
  }
  return work_fd < 0 ? 0 : allow(ruleset, work_fd, work_rights & handled);
}

int tg_landlock(const int* read_fds, size_t count, int work_fd, int execute) {
  const int abi = tg_landlock_abi();
  if (abi < 0) return abi;
  const struct ruleset all = everything(abi);
  const int ruleset = (int)syscall(__NR_landlock_create_ruleset, &all, sizeof all, 0);
  if (ruleset < 0) return -errno;
  int failed = add_rules(ruleset, read_fds, count, work_fd, execute, all.handled_files);
  // What is denied would fill the audit log of a machine that keeps one.
  const unsigned flags = abi >= 7 ? LOG_SAME_EXEC_OFF : 0;
  if (failed == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) failed = -errno;
  if (failed == 0 && syscall(__NR_landlock_restrict_self, ruleset, flags) != 0) failed = -errno;
  close(ruleset);
  return failed;
}
