// Entry points: streams and events.
#include <algorithm>

#include "driver/driver.h"

namespace sim {
namespace {

Result create_stream(const char* name, cu::Stream* stream, unsigned flags) {
  return call(name, Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(stream, "stream");
    if (flags > cu::kStreamNonBlocking) throw Fault{cu::kInvalidValue, "unknown flags"};
    auto made = std::make_shared<Stream>();
    made->flags = flags;
    made->blocking = flags != cu::kStreamNonBlocking;
    d.context.active.push_back(made);
    made->handle = d.context.streams.add(made);
    *stream = to_handle<cu::Stream>(made->handle);
    return cu::kSuccess;
  });
}

/// Joins a stream to a capture, or adds dependencies to one that is in it.
void wait_in_capture(Driver& d, const std::shared_ptr<Stream>& stream, const Event& event) {
  const std::shared_ptr<Capture>& capture = event.capture;
  const bool ended =
      std::find(d.context.captures.begin(), d.context.captures.end(), capture) == d.context.captures.end();
  if (ended) throw Fault{cu::kCapturedEvent, "the event was last recorded in a capture that has ended"};
  if (capture->invalid) throw Fault{cu::kStreamCaptureInvalidated, "the event's capture is invalid"};
  if (stream == d.context.legacy) {
    capture->invalid = true;
    throw Fault{cu::kStreamCaptureImplicit, "the legacy stream cannot join a capture"};
  }
  if (stream->capture != nullptr && stream->capture != capture) {
    stream->capture->invalid = capture->invalid = true;
    throw Fault{cu::kStreamCaptureMerge, "stream and event belong to two captures"};
  }
  if (stream->capture == nullptr) {
    stream->capture = capture;
    stream->tail.clear();
    capture->members.push_back(stream);
  }
  for (size_t node : event.tail)
    if (std::find(stream->tail.begin(), stream->tail.end(), node) == stream->tail.end()) stream->tail.push_back(node);
}

/// Whether a stream has nothing to do; of the legacy stream, whether all that it would wait for is over as well.
bool is_idle(const Driver& d, const std::shared_ptr<Stream>& stream) {
  if (stream != d.context.legacy) return stream->queue.empty();
  return std::all_of(d.context.active.begin(), d.context.active.end(),
                     [](const auto& other) { return !other->blocking || other->queue.empty(); });
}

void refuse_captured(const Event& event, Driver& d, const char* what) {
  if (event.capture == nullptr) return;
  if (std::find(d.context.captures.begin(), d.context.captures.end(), event.capture) != d.context.captures.end())
    event.capture->invalid = true;
  throw Fault{cu::kCapturedEvent, std::string(what) + ": the event was last recorded in a capture"};
}

Result elapsed_time(const char* name, float* milliseconds, cu::Event start, cu::Event end) {
  return call(name, Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(milliseconds, "milliseconds");
    const std::shared_ptr<Event> first = d.context.events.get(start), second = d.context.events.get(end);
    refuse_captured(*first, d, name);
    refuse_captured(*second, d, name);
    if ((first->flags | second->flags) & cu::kEventDisableTiming)
      throw Fault{cu::kInvalidHandle, "an event was made without timing"};
    if (first->record == nullptr || second->record == nullptr)
      throw Fault{cu::kInvalidHandle, "an event was never recorded"};
    if (!is_over(first->record->moment) || !is_over(second->record->moment)) return cu::kNotReady;
    *milliseconds = static_cast<float>(second->record->milliseconds - first->record->milliseconds);
    return cu::kSuccess;
  });
}

}  // namespace

namespace api {

Result StreamCreate(Stream* stream, unsigned flags) {
  return create_stream("cuStreamCreate", stream, flags);
}

Result StreamCreateWithPriority(Stream* stream, unsigned flags, int) {
  return create_stream("cuStreamCreateWithPriority", stream, flags);
}

Result StreamDestroy(Stream stream) {
  return call("cuStreamDestroy_v2", Needs::kContext, [&](Driver& d, Lock&) {
    if (from_handle(stream) <= 2) throw Fault{kInvalidHandle, "a built-in stream cannot be destroyed"};
    const std::shared_ptr<sim::Stream> gone = d.context.streams.get(stream);
    if (const std::shared_ptr<Capture> capture = gone->capture; capture != nullptr) {
      capture->invalid = true;
      if (capture->origin == gone.get()) d.end_capture(capture);
      gone->capture = nullptr;
    }
    gone->handle = 0;
    d.context.streams.remove(stream);
    if (gone->queue.empty()) std::erase(d.context.active, gone);
    return kSuccess;
  });
}

Result StreamGetFlags(Stream stream, unsigned* flags) {
  return call("cuStreamGetFlags", Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(flags, "flags");
    *flags = d.stream(stream)->flags;
    return kSuccess;
  });
}

Result StreamSynchronize(Stream stream) {
  return call("cuStreamSynchronize", Needs::kContext, [&](Driver& d, Lock& lock) {
    const std::shared_ptr<sim::Stream> queue = d.stream(stream);
    d.refuse_if_capturing(*queue, "cuStreamSynchronize");
    if (queue == d.context.legacy) d.refuse_legacy_during_capture();
    d.refuse_during_capture("cuStreamSynchronize");
    if (!is_idle(d, queue)) {
      // On the legacy stream this waits for the blocking streams too.
      const uint64_t sequence = queue == d.context.legacy ? d.submit(*queue, WaitWork{}) : queue->last;
      d.run_until(
          lock, [&] { return queue->passed >= sequence; }, queue.get());
    }
    return kSuccess;
  });
}

Result StreamQuery(Stream stream) {
  return call("cuStreamQuery", Needs::kContext, [&](Driver& d, Lock& lock) {
    const std::shared_ptr<sim::Stream> queue = d.stream(stream);
    d.refuse_if_capturing(*queue, "cuStreamQuery");
    if (queue == d.context.legacy) d.refuse_legacy_during_capture();
    d.refuse_during_capture("cuStreamQuery");
    const bool legacy = queue == d.context.legacy;
    const bool done = d.poll(
        lock, [&] { return is_idle(d, queue); }, legacy ? nullptr : queue.get());
    return done ? kSuccess : kNotReady;
  });
}

Result StreamWaitEvent(Stream stream, Event event, unsigned flags) {
  return call("cuStreamWaitEvent", Needs::kContext, [&](Driver& d, Lock&) {
    const std::shared_ptr<sim::Stream> queue = d.stream(stream);
    const std::shared_ptr<sim::Event> awaited = d.context.events.get(event);
    if (flags > 1) throw Fault{kInvalidValue, "unknown flags"};
    if (awaited->capture != nullptr) {
      wait_in_capture(d, queue, *awaited);
      return kSuccess;
    }
    if (awaited->record == nullptr) return kSuccess;  // never recorded: nothing to wait for
    if (queue->capture != nullptr) {
      queue->capture->invalid = true;
      throw Fault{kStreamCaptureIsolation, "a captured stream cannot wait for work outside its capture"};
    }
    d.submit(*queue, WaitWork{}, {awaited->record->moment});
    return kSuccess;
  });
}

Result EventCreate(Event* event, unsigned flags) {
  return call("cuEventCreate", Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(event, "event");
    // Blocking wait (1) and no timing (2); events for other processes (4) are not simulated.
    if (flags > 3) throw Fault{kInvalidValue, "unknown flags, or an event for other processes"};
    auto made = std::make_shared<sim::Event>();
    made->flags = flags;
    *event = to_handle<Event>(d.context.events.add(std::move(made)));
    return kSuccess;
  });
}

Result EventRecord(Event event, Stream stream) {
  return call("cuEventRecord", Needs::kContext, [&](Driver& d, Lock&) {
    const std::shared_ptr<sim::Event> recorded = d.context.events.get(event);
    const std::shared_ptr<sim::Stream> queue = d.stream(stream);
    if (queue->capture != nullptr) {
      if (queue->capture->invalid) throw Fault{kStreamCaptureInvalidated, "the capture of this stream is invalid"};
      recorded->capture = queue->capture;
      recorded->tail = queue->tail;
      recorded->record = nullptr;
      return kSuccess;
    }
    auto record = std::make_shared<sim::EventRecord>();
    const uint64_t sequence = d.submit(*queue, MarkWork{record});
    record->moment = {queue, sequence};
    recorded->record = std::move(record);
    recorded->capture = nullptr;
    return kSuccess;
  });
}

Result EventQuery(Event event) {
  return call("cuEventQuery", Needs::kContext, [&](Driver& d, Lock& lock) {
    const std::shared_ptr<sim::Event> queried = d.context.events.get(event);
    refuse_captured(*queried, d, "cuEventQuery");
    d.refuse_during_capture("cuEventQuery");
    const std::shared_ptr<sim::EventRecord> record = queried->record;
    if (record == nullptr) return kSuccess;
    const bool done = d.poll(
        lock, [&] { return is_over(record->moment); }, record->moment.stream.get());
    return done ? kSuccess : kNotReady;
  });
}

Result EventSynchronize(Event event) {
  return call("cuEventSynchronize", Needs::kContext, [&](Driver& d, Lock& lock) {
    const std::shared_ptr<sim::Event> awaited = d.context.events.get(event);
    refuse_captured(*awaited, d, "cuEventSynchronize");
    d.refuse_during_capture("cuEventSynchronize");
    const std::shared_ptr<sim::EventRecord> record = awaited->record;
    if (record == nullptr) return kSuccess;
    d.run_until(
        lock, [&] { return is_over(record->moment); }, record->moment.stream.get());
    return kSuccess;
  });
}

Result EventElapsedTime(float* milliseconds, Event start, Event end) {
  return elapsed_time("cuEventElapsedTime", milliseconds, start, end);
}

Result EventElapsedTimeV2(float* milliseconds, Event start, Event end) {
  return elapsed_time("cuEventElapsedTime_v2", milliseconds, start, end);
}

Result EventDestroy(Event event) {
  return call("cuEventDestroy_v2", Needs::kContext, [&](Driver& d, Lock&) {
    d.context.events.get(event);
    d.context.events.remove(event);
    return kSuccess;
  });
}

}  // namespace api
}  // namespace sim
