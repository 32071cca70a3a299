// A libFuzzer target: what the trainer sends, as the supervisor takes it in. The input is a stream of frames that arrives in pieces;
// every frame is parsed, what was parsed is written again and must be the same bytes, and the texts of a call go through what is
// kept of streams, beside a model of it. Anything that does not hold ends the process. Input: four bytes of choices, then the
// stream; with the first bit set the stream is told as records (kind, u16 size, body), so that no frame has a wrong size; the second byte
// says when memory ends.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "kept.h"

// settings.c keeps its memory as long as its process lives; here it is given back after each frame.
static void** tracked;
static size_t tracked_count, tracked_room;
static unsigned memory_ends;  // after so many of its allocations; 0: never

#define REQUIRE(holds)                                                           \
  do {                                                                           \
    if (!(holds)) {                                                              \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds); \
      abort();                                                                   \
    }                                                                            \
  } while (0)

static void* tracked_malloc(size_t size) {
  if (memory_ends > 0 && --memory_ends == 0) return NULL;
  if (tracked_count == tracked_room) {
    tracked_room = tracked_room == 0 ? 64 : 2 * tracked_room;
    tracked = realloc(tracked, tracked_room * sizeof *tracked);
    REQUIRE(tracked != NULL);
  }
  return tracked[tracked_count++] = malloc(size);
}

static void tracked_free(void* block) {
  REQUIRE(tracked_count > 0 && tracked[tracked_count - 1] == block);
  free(tracked[--tracked_count]);
}

#define malloc tracked_malloc
#define free tracked_free
#include "../settings.c"
#undef malloc
#undef free

static void forget_settings(void) {
  while (tracked_count > 0) free(tracked[--tracked_count]);
  free(tracked);
  tracked = NULL;
  tracked_room = 0;
}

static uint32_t little(const uint8_t* from, int bytes) {
  uint32_t value = 0;
  for (int i = 0; i < bytes; i++) value |= (uint32_t)from[i] << (8 * i);
  return value;
}

static uint32_t next(uint32_t* state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static void check_settings(struct tg_text body) {
  struct tg_settings settings;
  char error[64];  // shorter than texts may be, and full of what is no end
  memset(error, 'x', sizeof error);
  if (tg_parse_settings(body, &settings, error, sizeof error) == 0) {
    REQUIRE(settings.read_count <= TG_MAX_READ && settings.environment_count <= TG_MAX_ENVIRONMENT);
    REQUIRE(settings.template_count >= 1 && settings.template_count <= TG_MAX_TEMPLATES);
    REQUIRE(settings.environment[settings.environment_count] == NULL);
    REQUIRE(settings.layers < 16 && settings.user >= -1);
    const char* const paths[] = {settings.python, settings.library, settings.bootstrap, settings.temporary};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) REQUIRE(paths[i][0] == '/');
    for (size_t i = 0; i < settings.read_count; i++) REQUIRE(settings.read[i][0] == '/');
    for (size_t i = 0; i < settings.template_count; i++) REQUIRE(strlen(settings.templates[i]) < body.size);
  } else {
    REQUIRE(memchr(error, 0, sizeof error) != NULL);
  }
  memory_ends = 0;
  forget_settings();
}

// Written by what writes the supervisor's frames, it must be the frame that it came from.
static void check_written_again(const struct tg_run* run, struct tg_text body) {
  const uint64_t small[] = {run->continues, run->template_index, run->processes};
  const uint64_t large[] = {run->start_us,   run->cpu_us,     run->wall_us,    run->memory_bytes,
                            run->file_bytes, run->kept_bytes, run->hard_bytes, run->seed};
  const struct tg_text texts[] = {run->code, run->input, run->files, run->fetch};
  struct tg_buffer out = {0};
  for (int round = 0; round < 2; round++) {  // the second goes where the first has been taken
    const size_t begin = tg_begin_frame(&out, TG_FRAME_RUN);
    tg_put(&out, run->id, 8);
    tg_put(&out, run->session, 8);
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) tg_put(&out, small[i], 4);
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) tg_put(&out, large[i], 8);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
      tg_put(&out, texts[i].size, 4);
      tg_put_bytes(&out, texts[i].data, texts[i].size);
    }
    REQUIRE(tg_end_frame(&out, begin) == 0);
    uint8_t kind;
    struct tg_text again;
    REQUIRE(tg_next_frame(&out, &kind, &again) == 1 && kind == TG_FRAME_RUN);
    REQUIRE(again.size == body.size && memcmp(again.data, body.data, body.size) == 0);
    REQUIRE(tg_next_frame(&out, &kind, &again) == 0);
  }
  tg_free(&out);
}

static void check_kept(const struct tg_run* run, struct tg_text stream, uint32_t* choice) {
  struct tg_kept kept = {0};
  for (int round = 0; round < 2; round++) {  // the second time its memory is used again
    const uint64_t room = (run->kept_bytes >> round) % 3001;
    tg_keep_begin(&kept, room);
    for (size_t at = 0; at < stream.size;) {
      size_t piece = next(choice) % (round == 0 ? 97 : 4001);
      if (piece > stream.size - at) piece = stream.size - at;
      REQUIRE(tg_keep(&kept, stream.data + at, piece) == 0);
      at += piece;
    }
    const size_t tail_room = (size_t)(room / 2), head_room = (size_t)room - tail_room;
    const size_t head = stream.size < head_room ? stream.size : head_room;
    const size_t tail = stream.size - head < tail_room ? stream.size - head : tail_room;
    REQUIRE(kept.total == stream.size && kept.head_size == head && kept.tail_size == tail);
    REQUIRE(head == 0 || memcmp(kept.head, stream.data, head) == 0);
    REQUIRE(kept.tail_begin == 0 || (tail == tail_room && kept.tail_begin < tail));
    const uint8_t* last = stream.data + (stream.size - tail);
    const size_t first = tail - kept.tail_begin;
    REQUIRE(tail == 0 || memcmp(kept.tail + kept.tail_begin, last, first) == 0);
    REQUIRE(kept.tail_begin == 0 || memcmp(kept.tail, last + first, kept.tail_begin) == 0);
  }
  tg_keep_free(&kept);
}

static int within(struct tg_text text, struct tg_text body) {
  return text.data >= body.data && text.data + text.size <= body.data + body.size;
}

static void check_run(struct tg_text body, uint32_t* choice) {
  struct tg_run run;
  if (tg_parse_run(body, &run) != 0) return;
  REQUIRE(within(run.code, body) && within(run.input, body) && within(run.files, body) && within(run.fetch, body));
  const int64_t longest = (int64_t)1 << 50;
  REQUIRE((int64_t)run.start_us <= longest && (int64_t)run.cpu_us <= longest && (int64_t)run.wall_us <= longest);
  // Names are walked by their ends, the last of which must be there.
  size_t walked = 0;
  while (walked < run.fetch.size) walked += strlen((const char*)run.fetch.data + walked) + 1;
  REQUIRE(walked == run.fetch.size);
  check_written_again(&run, body);
  check_kept(&run, run.code, choice);
  check_kept(&run, body, choice);
}

static void check_frame(uint8_t kind, struct tg_text body, uint32_t* choice) {
  uint64_t id;
  if (kind == TG_FRAME_SETTINGS) check_settings(body);
  if (kind == TG_FRAME_RUN) check_run(body, choice);
  if (kind == TG_FRAME_CANCEL || kind == TG_FRAME_END_SESSION)
    REQUIRE((tg_parse_id(body, &id) == 0) == (body.size == 8));
}

static void check_stream(const uint8_t* data, size_t size, uint32_t* choice) {
  static const uint32_t most[] = {1, 5, 64, 1000, 1 << 16};
  struct tg_buffer incoming = {0};
  size_t taken = 0;  // where in `data` the next frame begins
  for (size_t fed = 0; fed < size;) {
    size_t piece = 1 + next(choice) % most[next(choice) % 5];
    if (piece > size - fed) piece = size - fed;
    REQUIRE(tg_append(&incoming, data + fed, piece) == 0);
    fed += piece;
    uint8_t kind;
    struct tg_text body;
    int found;
    while ((found = tg_next_frame(&incoming, &kind, &body)) == 1) {
      const size_t claimed = little(data + taken, 4);
      REQUIRE(claimed >= 1 && claimed <= TG_MAX_FRAME && taken + 4 + claimed <= fed);
      REQUIRE(kind == data[taken + 4] && body.size == claimed - 1);
      REQUIRE(memcmp(body.data, data + taken + 5, body.size) == 0);
      taken += 4 + claimed;
      check_frame(kind, body, choice);
    }
    const size_t claimed = fed - taken < 4 ? 1 : little(data + taken, 4);
    REQUIRE((found < 0) == (claimed < 1 || claimed > TG_MAX_FRAME));
    if (found < 0) break;
    REQUIRE(fed - taken < 4 || fed - taken - 4 < claimed);
  }
  tg_free(&incoming);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  uint32_t choice = little(data, 4);
  memory_ends = data[1];
  data += 4;
  size -= 4;
  if ((choice & 1) == 0) {
    check_stream(data, size, &choice);
    return 0;
  }
  struct tg_buffer stream = {0};
  while (size >= 3) {
    const size_t told = little(data + 1, 2);
    const size_t body = told < size - 3 ? told : size - 3;
    const size_t begin = tg_begin_frame(&stream, data[0]);
    tg_put_bytes(&stream, data + 3, body);
    REQUIRE(tg_end_frame(&stream, begin) == 0);
    data += 3 + body;
    size -= 3 + body;
  }
  check_stream(stream.data, stream.size, &choice);
  tg_free(&stream);
  return 0;
}
