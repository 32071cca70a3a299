// Writes new keys (transposed) and values into their pages. One task: the new tokens of one sequence that fall into one
// page, so no two tasks touch the same page. Scratch slot 1: the task table.
#include "cpu/kernels/attention_tile.h"
#include "cpu/kernels/kernels.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

struct Task {
  int64_t token, page;  // first row of k and v, page number
  int32_t slot, count;  // first slot, tokens
};

TOOLGRAD_INLINE void narrow(float from, float* to) {
  *to = from;
}
TOOLGRAD_INLINE void narrow(float from, uint16_t* to) {
  *to = round_bf16(from);
}
TOOLGRAD_INLINE void narrow(const float* from, float* to, int64_t count) {
  widen(from, to, count);
}
TOOLGRAD_INLINE void narrow(const float* from, uint16_t* to, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store_bf16(to + i, load(from + i));
  for (; i < count; ++i) to[i] = round_bf16(from[i]);
}

template <class T>
void write(const KvWrite& op, const Task& task) {
  const int64_t G = op.pages.G, D = op.pages.D;
  T* keys = static_cast<T*>(op.pages.keys) + task.page * op.pages.page_stride;
  T* values = static_cast<T*>(op.pages.values) + task.page * op.pages.page_stride;
  for (int64_t g = 0; g < G; ++g) {
    const float* k = op.k + (task.token * G + g) * D;
    const float* v = op.v + (task.token * G + g) * D;
    T* key = keys + g * D * kKvPageSize + task.slot;
    for (int64_t d = 0; d < D; ++d)
      for (int64_t i = 0; i < task.count; ++i) narrow(k[i * G * D + d], key + d * kKvPageSize + i);
    T* value = values + (g * kKvPageSize + task.slot) * D;
    for (int64_t i = 0; i < task.count; ++i) narrow(v + i * G * D, value + i * D, D);
  }
}

}  // namespace

void kv_write(const KvWrite& op, ThreadPool& pool, Scratch& scratch) {
  int64_t bound = 0;
  for (int64_t s = 0; s < op.map.S; ++s) bound += (op.map.q_start[s + 1] - op.map.q_start[s]) / kKvPageSize + 2;
  Task* table = static_cast<Task*>(scratch.bytes(1, static_cast<size_t>(bound) * sizeof(Task)));
  int64_t tasks = 0;
  for (int64_t s = 0; s < op.map.S; ++s) {
    const int64_t begin = op.map.q_start[s], end = op.map.q_start[s + 1];
    int64_t position = op.map.kv_len[s] - (end - begin);
    for (int64_t t = begin; t < end;) {
      const int64_t slot = position % kKvPageSize;
      const int64_t room = kKvPageSize - slot, count = end - t < room ? end - t : room;
      table[tasks++] = {t, op.map.page_table[op.map.page_start[s] + position / kKvPageSize], static_cast<int32_t>(slot),
                        static_cast<int32_t>(count)};
      t += count;
      position += count;
    }
  }
  pool.parallel_for(tasks, [&](int64_t i, int) {
    if (op.pages.dtype == DType::kBF16)
      write<uint16_t>(op, table[i]);
    else
      write<float>(op, table[i]);
  });
}

}  // namespace toolgrad::TOOLGRAD_ISA
