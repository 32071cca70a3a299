// kernels.*: linear layers, packed weights and the embedding. lib/model/kernels/linear.ts documents the functions.
#include <cstring>
#include <unordered_map>

#include "napi/guard.h"
#include "napi/kernel_backend.h"
#include "napi/kernels.h"
#include "napi/tensor.h"

namespace toolgrad {
namespace {

Napi::Value linear(const Napi::CallbackInfo& info) {
  Operands call(info, "linear", {"x", "weight", "bias", "residual", "y"});
  const Operand x = call.in("x", kFloat, "*TK");
  const Operand weight = call.in("weight", kWeight, "NK", Layout::kRowsOrPanels);
  const Operand bias = call.in_optional("bias", kFloat, "N");
  const Operand residual = call.in_optional("residual", kFloat, "*TN");
  const Operand y = call.out("y", kFloat, "*TN");
  call.require_sizes("KN");
  call.may_share("y", "residual");
  const int64_t T = call.size('T');
  return call.run([=](KernelBackend& backend) {
    if (T == 0) return;
    const PackedMatrix w = backend.panels(weight);
    backend.ops().linear_forward({x.floats(), w, bias.floats(), residual.floats(), y.floats(), T});
  });
}

Napi::Value linear_backward(const Napi::CallbackInfo& info) {
  Operands call(info, "linearBackward", {"x", "weight", "dy", "dx", "dweight", "dbias", "accumulate"});
  const Operand dy = call.in("dy", kFloat, "*TN");
  const Operand x = call.in_optional("x", kFloat, "*TK");
  const Operand weight = call.in_optional("weight", kWeight, "NK", Layout::kRowsOrPanels);
  const Operand dx = call.out_optional("dx", kFloat, "*TK");
  const Operand dweight = call.out_optional("dweight", kFloat, "NK", Layout::kRowsOrPanels);
  const Operand dbias = call.out_optional("dbias", kFloat, "N");
  if (dx.present && !weight.present) call.fail_shape("expected weight, which dx is computed from, but found none");
  if ((dweight.present || dbias.present) && !(x.present && dweight.present))
    call.fail_shape("expected x and dweight, which belong together (dbias needs both), but one is missing");
  call.require_sizes("N");
  if (x.present || weight.present) call.require_sizes("K");
  const bool accumulate = call.flag("accumulate");
  const int64_t T = call.size('T');
  return call.run([=](KernelBackend& backend) {
    if (T == 0) return;
    if (dx.present)
      backend.ops().linear_backward_input({dy.floats(), backend.panels(weight), dx.floats(), T, accumulate});
    if (dweight.present)
      backend.accumulate(dweight, [&](PackedMatrix dw) {
        const DType weights = weight.present ? weight.dtype : DType::kF32;
        backend.ops().linear_backward_weight({x.floats(), dy.floats(), dw, dbias.floats(), T, weights});
      });
  });
}

Napi::Value pack_weight(const Napi::CallbackInfo& info) {
  Operands call(info, "packWeight", {"weight", "packed"});
  const Operand weight = call.in("weight", kWeight, "NK");
  const Operand packed = call.out("packed", kWeight, "NK", Layout::kRowsOrPanels);
  call.require_sizes("NK");
  if (!packed.panels) call.fail_shape("expected panels for packed but found rows");
  return call.run([=](KernelBackend& backend) {
    const PackedMatrix to{packed.data, packed.dtype, packed.shape[0], packed.shape[1]};
    if (weight.dtype == DType::kF32) return backend.ops().pack(weight.floats(), to);
    // bfloat16 rows: through float32 rows, which changes no value.
    const PackedMatrix from = backend.panels(weight);
    float* rows = backend.take<float>(weight.elements);
    backend.ops().unpack(from, rows);
    backend.ops().pack(rows, to);
  });
}

Napi::Value unpack_weight(const Napi::CallbackInfo& info) {
  Operands call(info, "unpackWeight", {"packed", "weight"});
  const Operand packed = call.in("packed", kWeight, "NK", Layout::kRowsOrPanels);
  const Operand weight = call.out("weight", kFloat, "NK");
  call.require_sizes("NK");
  return call.run([=](KernelBackend& backend) { backend.ops().unpack(backend.panels(packed), weight.floats()); });
}

Napi::Value embedding(const Napi::CallbackInfo& info) {
  Operands call(info, "embedding", {"ids", "table", "x"});
  const Operand ids = call.in("ids", kInt, "T");
  const Operand table = call.in("table", kWeight, "VC", Layout::kRowsOrPanels);
  const Operand x = call.out("x", kFloat, "TC");
  call.require_sizes("VC");
  return call.run([=](KernelBackend& backend) {
    const std::vector<int32_t> rows = checked_indices(ids, 0, table.shape[0]);
    const auto T = static_cast<int64_t>(rows.size()), C = table.shape[1];
    if (T == 0) return;
    if (table.panels) {
      const PackedMatrix packed{table.data, table.dtype, table.shape[0], C};
      return backend.ops().embedding_forward({rows.data(), packed, x.floats(), T});
    }
    backend.pool().parallel_for(T, [&](int64_t t, int) {
      const int64_t from = rows[static_cast<size_t>(t)] * C;
      float* to = x.floats() + t * C;
      if (table.dtype == DType::kF32) {
        std::memcpy(to, table.floats() + from, static_cast<size_t>(C) * sizeof(float));
      } else {
        const auto* bits = static_cast<const uint16_t*>(table.data) + from;
        for (int64_t c = 0; c < C; ++c) to[c] = bf16_to_f32(bits[c]);
      }
    });
  });
}

// Rows of a gradient that is not packed: the rows in use become a small matrix, so that the cost does not grow with V.
void embedding_backward_rows(KernelBackend& backend, const std::vector<int32_t>& ids, const float* dx,
                             const Operand& dtable) {
  const int64_t C = dtable.shape[1];
  const auto bytes = static_cast<size_t>(C) * sizeof(float);
  std::unordered_map<int32_t, int32_t> place;
  std::vector<int32_t> used, places;
  for (const int32_t id : ids) {
    const auto [entry, added] = place.emplace(id, static_cast<int32_t>(used.size()));
    if (added) used.push_back(id);
    places.push_back(entry->second);
  }
  const auto U = static_cast<int64_t>(used.size());
  float* rows = backend.take<float>(U * C);
  for (int64_t u = 0; u < U; ++u) std::memcpy(rows + u * C, dtable.floats() + used[static_cast<size_t>(u)] * C, bytes);
  const PackedMatrix packed{backend.take<float>(packed_elements(U, C)), DType::kF32, U, C};
  backend.ops().pack(rows, packed);
  backend.ops().embedding_backward({places.data(), dx, packed, static_cast<int64_t>(ids.size())});
  backend.ops().unpack(packed, rows);
  for (int64_t u = 0; u < U; ++u) std::memcpy(dtable.floats() + used[static_cast<size_t>(u)] * C, rows + u * C, bytes);
}

Napi::Value embedding_backward(const Napi::CallbackInfo& info) {
  Operands call(info, "embeddingBackward", {"ids", "dx", "dtable"});
  const Operand ids = call.in("ids", kInt, "T");
  const Operand dx = call.in("dx", kFloat, "TC");
  const Operand dtable = call.out("dtable", kFloat, "VC", Layout::kRowsOrPanels);
  call.require_sizes("VC");
  return call.run([=](KernelBackend& backend) {
    const std::vector<int32_t> rows = checked_indices(ids, 0, dtable.shape[0]);
    if (rows.empty()) return;
    if (!dtable.panels) return embedding_backward_rows(backend, rows, dx.floats(), dtable);
    const PackedMatrix packed{dtable.data, dtable.dtype, dtable.shape[0], dtable.shape[1]};
    backend.ops().embedding_backward({rows.data(), dx.floats(), packed, static_cast<int64_t>(rows.size())});
  });
}

}  // namespace

void register_linear_kernels(Napi::Env env, Napi::Object exports) {
  export_function<linear>(env, exports, "linear");
  export_function<linear_backward>(env, exports, "linearBackward");
  export_function<pack_weight>(env, exports, "packWeight");
  export_function<unpack_weight>(env, exports, "unpackWeight");
  export_function<embedding>(env, exports, "embedding");
  export_function<embedding_backward>(env, exports, "embeddingBackward");
}

}  // namespace toolgrad
