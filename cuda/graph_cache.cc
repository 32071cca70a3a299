// The cache of graphs; see graph_cache.h.
#include "graph_cache.h"

#include <algorithm>

namespace toolgrad::cuda {

GraphCache::Entry* GraphCache::find(std::string_view bytes) {
  const auto found = by_bytes_.find(bytes);
  if (found != by_bytes_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    return &entries_.front();
  }
  while (!entries_.empty() && entries_.size() >= capacity_) drop(std::prev(entries_.end()));
  entries_.push_front({std::string(bytes), nullptr});
  by_bytes_.emplace(entries_.front().bytes, entries_.begin());
  return nullptr;
}

void GraphCache::clear() {
  while (!entries_.empty()) drop(entries_.begin());
}

size_t GraphCache::graphs() const {
  return static_cast<size_t>(
      std::count_if(entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.graph != nullptr; }));
}

void GraphCache::drop(std::list<Entry>::iterator entry) {
  if (entry->graph != nullptr) destroy_(entry->graph);
  by_bytes_.erase(entry->bytes);
  entries_.erase(entry);
}

}  // namespace toolgrad::cuda
