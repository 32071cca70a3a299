// kernels.*: attention over packed sequences (pages are made for the call) and over the caller's own pages.
// lib/model/kernels/attention.ts documents the functions.
#include <cstring>
#include <string>

#include "engine/error.h"
#include "napi/args.h"
#include "napi/guard.h"
#include "napi/kernel_backend.h"
#include "napi/kernels.h"
#include "napi/tensor.h"

namespace toolgrad {
namespace {

void require_groups(const Operands& call, const Operand& q) {
  call.require_sizes("HGD");
  if (call.size('H') % call.size('G') != 0)
    call.fail_shape("expected q heads that are a multiple of the " + std::to_string(call.size('G')) +
                    " key/value heads but found q " + shape_text_of(q.shape));
}

// Pages of one call, numbered through the pack; sequence s has ceil(length / page) of them.
struct CallPages {
  std::vector<int32_t> starts, lengths, page_starts, table;
  KvPages pages{};

  SequenceMap map() const {
    return sequence_map(starts.data(), lengths.data(), page_starts.data(), table.data(),
                        static_cast<int64_t>(lengths.size()));
  }
};

CallPages write_pages(KernelBackend& backend, const Operand& k, const Operand& v, const Operand& seq_starts,
                      DType dtype) {
  const int64_t T = k.shape[0], G = k.shape[1], D = k.shape[2];
  CallPages call;
  call.starts = checked_starts(seq_starts, T);
  for (size_t s = 0; s + 1 < call.starts.size(); ++s) {
    const int32_t length = call.starts[s + 1] - call.starts[s];
    call.lengths.push_back(length);
    call.page_starts.push_back(static_cast<int32_t>(call.table.size()));
    for (int64_t i = 0; i < length; i += kKvPageSize) call.table.push_back(static_cast<int32_t>(call.table.size()));
  }
  const int64_t stride = G * D * kKvPageSize, elements = stride * static_cast<int64_t>(call.table.size());
  const size_t bytes = static_cast<size_t>(elements) * dtype_size(dtype);
  auto* keys = backend.take<std::byte>(static_cast<int64_t>(bytes));
  auto* values = backend.take<std::byte>(static_cast<int64_t>(bytes));
  std::memset(keys, 0, bytes);
  std::memset(values, 0, bytes);
  call.pages = {keys, values, dtype, stride, G, D};
  backend.ops().kv_write({k.floats(), v.floats(), call.pages, call.map()});
  return call;
}

DType read_kv_dtype(const Operands& call) {
  const Napi::Value value = property(call.object(), "kvDtype");
  DType dtype = DType::kF32;
  if (!dtype_from_name(read_string(value, "kvDtype").c_str(), &dtype) ||
      (dtype != DType::kF32 && dtype != DType::kBF16))
    throw_out_of_range(value, "\"float32\" or \"bfloat16\"", "kvDtype");
  return dtype;
}

Napi::Value attention(const Napi::CallbackInfo& info) {
  Operands call(info, "attention", {"q", "k", "v", "seqStarts", "out", "lse", "scale", "kvDtype"});
  const Operand q = call.in("q", kFloat, "THD");
  const Operand k = call.in("k", kFloat, "TGD"), v = call.in("v", kFloat, "TGD");
  const Operand seq_starts = call.in("seqStarts", kInt, "P");
  const Operand out = call.out("out", kFloat, "THD");
  const Operand lse = call.out_optional("lse", kFloat, "TH");
  require_groups(call, q);
  const auto scale = static_cast<float>(call.number("scale"));
  const DType dtype = read_kv_dtype(call);
  const int64_t T = call.size('T'), H = call.size('H');
  return call.run([=](KernelBackend& backend) {
    if (T == 0) return;
    const CallPages pages = write_pages(backend, k, v, seq_starts, dtype);
    backend.ops().attention_forward({q.floats(), pages.pages, pages.map(), out.floats(), lse.floats(), H, scale});
  });
}

Napi::Value attention_backward(const Napi::CallbackInfo& info) {
  Operands call(info, "attentionBackward",
                {"dout", "q", "k", "v", "out", "lse", "seqStarts", "dq", "dk", "dv", "scale", "kvDtype"});
  const Operand q = call.in("q", kFloat, "THD");
  const Operand k = call.in("k", kFloat, "TGD"), v = call.in("v", kFloat, "TGD");
  const Operand out = call.in("out", kFloat, "THD"), dout = call.in("dout", kFloat, "THD");
  const Operand lse = call.in("lse", kFloat, "TH");
  const Operand seq_starts = call.in("seqStarts", kInt, "P");
  const Operand dq = call.out("dq", kFloat, "THD");
  const Operand dk = call.out("dk", kFloat, "TGD"), dv = call.out("dv", kFloat, "TGD");
  require_groups(call, q);
  const auto scale = static_cast<float>(call.number("scale"));
  const DType dtype = read_kv_dtype(call);
  const int64_t T = call.size('T'), H = call.size('H');
  return call.run([=](KernelBackend& backend) {
    if (T == 0) return;
    const CallPages pages = write_pages(backend, k, v, seq_starts, dtype);
    backend.ops().attention_backward({dout.floats(), q.floats(), out.floats(), lse.floats(), pages.pages, pages.map(),
                                      dq.floats(), dk.floats(), dv.floats(), H, scale});
  });
}

// The caller's pages and which sequence they belong to.
struct CallerPages {
  Operand keys, values, query_starts, kv_lengths, page_starts, page_table;

  static CallerPages read(Operands& call, bool writes) {
    const auto pages = [&](const char* name, const char* dims) {
      return writes ? call.out(name, kWeight, dims) : call.in(name, kWeight, dims);
    };
    CallerPages p;
    p.keys = pages("keys", "PGDZ");
    p.values = pages("values", "PGZD");
    p.query_starts = call.in("queryStarts", kInt, "s");
    p.kv_lengths = call.in("kvLengths", kInt, "S");
    p.page_starts = call.in("pageStarts", kInt, "S");
    p.page_table = call.in("pageTable", kInt, "E");
    if (call.size('Z') != kKvPageSize)
      call.fail_shape("expected pages of " + std::to_string(kKvPageSize) + " tokens but found keys " +
                      shape_text_of(p.keys.shape));
    if (p.keys.dtype != p.values.dtype) call.fail_shape("expected keys and values of one data type but found two");
    return p;
  }

  KvPages pages() const {
    const int64_t G = keys.shape[1], D = keys.shape[2];
    return {keys.data, values.data, keys.dtype, G * D * kKvPageSize, G, D};
  }

  // Copies of the index tensors, with every page that will be touched inside the memory.
  CallPages checked(int64_t T) const {
    CallPages call;
    call.pages = pages();
    call.starts = checked_starts(query_starts, T);
    const auto S = static_cast<int64_t>(call.starts.size()) - 1;
    if (kv_lengths.elements != S)
      throw Error("ERR_OUT_OF_RANGE", "expected one entry more in queryStarts than in kvLengths but found " +
                                          std::to_string(S + 1) + " and " + std::to_string(kv_lengths.elements));
    call.lengths = checked_indices(kv_lengths, 1, INT32_MAX);
    call.page_starts = checked_indices(page_starts, 0, page_table.elements + 1);
    call.table = checked_indices(page_table, 0, keys.shape[0]);
    for (size_t s = 0; s < call.lengths.size(); ++s) {
      if (call.lengths[s] < call.starts[s + 1] - call.starts[s])
        throw Error("ERR_OUT_OF_RANGE", "kvLengths[" + std::to_string(s) + "]: expected at least the " +
                                            std::to_string(call.starts[s + 1] - call.starts[s]) +
                                            " query tokens of the sequence but found " +
                                            std::to_string(call.lengths[s]));
      const int64_t last = call.page_starts[s] + (call.lengths[s] - 1) / kKvPageSize;
      if (last >= page_table.elements)
        throw Error("ERR_OUT_OF_RANGE", "sequence " + std::to_string(s) + " of " + std::to_string(call.lengths[s]) +
                                            " tokens needs pageTable up to entry " + std::to_string(last) +
                                            " but it has " + std::to_string(page_table.elements) + " entries");
    }
    return call;
  }
};

Napi::Value kv_write(const Napi::CallbackInfo& info) {
  Operands call(info, "kvWrite", {"k", "v", "keys", "values", "queryStarts", "kvLengths", "pageStarts", "pageTable"});
  const Operand k = call.in("k", kFloat, "TGD"), v = call.in("v", kFloat, "TGD");
  const CallerPages caller = CallerPages::read(call, true);
  call.require_sizes("GD");
  const int64_t T = call.size('T');
  return call.run([=](KernelBackend& backend) {
    if (T == 0) return;
    const CallPages pages = caller.checked(T);
    backend.ops().kv_write({k.floats(), v.floats(), pages.pages, pages.map()});
  });
}

Napi::Value paged_attention(const Napi::CallbackInfo& info) {
  Operands call(info, "pagedAttention",
                {"q", "keys", "values", "queryStarts", "kvLengths", "pageStarts", "pageTable", "out", "lse", "scale"});
  const Operand q = call.in("q", kFloat, "THD");
  const CallerPages caller = CallerPages::read(call, false);
  const Operand out = call.out("out", kFloat, "THD");
  const Operand lse = call.out_optional("lse", kFloat, "TH");
  require_groups(call, q);
  const auto scale = static_cast<float>(call.number("scale"));
  const int64_t T = call.size('T'), H = call.size('H');
  return call.run([=](KernelBackend& backend) {
    if (T == 0) return;
    const CallPages pages = caller.checked(T);
    backend.ops().attention_forward({q.floats(), pages.pages, pages.map(), out.floats(), lse.floats(), H, scale});
  });
}

}  // namespace

void register_attention_kernels(Napi::Env env, Napi::Object exports) {
  export_function<attention>(env, exports, "attention");
  export_function<attention_backward>(env, exports, "attentionBackward");
  export_function<kv_write>(env, exports, "kvWrite");
  export_function<paged_attention>(env, exports, "pagedAttention");
}

}  // namespace toolgrad
