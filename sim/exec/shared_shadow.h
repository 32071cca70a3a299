// Who touched each word of a block's shared memory since when: finds accesses that no barrier orders.
//
// Every completed barrier raises the block's epoch, and an access is stamped with the epoch in which it was made. A warp
// knows of warp v up to the epoch known[w][v]: a barrier that both took part in sets it. An access of v is ordered before
// w's next one if its stamp is not above known[w][v]. Within a warp, accesses of different lanes are ordered by
// bar.warp.sync and by barriers (the `sync` count). One record per four bytes with a mask of bytes; where one record
// cannot tell (readers of different bytes, readers under partial barriers) it forgets, so it may miss but not invent.
// Strong accesses are no race among themselves: a fence, a strong write and a strong read that sees it order what lies around
// them.
#pragma once

#include <cstdint>
#include <vector>

namespace sim {

class SharedShadow {
 public:
  struct Hazard {
    const char* kind;  // null: none
    uint32_t warp;     // the other one
    int lane;          // -1: not known
    int line;          // of the other access
  };

  void reset(uint32_t bytes, uint32_t warps);
  /// Reads or writes of whole, aligned words that nobody else touched since the last barrier of all: recorded, true. False:
  /// nothing is recorded, and read() or write() has to look closely.
  bool plain_read(uint32_t warp, uint32_t at, uint32_t words, int line) {
    Record* record = &records_[at >> 2];
    for (uint32_t i = 0; i < words; ++i) {
      if (record[i].write_epoch > floor_) return false;
    }
    for (uint32_t i = 0; i < words; ++i) {
      const bool more = record[i].read_epoch == epoch_ && record[i].read_bytes == 15;
      record[i].readers = (more ? record[i].readers : 0) | 1u << warp;
      record[i].read_epoch = epoch_;
      record[i].read_bytes = 15;
      record[i].read_line = line;
    }
    return true;
  }
  bool plain_write(uint32_t warp, int lane, uint32_t sync, uint32_t at, uint32_t words, int line) {
    Record* record = &records_[at >> 2];
    for (uint32_t i = 0; i < words; ++i) {
      if (record[i].write_epoch > floor_ || record[i].read_epoch > floor_) return false;
    }
    for (uint32_t i = 0; i < words; ++i) {
      record[i].write_epoch = epoch_;
      record[i].write_sync = sync;
      record[i].write_line = line;
      record[i].writer = static_cast<uint8_t>(warp);
      record[i].write_lane = static_cast<uint8_t>(lane);
      record[i].write_bytes = 15;
      record[i].strength = kPlain;
    }
    return true;
  }
  /// A read or write by one lane of bytes that start on a multiple of their number; `line` is the PTX line of it.
  Hazard read(uint32_t warp, int lane, uint32_t sync, uint32_t at, uint32_t bytes, int line);
  Hazard write(uint32_t warp, int lane, uint32_t sync, uint32_t at, uint32_t bytes, int line);
  /// Strong ones (atomics, volatile, relaxed …): among themselves they are no race, except volatile ones of two lanes of a warp.
  enum Strength : uint8_t { kPlain, kVolatileAccess, kAtomicAccess };
  Hazard strong(uint32_t warp, int lane, uint32_t sync, uint32_t at, uint32_t bytes, int line, bool writes,
                Strength strength);

  /// Per warp, the epoch up to which its accesses are known.
  using Clock = std::vector<uint32_t>;
  /// Adds to the clock what the warp knows, and its own accesses up to the stamp.
  void publish(uint32_t warp, uint32_t stamp, Clock& clock) const;
  void learn(uint32_t warp, const Clock& clock);

  /// A warp arrives at a barrier; the stamp up to which the others will know of it. One that does not wait starts a new
  /// epoch: what it does from now on is not covered.
  uint32_t arrive(bool waits) { return waits ? epoch_ : epoch_++; }
  /// A barrier completed: `stamps[v]` is warp v's arrival (0: it took no part); `released` know of it now.
  void barrier(const uint32_t* stamps, uint32_t released);

 private:
  struct Record {
    uint32_t write_epoch = 0, read_epoch = 0, readers = 0;
    uint32_t write_sync = 0;
    int write_line = 0, read_line = 0;
    uint8_t writer = 0, write_lane = 0, write_bytes = 0, read_bytes = 0;
    Strength strength = kPlain;  // of the write
  };
  bool ordered(uint32_t me, uint32_t other, uint32_t epoch) const {
    return epoch <= floor_ || epoch <= known_[me * warps_ + other];
  }
  Hazard against_write(const Record& record, uint32_t warp, int lane, uint32_t sync, uint8_t bytes) const;
  Hazard against_reads(const Record& record, uint32_t warp, uint8_t bytes) const;
  template <class Visit>
  Hazard each(uint32_t at, uint32_t bytes, Visit visit);

  std::vector<Record> records_;
  std::vector<uint32_t> known_;
  uint32_t epoch_ = 1, floor_ = 0, warps_ = 0, all_ = 0;
};

}  // namespace sim
