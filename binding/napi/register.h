// What each file of binding/napi/ adds to the addon's exports: one function per file, called by addon.cc.
#pragma once

#include <napi.h>

namespace toolgrad {}  // namespace toolgrad
