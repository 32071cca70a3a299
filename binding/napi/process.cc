// Starting a process without copying this one: Node's own spawn forks, which takes a tenth of a second in a trainer that holds
// gigabytes, all of it on the event loop; posix_spawn shares the memory until the program begins.
#include <napi.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "engine/error.h"
#include "napi/args.h"
#include "napi/guard.h"
#include "napi/register.h"

#if !defined(_WIN32)
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

extern char** environ;
#endif

namespace toolgrad {
namespace {

#if defined(_WIN32)
Napi::Value spawn_process(const Napi::CallbackInfo&) {
  throw Error("ERR_SPAWN", "spawnProcess: not on Windows");
}
Napi::Value reap_process(const Napi::CallbackInfo&) {
  throw Error("ERR_SPAWN", "reapProcess: not on Windows");
}
#else

[[noreturn]] void fail(const std::string& what, int error) {
  throw Error("ERR_SPAWN", "spawnProcess: " + what + ": " + std::strerror(error));
}

// Closes what it holds at its end.
struct Descriptor {
  int fd = -1;
  Descriptor() = default;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  int release() {
    const int released = fd;
    fd = -1;
    return released;
  }
};

void make_pair(Descriptor& ours, Descriptor& theirs, const char* what) {
  int ends[2];
#if defined(__linux__)
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail(what, errno);
#else
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) fail(what, errno);
  for (const int end : ends) fcntl(end, F_SETFD, FD_CLOEXEC);
#endif
  ours.fd = ends[0];
  theirs.fd = ends[1];
}

// What posix_spawn is told; freed at its end.
struct Plan {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  Plan() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
};

// spawnProcess(path): {pid, control, errors}. Starts `path` without arguments in a session of its own, with an empty environment,
// default signals, one socket as its descriptors 0 and 1, whose other end is `control`, and another as 2, read at `errors`.
// The caller owns both and calls reapProcess after the end.
Napi::Value spawn_process(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string path = read_string(argument(info, 0), "path");
  Descriptor control, theirs, errors, their_errors;
  make_pair(control, theirs, "socketpair");
  make_pair(errors, their_errors, "socketpair");
  Plan plan;
  posix_spawn_file_actions_adddup2(&plan.actions, theirs.fd, 0);
  posix_spawn_file_actions_adddup2(&plan.actions, theirs.fd, 1);
  posix_spawn_file_actions_adddup2(&plan.actions, their_errors.fd, 2);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&plan.attributes, &all);
  posix_spawnattr_setsigmask(&plan.attributes, &none);
  short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
#if defined(POSIX_SPAWN_SETSID)
  flags |= POSIX_SPAWN_SETSID;  // Ctrl-C is for the trainer, which decides what becomes of running programs
#endif
  posix_spawnattr_setflags(&plan.attributes, flags);
  std::string name = path;
  char* const arguments[] = {name.data(), nullptr};
  char* const environment[] = {nullptr};
  pid_t pid = 0;
  const int error = posix_spawn(&pid, path.c_str(), &plan.actions, &plan.attributes, arguments, environment);
  if (error != 0) fail(path, error);
  auto result = Napi::Object::New(env);
  result.Set("pid", pid);
  result.Set("control", control.release());
  result.Set("errors", errors.release());
  return result;
}

// reapProcess(pid): the wait status of a process of spawnProcess that has ended, null while it has not. Ask no more after a number.
Napi::Value reap_process(const Napi::CallbackInfo& info) {
  const auto pid = static_cast<pid_t>(read_integer(argument(info, 0), "pid", 1, 1 << 30));
  int status = 0;
  const pid_t ended = waitpid(pid, &status, WNOHANG);
  if (ended == 0) return info.Env().Null();
  if (ended < 0) throw Error("ERR_SPAWN", std::string("reapProcess: ") + std::strerror(errno));
  return Napi::Number::New(info.Env(), status);
}
#endif

}  // namespace

void register_process(Napi::Env env, Napi::Object exports) {
  export_function<spawn_process>(env, exports, "spawnProcess");
  export_function<reap_process>(env, exports, "reapProcess");
}

}  // namespace toolgrad
