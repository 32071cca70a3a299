// Entry points: copies and fills.
//
// Blocking copies and the unmarked fills go to the legacy stream; copies between host and device wait there, the others do
// not, as on hardware. Ranges are checked at the call and again when
// the work runs. An asynchronous copy of page-locked memory touches the host's bytes only when it runs; of pageable memory,
// a copy to the device takes them at the call and one to the host waits. A capture keeps only the pointer, of either kind.
#include <cstring>

#include "driver/driver.h"

namespace sim {
namespace {

HostSide host_side(const Driver& d, const void* pointer, size_t bytes) {
  require_pointer(pointer, "the host pointer");
  const PinnedRange* range = d.context.pinned->find(pointer, bytes);
  return {static_cast<std::byte*>(const_cast<void*>(pointer)), range == nullptr ? 0 : range->number};
}

void wait_for(Driver& d, Lock& lock, const std::shared_ptr<Stream>& stream, uint64_t sequence) {
  d.run_until(
      lock, [&] { return stream->passed >= sequence; }, stream.get());
}

/// Fills page-locked memory that a queued copy will overwrite, so that a host that reads it too early sees NaN. Not when
/// other queued work uses the range: that may still need its bytes.
void poison(Driver& d, const HostSide& side, size_t bytes) {
  const uint64_t number = side.pinned;
  if (!d.settings.checks || number == 0) return;
  if (!d.queued([&](const Work& work) {
        if (const auto* upload = std::get_if<UploadWork>(&work)) return upload->from.pinned == number;
        if (const auto* download = std::get_if<DownloadWork>(&work)) return download->to.pinned == number;
        return std::holds_alternative<HostWork>(work);
      }))
    std::memset(side.pointer, 0xff, bytes);
}

/// The sequence of the queued copy; 0 for none.
uint64_t upload(Driver& d, cu::DevicePtr to, const void* from, size_t bytes, Stream& stream) {
  if (bytes == 0) return 0;
  check_device_range(*d.context.memory, to, bytes, "copy to the device");
  UploadWork work{to, host_side(d, from, bytes), bytes, nullptr};
  if (work.from.pinned == 0 && stream.capture == nullptr)
    work.staged = std::make_shared<std::vector<std::byte>>(work.from.pointer, work.from.pointer + bytes);
  return d.submit(stream, std::move(work));
}

void download(Driver& d, Lock& lock, void* to, cu::DevicePtr from, size_t bytes, const std::shared_ptr<Stream>& stream,
              bool waits) {
  if (bytes == 0) return;
  check_device_range(*d.context.memory, from, bytes, "copy to the host");
  const DownloadWork work{host_side(d, to, bytes), from, bytes};
  const bool captured = stream->capture != nullptr;
  if (!captured && !waits) poison(d, work.to, bytes);
  const uint64_t sequence = d.submit(*stream, work);
  if (!captured && (waits || work.to.pinned == 0)) wait_for(d, lock, stream, sequence);
}

void copy(Driver& d, cu::DevicePtr to, cu::DevicePtr from, size_t bytes, Stream& stream) {
  if (bytes == 0) return;
  check_device_range(*d.context.memory, to, bytes, "copy on the device, destination");
  check_device_range(*d.context.memory, from, bytes, "copy on the device, source");
  d.submit(stream, CopyWork{to, from, bytes});
}

void fill(Driver& d, cu::DevicePtr to, uint32_t value, size_t width, size_t count, Stream& stream) {
  if (count == 0) return;
  if (to % width != 0) throw Fault{cu::kInvalidValue, "the address is not aligned to the element"};
  if (count > SIZE_MAX / width) throw Fault{cu::kInvalidValue, "the count overflows"};
  check_device_range(*d.context.memory, to, width * count, "fill");
  d.submit(stream, FillWork{to, value, width, count});
}

/// A call on the legacy stream.
Result on_legacy(const char* name, const std::function<void(Driver&, Lock&, const std::shared_ptr<Stream>&)>& body) {
  return call(name, Needs::kContext, [&](Driver& d, Lock& lock) {
    d.refuse_legacy_during_capture();
    d.refuse_during_capture(name);
    body(d, lock, d.context.legacy);
    return cu::kSuccess;
  });
}

}  // namespace

namespace api {

Result MemcpyHtoDAsync(DevicePtr to, const void* from, size_t bytes, Stream stream) {
  return call("cuMemcpyHtoDAsync_v2", Needs::kContext, [&](Driver& d, Lock&) {
    upload(d, to, from, bytes, *d.stream(stream));
    return kSuccess;
  });
}

Result MemcpyDtoHAsync(void* to, DevicePtr from, size_t bytes, Stream stream) {
  return call("cuMemcpyDtoHAsync_v2", Needs::kContext, [&](Driver& d, Lock& lock) {
    download(d, lock, to, from, bytes, d.stream(stream), false);
    return kSuccess;
  });
}

Result MemcpyDtoDAsync(DevicePtr to, DevicePtr from, size_t bytes, Stream stream) {
  return call("cuMemcpyDtoDAsync_v2", Needs::kContext, [&](Driver& d, Lock&) {
    copy(d, to, from, bytes, *d.stream(stream));
    return kSuccess;
  });
}

Result MemsetD8Async(DevicePtr to, unsigned char value, size_t count, Stream stream) {
  return call("cuMemsetD8Async", Needs::kContext, [&](Driver& d, Lock&) {
    fill(d, to, value, 1, count, *d.stream(stream));
    return kSuccess;
  });
}

Result MemsetD32Async(DevicePtr to, unsigned value, size_t count, Stream stream) {
  return call("cuMemsetD32Async", Needs::kContext, [&](Driver& d, Lock&) {
    fill(d, to, value, 4, count, *d.stream(stream));
    return kSuccess;
  });
}

Result MemcpyHtoD(DevicePtr to, const void* from, size_t bytes) {
  return on_legacy("cuMemcpyHtoD_v2", [&](Driver& d, Lock& lock, const auto& legacy) {
    if (const uint64_t sequence = upload(d, to, from, bytes, *legacy); sequence != 0)
      wait_for(d, lock, legacy, sequence);
  });
}

Result MemcpyDtoH(void* to, DevicePtr from, size_t bytes) {
  return on_legacy("cuMemcpyDtoH_v2", [&](Driver& d, Lock& lock, const auto& legacy) {
    download(d, lock, to, from, bytes, legacy, true);
  });
}

Result MemcpyDtoD(DevicePtr to, DevicePtr from, size_t bytes) {
  return on_legacy("cuMemcpyDtoD_v2", [&](Driver& d, Lock&, const auto& legacy) { copy(d, to, from, bytes, *legacy); });
}

Result MemsetD8(DevicePtr to, unsigned char value, size_t count) {
  return on_legacy("cuMemsetD8_v2",
                   [&](Driver& d, Lock&, const auto& legacy) { fill(d, to, value, 1, count, *legacy); });
}

Result MemsetD32(DevicePtr to, unsigned value, size_t count) {
  return on_legacy("cuMemsetD32_v2",
                   [&](Driver& d, Lock&, const auto& legacy) { fill(d, to, value, 4, count, *legacy); });
}

}  // namespace api
}  // namespace sim
