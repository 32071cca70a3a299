// Runs a function in a forked child, which may then give up what it likes; its verdicts come back through a pipe.
// In the child nothing is allocated and nothing is freed: it may have no memory and few system calls left.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "check.h"

namespace toolgrad::test {

class Child {
 public:
  explicit Child(int report) : report_(report) {}

  // One sentence with a verdict; `found` is an errno or another number that helps when it fails.
  void check(bool ok, const char* sentence, long found = 0) const {
    char line[300];
    const int length = std::snprintf(line, sizeof line, "%c%s (found %ld)\n", ok ? '+' : '-', sentence, found);
    size_t from = 0, end = static_cast<size_t>(length) < sizeof line ? static_cast<size_t>(length) : sizeof line - 1;
    while (from < end) {
      const ssize_t wrote = write(report_, line + from, end - from);
      if (wrote <= 0) _exit(100);
      from += static_cast<size_t>(wrote);
    }
  }
  // `result` is that of a system call: -1 with the errno that is expected, or with 0 anything but -1.
  void expect(long result, int error, const char* sentence) const {
    const int found = result == -1 ? errno : 0;
    check(found == error, sentence, found);
  }

 private:
  int report_;
};

/// Status of waitpid. The child ends with 0 by returning. It is killed after `seconds`.
template <typename F>
int in_child(const std::string& title, F body, unsigned seconds = 20) {
  std::printf("%s\n", title.c_str());
  std::fflush(stdout);
  int pipe_fds[2];
  if (pipe(pipe_fds) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    close(pipe_fds[0]);
    body(Child(pipe_fds[1]));
    _exit(0);
  }
  close(pipe_fds[1]);
  std::string text;
  char buffer[4096];
  pollfd waiting{pipe_fds[0], POLLIN, 0};
  for (;;) {
    if (poll(&waiting, 1, static_cast<int>(seconds) * 1000) <= 0) break;
    const ssize_t got = read(pipe_fds[0], buffer, sizeof buffer);
    if (got <= 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  close(pipe_fds[0]);
  // It closed its end by ending, or is late, or has children of its own which are not waited for.
  int status = 0;
  for (unsigned i = 0; waitpid(child, &status, WNOHANG) == 0; ++i) {
    if (i == seconds * 100) kill(child, SIGKILL);
    usleep(10000);
  }
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const std::string line = text.substr(at + 1, end - at - 1);
    check(text[at] == '+', text[at] == '+' ? line.substr(0, line.rfind(" (found")) : line);
    at = end == std::string::npos ? text.size() : end + 1;
  }
  return status;
}

/// Likewise; the child must return.
template <typename F>
void passes_in_child(const std::string& title, F body) {
  const int status = in_child(title, body);
  if (status != 0) check(false, title + ": ended with wait status " + std::to_string(status));
}

/// Likewise; the child must be killed by `signal`.
template <typename F>
void dies_in_child(const std::string& title, int signal, F body, unsigned seconds = 20) {
  const int status = in_child(title, body, seconds);
  check(WIFSIGNALED(status) && WTERMSIG(status) == signal && !WCOREDUMP(status),
        "the process is killed by " + std::string(strsignal(signal)) + " (wait status " + std::to_string(status) + ")");
}

}  // namespace toolgrad::test
