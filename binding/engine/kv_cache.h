// The paged KV cache: which pages hold which sequence, shared copy-on-write between forks.
//
// Pages hold kKvPageSize tokens of one sequence in every layer. A page is referenced by one or more sequences; only a
// page with one reference is written, so a fork that appends into a partly filled page first gets a copy of it. A step
// goes: pin (its sequences are taken; caller's thread), plan (pages reserved) and prepare (engine thread), the forward
// pass, then commit (caller's thread) or roll_back (nothing has happened). Until commit everybody else sees the
// sequences as they were; they may be forked and freed meanwhile: a freed one keeps its pages until the step ends.
// Thread-safe: bookkeeping is under one mutex; page contents are touched by the engine thread only.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "engine/arena.h"
#include "engine/model_shape.h"
#include "engine/ops.h"

namespace toolgrad {

/// Tokens to append to one sequence.
struct KvAppend {
  int32_t seq;
  int64_t tokens;
};

/// The plan of a step: every sequence's pages as they will be, and what must be copied or cleared first.
struct KvPlan {
  struct Row {
    int32_t seq;
    int64_t length_before, length_after;
    std::vector<int32_t> pages;  // all of the sequence after the step
    std::vector<int32_t> fresh;  // those that the step took, to be cleared
    int32_t replaced = -1;       // the shared page whose copy is the first of fresh
  };
  struct Copy {
    int32_t from, to;
    int64_t slots;  // tokens to copy; the rest of `to` is zero
  };
  std::vector<Row> rows;
  std::vector<Copy> copies;
  int64_t epoch = 0;   // of the weights the step runs on
  int64_t tokens = 0;  // to be computed
};

class KvCache {
 public:
  /// `pages` >= 1 pages in every layer, in the memory of `ops`, which must outlive the cache. Error{"ERR_OUT_OF_MEMORY"}.
  KvCache(Ops& ops, const ModelShape& shape, DType dtype, int64_t pages);

  int64_t pages_total() const { return total_; }
  int64_t pages_free() const;
  int64_t bytes() const { return static_cast<int64_t>(memory_.size()); }
  int64_t tokens_computed() const;

  // Sequences. An unknown or freed id is Error{"ERR_NO_SEQUENCE"}. Ids are never used twice.
  int32_t add();
  int32_t fork(int32_t seq);
  int64_t length(int32_t seq) const;
  void free(int32_t seq);
  int64_t pages_for(int32_t seq, int64_t tokens) const;
  void clear();

  /// Takes the sequences for a step. Error{"ERR_NO_SEQUENCE"}, {"ERR_DUPLICATE_SEQUENCE"}, {"ERR_SEQUENCE_BUSY"} when
  /// another step has not ended: nothing is changed then. Ended by commit(), roll_back() or a throwing plan().
  void pin(const std::vector<KvAppend>& appends);
  /// Reserves what the appends need. Error{"ERR_KV_FULL"} when pages are short, {"ERR_STALE_KV"} when a sequence holds
  /// keys of other weights than `epoch`'s: nothing is changed then.
  KvPlan plan(const std::vector<KvAppend>& appends, int64_t epoch);
  /// Copies and clears pages; engine thread.
  void prepare(const KvPlan& plan);
  /// Makes the plan visible.
  void commit(const KvPlan& plan);
  /// Gives back what plan() reserved.
  void roll_back(const KvPlan& plan);

  /// Pages of one layer for the ops.
  KvPages layer(int64_t l) const;

 private:
  struct Sequence {
    int64_t length = 0;
    int64_t epoch = 0;
    std::vector<int32_t> pages;
    bool pinned = false;  // a step has it
    bool freed = false;   // freed while pinned: gone when the step ends
  };

  const Sequence& at(int32_t seq) const;
  KvPlan reserve(const std::vector<KvAppend>& appends, int64_t epoch);
  void unpin(int32_t seq);
  void release(int32_t seq);
  int32_t take_page();
  void drop_page(int32_t page);

  Ops& ops_;
  int64_t layers_, G_, D_, total_;
  DType dtype_;
  size_t page_bytes_;
  Buffer memory_;  // [layer][keys, values][page]

  mutable std::mutex mutex_;
  std::unordered_map<int32_t, Sequence> sequences_;
  std::vector<int32_t> references_;  // per page
  std::vector<int32_t> free_;        // stack of free pages
  int32_t next_ = 0;
  int64_t tokens_computed_ = 0;
};

}  // namespace toolgrad
