// What supervisor, template and sandboxed processes say to each other: fixed structs over SOCK_SEQPACKET sockets, with
// descriptors beside them. Both ends are of one build. Messages of a session's interpreter are the only ones that a program
// can forge; the supervisor takes nothing from them but the end of the cell that it waits for.
#pragma once
#include <stdint.h>

enum tg_layer {
  TG_NAMESPACES = 1,
  TG_LANDLOCK = 2,
  TG_SECCOMP = 4,
  TG_RLIMITS = 8,
};

enum tg_spawn_flags {
  TG_SPAWN_SESSION = 1,
  TG_SPAWN_WORKDIR = 2,  // a directory on disk comes along; without it a tmpfs is mounted
};

// Supervisor to template: make a sandboxed process. Descriptors beside it: status, input, stdin, stdout, stderr, then the
// session's socket and the working directory if the flags say so.
struct tg_spawn {
  uint32_t flags;
  uint32_t processes;
  uint64_t memory_bytes;
  uint64_t file_bytes;
  uint32_t cpu_seconds;
  uint32_t serial;
  uint64_t seed;
  // Lie one after the other in the input.
  uint32_t code_bytes;
  uint32_t files_bytes;
  uint32_t fetch_bytes;
  uint32_t pad;
};
enum { TG_SPAWN_DESCRIPTORS = 5, TG_MAX_DESCRIPTORS = 7 };

// Supervisor to a session's interpreter; the code comes as a descriptor.
struct tg_cell {
  uint32_t kind;  // TG_CELL_RUN or TG_CELL_KILL
  uint32_t code_bytes;
  uint64_t nonce;
  uint64_t seed;
};
enum tg_cell_kind { TG_CELL_RUN = 1, TG_CELL_KILL = 2 };

enum tg_event_kind {
  TG_EVENT_READY = 1,    // template: it serves
  TG_EVENT_PROCESS = 2,  // template, on a status socket: the process exists; its pidfd comes along
  TG_EVENT_STARTED = 3,  // the process itself: the program begins; its credentials tell the process id
  TG_EVENT_ENDED = 4,    // whoever waited for the process: all is over
  TG_EVENT_FILE = 5,     // that one, before it: a file that was asked for, as a descriptor
  TG_EVENT_FAILED = 6,   // anyone: what could not be set up
  TG_EVENT_DONE = 7,     // a session: the cell is over
  TG_EVENT_CLEANED = 8,  // an init: only one process is left
};

struct tg_event {
  uint32_t kind;
  int32_t status;  // as waitpid gives it; of FAILED the errno; of FILE the index
  uint64_t nonce;  // of the cell
  uint64_t cpu_us;
  uint64_t rss_bytes;
  int32_t pid;     // of DONE: the process that goes on, as its namespace numbers it
  char text[156];  // of FAILED: which step
};

// Supervisor to an init, on the status socket.
struct tg_order {
  uint32_t kind;
  int32_t pid;
};
enum tg_order_kind {
  TG_ORDER_KILL = 1,   // all processes
  TG_ORDER_CLEAN = 2,  // all but `pid`, which is stopped, then say so
  TG_ORDER_GO_ON = 3,  // that one again
};

// What a new process of a template is to do; filled by the library, read by template.py through ctypes.
struct tg_task {
  int32_t input;   // descriptor of code and files
  int32_t forked;  // this process was forked to run it
  uint32_t session;
  uint32_t code_bytes;
  uint32_t files_bytes;
  uint32_t pad;
  uint64_t seed;
};
