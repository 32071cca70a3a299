// How a supervisor that is built with sanitizers reports. Its environment is empty, so what else is set by variables is compiled in: a
// report ends it, by abort(). The text goes to report.<pid> beside the executable too, for a supervisor that died is replaced
// and what it said may be seen by nobody. Leaks are not looked for: that needs ptrace, which a process that is not dumpable
// does not allow.
#include <fcntl.h>
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// These two are not in every compiler's headers.
void __ubsan_on_report(void);
void __ubsan_get_current_report_data(const char** kind, const char** message, const char** file, unsigned* line,
                                     unsigned* column, char** address);
const char* __asan_default_options(void);
const char* __ubsan_default_options(void);

#define EXPORT __attribute__((visibility("default")))

static char beside[4096];

static void keep(const char* text) {
  char path[4200];
  snprintf(path, sizeof path, "%s/report.%d", beside, (int)getpid());
  const int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) return;
  for (size_t left = strlen(text); left > 0;) {
    const ssize_t written = write(file, text, left);
    if (written <= 0) break;
    text += written;
    left -= (size_t)written;
  }
  close(file);
}

EXPORT const char* __asan_default_options(void) {
  return "abort_on_error=1:detect_leaks=0:strict_string_checks=1:detect_stack_use_after_return=1";
}

EXPORT const char* __ubsan_default_options(void) {
  return "print_stacktrace=1:abort_on_error=1";
}

EXPORT void __ubsan_on_report(void) {
  const char *kind, *message, *name;
  unsigned line, column;
  char* address;
  char text[800];
  __ubsan_get_current_report_data(&kind, &message, &name, &line, &column, &address);
  snprintf(text, sizeof text, "%s:%u:%u: %s: %s\n", name, line, column, kind, message);
  keep(text);
}

__attribute__((constructor)) static void begin(void) {
  const ssize_t length = readlink("/proc/self/exe", beside, sizeof beside - 1);
  char* last = length > 0 ? strrchr(beside, '/') : NULL;
  if (last != NULL) *last = 0;
  __asan_set_error_report_callback(keep);
}
