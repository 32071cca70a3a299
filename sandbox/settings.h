// What the trainer tells the supervisor once: texts "name=value".
#pragma once
#include <stddef.h>
#include <sys/types.h>

#include "frames.h"

enum { TG_MAX_READ = 64, TG_MAX_ENVIRONMENT = 32, TG_MAX_TEMPLATES = 4 };

struct tg_settings {
  char* python;
  char* library;    // toolgrad-sandbox.so
  char* bootstrap;  // template.py
  char* temporary;  // where working directories are made
  char* read[TG_MAX_READ];
  size_t read_count;
  char* environment[TG_MAX_ENVIRONMENT + 1];
  size_t environment_count;
  char* templates[TG_MAX_TEMPLATES];  // names of modules with commas between
  size_t template_count;
  unsigned layers;
  int stranger_runs;      // programs run under it
  uid_t stranger;         // an id that no account has: a stranger to every file
  uint64_t budget_bytes;  // memory of all programs together, where a control group can be made; 0: none is
  // For tests.
  int container;
  long user;  // -1: stays who it is
};

// 0, or -1 with a text that says what was expected and found.
int tg_parse_settings(struct tg_text body, struct tg_settings* settings, char* error, size_t room);
