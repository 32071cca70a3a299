// The frames between trainer and supervisor: u32 size of what follows, u8 kind, fields; little-endian; texts and bytes as u32
// size and content. The trainer is trusted, its frames are checked all the same: a frame that is not understood ends the
// supervisor, which never guesses.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum tg_frame_kind {
  TG_FRAME_SETTINGS = 1,  // once: texts "name=value"
  TG_FRAME_RUN = 2,
  TG_FRAME_CANCEL = 3,       // u64 id
  TG_FRAME_END_SESSION = 4,  // u64 session
  TG_FRAME_READY = 16,       // text
  TG_FRAME_RESULT = 17,
  TG_FRAME_FAILED = 18,  // text: the supervisor cannot go on
};
enum { TG_MAX_FRAME = 1 << 28 };

struct tg_text {
  const uint8_t* data;
  uint32_t size;
};

struct tg_run {
  uint64_t id;
  uint64_t session;    // 0: none
  uint32_t continues;  // the session was there before; if it is not now, that is told instead of beginning another
  uint32_t template_index;
  uint32_t processes;
  uint64_t start_us, cpu_us, wall_us;
  uint64_t memory_bytes, file_bytes, kept_bytes, hard_bytes;
  uint64_t seed;
  struct tg_text code, input, files, fetch;  // fetch: names, each ended by NUL
};

// Bytes that arrive in pieces.
struct tg_buffer {
  uint8_t* data;
  size_t size, capacity, taken;
  int failed;  // memory ran out while a frame was written
};

int tg_append(struct tg_buffer* buffer, const void* data, size_t size);
void tg_free(struct tg_buffer* buffer);

// The next whole frame in `buffer`: 1 and its kind and body, which stay valid until the next append; 0: there is none yet; -1: it
// cannot be one.
int tg_next_frame(struct tg_buffer* buffer, uint8_t* kind, struct tg_text* body);

// Reading a body; every function returns 0, or -1 if it does not hold what is expected.
int tg_parse_run(struct tg_text body, struct tg_run* run);
int tg_parse_id(struct tg_text body, uint64_t* id);
// Takes one text off the front of `body`.
int tg_take_text(struct tg_text* body, struct tg_text* text);

// Writing a frame: begin, fields, end.
size_t tg_begin_frame(struct tg_buffer* buffer, uint8_t kind);
void tg_put(struct tg_buffer* buffer, uint64_t value, int bytes);
void tg_put_bytes(struct tg_buffer* buffer, const void* data, size_t size);
// 0, or -1 if memory ran out while the frame was written, which is then taken back.
int tg_end_frame(struct tg_buffer* buffer, size_t begin);
