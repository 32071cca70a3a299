// See kept.h.
#include "kept.h"

#include <stdlib.h>
#include <string.h>

void tg_keep_begin(struct tg_kept* kept, uint64_t bytes) {
  kept->total = 0;
  kept->tail_room = (size_t)(bytes / 2);
  kept->head_room = (size_t)bytes - kept->tail_room;
  kept->head_size = kept->tail_size = kept->tail_begin = 0;
}

static int grow(uint8_t** data, size_t* capacity, size_t wanted, size_t room) {
  if (wanted <= *capacity) return 0;
  size_t next = *capacity < 1024 ? 1024 : *capacity;
  while (next < wanted) next *= 2;
  if (next > room) next = room;
  uint8_t* grown = realloc(*data, next);
  if (grown == NULL) return -1;
  *data = grown;
  *capacity = next;
  return 0;
}

int tg_keep(struct tg_kept* kept, const uint8_t* data, size_t size) {
  kept->total += size;
  size_t part = kept->head_room - kept->head_size;
  if (part > size) part = size;
  if (part > 0) {
    if (grow(&kept->head, &kept->head_capacity, kept->head_size + part, kept->head_room) != 0) return -1;
    memcpy(kept->head + kept->head_size, data, part);
    kept->head_size += part;
    data += part;
    size -= part;
  }
  if (size > kept->tail_room) {
    data += size - kept->tail_room;
    size = kept->tail_room;
  }
  if (size == 0) return 0;
  part = kept->tail_room - kept->tail_size;
  if (part > size) part = size;
  if (part > 0) {  // not full yet
    if (grow(&kept->tail, &kept->tail_capacity, kept->tail_size + part, kept->tail_room) != 0) return -1;
    memcpy(kept->tail + kept->tail_size, data, part);
    kept->tail_size += part;
    data += part;
    size -= part;
  }
  while (size > 0) {
    part = kept->tail_room - kept->tail_begin;
    if (part > size) part = size;
    memcpy(kept->tail + kept->tail_begin, data, part);
    kept->tail_begin = (kept->tail_begin + part) % kept->tail_room;
    data += part;
    size -= part;
  }
  return 0;
}

void tg_keep_free(struct tg_kept* kept) {
  free(kept->head);
  free(kept->tail);
  *kept = (struct tg_kept){0};
}
