// The safetensors parser. Layout: u64 header length, JSON header, data. As strict as the reference implementation:
// entries must cover the data exactly, without holes, overlaps or trailing bytes.
#include "engine/safetensors.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "engine/error.h"
#include "engine/gguf_dequant.h"
#include "engine/weight_file.h"

namespace toolgrad {

namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxTensors = 100'000;
constexpr size_t kMaxRank = 16;
constexpr size_t kMaxNameBytes = 1024;

[[noreturn]] void bad(const std::string& where, const std::string& what) {
  throw Error("ERR_WEIGHT_FILE", where + ": " + what);
}

std::string_view header_text(const MappedFile& file) {
  const std::string& path = file.path();
  if (file.size() < 8) {
    bad(path, "expected a safetensors file of at least 8 bytes, found " + std::to_string(file.size()));
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  if (length > kMaxHeaderBytes) {
    bad(path, "header length " + std::to_string(length) + " is above the limit of " + std::to_string(kMaxHeaderBytes) +
                  " bytes: not a safetensors file?");
  }
  if (length > file.size() - 8) {
    bad(path, "header of " + std::to_string(length) + " bytes does not fit the file of " + std::to_string(file.size()) +
                  " bytes: the file is truncated, download it again");
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + 8, length);
  if (text.empty() || text[0] != '{') bad(path, "the header is not a JSON object: not a safetensors file?");
  return text;
}

json::Value parse_header(std::string_view text, const std::string& path) {
  json::Limits limits;
  limits.max_depth = 3;  // header, tensor, shape
  limits.max_values = kMaxTensors * (4 + kMaxRank);
  try {
    json::Value header = json::parse(text, limits);
    if (header.as_object().size() <= kMaxTensors + 1) return header;
  } catch (const Error& error) {
    if (error.code() != "ERR_JSON") throw;
    bad(path, std::string("malformed header: ") + error.what());
  }
  bad(path, "more than " + std::to_string(kMaxTensors) + " tensors");
}

const json::Value& member(const json::Value& info, const char* key, const std::string& where) {
  const json::Value* value = info.find(key);
  if (value == nullptr) bad(where, std::string("\"") + key + "\" is missing");
  return *value;
}

TensorEntry parse_entry(const std::string& name, const json::Value& info, const uint8_t* data, uint64_t data_bytes,
                        const std::string& path) {
  const std::string where = path + ": tensor " + json::quote(name);
  if (name.empty() || name.size() > kMaxNameBytes || name.find('\0') != std::string::npos) {
    bad(path, "a tensor name of " + std::to_string(name.size()) + " bytes; expected 1 to 1024 without NUL");
  }
  if (!info.is_object()) bad(where, std::string("expected an object, found ") + info.kind());
  for (const json::Member& field : info.as_object()) {
    if (field.key != "dtype" && field.key != "shape" && field.key != "data_offsets") {
      bad(where, "unknown key " + json::quote(field.key));
    }
  }
  TensorEntry entry;
  entry.name = name;
  entry.dtype = member(info, "dtype", where).as_string();
  const BlockType* type = find_block_type(entry.dtype);
  if (type == nullptr || !type->safetensors) bad(where, "unknown dtype " + json::quote(entry.dtype));

  const json::Array& shape = member(info, "shape", where).as_array();
  if (shape.size() > kMaxRank) bad(where, std::to_string(shape.size()) + " dimensions; at most 16 are supported");
  for (const json::Value& dimension : shape) entry.shape.push_back(dimension.as_int64());
  const int64_t elements = checked_elements(entry.shape, where);

  const json::Array& offsets = member(info, "data_offsets", where).as_array();
  if (offsets.size() != 2) bad(where, "data_offsets has " + std::to_string(offsets.size()) + " numbers, expected 2");
  const uint64_t begin = offsets[0].as_uint64(), end = offsets[1].as_uint64();
  const std::string range = std::to_string(begin) + " to " + std::to_string(end);
  if (begin > end) bad(where, "data_offsets run backwards: " + range);
  if (end > data_bytes) {
    bad(where, "bytes " + range + " lie beyond the " + std::to_string(data_bytes) +
                   " bytes of data in the file: the file is truncated, download it again");
  }
  uint64_t expected = 0;
  if (__builtin_mul_overflow(static_cast<uint64_t>(elements), static_cast<uint64_t>(type->block_bytes), &expected) ||
      expected != end - begin) {
    bad(where, entry.dtype + " " + shape_text(entry.shape) + " needs " + std::to_string(elements) + " x " +
                   std::to_string(type->block_bytes) + " bytes, but data_offsets give " + std::to_string(end - begin));
  }
  entry.data = data + begin;
  entry.bytes = end - begin;
  return entry;
}

void check_coverage(const std::vector<TensorEntry>& tensors, const uint8_t* data, uint64_t data_bytes,
                    const std::string& path) {
  std::vector<const TensorEntry*> order;
  order.reserve(tensors.size());
  for (const TensorEntry& entry : tensors) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const TensorEntry* a, const TensorEntry* b) {
    return a->data != b->data ? a->data < b->data : a->bytes < b->bytes;
  });
  uint64_t at = 0;
  const TensorEntry* previous = nullptr;
  for (const TensorEntry* entry : order) {
    const auto begin = static_cast<uint64_t>(entry->data - data);
    if (begin < at) {
      bad(path, "tensors " + json::quote(previous->name) + " and " + json::quote(entry->name) + " overlap");
    }
    if (begin > at) {
      bad(path,
          std::to_string(begin - at) + " bytes before tensor " + json::quote(entry->name) + " belong to no tensor");
    }
    at = begin + entry->bytes;
    previous = entry;
  }
  if (at != data_bytes) bad(path, std::to_string(data_bytes - at) + " bytes after the last tensor belong to no tensor");
}

}  // namespace

std::shared_ptr<WeightFile> WeightFile::parse_safetensors(std::shared_ptr<const MappedFile> file) {
  const std::string& path = file->path();
  const std::string_view text = header_text(*file);
  const uint8_t* data = file->data() + 8 + text.size();
  const uint64_t data_bytes = file->size() - 8 - text.size();
  std::vector<TensorEntry> tensors;
  json::Value metadata{json::Object{}};
  const json::Value header = parse_header(text, path);
  for (const json::Member& item : header.as_object()) {
    const bool is_metadata = item.key == "__metadata__";
    try {
      if (!is_metadata) {
        tensors.push_back(parse_entry(item.key, item.value, data, data_bytes, path));
        continue;
      }
      for (const json::Member& pair : item.value.as_object()) pair.value.as_string();
      metadata = item.value;
    } catch (const Error& error) {
      if (error.code() != "ERR_JSON") throw;
      bad(path, (is_metadata ? "" : "tensor ") + json::quote(item.key) + ": " + error.what());
    }
  }
  check_coverage(tensors, data, data_bytes, path);
  return std::shared_ptr<WeightFile>(
      new WeightFile(WeightFormat::kSafetensors, std::move(file), std::move(tensors), std::move(metadata)));
}

}  // namespace toolgrad
