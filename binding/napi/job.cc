// Promises over engine queues; see job.h.
//
// All JavaScript values of a job live in JobTable::pending, which only the JavaScript thread touches; the engine thread
// knows a job by its number and posts {number, failure} through one thread-safe function per environment.
#include "napi/job.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "engine/error.h"
#include "engine/queue.h"
#include "napi/guard.h"

namespace toolgrad {
namespace {

struct Pending {
  Napi::Promise::Deferred deferred;
  std::function<Napi::Value(Napi::Env)> resolve;
  std::vector<Napi::ObjectReference> kept;
};

struct Completion {
  uint64_t number;
  std::optional<Failure> failure;
};

struct JobTable;
void settle(Napi::Env env, Napi::Function, JobTable* table, Completion* completion);
using Notifier = Napi::TypedThreadSafeFunction<JobTable, Completion, settle>;

struct JobTable {
  Notifier notifier;
  std::unordered_map<uint64_t, Pending> pending;
  std::map<int, std::shared_ptr<Queue>> queues;
  uint64_t next_number = 0;
  bool closed = false;

  // Runs as an environment clean-up hook, on the JavaScript thread, before the thread-safe function is torn down (hooks
  // run in reverse order of registration), so no engine thread can post to it afterwards.
  void close() {
    closed = true;
    for (auto& [device, queue] : queues) queue->drop_owner(this);
    queues.clear();
    pending.clear();
  }
};

void settle(Napi::Env env, Napi::Function, JobTable* table, Completion* raw) {
  std::unique_ptr<Completion> completion(raw);
  if (static_cast<napi_env>(env) == nullptr || table->closed) return;
  auto node = table->pending.extract(completion->number);
  if (node.empty()) return;
  if (table->pending.empty()) table->notifier.Unref(env);
  Pending& job = node.mapped();
  if (completion->failure) {
    job.deferred.Reject(to_js(env, *completion->failure).Value());
    return;
  }
  try {
    const Napi::Value result = job.resolve ? job.resolve(env) : env.Undefined();
    job.deferred.Resolve(result);
  } catch (const Napi::Error& error) {
    job.deferred.Reject(error.Value());
  } catch (...) {
    job.deferred.Reject(to_js(env, describe(std::current_exception())).Value());
  }
}

}  // namespace

void init_jobs(Napi::Env env) {
  auto* table = new JobTable;
  table->notifier = Notifier::New(env, "toolgrad jobs", 0, 1, table);
  table->notifier.Unref(env);
  env.AddCleanupHook([table] { table->close(); });
  env.SetInstanceData<JobTable>(table);  // deletes the table when the environment ends
}

Napi::Promise run_job(Napi::Env env, std::function<void()> work, std::function<Napi::Value(Napi::Env)> resolve,
                      const Keep& keep, int device) {
  auto* table = env.GetInstanceData<JobTable>();
  if (table == nullptr || table->closed)
    throw Error("ERR_CLOSED", "Expected a live environment but it is shutting down");
  auto& queue = table->queues[device];
  if (!queue) queue = Queue::of_device(device);

  Pending job{Napi::Promise::Deferred::New(env), std::move(resolve), {}};
  for (const Napi::Value& value : keep)
    if (value.IsObject()) job.kept.push_back(Napi::Persistent(value.As<Napi::Object>()));
  const Napi::Promise promise = job.deferred.Promise();
  const uint64_t number = table->next_number++;
  if (table->pending.empty()) table->notifier.Ref(env);
  table->pending.emplace(number, std::move(job));

  queue->submit(table, std::move(work), [notifier = table->notifier, number](std::exception_ptr exception) {
    auto completion = std::make_unique<Completion>(Completion{number, std::nullopt});
    if (exception) completion->failure = describe(exception);
    if (notifier.NonBlockingCall(completion.get()) == napi_ok) completion.release();
  });
  return promise;
}

}  // namespace toolgrad
