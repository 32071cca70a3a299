// A shared library that is loaded at run time, where it is here at all.
#pragma once

#include <dlfcn.h>

#include <initializer_list>
#include <memory>
#include <string>

#include "engine/error.h"

namespace toolgrad::bench {

class Library {
 public:
  /// The first that loads: `path`, or one of `names` where that is empty. Null, with the reason, when there is none.
  static std::unique_ptr<Library> open(const std::string& path, std::initializer_list<const char*> names,
                                       std::string* reason) {
    std::string said;
    const auto attempt = [&](const char* name) -> std::unique_ptr<Library> {
      void* handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
      if (handle != nullptr) return std::unique_ptr<Library>(new Library(handle));
      said += (said.empty() ? "" : "; ") + std::string(dlerror());
      return nullptr;
    };
    if (!path.empty()) {
      if (auto library = attempt(path.c_str())) return library;
    } else {
      for (const char* name : names)
        if (auto library = attempt(name)) return library;
    }
    *reason = said;
    return nullptr;
  }
  // Never closed: its threads may still run.

  template <class F>
  F need(const char* name) const {
    const auto found = reinterpret_cast<F>(dlsym(handle_, name));
    if (found == nullptr) throw Error("ERR_PEER", std::string("the library lacks ") + name);
    return found;
  }
  /// The file that `symbol` is in.
  static std::string file(const void* symbol) {
    Dl_info info{};
    return dladdr(symbol, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "?";
  }

 private:
  explicit Library(void* handle) : handle_(handle) {}
  void* handle_;
};

}  // namespace toolgrad::bench
