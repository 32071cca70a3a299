#include "lane_kernel.h"

#include <cstring>

namespace conformance {

std::string lane_kernel(const std::string& entry, const std::string& code) {
  return ".visible .entry " + entry + R"((.param .u64 in, .param .u64 out, .param .u32 n)
{
.reg .pred %p, %q, %r;
.reg .b32 %a<4>, %o<4>, %lane, %s, %i, %j;
.reg .b64 %x, %y, %z, %in, %out;
.shared .align 128 .b8 s[4096];
mov.u32 %lane, %laneid;
mov.u32 %s, s;
mov.u32 %i, %ctaid.x;
mov.u32 %j, %ntid.x;
mul.lo.u32 %i, %i, %j;
mov.u32 %j, %tid.x;
add.u32 %i, %i, %j;
mul.wide.u32 %x, %i, 16;
ld.param.u64 %in, [in];
ld.param.u64 %out, [out];
cvta.to.global.u64 %in, %in;
cvta.to.global.u64 %out, %out;
add.u64 %in, %in, %x;
add.u64 %out, %out, %x;
ld.global.v4.u32 {%a0, %a1, %a2, %a3}, [%in];
mov.u32 %o0, 0;
mov.u32 %o1, 0;
mov.u32 %o2, 0;
mov.u32 %o3, 0;
setp.ne.u32 %r, %a3, 0;
)" + code +
         "\nst.global.v4.u32 [%out], {%o0, %o1, %o2, %o3};\nret;\n}\n";
}

Lanes run_lanes(Device& device, Device::Module module, const std::string& entry, const Lanes& in, uint32_t block) {
  std::vector<std::byte> from(in.size() * sizeof(Words)), to(in.size() * sizeof(Words), std::byte{0xcc});
  std::memcpy(from.data(), in.data(), from.size());
  device.run(module, entry, from, to, static_cast<uint32_t>(in.size()), block);
  Lanes out(in.size());
  std::memcpy(out.data(), to.data(), to.size());
  return out;
}

void run_lane_forms(Device& device, Tally& tally, const std::vector<LaneForm>& forms, const std::string& globals) {
  for (int sm : {80, 90}) {
    if (device.sm() < sm) continue;
    std::string text = sm == 80 ? ".version 7.4\n.target sm_80\n" : ".version 8.0\n.target sm_90\n";
    text += ".address_size 64\n" + globals;
    const auto entry = [](size_t i) { return "lanes_" + std::to_string(i); };
    for (size_t i = 0; i < forms.size(); ++i) {
      if (forms[i].sm == sm) text += lane_kernel(entry(i), forms[i].code);
    }
    const Device::Module module = device.load(text);
    for (size_t i = 0; i < forms.size(); ++i) {
      const LaneForm& form = forms[i];
      if (form.sm != sm) continue;
      tally.form(form.name);
      const Lanes out = run_lanes(device, module, entry(i), form.in, form.block);
      for (size_t l = 0; l < out.size(); ++l) {
        const Words want = form.reference(form.in, l / 32 * 32, static_cast<unsigned>(l % 32));
        std::string text_of;
        for (size_t k = 0; k < 4 && out[l] != want; ++k)
          text_of += " " + hex(out[l][k]) + (out[l][k] == want[k] ? "" : "≠" + hex(want[k]));
        tally.check(out[l] == want,
                    "warp " + std::to_string(l / 32) + " lane " + std::to_string(l % 32) + " gives" + text_of);
      }
    }
    device.unload(module);
  }
}

}  // namespace conformance
