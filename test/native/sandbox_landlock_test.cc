// What Landlock leaves of the file system, in forked children on the real kernel. Each denial is first shown to be one: the
// same call works before. Skipped where the kernel has no Landlock.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <fstream>

#include "policy.h"
#include "sandbox_child.h"

namespace {

using namespace toolgrad::test;

// read/{file,tool,folder/}, work/{tool,inside/,inner/}, outside/{secret,victim}, single
class Tree {
 public:
  Tree() {
    char name[] = "/tmp/toolgrad-landlock-XXXXXX";
    root_ = mkdtemp(name);
    for (const char* folder : {"read", "read/folder", "work", "work/inside", "work/inner", "outside"})
      std::filesystem::create_directory(path(folder));
    for (const char* file : {"read/file", "outside/secret", "outside/victim", "single"})
      std::ofstream(path(file)) << "text";
    for (const char* tool : {"read/tool", "work/tool"}) std::filesystem::copy_file("/bin/true", path(tool));
    std::filesystem::permissions(root_, std::filesystem::perms(0755));
  }
  ~Tree() { std::filesystem::remove_all(root_); }
  Tree(const Tree&) = delete;
  std::string path(const std::string& name) const { return root_ + "/" + name; }

 private:
  std::string root_;
};

int abi = 0;

long opens(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags, 0600);
  if (fd >= 0) close(fd);
  return fd;
}
long lists(const std::string& path) {
  return opens(path, O_RDONLY | O_DIRECTORY);
}

// Restricts the child to read/, single, /dev/null and what programs need, and to work/.
void restrict(const Child& child, const Tree& tree, bool work, int execute) {
  int fds[8];
  size_t count = 0;
  for (const std::string& path : {tree.path("read"), tree.path("single"), std::string("/dev/null"), std::string("/usr"),
                                  std::string("/lib"), std::string("/lib64"), std::string("/bin")}) {
    const int fd = open(path.c_str(), O_PATH);
    if (fd >= 0) fds[count++] = fd;
  }
  const int work_fd = work ? open(tree.path("work").c_str(), O_PATH | O_DIRECTORY) : -1;
  const int failed = tg_landlock(fds, count, work_fd, execute);
  for (size_t i = 0; i < count; ++i) close(fds[i]);
  if (work_fd >= 0) close(work_fd);
  child.check(failed == 0, "the process is restricted", -failed);
  if (failed != 0) _exit(101);
}

void reading(const Tree& tree) {
  passes_in_child("reading", [&](const Child& child) {
    child.expect(opens(tree.path("outside/secret"), O_RDONLY), 0, "before: a file outside can be read");
    child.expect(lists("/"), 0, "before: the root can be listed");
    child.expect(opens(tree.path("read/file"), O_WRONLY), 0, "before: a library can be written");
    child.expect(opens("/dev/zero", O_RDONLY), 0, "before: another device can be read");
    restrict(child, tree, true, 0);
    child.expect(opens(tree.path("read/file"), O_RDONLY), 0, "a file of a read folder can be read");
    child.expect(lists(tree.path("read/folder")), 0, "a folder beneath can be listed");
    child.expect(opens(tree.path("single"), O_RDONLY), 0, "a single file can be read");
    child.expect(opens(tree.path("outside/secret"), O_RDONLY), EACCES, "a file outside cannot");
    child.expect(lists(tree.path("outside")), EACCES, "nor can its folder be listed");
    child.expect(lists("/"), EACCES, "nor the root");
    child.expect(opens("/proc/self/environ", O_RDONLY), EACCES, "nor /proc be read");
    child.expect(opens("/etc/passwd", O_RDONLY), EACCES, "nor the password file");
    child.expect(opens("/dev/zero", O_RDONLY), EACCES, "nor a device that was not given");
    child.expect(opens("/dev/null", O_WRONLY | O_CREAT | O_TRUNC), 0, "/dev/null can be written");
    const int null = open("/dev/null", O_RDONLY);
    int number = 0;
    if (abi >= 5) child.expect(ioctl(null, 0x5401, &number), EACCES, "and takes no ioctl");
    child.expect(symlink(tree.path("outside/secret").c_str(), tree.path("work/link").c_str()), 0, "a link may be made");
    child.expect(opens(tree.path("work/link"), O_RDONLY), EACCES, "and leads nowhere");
    for (const int flags : {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_APPEND}) {
      child.expect(opens(tree.path("read/file"), flags), EACCES, "what is read cannot be written");
      child.expect(opens(tree.path("single"), flags), EACCES, "nor a single file");
    }
    child.expect(opens(tree.path("read/new"), O_WRONLY | O_CREAT), EACCES, "nor can a file be made there");
    child.expect(mkdir(tree.path("read/new").c_str(), 0700), EACCES, "nor a folder");
    child.expect(unlink(tree.path("read/file").c_str()), EACCES, "nor a file be removed");
    child.expect(rmdir(tree.path("read/folder").c_str()), EACCES, "nor a folder");
    if (abi >= 3) child.expect(truncate(tree.path("read/file").c_str(), 0), EACCES, "nor be cut");
  });
}

void working(const Tree& tree) {
  passes_in_child("the working folder", [&](const Child& child) {
    const std::string file = tree.path("work/file"), moved = tree.path("work/inside/moved");
    const std::string secret = tree.path("outside/secret"), victim = tree.path("outside/victim");
    child.expect(rename(victim.c_str(), tree.path("work/victim").c_str()), 0, "before: a file can be moved in");
    child.expect(rename(tree.path("work/victim").c_str(), victim.c_str()), 0, "before: and out");
    child.expect(link(secret.c_str(), tree.path("work/secret").c_str()), 0, "before: and linked in");
    child.expect(unlink(tree.path("work/secret").c_str()), 0, "before: and unlinked");
    child.expect(mkfifo(tree.path("work/fifo").c_str(), 0600), 0, "before: a FIFO can be made");
    child.expect(unlink(tree.path("work/fifo").c_str()), 0, "before: and removed");
    restrict(child, tree, true, 0);
    child.expect(opens(file, O_RDWR | O_CREAT | O_EXCL), 0, "a file can be made");
    child.expect(opens(file, O_RDWR | O_TRUNC), 0, "and written");
    child.expect(truncate(file.c_str(), 100), 0, "and cut");
    child.expect(rename(file.c_str(), tree.path("work/other").c_str()), 0, "and renamed");
    if (abi >= 2) {
      child.expect(rename(tree.path("work/other").c_str(), moved.c_str()), 0, "and moved to another folder");
      child.expect(link(moved.c_str(), tree.path("work/inner/hard").c_str()), 0, "and linked from a third");
      child.expect(rename(moved.c_str(), tree.path("outside/moved").c_str()), EACCES, "but not moved out");
      child.expect(link(moved.c_str(), tree.path("outside/hard").c_str()), EACCES, "nor linked from outside");
      child.expect(rename(secret.c_str(), tree.path("work/secret").c_str()), EACCES, "nor can one be moved in");
      child.expect(link(secret.c_str(), tree.path("work/secret").c_str()), EXDEV, "nor linked in");
      child.expect(unlink(moved.c_str()), 0, "it can be removed");
    }
    child.expect(mkdir(tree.path("work/folder").c_str(), 0700), 0, "a folder can be made");
    child.expect(lists(tree.path("work/folder")), 0, "and listed");
    child.expect(rmdir(tree.path("work/folder").c_str()), 0, "and removed");
    child.expect(mkfifo(tree.path("work/fifo").c_str(), 0600), EACCES, "no FIFO can be made");
    child.expect(mknod(tree.path("work/socket").c_str(), S_IFSOCK | 0600, 0), EACCES, "no socket");
    if (getuid() == 0) {
      child.expect(mknod(tree.path("work/device").c_str(), S_IFCHR | 0600, 0x103), EACCES, "no device");
      child.expect(mknod(tree.path("work/disk").c_str(), S_IFBLK | 0600, 0x700), EACCES, "no disk");
    }
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s", tree.path("work/bound").c_str());
    const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    child.expect(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), EACCES, "nor one bound");
    child.expect(opens(victim, O_WRONLY), EACCES, "a file outside cannot be written");
    child.expect(opens(tree.path("outside/new"), O_WRONLY | O_CREAT), EACCES, "nor made");
    child.expect(unlink(victim.c_str()), EACCES, "nor removed");
    if (abi >= 3) child.expect(truncate(victim.c_str(), 0), EACCES, "nor cut");
    child.expect(rename(victim.c_str(), tree.path("outside/renamed").c_str()), EACCES, "nor renamed");
  });
  check(std::filesystem::file_size(tree.path("outside/victim")) == 4 &&
            std::distance(std::filesystem::directory_iterator(tree.path("outside")), {}) == 2,
        "outside, all is as it was");
}

void executing(const Tree& tree) {
  const auto run = [](const std::string& path) {
    const pid_t id = fork();
    if (id == 0) {
      char* const arguments[] = {const_cast<char*>("true"), nullptr};
      execv(path.c_str(), arguments);
      _exit(errno);
    }
    int status = -1;
    waitpid(id, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  passes_in_child("executing", [&](const Child& child) {
    child.check(run(tree.path("read/tool")) == 0 && run(tree.path("work/tool")) == 0, "before: programs can be run");
    restrict(child, tree, true, 1);
    child.check(run(tree.path("read/tool")) == 0, "a program of a read folder can be run, if so asked");
    child.check(run(tree.path("work/tool")) == EACCES, "never one of the working folder", run(tree.path("work/tool")));
    child.expect(rename(tree.path("work/tool").c_str(), tree.path("read/renamed").c_str()), EACCES,
                 "which cannot be moved to where it could be run");
  });
  passes_in_child("not executing", [&](const Child& child) {
    restrict(child, tree, true, 0);
    child.check(run(tree.path("read/tool")) == EACCES, "otherwise none can be run", run(tree.path("read/tool")));
  });
}

void nothing_to_write(const Tree& tree) {
  passes_in_child("without a working folder", [&](const Child& child) {
    restrict(child, tree, false, 0);
    child.expect(opens(tree.path("read/file"), O_RDONLY), 0, "a file can be read");
    child.expect(opens(tree.path("work/none"), O_WRONLY | O_CREAT), EACCES, "none can be made");
    child.expect(lists(tree.path("work")), EACCES, "and what would be the working folder not be listed");
  });
  passes_in_child("misuse", [&](const Child& child) {
    const int outside = open(tree.path("outside").c_str(), O_PATH), file = open(tree.path("single").c_str(), O_PATH);
    const int bad[] = {outside, 1000};
    child.check(tg_landlock(bad, 2, -1, 0) == -EBADF, "a bad descriptor is an error");
    child.check(tg_landlock(nullptr, 0, file, 0) == -EINVAL, "so is a file as working folder");
    child.expect(opens(tree.path("outside/secret"), O_RDONLY), 0, "after an error nothing is restricted");
    restrict(child, tree, true, 0);
    child.check(tg_landlock(&outside, 1, outside, 0) == 0, "restricting again is allowed");
    child.expect(opens(tree.path("outside/secret"), O_RDONLY), EACCES, "and gives nothing back");
  });
}

void other_processes_and_networks(const Tree& tree) {
  const pid_t parent = getpid();
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "toolgrad-landlock-%d", static_cast<int>(parent));
  sockaddr_in port{};
  port.sin_family = AF_INET;
  port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof port;
  const int abstract = socket(AF_UNIX, SOCK_STREAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
  check(bind(abstract, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0 && listen(abstract, 8) == 0 &&
            bind(tcp, reinterpret_cast<sockaddr*>(&port), sizeof port) == 0 && listen(tcp, 8) == 0 &&
            getsockname(tcp, reinterpret_cast<sockaddr*>(&port), &length) == 0,
        "sockets of the test listen");
  passes_in_child("other processes and networks", [&](const Child& child) {
    const auto connects = [&](int family, const void* to, socklen_t size) {
      const int fd = socket(family, SOCK_STREAM, 0);
      const int result = connect(fd, static_cast<const sockaddr*>(to), size), error = errno;
      close(fd);
      errno = error;
      return result;
    };
    child.expect(connects(AF_UNIX, &name, sizeof name), 0, "before: an abstract socket takes connections");
    child.expect(connects(AF_INET, &port, sizeof port), 0, "before: so does TCP");
    child.expect(kill(parent, 0), 0, "before: the parent can be signalled");
    restrict(child, tree, true, 0);
    if (abi >= 4) {
      sockaddr_in any = port;
      any.sin_port = 0;
      const int fd = socket(AF_INET, SOCK_STREAM, 0);
      child.expect(connects(AF_INET, &port, sizeof port), EACCES, "TCP cannot be connected");
      child.expect(bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof any), EACCES, "nor bound");
    }
    if (abi >= 6) {
      child.expect(connects(AF_UNIX, &name, sizeof name), EPERM, "abstract sockets outside are out of reach");
      child.expect(kill(parent, 0), EPERM, "so is the parent for signals");
      child.expect(kill(getpid(), 0), 0, "the process itself is not");
    }
  });
  close(abstract);
  close(tcp);
}

}  // namespace

int main() {
  abi = tg_landlock_abi();
  if (abi < 0) {
    std::printf("skipped: this kernel has no Landlock: %s\n", std::strerror(-abi));
    return kSkipped;
  }
  std::printf("       Landlock ABI %d\n", abi);
  const Tree tree;
  reading(tree);
  working(tree);
  executing(tree);
  nothing_to_write(tree);
  other_processes_and_networks(tree);
  return finish();
}
