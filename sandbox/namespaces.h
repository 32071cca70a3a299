// Starts a template: in namespaces of its own with a file system that holds the interpreter and nothing else, or as a plain
// process. Never returns; what fails is told on `control`, whose other end the supervisor has.
#pragma once
#include "settings.h"

_Noreturn void tg_run_template(const struct tg_settings* settings, size_t index, int control);
// Whether the interpreter can be started by `stranger`; only root can ask.
int tg_stranger_can_run(const struct tg_settings* settings);
