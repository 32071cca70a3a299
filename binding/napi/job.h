// Work off the event loop: run_job() queues a closure on the device's engine thread and returns a promise.
//
// Thread rules: `work` runs on the engine thread and must not touch, capture or destroy a JavaScript value; `resolve`
// runs on the JavaScript thread and makes the result. Arrays whose memory the work borrows go into `keep`, which holds
// them until the promise settles. Jobs of a device run in the order they were queued, across all environments of the
// process. A pending job keeps the process alive; an idle queue does not. When the environment ends, waiting jobs are
// dropped, the running one is asked to stop (engine/queue.h, cancel_requested) and awaited: its promise then never
// settles.
#pragma once

#include <napi.h>

#include <functional>
#include <vector>

namespace toolgrad {

using Keep = std::vector<Napi::Value>;  // values that must outlive the job
constexpr int kCpuDevice = -1;          // CUDA devices count from 0

// An exception of `work` rejects the promise with Error{code, message}; one of `resolve` rejects it likewise. An empty
// `resolve` gives undefined.
Napi::Promise run_job(Napi::Env env, std::function<void()> work,
                      std::function<Napi::Value(Napi::Env)> resolve = nullptr, const Keep& keep = {},
                      int device = kCpuDevice);

// Creates the per-environment state; called once, by addon.cc.
void init_jobs(Napi::Env env);

}  // namespace toolgrad
