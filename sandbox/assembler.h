// Builds programs of the kernel's classic BPF for seccomp: written from the last instruction to the first, because jumps only
// lead forward and their distance must be known. A place is the index of an instruction counted from the end.
// Nothing is allocated; a program that would become too long is marked, and `tg_assembled` then returns 0.
#pragma once
#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  TG_LONGEST_PROGRAM = 1024,  // instructions; the kernel takes 4096
  TG_MOST_NUMBERS = 512,
};

struct tg_assembly {
  uint16_t used;
  uint16_t too_long;
  struct sock_filter backwards[TG_LONGEST_PROGRAM];
};

// Each writes in front of all that was written before, and returns the place where what it wrote begins.
uint16_t tg_return(struct tg_assembly* to, uint32_t action);
uint16_t tg_load_number(struct tg_assembly* to);
uint16_t tg_load_architecture(struct tg_assembly* to);
// Lower half of argument 0 to 5.
uint16_t tg_load_argument(struct tg_assembly* to, unsigned argument);
uint16_t tg_and(struct tg_assembly* to, uint32_t mask);
// `test` is BPF_JEQ, BPF_JGE, BPF_JGT or BPF_JSET of the loaded value and `value`.
uint16_t tg_branch(struct tg_assembly* to, uint16_t test, uint32_t value, uint16_t then, uint16_t otherwise);
// Jumps to `then` if the loaded value is among the values.
uint16_t tg_branch_any(struct tg_assembly* to, const uint32_t* values, size_t count, uint16_t then, uint16_t otherwise);
// Finds the place of the loaded number by halving: number i goes to places[i], every number from `count` on to `beyond`.
// Neighbours with the same place cost no instruction. At most TG_MOST_NUMBERS places, and not all of them equal to `beyond`.
uint16_t tg_branch_numbers(struct tg_assembly* to, const uint16_t* places, size_t count, uint16_t beyond);

// Copies the program in the kernel's order if `capacity` instructions hold it. Returns its length; 0 if it is too long.
uint16_t tg_assembled(const struct tg_assembly* from, struct sock_filter* program, size_t capacity);

#ifdef __cplusplus
}
#endif
