// See settings.h. Memory is never given back: settings live as long as the process.
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire.h"

static int add(char** list, size_t* count, size_t room, char* value) {
  if (*count == room) return -1;
  list[(*count)++] = value;
  return 0;
}

static int natural(const char* text, long* value) {
  char* end;
  *value = strtol(text, &end, 10);
  return end != text && *end == 0 && *value >= 0 ? 0 : -1;
}

static int take(struct tg_settings* settings, const char* name, char* value) {
  long found;
  if (strcmp(name, "read") == 0) return add(settings->read, &settings->read_count, TG_MAX_READ, value);
  if (strcmp(name, "environment") == 0)
    return add(settings->environment, &settings->environment_count, TG_MAX_ENVIRONMENT, value);
  if (strcmp(name, "template") == 0)
    return add(settings->templates, &settings->template_count, TG_MAX_TEMPLATES, value);
  if (strcmp(name, "python") == 0) return settings->python = value, 0;
  if (strcmp(name, "library") == 0) return settings->library = value, 0;
  if (strcmp(name, "bootstrap") == 0) return settings->bootstrap = value, 0;
  if (strcmp(name, "temporary") == 0) return settings->temporary = value, 0;
  if (natural(value, &found) != 0) return -1;
  if (strcmp(name, "layers") == 0) return settings->layers = (unsigned)found, found < 16 ? 0 : -1;
  if (strcmp(name, "budget") == 0) return settings->budget_bytes = (uint64_t)found, 0;
  if (strcmp(name, "container") == 0) return settings->container = (int)found, found < 2 ? 0 : -1;
  if (strcmp(name, "user") == 0) return settings->user = found, 0;
  return -1;
}

int tg_parse_settings(struct tg_text body, struct tg_settings* settings, char* error, size_t room) {
  *settings = (struct tg_settings){.user = -1, .stranger = 2000000000u + (uid_t)getpid() % 100000000u};
  while (body.size > 0) {
    struct tg_text text;
    if (tg_take_text(&body, &text) != 0) {
      snprintf(error, room, "settings: expected whole texts, found an end within one");
      return -1;
    }
    char* copy = malloc((size_t)text.size + 1);
    if (copy == NULL) {
      snprintf(error, room, "settings: out of memory");
      return -1;
    }
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    char* value = strchr(copy, '=');
    if (value != NULL) *value++ = 0;
    if (value == NULL || strlen(copy) + strlen(value) + 1 != text.size || take(settings, copy, value) != 0) {
      snprintf(error, room, "settings: expected a known name, = and a value, found %.100s=%.100s", copy,
               value == NULL ? "" : value);
      free(copy);
      return -1;
    }
  }
  const char* const needed[] = {settings->python, settings->library, settings->bootstrap, settings->temporary};
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
    if (needed[i] != NULL && needed[i][0] == '/') continue;
    snprintf(error, room, "settings: expected absolute paths for python, library, bootstrap and temporary");
    return -1;
  }
  for (size_t i = 0; i < settings->read_count; i++) {
    if (settings->read[i][0] == '/') continue;
    snprintf(error, room, "settings: expected absolute paths for read, found %.200s", settings->read[i]);
    return -1;
  }
  if (settings->template_count > 0) return 0;
  snprintf(error, room, "settings: expected at least one template");
  return -1;
}
