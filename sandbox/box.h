// One sandboxed process as the supervisor sees it, and the call that it runs: its descriptors, its clocks, its end. A box of a
// session outlives its calls.
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "cgroup.h"
#include "frames.h"
#include "kept.h"
#include "settings.h"
#include "wire.h"

enum { kMaxBoxes = 4096, kMaxFiles = 256 };

enum cause {
  kExit = 0,
  kProcessorTime = 1,
  kWallTime = 2,
  kOutput = 3,
  kQuota = 4,
  kCancelled = 5,
  kFailed = 6,
  kSessionLost = 7,
};
enum result_flags { kStarted = 1, kSessionEnded = 2, kStarved = 4, kOutOfMemory = 8 };

// Which descriptor of a box an event is of.
enum port { kStatus, kCell, kStdout, kStderr, kPorts };

struct template {
  bool used, ready, retired;
  size_t index;
  pid_t pid;
  int control;
  unsigned served, active;
};

struct box {
  bool used, closed;
  int ports[kPorts];
  int pidfd, work;
  char work_name[32];
  struct template* template;
  uint64_t session;
  pid_t program;  // as the system at large numbers it; 0 before it started
  pid_t init;     // likewise, with namespaces
  // The call.
  bool busy, started;
  uint64_t id, nonce;
  struct tg_run run;  // its texts are gone
  int64_t begun, started_at, next_check, escalate_at;
  int escalations;
  uint64_t processor_before, queued_before;
  uint64_t tree_last, tree_spent;  // processor time of all processes, where there can be more than one
  int cause;
  bool starved;
  struct tg_event done;  // a cell's end, which is told when nothing else of it is left
  struct tg_kept streams[2];
  struct tg_buffer files;
  uint32_t file_count;
  char* fetch;  // names of wanted files, an empty one ends them; without namespaces only
  char error[200];
};

struct supervisor {
  struct tg_settings settings;
  int epoll;
  struct tg_cgroup cgroup;
  char cgroup_text[120];
  int root;  // where working directories are made; -1: none are needed
  char root_path[4096];
  struct tg_buffer incoming, outgoing;
  struct template templates[2 * TG_MAX_TEMPLATES];
  struct box* boxes;
  size_t box_count;  // places in use, some of them free again
  uint32_t serial;
  uint64_t memory_kills;  // of which the results have told
  int restarts;
};

enum { kShortestCheck = 2000 };  // us between two looks at a processor clock

// Of the monotonic clock.
int64_t now_us(void);
// Processor time of a process so far, all its threads; 0 if it is gone.
uint64_t processor_us(pid_t pid);
// That of all processes of a box, where it may have several, is added to what it has spent.
void measure_tree(struct box* box);
// Whether its files on disk are too large, or too many.
bool exceeds_quota(const struct box* box);
// How long it has been ready to run without a processor.
uint64_t queued_us(pid_t pid);

// Starts a call; what fails becomes its result.
void begin_call(struct supervisor* all, const struct tg_run* run);
void cancel_call(struct supervisor* all, uint64_t id);
void end_session(struct supervisor* all, uint64_t session);
// Ends a call that has not been ended yet.
void stop_call(struct supervisor* all, struct box* box, int cause);
// Kills what runs in a box; each time more than the time before.
void kill_box(struct supervisor* all, struct box* box);
// Something happened at a port of a box.
void serve_port(struct supervisor* all, struct box* box, enum port port);
// Tells the trainer what came of the call of a box, by its cause.
void send_result(struct supervisor* all, struct box* box, uint32_t wait_status, uint64_t cpu_us, uint64_t rss_bytes,
                 int flags);
// The same of a call that the machinery failed, and of one that was not run because its session is gone.
void fail_call(struct supervisor* all, struct box* box, const char* what, int error);
void lose_session(struct supervisor* all, struct box* box);
// Looks at the clocks of all boxes; gives the time at which to look again, INT64_MAX for never.
int64_t check_clocks(struct supervisor* all, int64_t now);
// Closes what has ended since the last call; events of it may have been waiting until then.
void collect_boxes(struct supervisor* all);

// In supervisor.c.
struct template* current_template(struct supervisor* all, uint32_t index);
uint64_t port_key(const struct supervisor* all, const struct box* box, enum port port);
