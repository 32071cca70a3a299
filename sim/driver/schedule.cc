// Which queued operation runs next.
//
// Nothing runs before something forces it, and then in an order that hardware could choose but a program may not rely on.
// Seed 0: only what the caller waits for, or, when it waits for all, the newest stream first. Other seeds draw, for every
// wait, one of: that; a random stream each step; all other streams before the one waited for.
#include "driver/driver.h"

namespace sim {
namespace {

constexpr uint64_t kPollSteps = 16;

bool is_runnable(const GraphWork& work) {
  for (size_t i = 0; i < work.done.size(); ++i) {
    if (work.done[i]) continue;
    const GraphNode& node = work.body->nodes[i];
    bool ready = true;
    for (size_t before : node.after) ready = ready && work.done[before];
    const auto* host = std::get_if<HostWork>(&node.work);
    if (ready && (host == nullptr || !host->state->started || host->state->finished)) return true;
  }
  return work.done.empty();
}

/// Whether the front of a stream could make a step, given that what it waits for is over.
bool is_runnable(const Operation& operation) {
  if (const auto* host = std::get_if<HostWork>(&operation.work)) return !host->state->started || host->state->finished;
  if (const auto* graph = std::get_if<GraphWork>(&operation.work)) return is_runnable(*graph);
  return true;
}

const Stream* first_obstacle(const Operation& operation) {
  for (const Dependency& dependency : operation.after)
    if (!is_over(dependency)) return dependency.stream.get();
  return nullptr;
}

bool is_ready(const Stream& stream) {
  return !stream.queue.empty() && first_obstacle(stream.queue.front()) == nullptr && is_runnable(stream.queue.front());
}

}  // namespace

Driver::Policy Driver::choose_policy() {
  if (settings.seed == 0) return Policy::kDemand;
  constexpr Policy kPolicies[] = {Policy::kDemand, Policy::kRandom, Policy::kOthersFirst};
  return kPolicies[random(3)];
}

Stream* Driver::pick(const Stream* wanted, Policy policy) {
  if (policy == Policy::kDemand && wanted != nullptr) {
    // Only earlier operations are waited for, so the chain ends.
    const Stream* at = wanted;
    while (!at->queue.empty()) {
      const Stream* obstacle = first_obstacle(at->queue.front());
      if (obstacle == nullptr) break;
      at = obstacle;
    }
    return is_ready(*at) ? const_cast<Stream*>(at) : nullptr;
  }
  std::vector<Stream*> ready;
  for (const auto& stream : context.active)
    if (is_ready(*stream)) ready.push_back(stream.get());
  if (ready.empty()) return nullptr;
  if (policy == Policy::kDemand) {
    Stream* newest = ready.front();
    for (Stream* stream : ready)
      if (stream->queue.front().sequence > newest->queue.front().sequence) newest = stream;
    return newest;
  }
  if (policy == Policy::kOthersFirst && wanted != nullptr)
    for (Stream* stream : ready)
      if (stream != wanted) return stream;
  return ready[random(ready.size())];
}

bool Driver::step(const Stream* wanted, Policy policy) {
  Stream* stream = pick(wanted, policy);
  if (stream == nullptr) return false;
  if (perform(stream->queue.front())) {
    stream->passed = stream->queue.front().sequence;
    stream->queue.pop_front();
    const bool destroyed = stream->handle == 0 && stream != context.legacy.get();
    if (destroyed && stream->queue.empty())
      std::erase_if(context.active, [&](const auto& other) { return other.get() == stream; });
  }
  return true;
}

void Driver::run_until(Lock& lock, const std::function<bool()>& done, const Stream* wanted) {
  const uint64_t generation = context.generation;
  const Policy policy = choose_policy();
  while (true) {
    if (exiting) throw Fault{cu::kDeinitialized, "the process is exiting"};
    if (!context.alive() || context.generation != generation)
      throw Fault{cu::kContextIsDestroyed, "the context was destroyed by another thread during the call"};
    if (context.sticky != 0) throw Fault{context.sticky, context.sticky_text};
    if (done()) return;
    if (step(wanted, policy)) continue;
    if (running_host_functions == 0)
      fail(cu::kLaunchTimeout, "queued work waits for itself: a defect of the simulator");
    changed.wait(lock);
  }
}

void Driver::run_all(Lock& lock) {
  run_until(
      lock,
      [this] {
        for (const auto& stream : context.active)
          if (!stream->queue.empty()) return false;
        return true;
      },
      nullptr);
}

bool Driver::poll(Lock&, const std::function<bool()>& done, const Stream* wanted) {
  if (done()) return true;
  const Policy policy = choose_policy();
  const uint64_t steps = settings.seed == 0 ? kPollSteps : 1 + random(2 * kPollSteps);
  for (uint64_t i = 0; i < steps && !done(); ++i)
    if (!step(wanted, policy)) break;
  return false;
}

}  // namespace sim
