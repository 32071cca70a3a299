// kernels.*: each op of engine/ops.h on the caller's own buffers, and what this processor runs.
#include <napi.h>

#include "cpu/cpu.h"
#include "napi/guard.h"
#include "napi/register.h"

namespace toolgrad {
namespace {

// isaInfo(): {chosen, supported}. Throws ERR_ISA when TOOLGRAD_ISA names what this processor lacks.
Napi::Value isa_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array supported = Napi::Array::New(env);
  for (int i = 0; i <= static_cast<int>(best_isa()); ++i)
    supported.Set(static_cast<uint32_t>(i), isa_name(static_cast<Isa>(i)));
  Napi::Object result = Napi::Object::New(env);
  result.Set("chosen", isa_name(isa_from_environment()));
  result.Set("supported", supported);
  return result;
}

}  // namespace

void register_kernels(Napi::Env env, Napi::Object exports) {
  export_function<isa_info>(env, exports, "isaInfo");
}

}  // namespace toolgrad
