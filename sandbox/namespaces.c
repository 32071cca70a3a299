// See namespaces.h. Two processes: the first makes the file system, as real root or as root of a new user namespace,
// the second gets the other namespaces, with the first gone. For root the user namespace comes last and maps a stranger's
// id, so that even its root owns nothing outside.
#include "namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "descriptors.h"
#include "process.h"
#include "wire.h"

enum { kSliceMs = 20 };

static _Noreturn void fail(int control, const char* step, const char* what) {
  const int error = errno;
  char text[150];
  snprintf(text, sizeof text, "%s %s", step, what);
  tg_fail(control, text, error);
  _exit(126);
}

static int write_file(int folder, const char* name, const char* text) {
  const int file = openat(folder, name, O_WRONLY | O_CLOEXEC);
  if (file < 0) return -1;
  const ssize_t written = write(file, text, strlen(text));
  const int error = errno;
  close(file);
  errno = error;
  return written == (ssize_t)strlen(text) ? 0 : -1;
}

// Maps root of the namespace of `process` to the ids given.
static int map_ids(int proc, const char* process, uid_t uid, gid_t gid) {
  char name[64], map[64];
  snprintf(name, sizeof name, "%s/setgroups", process);
  if (write_file(proc, name, "deny") != 0) return -1;
  snprintf(name, sizeof name, "%s/uid_map", process);
  snprintf(map, sizeof map, "0 %u 1", uid);
  if (write_file(proc, name, map) != 0) return -1;
  snprintf(name, sizeof name, "%s/gid_map", process);
  snprintf(map, sizeof map, "0 %u 1", gid);
  return write_file(proc, name, map);
}

// Makes the folders above `path`, which begins with '/', beneath the current directory; and `path` itself if asked.
static int make_folders(const char* path, int itself) {
  char copy[PATH_MAX];
  if ((size_t)snprintf(copy, sizeof copy, ".%s", path) >= sizeof copy) return errno = ENAMETOOLONG, -1;
  for (char* at = copy + 2; (at = strchr(at, '/')) != NULL; at++) {
    *at = 0;
    if (mkdir(copy, 0755) != 0 && errno != EEXIST) return -1;
    *at = '/';
  }
  return itself && mkdir(copy, 0755) != 0 && errno != EEXIST ? -1 : 0;
}

struct attributes {  // mount_attr, which old headers lack
  uint64_t set, clear, propagation, user;
};

static int restrict_mount(const char* path, uint64_t set, int recursive) {
  const struct attributes wanted = {.set = set};
  return (int)syscall(SYS_mount_setattr, AT_FDCWD, path, recursive ? AT_RECURSIVE : 0, &wanted, sizeof wanted);
}

// A path of the old file system that is to be seen at the same place in the new one, read-only.
struct shown {
  const char* path;
  uint64_t attributes;
  mode_t mode;       // 0: it is not there
  int tree;          // a clone of its mounts, for all but links
  char target[256];  // of a link
};

// Taken before the new file system covers anything.
static int take_tree(struct shown* shown, const char* path, uint64_t attributes) {
  struct stat found;
  *shown = (struct shown){.path = path, .attributes = attributes, .tree = -1};
  if (lstat(path, &found) != 0) return errno == ENOENT ? 0 : -1;
  shown->mode = found.st_mode;
  if (S_ISLNK(found.st_mode)) {
    const ssize_t length = readlink(path, shown->target, sizeof shown->target);
    if (length == (ssize_t)sizeof shown->target) errno = ENAMETOOLONG;
    return length < 0 || length == (ssize_t)sizeof shown->target ? -1 : 0;
  }
  shown->tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
  if (shown->tree < 0) return -1;
  const struct attributes wanted = {.set = attributes};
  return (int)syscall(SYS_mount_setattr, shown->tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &wanted, sizeof wanted);
}

// Puts it beneath the current directory.
static int show(const struct shown* shown) {
  if (shown->mode == 0) return 0;
  char here[PATH_MAX];
  if ((size_t)snprintf(here, sizeof here, ".%s", shown->path) >= sizeof here) return errno = ENAMETOOLONG, -1;
  if (make_folders(shown->path, S_ISDIR(shown->mode)) != 0) return -1;
  if (S_ISLNK(shown->mode)) return symlink(shown->target, here) != 0 && errno != EEXIST ? -1 : 0;
  if (!S_ISDIR(shown->mode)) {
    const int file = open(here, O_CREAT | O_WRONLY | O_CLOEXEC, 0444);
    if (file < 0) return -1;
    close(file);
  }
  return (int)syscall(SYS_move_mount, shown->tree, "", AT_FDCWD, here, MOVE_MOUNT_F_EMPTY_PATH);
}

static void make_file_system(const struct tg_settings* settings, int control) {
  static struct shown all[TG_MAX_READ + 8];
  size_t count = 0;
  const uint64_t shut = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail(control, "mount", "private");
  const char* const ours[] = {settings->library, settings->bootstrap};
  const char* const devices[] = {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"};
  for (size_t i = 0; i < settings->read_count; i++) {
    if (take_tree(&all[count++], settings->read[i], shut) != 0) fail(control, "open_tree of", settings->read[i]);
  }
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
    if (take_tree(&all[count++], ours[i], shut) != 0) fail(control, "open_tree of", ours[i]);
  }
  for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
    if (take_tree(&all[count++], devices[i], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC) != 0)
      fail(control, "open_tree of", devices[i]);
  }
  const char* stage = settings->temporary;
  if (mount("toolgrad", stage, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") != 0)
    fail(control, "mount of a tmpfs on", stage);
  if (chdir(stage) != 0) fail(control, "chdir", stage);
  for (size_t i = 0; i < count; i++) {
    if (show(&all[i]) != 0) fail(control, "showing", all[i].path);
  }
  // Only Landlock hides this one, which shows at the start that it works.
  const int canary = open("canary", O_CREAT | O_WRONLY | O_CLOEXEC, 0444);
  if (canary < 0 || write(canary, "canary", 6) != 6) fail(control, "making", "/canary");
  close(canary);
  if (mkdir("sandbox", 0755) != 0) fail(control, "making", "/sandbox");
  if (symlink("sandbox", "tmp") != 0 && errno != EEXIST) fail(control, "making", "/tmp");
  if (restrict_mount(".", MOUNT_ATTR_RDONLY, 0) != 0) fail(control, "read-only", "/");
  if (syscall(SYS_pivot_root, ".", ".") != 0) fail(control, "pivot_root", stage);
  if (umount2(".", MNT_DETACH) != 0) fail(control, "umount of the old", "/");
  if (chdir("/") != 0) fail(control, "chdir", "/");
}

static _Noreturn void execute(const struct tg_settings* settings, size_t index, int control) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  setsid();
  tg_give_way(SCHED_BATCH, kSliceMs);
  const int null = open("/dev/null", O_RDWR);
  if (null < 0) fail(control, "open", "/dev/null");
  if (dup2(null, 0) < 0 || dup2(null, 1) < 0) fail(control, "dup2", "");
  if (control != 3 && dup2(control, 3) < 0) fail(control, "dup2", "control");
  if (fcntl(3, F_SETFD, 0) != 0) fail(3, "fcntl", "control");
  tg_close_from(4);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  for (int number = 1; number < 32; number++) signal(number, SIG_DFL);
  // The same addresses in every template, so that programs that print them are repeatable.
  personality(ADDR_NO_RANDOMIZE);
  if (chdir("/") != 0) fail(3, "chdir", "/");
  char layers[16];
  snprintf(layers, sizeof layers, "%u", settings->layers);
  static const char start[] =
      "import sys\nwith open(sys.argv[1], encoding='utf-8') as f: exec(compile(f.read(), 'template', 'exec'), {})";
  const char* arguments[16 + TG_MAX_READ] = {settings->python,
                                             "-s",
                                             "-S",
                                             "-B",
                                             "-X",
                                             "utf8",
                                             "-c",
                                             start,
                                             settings->bootstrap,
                                             settings->library,
                                             layers,
                                             settings->templates[index]};
  size_t count = 12;
  for (size_t i = 0; i < settings->read_count; i++) arguments[count++] = settings->read[i];
  execve(settings->python, (char* const*)arguments, settings->environment);
  fail(3, "exec", settings->python);
}

_Noreturn void tg_run_template(const struct tg_settings* settings, size_t index, int control) {
  const uid_t uid = geteuid();
  const gid_t gid = getegid();
  const int root = uid == 0;
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // who is not dumpable may not write its own uid_map
  const int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (proc >= 0) write_file(proc, "self/oom_score_adj", "1000");  // taken before the trainer when memory runs out
  if (!(settings->layers & TG_NAMESPACES)) {
    if (root && settings->stranger_runs) {
      const uid_t stranger = settings->stranger;
      if (setgroups(0, NULL) != 0 || setresgid(stranger, stranger, stranger) != 0 ||
          setresuid(stranger, stranger, stranger) != 0)
        fail(control, "setresuid", "");
    }
    execute(settings, index, control);
  }
  if (proc < 0) fail(control, "open", "/proc");
  int go[2];
  if (pipe2(go, O_CLOEXEC) != 0) fail(control, "pipe", "");
  if (root) {
    if (unshare(CLONE_NEWNS) != 0) fail(control, "unshare", "mounts");
  } else {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) fail(control, "unshare", "user, mounts");
    if (map_ids(proc, "self", uid, gid) != 0) fail(control, "uid_map", "");
  }
  make_file_system(settings, control);
  const pid_t pid = tg_clone(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
                                 CLONE_PARENT | (root ? CLONE_NEWUSER | CLONE_NEWNS : 0),
                             NULL);
  if (pid < 0) fail(control, "clone", "");
  char word = 0;
  if (pid > 0) {
    close(go[0]);
    if (root) {
      char name[32];
      snprintf(name, sizeof name, "%d", (int)pid);
      const uid_t stranger = settings->stranger;
      if (map_ids(proc, name, stranger, stranger) != 0 && map_ids(proc, name, uid, gid) != 0)
        fail(control, "uid_map", "");
    }
    if (write(go[1], "g", 1) != 1) fail(control, "write", "");
    _exit(0);
  }
  close(go[1]);
  if (read(go[0], &word, 1) != 1) _exit(126);  // the first process has told why
  if (root) {
    if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0) fail(control, "setresuid", "");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail(control, "mount", "private");
  }
  sethostname("sandbox", 7);
  execute(settings, index, control);
}

int tg_stranger_can_run(const struct tg_settings* settings) {
  const pid_t pid = fork();
  if (pid == 0) {
    const uid_t stranger = settings->stranger;
    if (setgroups(0, NULL) != 0 || setresgid(stranger, stranger, stranger) != 0 ||
        setresuid(stranger, stranger, stranger) != 0)
      _exit(1);
    int failed = access(settings->python, X_OK) | access(settings->library, R_OK) | access(settings->bootstrap, R_OK);
    for (size_t i = 0; i < settings->read_count; i++) {
      struct stat unused;
      failed |= access(settings->read[i], R_OK) != 0 && (errno != ENOENT || lstat(settings->read[i], &unused) == 0);
    }
    _exit(failed ? 1 : 0);
  }
  int status;
  return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}
