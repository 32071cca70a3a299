// What the trainer is told of a call that is over. See box.h.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "box.h"

static void put_stream(struct tg_buffer* out, const struct tg_kept* kept) {
  tg_put(out, kept->total, 8);
  tg_put(out, kept->head_size, 4);
  tg_put_bytes(out, kept->head, kept->head_size);
  tg_put(out, kept->tail_size, 4);
  const size_t first = kept->tail_size - kept->tail_begin;  // of a ring that is full; else it begins at 0
  tg_put_bytes(out, kept->tail + kept->tail_begin, first);
  tg_put_bytes(out, kept->tail, kept->tail_begin);
}

void send_result(struct supervisor* all, struct box* box, uint32_t wait_status, uint64_t cpu_us, uint64_t rss_bytes,
                 int flags) {
  struct tg_buffer* out = &all->outgoing;
  const size_t begin = tg_begin_frame(out, TG_FRAME_RESULT);
  tg_put(out, box->id, 8);
  tg_put(out, (uint64_t)box->cause, 1);
  tg_put(out, (uint64_t)(flags | (box->started ? kStarted : 0) | (box->starved ? kStarved : 0)), 1);
  tg_put(out, wait_status, 4);
  const int64_t since = box->started ? box->started_at : box->begun;
  tg_put(out, (uint64_t)(now_us() - since), 8);
  tg_put(out, (uint64_t)(since - box->begun), 8);
  tg_put(out, cpu_us, 8);
  tg_put(out, rss_bytes, 8);
  for (int i = 0; i < 2; i++) put_stream(out, &box->streams[i]);
  char work[4200] = "/sandbox";
  if (box->work_name[0] != 0) snprintf(work, sizeof work, "%s/%s", all->root_path, box->work_name);
  tg_put(out, strlen(work), 4);
  tg_put_bytes(out, work, strlen(work));
  tg_put(out, strlen(box->error), 4);
  tg_put_bytes(out, box->error, strlen(box->error));
  tg_put(out, box->file_count, 4);
  tg_put_bytes(out, box->files.data, box->files.size);
  if (tg_end_frame(out, begin) != 0) _exit(70);  // out of memory: the trainer sees the end and starts another
  box->busy = false;
}

void fail_call(struct supervisor* all, struct box* box, const char* what, int error) {
  // What keeps the next program of a session from its beginning may be the doing of an earlier one.
  box->cause = box->session != 0 && box->run.continues && !box->started ? kSessionLost : kFailed;
  if (box->error[0] == 0)
    snprintf(box->error, sizeof box->error, "%s%s%s", what, error == 0 ? "" : ": ", error == 0 ? "" : strerror(error));
  send_result(all, box, 0, 0, 0, box->session != 0 ? kSessionEnded : 0);
}

// The program was not run: the session it belongs to is gone.
void lose_session(struct supervisor* all, struct box* box) {
  box->cause = kSessionLost;
  send_result(all, box, 0, 0, 0, kSessionEnded);
}
