#include "ptx/ir.h"

namespace sim::ptx {
namespace {

struct Named {
  const char* word;
  Type type;
  int bits;
};
constexpr Named kTypes[] = {
    {"pred", Type::kPred, 1},  {"b8", Type::kB8, 8},          {"b16", Type::kB16, 16},   {"b32", Type::kB32, 32},
    {"b64", Type::kB64, 64},   {"b128", Type::kB128, 128},    {"u8", Type::kU8, 8},      {"u16", Type::kU16, 16},
    {"u32", Type::kU32, 32},   {"u64", Type::kU64, 64},       {"s8", Type::kS8, 8},      {"s16", Type::kS16, 16},
    {"s32", Type::kS32, 32},   {"s64", Type::kS64, 64},       {"f16", Type::kF16, 16},   {"f16x2", Type::kF16x2, 32},
    {"bf16", Type::kBF16, 16}, {"bf16x2", Type::kBF16x2, 32}, {"tf32", Type::kTF32, 32}, {"f32", Type::kF32, 32},
    {"f64", Type::kF64, 64},
};

}  // namespace

int bits_of(Type type) {
  for (const Named& named : kTypes) {
    if (named.type == type) return named.bits;
  }
  return 0;
}

Type type_named(const std::string& word) {
  for (const Named& named : kTypes) {
    if (word == named.word) return named.type;
  }
  return Type::kNone;
}

const char* name_of(Type type) {
  for (const Named& named : kTypes) {
    if (named.type == type) return named.word;
  }
  return "none";
}

bool is_signed(Type type) {
  return type >= Type::kS8 && type <= Type::kS64;
}

bool is_float(Type type) {
  return type >= Type::kF16 && type <= Type::kF64;
}

const Function* File::find(const std::string& name) const {
  for (const auto& function : functions) {
    if (function->name == name) return function.get();
  }
  return nullptr;
}

}  // namespace sim::ptx
