// What is kept of a stream: its first and its last bytes. Room grows as bytes come.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct tg_kept {
  uint64_t total;
  size_t head_room, tail_room;
  uint8_t *head, *tail;
  size_t head_size, head_capacity;
  size_t tail_size, tail_capacity, tail_begin;  // a ring once it is full
};

void tg_keep_begin(struct tg_kept* kept, uint64_t bytes);
// 0, or -1 when memory ran out.
int tg_keep(struct tg_kept* kept, const uint8_t* data, size_t size);
void tg_keep_free(struct tg_kept* kept);
