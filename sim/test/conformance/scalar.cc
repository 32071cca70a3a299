// Runs the scalar forms: one kernel per form, all of one target in one module.
#include <cmath>
#include <cstring>

#include "device.h"
#include "forms.h"

namespace conformance {
namespace {

const char* type_of(char kind) {
  switch (kind) {
    case 'p':
      return ".pred";
    case 'h':
      return ".b16";
    case 'r':
      return ".b32";
    case 'f':
      return ".f32";
    case 'e':
      return ".f64";
    default:
      return ".b64";
  }
}

std::string load(char kind, const std::string& name, size_t index) {
  std::string text = "ld.global.u64 %raw, [%in+" + std::to_string(8 * index) + "];\n";
  switch (kind) {
    case 'p':
      return text + "setp.ne.u64 " + name + ", %raw, 0;\n";
    case 'h':
      return text + "cvt.u16.u64 " + name + ", %raw;\n";
    case 'r':
      return text + "cvt.u32.u64 " + name + ", %raw;\n";
    case 'f':
      return text + "cvt.u32.u64 %word, %raw;\nmov.b32 " + name + ", %word;\n";
    default:
      return text + "mov.b64 " + name + ", %raw;\n";
  }
}

std::string store(char kind) {
  std::string text;
  switch (kind) {
    case 'p':
      text = "selp.u64 %raw, 1, 0, %o;\n";
      break;
    case 'h':
      text = "cvt.u64.u16 %raw, %o;\n";
      break;
    case 'r':
      text = "cvt.u64.u32 %raw, %o;\n";
      break;
    case 'f':
      text = "mov.b32 %word, %o;\ncvt.u64.u32 %raw, %word;\n";
      break;
    default:
      text = "mov.b64 %raw, %o;\n";
      break;
  }
  return text + "st.global.u64 [%out], %raw;\n";
}

std::string kernel(const ScalarForm& form, const std::string& entry) {
  std::string text = ".visible .entry " + entry + "(.param .u64 in, .param .u64 out, .param .u32 n)\n{\n";
  text += ".reg .pred %past;\n.reg .b32 %i, %n, %t, %word;\n.reg .b64 %in, %out, %raw;\n";
  text += std::string(".reg ") + type_of(form.result) + " %o;\n";
  for (size_t k = 0; k < form.sources.size(); ++k) {
    text += std::string(".reg ") + type_of(form.sources[k]) + " %" + static_cast<char>('a' + k) + ";\n";
  }
  text += "mov.u32 %i, %ctaid.x;\nmov.u32 %n, %ntid.x;\nmov.u32 %t, %tid.x;\nmad.lo.u32 %i, %i, %n, %t;\n";
  text +=
      "ld.param.u32 %n, [n];\nsetp.ge.u32 %past, %i, %n;\n@%past ret;\nld.param.u64 %in, [in];\nld.param.u64 %out, "
      "[out];\n";
  text += "cvta.to.global.u64 %in, %in;\ncvta.to.global.u64 %out, %out;\n";
  text += "mul.wide.u32 %raw, %i, " + std::to_string(8 * form.sources.size()) + ";\nadd.u64 %in, %in, %raw;\n";
  text += "mul.wide.u32 %raw, %i, 8;\nadd.u64 %out, %out, %raw;\n";
  for (size_t k = 0; k < form.sources.size(); ++k) {
    text += load(form.sources[k], std::string("%") + static_cast<char>('a' + k), k);
  }
  return text + form.code + "\n" + store(form.result) + "ret;\n}\n";
}

std::vector<uint64_t> combinations(const ScalarForm& form) {
  std::vector<uint64_t> all;
  std::vector<size_t> at(form.domains.size(), 0);
  for (;;) {
    for (size_t k = 0; k < at.size(); ++k) all.push_back((*form.domains[k])[at[k]]);
    size_t k = 0;
    while (k < at.size() && ++at[k] == form.domains[k]->size()) at[k++] = 0;
    if (k == at.size()) return all;
  }
}

bool agrees(const ScalarForm& form, uint64_t got, uint64_t want) {
  if (got == want) return true;
  if (form.format == nullptr) return false;
  if (is_nan(got, *form.format) && is_nan(want, *form.format)) return true;
  if (form.ulps != 0 && distance(got, want, *form.format) <= form.ulps) return true;
  if (form.absolute == 0) return false;
  const double difference = static_cast<double>(decode(got, *form.format) - decode(want, *form.format));
  return std::fabs(difference) <= form.absolute;
}

void run(Device& device, Tally& tally, const ScalarForm& form, Device::Module module, const std::string& entry) {
  tally.form(form.name);
  const std::vector<uint64_t> values = combinations(form);
  const size_t arity = form.sources.size(), count = values.size() / arity;
  std::vector<std::byte> in(values.size() * 8), out(count * 8, std::byte{0xcc});
  std::memcpy(in.data(), values.data(), in.size());
  device.run(module, entry, in, out, static_cast<uint32_t>(count));
  for (size_t i = 0; i < count; ++i) {
    uint64_t got;
    std::memcpy(&got, out.data() + 8 * i, 8);
    const uint64_t want = form.reference(values.data() + i * arity);
    if (agrees(form, got, want)) {
      tally.check(true, "");
      continue;
    }
    std::string text;
    for (size_t k = 0; k < arity; ++k) text += (k != 0 ? ", " : "") + hex(values[i * arity + k]);
    tally.check(false, "(" + text + ") gives " + hex(got) + ", not " + hex(want));
  }
}

}  // namespace

void scalar_forms(Device& device, Tally& tally) {
  std::vector<ScalarForm> forms;
  integer_forms(forms);
  bit_forms(forms);
  float_forms(forms);
  half_forms(forms);
  conversion_forms(forms);
  comparison_forms(forms);
  packed_forms(forms);
  for (int sm : {80, 90}) {
    if (device.sm() < sm) continue;
    std::string text = sm == 80 ? ".version 7.4\n.target sm_80\n" : ".version 7.8\n.target sm_90\n";
    text += ".address_size 64\n";
    const auto entry = [](size_t i) { return "form_" + std::to_string(i); };
    for (size_t i = 0; i < forms.size(); ++i) {
      if (forms[i].sm == sm) text += kernel(forms[i], entry(i));
    }
    const Device::Module module = device.load(text);
    for (size_t i = 0; i < forms.size(); ++i) {
      if (forms[i].sm == sm) run(device, tally, forms[i], module, entry(i));
    }
    device.unload(module);
  }
}

}  // namespace conformance
