// What a kernel can call outside of its file: a failed assertion, and printf, which writes to standard output at once
// (a GPU buffers it until the next synchronisation; the lines of different warps mix in any order there as well).
#include <algorithm>
#include <cstdio>

#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/lowering.h"

namespace sim {
namespace {

/// Bytes at a generic address; raises when they are not there.
void fetch(Warp& w, const Instr& in, int lane, uint64_t address, void* to, size_t bytes) {
  const uint64_t frame = w.cta->run->kernel->frame_bytes;
  if (address >= kLocalWindow && address - kLocalWindow + bytes <= frame) {
    std::memcpy(to, w.local + static_cast<uint64_t>(lane) * frame + (address - kLocalWindow), bytes);
    return;
  }
  const Block* block = w.cta->run->memory->find(address);
  if (block == nullptr || !block->live || address - block->base + bytes > block->bytes) {
    raise(w, in, lane, 700, "an argument of printf or assert is " + w.cta->run->memory->describe(address));
  }
  std::memcpy(to, block->data + (address - block->base), bytes);
}

std::string text_at(Warp& w, const Instr& in, int lane, uint64_t address) {
  std::string text;
  for (char c = 0; text.size() < 4096; text += c) {
    fetch(w, in, lane, address + text.size(), &c, 1);
    if (c == '\0') break;
  }
  return text;
}

/// The 64-bit parameter at the i-th place of `immediate` (20 bits each) in the lane's frame.
uint64_t parameter(Warp& w, const Instr& in, int lane, int i) {
  uint64_t value;
  const uint64_t frame = w.cta->run->kernel->frame_bytes, base = lane_of<uint64_t>(w.arena + in.op[1], lane);
  std::memcpy(&value, w.local + static_cast<uint64_t>(lane) * frame + base + ((in.immediate >> (20 * i)) & 0xfffff), 8);
  return value;
}

void failed_assertion(Warp& w, const Instr& in, uint32_t mask) {
  const int lane = std::countr_zero(mask);
  raise(w, in, lane, 710,
        "assertion `" + text_at(w, in, lane, parameter(w, in, lane, 0)) + "' failed (" +
            text_at(w, in, lane, parameter(w, in, lane, 1)) + ")");
}

/// One lane's printf: every conversion takes 4 or 8 bytes, aligned to its size, from the argument block.
std::string formatted(Warp& w, const Instr& in, int lane, const std::string& format, uint64_t arguments) {
  std::string out;
  uint64_t at = 0;
  const auto next = [&](void* to, size_t bytes) {
    at = (at + bytes - 1) / bytes * bytes;
    fetch(w, in, lane, arguments + at, to, bytes);
    at += bytes;
  };
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    const size_t end = format.find_first_of("diouxXcsfFeEgGaAp%", i + 1);
    if (end == std::string::npos) return out + format.substr(i);
    std::string conversion = format.substr(i, end - i + 1);
    const char kind = conversion.back();
    const bool wide = conversion.find('l') != std::string::npos || conversion.find('z') != std::string::npos;
    i = end;
    std::erase_if(conversion, [](char c) { return c == 'l' || c == 'z' || c == 'h'; });
    char buffer[512] = {};
    if (kind == '%') {
      out += '%';
      continue;
    }
    if (conversion.find('*') != std::string::npos) return out + "(* is not supported)";
    if (kind == 's') {
      uint64_t address = 0;
      next(&address, 8);
      std::snprintf(buffer, sizeof buffer, conversion.c_str(), text_at(w, in, lane, address).c_str());
    } else if (std::string_view("fFeEgGaA").find(kind) != std::string_view::npos) {
      double value = 0;
      next(&value, 8);
      std::snprintf(buffer, sizeof buffer, conversion.c_str(), value);
    } else if (kind == 'p') {
      uint64_t value = 0;
      next(&value, 8);
      std::snprintf(buffer, sizeof buffer, "%s", hex(value).c_str());
    } else if (wide) {
      long long value = 0;
      next(&value, 8);
      conversion.insert(conversion.size() - 1, "ll");
      std::snprintf(buffer, sizeof buffer, conversion.c_str(), value);
    } else {
      int value = 0;
      next(&value, 4);
      std::snprintf(buffer, sizeof buffer, conversion.c_str(), value);
    }
    out += buffer;
  }
  return out;
}

/// target: the frame offset of the result.
void print(Warp& w, const Instr& in, uint32_t mask) {
  const uint64_t frame = w.cta->run->kernel->frame_bytes;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const std::string format = text_at(w, in, lane, parameter(w, in, lane, 0));
    const std::string text = formatted(w, in, lane, format, parameter(w, in, lane, 1));
    std::fwrite(text.data(), 1, text.size(), stdout);
    const int32_t count = static_cast<int32_t>(std::count(format.begin(), format.end(), '%'));  // of conversions, about
    const uint64_t base = lane_of<uint64_t>(w.arena + in.op[1], lane);
    std::memcpy(w.local + static_cast<uint64_t>(lane) * frame + base + static_cast<uint64_t>(in.target), &count, 4);
  }
  std::fflush(stdout);
}

uint64_t places(Form& f) {
  f.out.op[1] = f.lowering().relative() ? f.lowering().frame_slot() : f.constant(0, true);
  uint64_t all = 0;
  for (size_t i = 0; i < 2; ++i) {
    const ptx::Operand& parameter = f.operand(i);
    if (parameter.kind != ptx::Operand::kVariable) f.unknown("operands");
    all |= (f.lowering().address_of(*parameter.variable, f.source.line) & 0xfffff) << (20 * i);
  }
  return all;
}

}  // namespace

void add_printing(Decoders& decoders) {
  decoders["__assertfail"] = [](Form& f) {
    f.out.immediate = static_cast<int64_t>(places(f));
    f.out.run = failed_assertion;
  };
  decoders["vprintf"] = [](Form& f) {
    f.out.immediate = static_cast<int64_t>(places(f));
    if (f.source.results.size() != 1 || f.source.results[0].kind != ptx::Operand::kVariable) f.unknown("result");
    f.out.target =
        static_cast<int32_t>(f.lowering().address_of(*f.source.results[0].variable, f.source.line) & 0xfffff);
    f.out.run = print;
  };
}

}  // namespace sim
