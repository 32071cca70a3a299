// Working directories that a program left as badly as it can, and descriptors beside messages, in folders of the test's own. As
// root the directories are tried again as an ordinary user, whom permissions stop.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "sandbox_child.h"

extern "C" {
#include "descriptors.h"
#include "workdir.h"
}

namespace {

namespace fs = std::filesystem;
using namespace toolgrad::test;

constexpr uid_t kOrdinary = 61348;

// A folder of the test, removed at the end.
struct Folder {
  std::string path;
  int descriptor;
  Folder() {
    char name[] = "/tmp/sandbox-workdir-XXXXXX";
    if (mkdtemp(name) == nullptr) std::abort();
    path = name;
    descriptor = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    close(descriptor);
    fs::remove_all(path);
  }
};

void write_file(const std::string& path, size_t bytes = 1) {
  std::ofstream(path) << std::string(bytes, 'x');
}
bool is_there(const std::string& path) {
  return fs::symlink_status(path).type() != fs::file_type::not_found;
}
size_t open_descriptors() {
  size_t count = 0;
  for (const auto& unused : fs::directory_iterator("/proc/self/fd")) static_cast<void>(unused), ++count;
  return count;
}

// ---- removal

// Below the current directory, by steps: the whole path is far too long for a system call.
void make_deep(int levels, const char* name) {
  const int start = open(".", O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < levels; ++i) {
    if (mkdir(name, 0700) != 0 || chdir(name) != 0) std::abort();
    close(open("file", O_CREAT | O_WRONLY, 0));
  }
  // From the inside out nothing may be entered any more.
  for (int i = 0; i < levels; ++i) {
    if (chdir("..") != 0 || (i % 3 == 0 && chmod(name, 0) != 0)) std::abort();
  }
  if (fchdir(start) != 0) std::abort();
  close(start);
}

// What a program may leave in its directory, which is the current one. `outside` is what links lead to.
void make_mess(const std::string& outside) {
  make_deep(300, std::string(200, 'd').c_str());
  for (int i = 0; i < 500; ++i) close(open(("f" + std::to_string(i)).c_str(), O_CREAT | O_WRONLY, 0));
  // Names that removal uses itself, and names that are hard to print.
  for (const char* name : {"toolgrad-0", "toolgrad-1", "toolgrad-3", "-rf", "a\nb", "\xff\xfe", "..."}) {
    mkdir(name, 0700);
    mkdir((std::string(name) + "/toolgrad-2").c_str(), 0);
  }
  const std::string inside = outside + "/folder";
  if (symlink(outside.c_str(), "link") != 0 || symlink(inside.c_str(), "toolgrad-5") != 0 ||
      symlink(".", "self") != 0 || symlink("nowhere", "broken") != 0 || mkfifo("fifo", 0) != 0)
    std::abort();
  if (mkdir("sealed", 0700) != 0 || symlink(outside.c_str(), "sealed/link") != 0 || mkdir("sealed/in", 0) != 0 ||
      chmod("sealed", 0500) != 0)
    std::abort();
  const int unix_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "socket");
  if (bind(unix_socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
  close(unix_socket);
}

void removal(const std::string& who) {
  Folder folder, outside;
  write_file(outside.path + "/kept");
  mkdir((outside.path + "/folder").c_str(), 0750);
  write_file(outside.path + "/folder/kept");
  const int work = tg_make_work(folder.descriptor, "7", geteuid());
  struct stat made {};
  check(work >= 0 && fstat(work, &made) == 0 && (made.st_mode & 07777) == 0700 && made.st_uid == geteuid(),
        who + ": a working directory is made for its owner alone");
  check(tg_make_work(folder.descriptor, "7", geteuid()) == -1 && errno == EEXIST, who + ": and once only");
  const int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const size_t descriptors = open_descriptors();
  if (fchdir(work) != 0) std::abort();
  make_mess(outside.path);
  chmod((folder.path + "/7").c_str(), 0);  // and the directory itself
  if (fchdir(before) != 0) std::abort();
  close(before);
  close(work);
  check(tg_remove(folder.descriptor, "7") == 0 && !is_there(folder.path + "/7"),
        who + ": whatever was left in it, it is removed");
  check(open_descriptors() == descriptors - 2, who + ": which leaves no descriptor open");
  struct stat untouched {};
  check(is_there(outside.path + "/kept") && is_there(outside.path + "/folder/kept") &&
            stat((outside.path + "/folder").c_str(), &untouched) == 0 && (untouched.st_mode & 07777) == 0750,
        who + ": and nothing outside, whatever linked there");
  check(tg_remove(folder.descriptor, "7") == 0, who + ": what is not there is as good as removed");
  write_file(folder.path + "/file");
  check(tg_remove(folder.descriptor, "file") == -1 && is_there(folder.path + "/file"),
        who + ": a file is no directory");
  if (symlink(outside.path.c_str(), (folder.path + "/link").c_str()) != 0) std::abort();
  check(tg_remove(folder.descriptor, "link") == -1 && is_there(outside.path + "/kept"), who + ": nor is a link to one");
}

// ---- quota

void quota() {
  Folder folder, outside;
  write_file(outside.path + "/large", 1 << 20);
  const int work = tg_make_work(folder.descriptor, "1", geteuid());
  const std::string path = folder.path + "/1";
  check(!tg_exceeds(work, 0, 0), "an empty directory exceeds nothing");
  if (symlink((outside.path + "/large").c_str(), (path + "/link").c_str()) != 0 ||
      symlink(outside.path.c_str(), (path + "/folder").c_str()) != 0)
    std::abort();
  check(!tg_exceeds(work, 1 << 16, 2), "what links lead to is not counted");
  check(tg_exceeds(work, 1 << 16, 1), "but each of them is");
  mkdir((path + "/a").c_str(), 0700);
  mkdir((path + "/a/b").c_str(), 0700);
  write_file(path + "/a/b/data", 300000);
  check(tg_exceeds(work, 299999, 100) && !tg_exceeds(work, 400000, 100), "bytes are counted at any depth");
  check(tg_exceeds(work, 1 << 20, 4) && !tg_exceeds(work, 1 << 20, 5), "and entries");
  std::ofstream(path + "/sparse").seekp(1 << 30) << "x";
  check(!tg_exceeds(work, 500000, 100), "a hole takes no room");
  const int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fchdir(work) != 0) std::abort();
  for (int i = 0; i < 70; ++i) {
    if (mkdir("d", 0700) != 0 || chdir("d") != 0) std::abort();
  }
  if (fchdir(before) != 0) std::abort();
  close(before);
  check(tg_exceeds(work, 1 << 30, 1000), "what is too deep is too much");
  close(work);
  check(tg_remove(folder.descriptor, "1") == 0, "it is removed");
}

// ---- roots

pid_t dead_process() {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  waitpid(pid, nullptr, 0);
  return pid;
}

void roots() {
  Folder folder, outside;
  char path[400], small[20];
  const int root = tg_make_root(folder.path.c_str(), path, sizeof path);
  struct stat made {};
  check(root >= 0 && fstat(root, &made) == 0 && (made.st_mode & 07777) == 0711 && is_there(path),
        "a root is made, which others may pass through: " + std::string(path));
  check(tg_make_root(folder.path.c_str(), small, sizeof small) == -1 && errno == ENAMETOOLONG,
        "a name that has no room is an error");
  check(tg_make_root((folder.path + "/absent").c_str(), path, sizeof path) == -1 && errno == ENOENT,
        "and so is a folder that is not there");
  const std::string dead = folder.path + "/toolgrad-" + std::to_string(dead_process()) + "-";
  const std::string mine = folder.path + "/toolgrad-" + std::to_string(getpid()) + "-";
  const std::vector<std::string> stay = {dead + "0123abcd.txt",
                                         dead + "xyz",
                                         dead,
                                         mine + "0123abcd",
                                         mine + "0fff",
                                         folder.path + "/other-1-0123abcd",
                                         folder.path + "/toolgrad-0-00000001"};
  std::vector<std::string> go = {dead + "0123abcd", dead + "1"};
  for (const auto& list : {stay, go}) {
    for (const std::string& name : list) {
      mkdir(name.c_str(), 0700);
      mkdir((name + "/in").c_str(), 0);
    }
  }
  write_file(outside.path + "/kept");
  if (symlink(outside.path.c_str(), (dead + "aaaaaaaa").c_str()) != 0) std::abort();
  if (geteuid() == 0) {
    mkdir((dead + "bbbbbbbb").c_str(), 0700);
    if (chown((dead + "bbbbbbbb").c_str(), kOrdinary, kOrdinary) != 0) std::abort();
  }
  const size_t descriptors = open_descriptors();
  tg_sweep(folder.path.c_str());
  tg_sweep((folder.path + "/absent").c_str());
  check(open_descriptors() == descriptors, "a sweep leaves no descriptor open");
  for (const std::string& name : go) check(!is_there(name), "swept up: " + name);
  for (const std::string& name : stay) check(is_there(name), "not swept up: " + name);
  check(is_there(outside.path + "/kept"), "a link is not followed");
  if (geteuid() == 0) check(is_there(dead + "bbbbbbbb"), "what belongs to others is left");
  close(root);
}

// ---- descriptors

void descriptors() {
  int ends[2];
  const int on = 1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
  if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) std::abort();
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  std::vector<int> many(17, null);
  const size_t before = open_descriptors();
  char word[8] = {};
  int got[3];
  pid_t sender = 0;
  check(tg_send(ends[1], "word", 4, many.data(), 2) == 0 &&
            tg_receive(ends[0], word, sizeof word, got, 3, &sender, 0) == 4 && std::memcmp(word, "word", 4) == 0 &&
            got[0] >= 0 && got[1] >= 0 && got[2] == -1 && sender == getpid(),
        "a message comes with its descriptors and its sender");
  check((fcntl(got[0], F_GETFD) & FD_CLOEXEC) != 0, "which programs do not inherit");
  close(got[0]);
  close(got[1]);
  check(tg_send(ends[1], "word", 4, many.data(), 4) == 0 &&
            tg_receive(ends[0], word, sizeof word, got, 3, nullptr, 0) == -1 && errno == EBADMSG,
        "more descriptors than are wanted are an error");
  check(tg_send(ends[1], "word", 4, many.data(), 4) == 0 &&
            tg_receive(ends[0], word, sizeof word, nullptr, 0, &sender, 0) == 4,
        "where none are wanted they are closed");
  check(tg_send(ends[1], "word", 4, many.data(), 4) == 0 &&
            tg_receive(ends[0], word, sizeof word, nullptr, 0, nullptr, 0) == 4,
        "or never taken in");
  check(tg_send(ends[1], "longer than it", 14, many.data(), 1) == 0 &&
            tg_receive(ends[0], word, sizeof word, got, 1, nullptr, 0) == -1 && errno == EBADMSG,
        "a message that is cut is an error");
  check(tg_send(ends[1], "w", 1, many.data(), 17) == -1 && errno == EINVAL, "seventeen are too many to send");
  check(tg_receive(ends[0], word, sizeof word, got, 1, nullptr, MSG_DONTWAIT) == -1 && errno == EAGAIN,
        "there is nothing more");
  check(open_descriptors() == before, "and no descriptor is left open");
  close(ends[1]);
  check(tg_receive(ends[0], word, sizeof word, got, 1, &sender, 0) == 0, "the end is told");
  check(tg_send(ends[0], "w", 1, nullptr, 0) == -1 && errno == EPIPE, "and sending to it is an error, no signal");
  close(ends[0]);
  close(null);
}

void memory_files() {
  const std::string large(1 << 20, 'l');
  const tg_bytes parts[] = {{"one", 3}, {"", 0}, {large.data(), large.size()}};
  const int file = tg_memory_file("test", parts, 3);
  std::string content(large.size() + 10, 0);
  check(file >= 0 && read(file, content.data(), content.size()) == static_cast<ssize_t>(large.size() + 3) &&
            content.substr(0, large.size() + 3) == "one" + large,
        "a memory file holds its parts");
  check(write(file, "x", 1) == -1 && errno == EPERM && ftruncate(file, 0) == -1 && errno == EPERM &&
            ftruncate(file, 1 << 22) == -1 && errno == EPERM && fcntl(file, F_ADD_SEALS, 0) == -1,
        "and nobody changes it");
  close(file);
  const int empty = tg_memory_file("test", nullptr, 0);
  check(empty >= 0 && read(empty, content.data(), 1) == 0, "an empty one is one, too");
  close(empty);
  passes_in_child("descriptors in a child", [](const Child& child) {
    // The pipe of the verdicts lies above, so its number is taken first.
    const int low = open("/dev/null", O_RDONLY);
    const int high = fcntl(low, F_DUPFD, 200);
    child.check(low < 200 && high >= 200, "two are open", high);
    child.check(tg_close_from(200) == 0 && fcntl(high, F_GETFD) == -1 && fcntl(low, F_GETFD) == 0,
                "those from a number on are closed, those below are not");
  });
}

}  // namespace

int main() {
  removal("here");
  if (geteuid() == 0) {
    std::fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
      if (setgid(kOrdinary) != 0 || setuid(kOrdinary) != 0) _exit(90);
      removal("as an ordinary user");
      const int status = finish();
      std::fflush(stdout);
      _exit(status);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    check(status == 0, "an ordinary user passes, too (wait status " + std::to_string(status) + ")");
  }
  quota();
  roots();
  descriptors();
  memory_files();
  return finish();
}
