// See frames.h.
#include "frames.h"

#include <stdlib.h>
#include <string.h>

int tg_append(struct tg_buffer* buffer, const void* data, size_t size) {
  if (size == 0) return 0;
  if (buffer->taken > 0) {
    memmove(buffer->data, buffer->data + buffer->taken, buffer->size - buffer->taken);
    buffer->size -= buffer->taken;
    buffer->taken = 0;
  }
  if (buffer->size + size > buffer->capacity) {
    size_t capacity = buffer->capacity == 0 ? 4096 : buffer->capacity;
    while (capacity < buffer->size + size) capacity *= 2;
    uint8_t* grown = realloc(buffer->data, capacity);
    if (grown == NULL) return -1;
    buffer->data = grown;
    buffer->capacity = capacity;
  }
  memcpy(buffer->data + buffer->size, data, size);
  buffer->size += size;
  return 0;
}

void tg_free(struct tg_buffer* buffer) {
  free(buffer->data);
  *buffer = (struct tg_buffer){0};
}

static uint64_t number(const uint8_t* from, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; i++) value |= (uint64_t)from[i] << (8 * i);
  return value;
}

int tg_next_frame(struct tg_buffer* buffer, uint8_t* kind, struct tg_text* body) {
  const size_t there = buffer->size - buffer->taken;
  if (there < 4) return 0;
  const uint8_t* head = buffer->data + buffer->taken;
  const uint32_t size = (uint32_t)number(head, 4);
  if (size < 1 || size > TG_MAX_FRAME) return -1;
  if (there - 4 < size) return 0;
  *kind = head[4];
  *body = (struct tg_text){.data = head + 5, .size = size - 1};
  buffer->taken += 4 + (size_t)size;
  return 1;
}

static int take(struct tg_text* body, uint64_t* value, int bytes) {
  if (body->size < (uint32_t)bytes) return -1;
  *value = number(body->data, bytes);
  body->data += bytes;
  body->size -= (uint32_t)bytes;
  return 0;
}

int tg_take_text(struct tg_text* body, struct tg_text* text) {
  uint64_t size;
  if (take(body, &size, 4) != 0 || size > body->size) return -1;
  *text = (struct tg_text){.data = body->data, .size = (uint32_t)size};
  body->data += size;
  body->size -= (uint32_t)size;
  return 0;
}

int tg_parse_id(struct tg_text body, uint64_t* id) {
  return take(&body, id, 8) == 0 && body.size == 0 ? 0 : -1;
}

int tg_parse_run(struct tg_text body, struct tg_run* run) {
  uint64_t continues, template_index, processes;
  if (take(&body, &run->id, 8) != 0 || take(&body, &run->session, 8) != 0 || take(&body, &continues, 4) != 0 ||
      take(&body, &template_index, 4) != 0 || take(&body, &processes, 4) != 0)
    return -1;
  run->continues = (uint32_t)continues;
  run->template_index = (uint32_t)template_index;
  run->processes = (uint32_t)processes;
  uint64_t* const numbers[] = {&run->start_us,   &run->cpu_us,     &run->wall_us,    &run->memory_bytes,
                               &run->file_bytes, &run->kept_bytes, &run->hard_bytes, &run->seed};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    if (take(&body, numbers[i], 8) != 0) return -1;
  }
  // Times are added to the clock, which must not run over.
  const uint64_t longest = (uint64_t)1 << 50;
  if (run->start_us > longest || run->cpu_us > longest || run->wall_us > longest) return -1;
  struct tg_text* const texts[] = {&run->code, &run->input, &run->files, &run->fetch};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    if (tg_take_text(&body, texts[i]) != 0) return -1;
  }
  if (run->fetch.size > 0 && run->fetch.data[run->fetch.size - 1] != 0) return -1;
  return body.size == 0 ? 0 : -1;
}

size_t tg_begin_frame(struct tg_buffer* buffer, uint8_t kind) {
  if (buffer->taken > 0) {
    // Appending moves what is left to the front, so do it now: `begin` must stay where it is.
    memmove(buffer->data, buffer->data + buffer->taken, buffer->size - buffer->taken);
    buffer->size -= buffer->taken;
    buffer->taken = 0;
  }
  const size_t begin = buffer->size;
  const uint8_t head[5] = {0, 0, 0, 0, kind};
  return tg_append(buffer, head, sizeof head) == 0 ? begin : SIZE_MAX;
}

void tg_put(struct tg_buffer* buffer, uint64_t value, int bytes) {
  uint8_t out[8];
  for (int i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> (8 * i));
  tg_put_bytes(buffer, out, (size_t)bytes);
}

void tg_put_bytes(struct tg_buffer* buffer, const void* data, size_t size) {
  if (tg_append(buffer, data, size) != 0) buffer->failed = 1;
}

int tg_end_frame(struct tg_buffer* buffer, size_t begin) {
  if (begin == SIZE_MAX) return -1;
  if (buffer->failed) {
    buffer->failed = 0;
    buffer->size = begin;
    return -1;
  }
  const size_t size = buffer->size - begin - 4;
  for (int i = 0; i < 4; i++) buffer->data[begin + i] = (uint8_t)(size >> (8 * i));
  return 0;
}
