// Page bookkeeping; see kv_cache.h.
//
// A plan owns one reference of every page it took; commit hands it to the sequence. The reference of a shared page that
// a sequence replaces by a copy stays the sequence's until commit.
#include "engine/kv_cache.h"

#include <string>

#include "engine/error.h"

namespace toolgrad {
namespace {

int64_t pages_of(int64_t tokens) {
  return (tokens + kKvPageSize - 1) / kKvPageSize;
}

}  // namespace

KvCache::KvCache(Ops& ops, const ModelShape& shape, DType dtype, int64_t pages)
    : ops_(ops),
      layers_(shape.L),
      G_(shape.G),
      D_(shape.D),
      total_(pages),
      dtype_(dtype),
      page_bytes_(static_cast<size_t>(shape.kv_width() * kKvPageSize) * dtype_size(dtype)),
      memory_(page_bytes_ * static_cast<size_t>(2 * shape.L * pages),
              "a KV cache of " + std::to_string(pages) + " pages of " + std::to_string(kKvPageSize) + " tokens",
              ops.memory()),
      references_(static_cast<size_t>(pages)) {
  for (int64_t page = pages - 1; page >= 0; --page) free_.push_back(static_cast<int32_t>(page));
}

int64_t KvCache::pages_free() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(free_.size());
}

int64_t KvCache::tokens_computed() const {
  const std::lock_guard lock(mutex_);
  return tokens_computed_;
}

const KvCache::Sequence& KvCache::at(int32_t seq) const {
  const auto found = sequences_.find(seq);
  if (found != sequences_.end() && !found->second.freed) return found->second;
  throw Error("ERR_NO_SEQUENCE", "Expected the id of a sequence in the KV cache but found " + std::to_string(seq) +
                                     (seq >= 0 && seq < next_ ? ", which was freed" : ", which was never added"));
}

int32_t KvCache::add() {
  const std::lock_guard lock(mutex_);
  sequences_.emplace(next_, Sequence{});
  return next_++;
}

int32_t KvCache::fork(int32_t seq) {
  const std::lock_guard lock(mutex_);
  Sequence copy = at(seq);
  copy.pinned = false;
  for (const int32_t page : copy.pages) ++references_[static_cast<size_t>(page)];
  sequences_.emplace(next_, std::move(copy));
  return next_++;
}

int64_t KvCache::length(int32_t seq) const {
  const std::lock_guard lock(mutex_);
  return at(seq).length;
}

void KvCache::free(int32_t seq) {
  const std::lock_guard lock(mutex_);
  at(seq);
  release(seq);
}

// Drops the sequence's pages now, or when its step ends.
void KvCache::release(int32_t seq) {
  const auto found = sequences_.find(seq);
  if (found->second.pinned) {
    found->second.freed = true;
    return;
  }
  for (const int32_t page : found->second.pages) drop_page(page);
  sequences_.erase(found);
}

int64_t KvCache::pages_for(int32_t seq, int64_t tokens) const {
  const std::lock_guard lock(mutex_);
  const Sequence& sequence = at(seq);
  if (tokens <= 0) return 0;
  const bool shared_tail =
      sequence.length % kKvPageSize != 0 && references_[static_cast<size_t>(sequence.pages.back())] > 1;
  return pages_of(sequence.length + tokens) - pages_of(sequence.length) + (shared_tail ? 1 : 0);
}

void KvCache::clear() {
  const std::lock_guard lock(mutex_);
  std::vector<int32_t> all;
  for (const auto& [seq, sequence] : sequences_) all.push_back(seq);
  for (const int32_t seq : all) release(seq);
}

void KvCache::drop_page(int32_t page) {
  if (--references_[static_cast<size_t>(page)] == 0) free_.push_back(page);
}

int32_t KvCache::take_page() {
  const int32_t page = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(page)] = 1;
  return page;
}

void KvCache::pin(const std::vector<KvAppend>& appends) {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < appends.size(); ++i) {
    const int32_t seq = appends[i].seq;
    if (at(seq).pinned)
      throw Error("ERR_SEQUENCE_BUSY", "Expected sequence " + std::to_string(seq) +
                                           " to be idle but a step with it has not ended: await it");
    for (size_t j = 0; j < i; ++j) {
      if (appends[j].seq == seq)
        throw Error("ERR_DUPLICATE_SEQUENCE",
                    "Expected each sequence at most once in a step but found " + std::to_string(seq) + " twice");
    }
  }
  for (const KvAppend& append : appends) sequences_[append.seq].pinned = true;
}

void KvCache::unpin(int32_t seq) {
  Sequence& sequence = sequences_[seq];
  sequence.pinned = false;
  if (sequence.freed) release(seq);
}

KvPlan KvCache::plan(const std::vector<KvAppend>& appends, int64_t epoch) {
  const std::lock_guard lock(mutex_);
  try {
    return reserve(appends, epoch);
  } catch (...) {
    for (const KvAppend& append : appends) unpin(append.seq);
    throw;
  }
}

KvPlan KvCache::reserve(const std::vector<KvAppend>& appends, int64_t epoch) {
  int64_t needed = 0;
  for (const KvAppend& append : appends) {
    const Sequence& sequence = sequences_[append.seq];
    if (sequence.length > 0 && sequence.epoch != epoch)
      throw Error("ERR_STALE_KV", "Expected keys and values of the current weights but those of sequence " +
                                      std::to_string(append.seq) +
                                      " were computed before the weights changed; clear() the KV cache after an update "
                                      "and prefill again");
    needed += pages_of(sequence.length + append.tokens) - pages_of(sequence.length);
  }
  KvPlan plan;
  plan.epoch = epoch;
  std::vector<int32_t> moved(references_.size());  // references of earlier rows that this step takes off a shared page
  for (const KvAppend& append : appends) {
    const Sequence& sequence = sequences_[append.seq];
    plan.tokens += append.tokens;
    KvPlan::Row& row = plan.rows.emplace_back();
    row = {append.seq, sequence.length, sequence.length + append.tokens, sequence.pages, {}, -1};
    const int64_t tail = sequence.length % kKvPageSize;
    if (tail != 0 && append.tokens > 0) {
      const int32_t last = row.pages.back();
      const auto at_last = static_cast<size_t>(last);
      if (references_[at_last] - moved[at_last] > 1) {
        ++moved[at_last];
        ++needed;
        row.replaced = last;
        row.pages.pop_back();
      }
    }
    while (static_cast<int64_t>(row.pages.size()) < pages_of(row.length_after) && !free_.empty()) {
      row.pages.push_back(take_page());
      row.fresh.push_back(row.pages.back());
    }
    if (row.replaced >= 0 && !row.fresh.empty()) plan.copies.push_back({row.replaced, row.fresh.front(), tail});
  }
  bool enough = true;
  for (const KvPlan::Row& row : plan.rows) {
    enough = enough && static_cast<int64_t>(row.pages.size()) == pages_of(row.length_after);
  }
  if (enough) return plan;
  for (const KvPlan::Row& row : plan.rows) {
    for (const int32_t page : row.fresh) drop_page(page);
  }
  throw Error("ERR_KV_FULL", "Expected " + std::to_string(needed) + " free pages in the KV cache but " +
                                 std::to_string(free_.size()) + " of " + std::to_string(total_) +
                                 " are free; free sequences or open a larger cache");
}

void KvCache::prepare(const KvPlan& plan) {
  std::vector<int32_t> fresh, from, to, slots;
  for (const KvPlan::Row& row : plan.rows) fresh.insert(fresh.end(), row.fresh.begin(), row.fresh.end());
  for (const KvPlan::Copy& copy : plan.copies) {
    from.push_back(copy.from);
    to.push_back(copy.to);
    slots.push_back(static_cast<int32_t>(copy.slots));
  }
  if (fresh.empty() && from.empty()) return;
  ops_.kv_prepare({layer(0), layers_, 2 * static_cast<int64_t>(page_bytes_) * total_, fresh.data(),
                   static_cast<int64_t>(fresh.size()), from.data(), to.data(), slots.data(),
                   static_cast<int64_t>(from.size())});
}

void KvCache::commit(const KvPlan& plan) {
  const std::lock_guard lock(mutex_);
  tokens_computed_ += plan.tokens;
  for (const KvPlan::Row& row : plan.rows) {
    Sequence& sequence = sequences_[row.seq];
    if (row.replaced >= 0) drop_page(row.replaced);
    sequence.pages = row.pages;
    sequence.length = row.length_after;
    sequence.epoch = plan.epoch;
    unpin(row.seq);
  }
}

void KvCache::roll_back(const KvPlan& plan) {
  const std::lock_guard lock(mutex_);
  for (const KvPlan::Row& row : plan.rows) {
    for (const int32_t page : row.fresh) drop_page(page);
    unpin(row.seq);
  }
}

KvPages KvCache::layer(int64_t l) const {
  std::byte* keys = memory_.data() + page_bytes_ * static_cast<size_t>(2 * l * total_);
  return {keys, keys + page_bytes_ * static_cast<size_t>(total_), dtype_, G_ * D_ * kKvPageSize, G_, D_};
}

}  // namespace toolgrad
