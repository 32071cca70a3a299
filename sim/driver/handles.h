// Handles: numbers that look like pointers, are never addresses, are never given out twice and name their kind.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "memory/memory.h"

namespace sim {

enum class HandleKind : uint64_t { kContext = 1, kModule, kFunction, kStream, kEvent, kGraph, kGraphExec, kPool };

/// A non-canonical address: a program that dereferences its handle faults at once.
inline uint64_t make_handle(HandleKind kind, uint64_t number) {
  return 0x0cda000000000000ull | static_cast<uint64_t>(kind) << 40 | number << 4;
}

template <class Pointer>
Pointer to_handle(uint64_t value) {
  return reinterpret_cast<Pointer>(value);
}
template <class Pointer>
uint64_t from_handle(Pointer pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}

/// The live objects of one kind.
template <class T, HandleKind kKind>
class Table {
 public:
  explicit Table(std::string what) : what_(std::move(what)) {}
  uint64_t add(std::shared_ptr<T> object) {
    const uint64_t handle = make_handle(kKind, ++count_);
    objects_[handle] = std::move(object);
    return handle;
  }
  /// Throws Fault (400) for anything that is not the handle of a live object of this kind.
  template <class Pointer>
  std::shared_ptr<T> get(Pointer handle) const {
    const auto found = objects_.find(from_handle(handle));
    if (found != objects_.end()) return found->second;
    const uint64_t value = from_handle(handle);
    const bool once = value > make_handle(kKind, 0) && value <= make_handle(kKind, count_);
    throw Fault{400, once ? "this " + what_ + " was destroyed" : "not the handle of a " + what_};
  }
  template <class Pointer>
  void remove(Pointer handle) {
    objects_.erase(from_handle(handle));
  }
  void clear() { objects_.clear(); }
  size_t size() const { return objects_.size(); }
  const std::map<uint64_t, std::shared_ptr<T>>& objects() const { return objects_; }

 private:
  std::string what_;
  uint64_t count_ = 0;  // over all contexts
  std::map<uint64_t, std::shared_ptr<T>> objects_;
};

}  // namespace sim
