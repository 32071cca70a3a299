// The report and the coverage file, and what happens to both when the process ends.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "driver/driver.h"
#include "driver/json.h"

namespace sim {
namespace {

void write_counters(JsonWriter& json, const Counters& c) {
  json.open('{').key("launches").value(c.launches).key("blocks").value(c.blocks);
  json.key("warp_instructions").value(c.warp_instructions).key("thread_instructions").value(c.thread_instructions);
  json.key("mma").value(c.mma).key("special_functions").value(c.special_functions);
  json.key("global_requests").value(c.global_requests).key("global_sectors").value(c.global_sectors);
  json.key("global_bytes").value(c.global_bytes).key("shared_requests").value(c.shared_requests);
  json.key("shared_wavefronts").value(c.shared_wavefronts).key("divergent_branches").value(c.divergent_branches);
  json.key("branches").value(c.branches).key("barriers").value(c.barriers).close('}');
}

void write_texts(JsonWriter& json, const char* key, const std::vector<std::string>& texts) {
  json.key(key).open('[');
  for (const std::string& text : texts) json.value(text);
  json.close(']');
}

std::string coverage_json() {
  JsonWriter json;
  json.open('{');
  for (const auto& [kernel, lines] : coverage()) {
    json.key(kernel).open('{').key("lines").value(uint64_t{lines.lines.size()});
    json.key("executed").value(uint64_t{lines.executed.size()}).key("unreached").open('[');
    for (const int line : lines.lines)
      if (!lines.executed.contains(line)) json.value(line);
    json.close(']').key("counts").open('{');
    for (const auto& [line, count] : lines.executed) json.key(std::to_string(line)).value(count);
    json.close('}').close('}');
  }
  return json.close('}').text();
}

/// "%p" in the name is the process, so that several may share one setting.
void write_file(std::string name, const std::string& text) {
  if (const size_t at = name.find("%p"); at != std::string::npos) name.replace(at, 2, std::to_string(getpid()));
  std::FILE* file = std::fopen(name.c_str(), "w");
  const bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = file != nullptr && std::fclose(file) == 0;
  if (!written || !closed) std::fprintf(stderr, "cudasim: cannot write %s\n", name.c_str());
}

}  // namespace

std::string report_json(Driver& d) {
  const Statistics& s = d.statistics;
  JsonWriter json;
  json.open('{').key("device").value(d.sheet().name).key("sm").value(d.settings.sm);
  json.key("driver_version").value(d.settings.driver_version).key("seed").value(d.settings.seed);
  json.key("checks").value(d.settings.checks).key("launches").value(s.launches);
  json.key("allocations").value(s.allocations).key("peak_bytes").value(uint64_t{s.peak_bytes});
  json.key("discarded_operations").value(s.discarded).key("calls").open('{');
  for (const auto& [name, count] : s.calls) json.key(name).value(count);
  json.close('}').key("kernels").open('{');
  for (const auto& [name, counters] : s.kernels) {
    json.key(name);
    write_counters(json, counters);
  }
  json.close('}');
  write_texts(json, "faults", s.faults);
  write_texts(json, "defects", s.defects);
  write_texts(json, "failed_calls", s.errors);
  json.key("failed_calls_left_out").value(s.errors_left_out).key("leaks").open('[');
  for (const Leak& leak : d.leaks())
    json.open('{')
        .key("allocation")
        .value(leak.number)
        .key("bytes")
        .value(uint64_t{leak.bytes})
        .key("by")
        .value(leak.note)
        .close('}');
  return json.close(']').close('}').text();
}

void write_report_at_exit() {
  Driver& d = Driver::get();
  // Another thread may be inside a kernel; it gets five seconds.
  Lock lock(d.mutex, std::defer_lock);
  for (int i = 0; i < 500 && !lock.try_lock(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  if (!lock.owns_lock()) {
    std::fprintf(stderr, "cudasim: a kernel is still running at exit; no report is written\n");
    return;
  }
  d.exiting = true;
  d.changed.notify_all();
  if (!d.settings.report.empty()) write_file(d.settings.report, report_json(d) + "\n");
  if (!d.settings.coverage.empty()) write_file(d.settings.coverage, coverage_json() + "\n");
  if (!d.settings.leaks) return;
  for (const Leak& leak : d.leaks())
    std::fprintf(stderr, "cudasim: leak: allocation %llu, %zu bytes, %s\n",
                 static_cast<unsigned long long>(leak.number), leak.bytes, leak.note.c_str());
}

}  // namespace sim
