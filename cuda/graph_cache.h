// Executable graphs by the bytes of the recordings that they were made from; the least recently used goes first.
//
// A recording is worth a graph when it comes a second time: the first time only its bytes are kept. A graph that is found
// needs no check of what has changed since: its launches are byte for byte those that were just written down.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "driver_api.h"

namespace toolgrad::cuda {

class GraphCache {
 public:
  struct Entry {
    std::string bytes;
    cu::GraphExec graph = nullptr;
  };
  /// `destroy` is called with each graph that goes.
  GraphCache(size_t capacity, std::function<void(cu::GraphExec)> destroy)
      : capacity_(capacity), destroy_(std::move(destroy)) {}
  ~GraphCache() { clear(); }
  GraphCache(const GraphCache&) = delete;
  GraphCache& operator=(const GraphCache&) = delete;

  /// The entry of a recording, now the most recently used one; null when it was not there: then it is now, without a graph.
  Entry* find(std::string_view bytes);
  void clear();
  size_t size() const { return entries_.size(); }
  size_t graphs() const;

 private:
  void drop(std::list<Entry>::iterator entry);

  size_t capacity_;
  std::function<void(cu::GraphExec)> destroy_;
  std::list<Entry> entries_;                                                   // most recently used first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_bytes_;  // keys point into entries_
};

}  // namespace toolgrad::cuda
