// What template.py calls. See template.c and session.c.
#pragma once
#include <stddef.h>

#include "wire.h"

#define TG_EXPORT __attribute__((visibility("default")))

// Makes the policy ready: `layers` of tg_layer, paths that programs may read. 0 or -errno.
TG_EXPORT int tg_open(unsigned layers, const char* const* read_paths, size_t read_count);
// Tells the supervisor that orders are taken; -EBUSY if the process has threads.
TG_EXPORT int tg_ready(void);
// Waits for orders. 1: this is a new, sandboxed process with `task`; 0: the supervisor is gone; -errno.
TG_EXPORT int tg_serve(struct tg_task* task);
// In a new process: the program begins now.
TG_EXPORT int tg_started(void);
// In a session: waits for the next cell and forks if `fork_first`, so that the state before it outlives it. 1: run `task`, then
// call tg_cell_done; 0: the session is over.
TG_EXPORT int tg_next_cell(struct tg_task* task, int fork_first);
// `status`: exit status of the cell.
TG_EXPORT int tg_cell_done(int status);
