#include "exec/shared_shadow.h"

#include <algorithm>
#include <bit>

namespace sim {

void SharedShadow::reset(uint32_t bytes, uint32_t warps) {
  // Blocks follow each other in one object: an epoch above all earlier ones makes old records harmless.
  if (records_.size() < (bytes + 3) / 4) records_.resize((bytes + 3) / 4);
  if (epoch_ > 0xf0000000u) {
    std::fill(records_.begin(), records_.end(), Record{});
    epoch_ = 0;
  }
  warps_ = warps;
  all_ = warps >= 32 ? 0xffffffffu : (1u << warps) - 1;
  floor_ = epoch_++;
  known_.assign(size_t{warps} * warps, floor_);
}

void SharedShadow::barrier(const uint32_t* stamps, uint32_t released) {
  const uint32_t seen = epoch_++;
  if (released == all_) {  // all waited: nothing before is of interest any more
    floor_ = seen;
    return;
  }
  uint32_t joined[32] = {};
  for (uint32_t from = 0; from < warps_; ++from) {
    if (stamps[from] == 0) continue;
    for (uint32_t of = 0; of < warps_; ++of) joined[of] = std::max(joined[of], known_[from * warps_ + of]);
    joined[from] = std::max(joined[from], stamps[from]);
  }
  for (uint32_t to = 0; to < warps_; ++to) {
    if (!((released >> to) & 1)) continue;
    for (uint32_t of = 0; of < warps_; ++of) known_[to * warps_ + of] = std::max(known_[to * warps_ + of], joined[of]);
  }
}

void SharedShadow::publish(uint32_t warp, uint32_t stamp, Clock& clock) const {
  clock.resize(warps_, 0);
  for (uint32_t of = 0; of < warps_; ++of) clock[of] = std::max(clock[of], known_[warp * warps_ + of]);
  clock[warp] = std::max(clock[warp], stamp);
}

void SharedShadow::learn(uint32_t warp, const Clock& clock) {
  for (uint32_t of = 0; of < clock.size(); ++of) {
    known_[warp * warps_ + of] = std::max(known_[warp * warps_ + of], clock[of]);
  }
}

SharedShadow::Hazard SharedShadow::against_write(const Record& record, uint32_t warp, int lane, uint32_t sync,
                                                 uint8_t bytes) const {
  if (record.write_epoch <= floor_ || (record.write_bytes & bytes) == 0) return {nullptr, 0, 0, 0};
  if (record.writer != warp) {
    if (ordered(warp, record.writer, record.write_epoch)) return {nullptr, 0, 0, 0};
    return {"written", record.writer, record.write_lane, record.write_line};
  }
  if (record.write_lane != lane && record.write_sync == sync) {
    return {"written", record.writer, record.write_lane, record.write_line};
  }
  return {nullptr, 0, 0, 0};
}

SharedShadow::Hazard SharedShadow::against_reads(const Record& record, uint32_t warp, uint8_t bytes) const {
  if (record.read_epoch <= floor_ || (record.read_bytes & bytes) == 0) return {nullptr, 0, 0, 0};
  for (uint32_t others = record.readers & ~(1u << warp); others != 0; others &= others - 1) {
    const uint32_t other = static_cast<uint32_t>(std::countr_zero(others));
    if (!ordered(warp, other, record.read_epoch)) return {"read", other, -1, record.read_line};
  }
  return {nullptr, 0, 0, 0};
}

template <class Visit>
SharedShadow::Hazard SharedShadow::each(uint32_t at, uint32_t bytes, Visit visit) {
  if (bytes < 4) {
    return visit(records_[at >> 2], static_cast<uint8_t>(((1u << bytes) - 1) << (at & 3)));
  }
  for (uint32_t i = 0; i < bytes; i += 4) {
    const Hazard hazard = visit(records_[(at + i) >> 2], static_cast<uint8_t>(15));
    if (hazard.kind != nullptr) return hazard;
  }
  return {nullptr, 0, 0, 0};
}

SharedShadow::Hazard SharedShadow::read(uint32_t warp, int lane, uint32_t sync, uint32_t at, uint32_t bytes, int line) {
  return each(at, bytes, [=, this](Record& record, uint8_t mask) {
    const Hazard hazard = against_write(record, warp, lane, sync, mask);
    if (hazard.kind != nullptr) return hazard;
    if (record.read_epoch == epoch_ && record.read_bytes == mask) {
      record.readers |= 1u << warp;
    } else {
      record.read_epoch = epoch_;
      record.readers = 1u << warp;
      record.read_bytes = mask;
    }
    record.read_line = line;
    return hazard;
  });
}

SharedShadow::Hazard SharedShadow::write(uint32_t warp, int lane, uint32_t sync, uint32_t at, uint32_t bytes,
                                         int line) {
  return each(at, bytes, [=, this](Record& record, uint8_t mask) {
    Hazard hazard = against_reads(record, warp, mask);
    if (hazard.kind != nullptr) return hazard;
    hazard = against_write(record, warp, lane, sync, mask);
    // Two lanes of one instruction may write the same word (one of them wins); other orders are races.
    if (hazard.kind != nullptr && !(record.writer == warp && record.write_line == line)) return hazard;
    const bool same = record.write_epoch == epoch_ && record.writer == warp && record.write_sync == sync &&
                      record.write_lane == lane && record.strength == kPlain;
    record.write_bytes = same ? static_cast<uint8_t>(record.write_bytes | mask) : mask;
    record.write_epoch = epoch_;
    record.write_sync = sync;
    record.writer = static_cast<uint8_t>(warp);
    record.write_lane = static_cast<uint8_t>(lane);
    record.write_line = line;
    record.strength = kPlain;
    return Hazard{nullptr, 0, 0, 0};
  });
}

SharedShadow::Hazard SharedShadow::strong(uint32_t warp, int lane, uint32_t sync, uint32_t at, uint32_t bytes, int line,
                                          bool writes, Strength strength) {
  return each(at, bytes, [=, this](Record& record, uint8_t mask) {
    Hazard hazard{nullptr, 0, 0, 0};
    if (writes) hazard = against_reads(record, warp, mask);
    if (hazard.kind != nullptr) return hazard;
    const bool within_warp = record.writer == warp && strength == kVolatileAccess && record.strength == kVolatileAccess;
    if (record.strength == kPlain || within_warp) hazard = against_write(record, warp, lane, sync, mask);
    if (hazard.kind != nullptr && !(within_warp && writes && record.write_line == line)) return hazard;
    if (!writes) return Hazard{nullptr, 0, 0, 0};
    record.write_epoch = epoch_;
    record.write_sync = sync;
    record.writer = static_cast<uint8_t>(warp);
    record.write_lane = static_cast<uint8_t>(lane);
    record.write_bytes = mask;
    record.write_line = line;
    record.strength = strength;
    return Hazard{nullptr, 0, 0, 0};
  });
}

}  // namespace sim
