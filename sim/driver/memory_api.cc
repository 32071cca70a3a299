// Entry points: device memory, the pool of the device, page-locked host memory.
//
// Memory of cuMemAllocAsync is usable at once (the simulator does not check that its users come after the allocation in
// stream order) and gone when its stream reaches cuMemFreeAsync. cuMemFree waits for all queued work, as the driver does.
#include <algorithm>

#include "driver/driver.h"

namespace sim {
namespace {

/// Address of new device memory. Frees what is queued to be freed before it gives up.
uint64_t allocate(Driver& d, Lock& lock, size_t bytes, const char* note) {
  if (bytes == 0) throw Fault{cu::kInvalidValue, "an allocation of 0 bytes"};
  ++d.allocation_number;
  if (d.settings.fail.allocation == d.allocation_number)
    throw Fault{cu::kOutOfMemory, "allocation " + std::to_string(d.allocation_number) + " was refused (injected)"};
  uint64_t address = d.context.memory->allocate(bytes, note);
  if (address == 0) {
    d.run_all(lock);
    address = d.context.memory->allocate(bytes, note);
  }
  if (address == 0)
    throw Fault{cu::kOutOfMemory, std::to_string(bytes) + " bytes; " + std::to_string(d.context.memory->used()) +
                                      " of " + std::to_string(d.context.memory->total()) + " are in use"};
  ++d.statistics.allocations;
  d.statistics.peak_bytes = std::max(d.statistics.peak_bytes, d.context.memory->used());
  return address;
}

/// The live block that starts at `pointer` and is the program's own to free.
const Block& own_block(const Driver& d, uint64_t pointer) {
  const Block* block = d.context.memory->find(pointer);
  if (block == nullptr || !block->live || block->base != pointer)
    throw Fault{cu::kInvalidValue, "not the start of live memory: " + d.context.memory->describe(pointer)};
  if (block->note.rfind("cuMem", 0) != 0)
    throw Fault{cu::kInvalidValue, "not memory of an allocation: " + d.context.memory->describe(pointer)};
  return *block;
}

/// What the pool keeps over a synchronisation: up to the threshold. Called when the pool is looked at.
void settle_pool(Context& context) {
  PoolState& pool = context.pool;
  pool.reserved = std::max(pool.used, std::min(pool.reserved, pool.threshold));
}

void require_pools(const Driver& d) {
  if (!d.settings.pools) throw Fault{cu::kNotSupported, "the device has no memory pools (CUDASIM_POOLS=0)"};
}

void require_pool(cu::MemPool pool) {
  if (from_handle(pool) != Context::pool_handle())
    throw Fault{cu::kInvalidHandle, "not the handle of the device's pool"};
}

bool uses_pinned(const Work& work, uint64_t number) {
  if (const auto* upload = std::get_if<UploadWork>(&work)) return upload->from.pinned == number;
  if (const auto* download = std::get_if<DownloadWork>(&work)) return download->to.pinned == number;
  return false;
}

void drop_pinned(Driver& d, const PinnedRange& range, const char* name) {
  const uint64_t number = range.number;
  if (d.queued([&](const Work& work) { return uses_pinned(work, number); }))
    d.defect(std::string(name) + ": a queued copy still uses this page-locked memory (" + std::to_string(range.bytes) +
             " bytes)");
  d.context.pinned->remove(range.base);
}

Result allocate_host(const char* name, void** pointer, size_t bytes, unsigned flags) {
  return call(name, Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(pointer, "pointer");
    d.refuse_during_capture(name);
    if (bytes == 0 || flags > 7) throw Fault{cu::kInvalidValue, "0 bytes, or unknown flags"};
    *pointer = d.context.pinned->allocate(bytes);
    if (*pointer == nullptr) throw Fault{cu::kOutOfMemory, "the host has no memory"};
    return cu::kSuccess;
  });
}

}  // namespace

namespace api {

Result MemGetInfo(size_t* free, size_t* total) {
  return call("cuMemGetInfo_v2", Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(free, "free");
    require_pointer(total, "total");
    settle_pool(d.context);
    const size_t taken = d.context.memory->used() + (d.context.pool.reserved - d.context.pool.used);
    *total = d.context.memory->total();
    *free = *total - std::min(taken, *total);
    return kSuccess;
  });
}

Result MemAlloc(DevicePtr* pointer, size_t bytes) {
  return call("cuMemAlloc_v2", Needs::kContext, [&](Driver& d, Lock& lock) {
    require_pointer(pointer, "pointer");
    d.refuse_during_capture("cuMemAlloc");
    *pointer = allocate(d, lock, bytes, "cuMemAlloc");
    return kSuccess;
  });
}

Result MemFree(DevicePtr pointer) {
  return call("cuMemFree_v2", Needs::kContext, [&](Driver& d, Lock& lock) {
    if (pointer == 0) return kSuccess;
    d.refuse_during_capture("cuMemFree");
    own_block(d, pointer);
    d.run_all(lock);
    own_block(d, pointer);  // work that was queued may have freed it
    if (const auto pooled = d.context.pool_blocks.find(pointer); pooled != d.context.pool_blocks.end()) {
      d.context.pool.used -= pooled->second.bytes;
      d.context.pool_blocks.erase(pooled);
    }
    d.context.memory->release(pointer);
    return kSuccess;
  });
}

Result MemAllocAsync(DevicePtr* pointer, size_t bytes, Stream stream) {
  return call("cuMemAllocAsync", Needs::kContext, [&](Driver& d, Lock& lock) {
    require_pointer(pointer, "pointer");
    require_pools(d);
    if (d.stream(stream)->capture != nullptr) throw Fault{kNotSupported, "the simulator has no memory nodes in graphs"};
    *pointer = allocate(d, lock, bytes, "cuMemAllocAsync");
    d.context.pool_blocks[*pointer] = {bytes, false};
    PoolState& pool = d.context.pool;
    pool.used += bytes;
    pool.used_high = std::max(pool.used_high, pool.used);
    pool.reserved = std::max(pool.reserved, pool.used);
    pool.reserved_high = std::max(pool.reserved_high, pool.reserved);
    return kSuccess;
  });
}

Result MemFreeAsync(DevicePtr pointer, Stream stream) {
  return call("cuMemFreeAsync", Needs::kContext, [&](Driver& d, Lock&) {
    if (pointer == 0) return kSuccess;
    const std::shared_ptr<sim::Stream> queue = d.stream(stream);
    own_block(d, pointer);
    const auto pooled = d.context.pool_blocks.find(pointer);
    if (pooled == d.context.pool_blocks.end())
      throw Fault{kInvalidValue, "not memory of cuMemAllocAsync: " + d.context.memory->describe(pointer)};
    if (pooled->second.freeing) throw Fault{kInvalidValue, "freed twice: " + d.context.memory->describe(pointer)};
    d.submit(*queue, FreeWork{pointer});
    pooled->second.freeing = true;
    return kSuccess;
  });
}

Result DeviceGetDefaultMemPool(MemPool* pool, Device device) {
  return call("cuDeviceGetDefaultMemPool", Needs::kInit, [&](Driver& d, Lock&) {
    require_pointer(pool, "pool");
    require_device(device);
    require_pools(d);
    *pool = to_handle<MemPool>(sim::Context::pool_handle());
    return kSuccess;
  });
}

Result MemPoolSetAttribute(MemPool pool, MemPoolAttribute attribute, void* value) {
  return call("cuMemPoolSetAttribute", Needs::kContext, [&](Driver& d, Lock&) {
    require_pool(pool);
    require_pointer(value, "value");
    PoolState& state = d.context.pool;
    const int number = attribute;
    if (number >= 1 && number <= 3) {
      state.reuse[number - 1] = *static_cast<const int*>(value);
    } else if (number == kMemPoolReleaseThreshold) {
      state.threshold = *static_cast<const uint64_t*>(value);
    } else if (number == 6 || number == 8) {  // high-water marks can only be reset
      if (*static_cast<const uint64_t*>(value) != 0)
        throw Fault{kInvalidValue, "a high-water mark can only be set to 0"};
      (number == 6 ? state.reserved_high : state.used_high) = number == 6 ? state.reserved : state.used;
    } else {
      throw Fault{kInvalidValue, "attribute " + std::to_string(number) + " cannot be set"};
    }
    return kSuccess;
  });
}

Result MemPoolGetAttribute(MemPool pool, MemPoolAttribute attribute, void* value) {
  return call("cuMemPoolGetAttribute", Needs::kContext, [&](Driver& d, Lock&) {
    require_pool(pool);
    require_pointer(value, "value");
    settle_pool(d.context);
    const PoolState& state = d.context.pool;
    const int number = attribute;
    if (number >= 1 && number <= 3) {
      *static_cast<int*>(value) = state.reuse[number - 1];
      return kSuccess;
    }
    uint64_t* out = static_cast<uint64_t*>(value);
    switch (number) {
      case kMemPoolReleaseThreshold:
        *out = state.threshold;
        break;
      case kMemPoolReservedCurrent:
        *out = state.reserved;
        break;
      case 6:
        *out = state.reserved_high;
        break;
      case kMemPoolUsedCurrent:
        *out = state.used;
        break;
      case 8:
        *out = state.used_high;
        break;
      default:
        throw Fault{kInvalidValue, "there is no attribute " + std::to_string(number)};
    }
    return kSuccess;
  });
}

Result MemPoolTrimTo(MemPool pool, size_t keep) {
  return call("cuMemPoolTrimTo", Needs::kContext, [&](Driver& d, Lock&) {
    require_pool(pool);
    PoolState& state = d.context.pool;
    state.reserved = std::max(state.used, std::min(state.reserved, static_cast<uint64_t>(keep)));
    return kSuccess;
  });
}

Result MemHostAlloc(void** pointer, size_t bytes, unsigned flags) {
  return allocate_host("cuMemHostAlloc", pointer, bytes, flags);
}

Result MemAllocHost(void** pointer, size_t bytes) {
  return allocate_host("cuMemAllocHost_v2", pointer, bytes, 0);
}

Result MemFreeHost(void* pointer) {
  return call("cuMemFreeHost", Needs::kContext, [&](Driver& d, Lock&) {
    d.refuse_during_capture("cuMemFreeHost");
    const PinnedRange* range = d.context.pinned->at(pointer);
    if (range == nullptr || range->registered()) throw Fault{kInvalidValue, "not memory of cuMemHostAlloc"};
    drop_pinned(d, *range, "cuMemFreeHost");
    return kSuccess;
  });
}

Result MemHostRegister(void* pointer, size_t bytes, unsigned flags) {
  return call("cuMemHostRegister_v2", Needs::kContext, [&](Driver& d, Lock&) {
    d.refuse_during_capture("cuMemHostRegister");
    if (flags > 3) throw Fault{kInvalidValue, "flags beyond portable and mapped are not simulated"};
    d.context.pinned->register_range(pointer, bytes);
    return kSuccess;
  });
}

Result MemHostUnregister(void* pointer) {
  return call("cuMemHostUnregister", Needs::kContext, [&](Driver& d, Lock&) {
    d.refuse_during_capture("cuMemHostUnregister");
    const PinnedRange* range = d.context.pinned->at(pointer);
    if (range == nullptr || !range->registered())
      throw Fault{kHostMemoryNotRegistered, "not memory of cuMemHostRegister"};
    drop_pinned(d, *range, "cuMemHostUnregister");
    return kSuccess;
  });
}

Result PointerGetAttribute(void* value, PointerAttribute attribute, DevicePtr pointer) {
  return call("cuPointerGetAttribute", Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(value, "value");
    if (attribute != kPointerMemoryType)
      throw Fault{kNotSupported, "attribute " + std::to_string(attribute) + " is not simulated"};
    const Block* block = d.context.memory->find(pointer);
    const bool device = block != nullptr && block->live;
    if (!device && d.context.pinned->find(reinterpret_cast<const void*>(pointer), 1) == nullptr)
      throw Fault{kInvalidValue, "the driver does not know this pointer"};
    *static_cast<unsigned*>(value) = device ? 2 : 1;
    return kSuccess;
  });
}

}  // namespace api
}  // namespace sim
