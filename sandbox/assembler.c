// The assembler of assembler.h. Both halves of a conditional jump hold 8 bits; a farther target is reached through an
// unconditional jump placed right behind the conditional one.
#include "assembler.h"

#include <linux/seccomp.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "arguments of system calls are read as little-endian"
#endif

static uint16_t put(struct tg_assembly* to, struct sock_filter instruction) {
  if (to->used == TG_LONGEST_PROGRAM) {
    to->too_long = 1;
    return 0;
  }
  to->backwards[to->used] = instruction;
  return to->used++;
}

uint16_t tg_return(struct tg_assembly* to, uint32_t action) {
  return put(to, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

static uint16_t load(struct tg_assembly* to, size_t offset) {
  return put(to, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

uint16_t tg_load_number(struct tg_assembly* to) {
  return load(to, offsetof(struct seccomp_data, nr));
}

uint16_t tg_load_architecture(struct tg_assembly* to) {
  return load(to, offsetof(struct seccomp_data, arch));
}

uint16_t tg_load_argument(struct tg_assembly* to, unsigned argument) {
  return load(to, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
}

uint16_t tg_and(struct tg_assembly* to, uint32_t mask) {
  return put(to, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
}

// `place`, or that of a jump to it if a conditional jump written within the next two instructions could not reach it.
static uint16_t within_reach(struct tg_assembly* to, uint16_t place) {
  if (to->used - place <= 254) return place;
  return put(to, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)(to->used - place - 1)));
}

uint16_t tg_branch(struct tg_assembly* to, uint16_t test, uint32_t value, uint16_t then, uint16_t otherwise) {
  then = within_reach(to, then);
  otherwise = within_reach(to, otherwise);
  const uint8_t distance = (uint8_t)(to->used - then - 1);
  const uint8_t other_distance = (uint8_t)(to->used - otherwise - 1);
  return put(to, (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, value, distance, other_distance));
}

uint16_t tg_branch_any(struct tg_assembly* to, const uint32_t* values, size_t count, uint16_t then,
                       uint16_t otherwise) {
  uint16_t place = otherwise;
  for (size_t i = count; i > 0; --i) place = tg_branch(to, BPF_JEQ, values[i - 1], then, place);
  return place;
}

// What begins at `start` and ends before the next range.
struct range {
  uint32_t start;
  uint16_t place;
};

static uint16_t branch_ranges(struct tg_assembly* to, const struct range* ranges, size_t count) {
  if (count == 1) return ranges[0].place;
  const size_t half = count / 2;
  const uint16_t above = branch_ranges(to, ranges + half, count - half);
  const uint16_t below = branch_ranges(to, ranges, half);
  return tg_branch(to, BPF_JGE, ranges[half].start, above, below);
}

uint16_t tg_branch_numbers(struct tg_assembly* to, const uint16_t* places, size_t count, uint16_t beyond) {
  struct range ranges[TG_MOST_NUMBERS + 1];
  size_t used = 0;
  if (count > TG_MOST_NUMBERS) {
    to->too_long = 1;
    return 0;
  }
  for (size_t i = 0; i <= count; ++i) {
    const uint16_t place = i < count ? places[i] : beyond;
    if (used > 0 && ranges[used - 1].place == place) continue;
    ranges[used++] = (struct range){(uint32_t)i, place};
  }
  return branch_ranges(to, ranges, used);
}

uint16_t tg_assembled(const struct tg_assembly* from, struct sock_filter* program, size_t capacity) {
  if (from->too_long || from->used > capacity) return 0;
  for (uint16_t i = 0; i < from->used; ++i) program[i] = from->backwards[from->used - 1 - i];
  return from->used;
}
