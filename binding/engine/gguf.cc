// The GGUF parser (versions 2 and 3, little-endian) and the name map. Format: ggml's docs/gguf.md.
// Gaps between tensors are allowed (alignment padding is one); overlaps are not. Counts and lengths are checked against
// the bytes that are left before anything is allocated for them.
#include "engine/gguf.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <utility>

#include "engine/error.h"
#include "engine/gguf_dequant.h"
#include "engine/weight_file.h"

namespace toolgrad {

namespace {

constexpr uint64_t kMaxTensors = 100'000;
constexpr uint64_t kMaxPairs = 100'000;
constexpr uint64_t kMaxArrayElements = 8'000'000;  // over all metadata arrays of a file
constexpr uint64_t kMaxNameBytes = 1024;
constexpr uint32_t kMaxRank = 4;
constexpr uint64_t kMaxAlignment = 1 << 20;

enum ValueType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

class Reader {
 public:
  explicit Reader(const MappedFile& file) : file_(file) {}

  [[noreturn]] void bad(const std::string& what) const { throw Error("ERR_WEIGHT_FILE", file_.path() + ": " + what); }

  const std::string& path() const { return file_.path(); }
  uint64_t position() const { return at_; }
  uint64_t left() const { return file_.size() - at_; }

  const uint8_t* take(uint64_t bytes, const char* what) {
    if (bytes > left()) {
      bad(std::string(what) + " of " + std::to_string(bytes) + " bytes at byte " + std::to_string(at_) +
          " does not fit the file of " + std::to_string(file_.size()) + " bytes: the file is truncated or damaged");
    }
    const uint8_t* data = file_.data() + at_;
    at_ += bytes;
    return data;
  }

  template <typename T>
  T number(const char* what) {
    T value;
    std::memcpy(&value, take(sizeof value, what), sizeof value);
    return value;
  }

  std::string string(const char* what) {
    const auto length = number<uint64_t>("a string length");
    return std::string(reinterpret_cast<const char*>(take(length, what)), length);
  }

  std::string name(const char* what) {
    std::string text = string(what);
    if (text.empty() || text.size() > kMaxNameBytes || !json::is_utf8(text) || text.find('\0') != std::string::npos) {
      bad(std::string(what) + " of " + std::to_string(text.size()) + " bytes before byte " + std::to_string(at_) +
          "; expected 1 to 1024 bytes of UTF-8 without NUL");
    }
    return text;
  }

  json::Value value(uint32_t type, const std::string& key) {
    switch (type) {
      case kUint8:
        return json::Value(static_cast<int64_t>(number<uint8_t>("a value")));
      case kInt8:
        return json::Value(static_cast<int64_t>(number<int8_t>("a value")));
      case kUint16:
        return json::Value(static_cast<int64_t>(number<uint16_t>("a value")));
      case kInt16:
        return json::Value(static_cast<int64_t>(number<int16_t>("a value")));
      case kUint32:
        return json::Value(static_cast<int64_t>(number<uint32_t>("a value")));
      case kInt32:
        return json::Value(static_cast<int64_t>(number<int32_t>("a value")));
      case kFloat32:
        return json::Value(static_cast<double>(number<float>("a value")));
      case kBool: {
        const auto byte = number<uint8_t>("a value");
        if (byte > 1)
          bad("metadata " + json::quote(key) + ": boolean byte " + std::to_string(byte) + ", expected 0 or 1");
        return json::Value(byte == 1);
      }
      case kString:
        return json::Value(string("a string"));
      case kUint64:
        return json::Value(number<uint64_t>("a value"));
      case kInt64:
        return json::Value(number<int64_t>("a value"));
      case kFloat64:
        return json::Value(number<double>("a value"));
      default:
        bad("metadata " + json::quote(key) + " has the unknown value type " + std::to_string(type));
    }
  }

  json::Value array(const std::string& key) {
    const auto type = number<uint32_t>("an array type");
    const auto count = number<uint64_t>("an array length");
    if (type == kArray) bad("metadata " + json::quote(key) + " is an array of arrays, which is not supported");
    if (count > left() || count > kMaxArrayElements - array_elements_) {  // every element takes a byte or more
      bad("metadata " + json::quote(key) + " claims " + std::to_string(count) + " elements, with " +
          std::to_string(left()) + " bytes left in the file and a limit of " + std::to_string(kMaxArrayElements));
    }
    array_elements_ += count;
    json::Array items;
    items.reserve(std::min<uint64_t>(count, 65536));
    for (uint64_t i = 0; i < count; ++i) items.push_back(value(type, key));
    return json::Value(std::move(items));
  }

 private:
  const MappedFile& file_;
  uint64_t at_ = 0;
  uint64_t array_elements_ = 0;
};

struct Header {
  uint64_t tensors;
  uint64_t pairs;
};

Header read_header(Reader* reader) {
  if (std::memcmp(reader->take(4, "the file header"), "GGUF", 4) != 0) reader->bad("does not start with GGUF");
  const auto version = reader->number<uint32_t>("the version");
  if (version == 0x02000000 || version == 0x03000000) reader->bad("big-endian GGUF is not supported");
  if (version != 2 && version != 3) {
    reader->bad("GGUF version " + std::to_string(version) + " is not supported, expected 2 or 3");
  }
  const auto tensors = reader->number<uint64_t>("the tensor count");
  const auto pairs = reader->number<uint64_t>("the metadata count");
  if (tensors > kMaxTensors || tensors > reader->left() / 24 || pairs > kMaxPairs || pairs > reader->left() / 13) {
    reader->bad("claims " + std::to_string(tensors) + " tensors and " + std::to_string(pairs) +
                " metadata pairs, which " + std::to_string(reader->left()) + " bytes cannot hold (limit 100000 each)");
  }
  return {tensors, pairs};
}

json::Value read_metadata(Reader* reader, uint64_t pairs) {
  json::Object metadata;
  metadata.reserve(pairs);
  for (uint64_t i = 0; i < pairs; ++i) {
    std::string key = reader->name("a metadata key");
    const auto type = reader->number<uint32_t>("a value type");
    json::Value value = type == kArray ? reader->array(key) : reader->value(type, key);
    metadata.push_back(json::Member{std::move(key), std::move(value)});
  }
  if (const std::string* twin = json::duplicate_key(metadata)) {
    reader->bad("metadata " + json::quote(*twin) + " occurs twice");
  }
  return json::Value(std::move(metadata));
}

uint64_t read_alignment(const Reader& reader, const json::Value& metadata) {
  const json::Value* value = metadata.find("general.alignment");
  if (value == nullptr) return 32;
  const int64_t alignment = value->is_int64() ? value->as_int64() : 0;
  if (alignment < 1 || static_cast<uint64_t>(alignment) > kMaxAlignment || (alignment & (alignment - 1)) != 0) {
    reader.bad("general.alignment must be a power of two up to 1048576");
  }
  return static_cast<uint64_t>(alignment);
}

struct Placed {
  TensorEntry entry;
  uint64_t offset;  // from the start of the data
  bool known_size;
};

Placed read_tensor_info(Reader* reader) {
  Placed placed;
  TensorEntry& entry = placed.entry;
  entry.name = reader->name("a tensor name");
  const std::string where = "tensor " + json::quote(entry.name);
  const auto rank = reader->number<uint32_t>("a number of dimensions");
  if (rank < 1 || rank > kMaxRank) reader->bad(where + " has " + std::to_string(rank) + " dimensions, expected 1 to 4");
  for (uint32_t i = 0; i < rank; ++i) {
    const auto dimension = reader->number<uint64_t>("a dimension");
    if (dimension < 1 || dimension > uint64_t{1} << 62) {
      reader->bad(where + ": dimension " + std::to_string(dimension) + " is out of range");
    }
    entry.shape.insert(entry.shape.begin(), static_cast<int64_t>(dimension));  // stored innermost first
  }
  const auto id = reader->number<uint32_t>("a tensor type");
  placed.offset = reader->number<uint64_t>("a tensor offset");
  const int64_t elements = checked_elements(entry.shape, reader->path() + ": " + where);
  const BlockType* type = find_gguf_type(id);
  placed.known_size = type != nullptr;
  entry.dtype = type != nullptr ? type->name : "type " + std::to_string(id);
  entry.data = nullptr;
  entry.bytes = 0;
  if (type != nullptr) {
    if (entry.shape.back() % type->block_elements != 0) {
      reader->bad(where + ": rows of " + std::to_string(entry.shape.back()) + " elements are no multiple of the " +
                  std::to_string(type->block_elements) + " elements in a block of " + entry.dtype);
    }
    const auto blocks = static_cast<uint64_t>(elements / type->block_elements);
    if (__builtin_mul_overflow(blocks, static_cast<uint64_t>(type->block_bytes), &entry.bytes)) {
      reader->bad(where + ": " + shape_text(entry.shape) + " needs more bytes than a 64-bit count holds");
    }
  }
  return placed;
}

// Turns offsets into pointers after checking that every tensor lies inside the data and no two share a byte.
void place(const Reader& reader, std::vector<Placed>* tensors, uint64_t alignment, const uint8_t* data,
           uint64_t data_bytes) {
  std::vector<Placed*> order;
  order.reserve(tensors->size());
  for (Placed& placed : *tensors) order.push_back(&placed);
  std::sort(order.begin(), order.end(), [](const Placed* a, const Placed* b) { return a->offset < b->offset; });
  for (size_t i = 0; i < order.size(); ++i) {
    Placed& placed = *order[i];
    const std::string where = "tensor " + json::quote(placed.entry.name);
    if (placed.offset % alignment != 0) {
      reader.bad(where + ": offset " + std::to_string(placed.offset) + " is no multiple of the alignment " +
                 std::to_string(alignment));
    }
    if (placed.offset > data_bytes || placed.entry.bytes > data_bytes - placed.offset) {
      reader.bad(where + ": " + std::to_string(placed.entry.bytes) + " bytes at offset " +
                 std::to_string(placed.offset) + " lie beyond the " + std::to_string(data_bytes) +
                 " bytes of data: the file is truncated, download it again");
    }
    const uint64_t limit = i + 1 < order.size() ? order[i + 1]->offset : data_bytes;
    if (!placed.known_size) placed.entry.bytes = std::min(limit, data_bytes) - placed.offset;
    if (i + 1 < order.size() && placed.entry.bytes > limit - placed.offset) {
      reader.bad("tensors " + json::quote(placed.entry.name) + " and " + json::quote(order[i + 1]->entry.name) +
                 " overlap");
    }
    placed.entry.data = data + placed.offset;
  }
}

}  // namespace

std::shared_ptr<WeightFile> WeightFile::parse_gguf(std::shared_ptr<const MappedFile> file) {
  Reader reader(*file);
  const Header header = read_header(&reader);
  json::Value metadata = read_metadata(&reader, header.pairs);
  const uint64_t alignment = read_alignment(reader, metadata);
  std::vector<Placed> placed;
  placed.reserve(header.tensors);
  for (uint64_t i = 0; i < header.tensors; ++i) placed.push_back(read_tensor_info(&reader));
  if (header.tensors > 0) {
    const uint64_t padding = (alignment - reader.position() % alignment) % alignment;
    reader.take(padding, "padding before the data");
    const uint64_t data_bytes = reader.left();
    place(reader, &placed, alignment, file->data() + reader.position(), data_bytes);
  }
  std::vector<TensorEntry> tensors;
  tensors.reserve(placed.size());
  for (Placed& item : placed) tensors.push_back(std::move(item.entry));
  return std::shared_ptr<WeightFile>(
      new WeightFile(WeightFormat::kGguf, std::move(file), std::move(tensors), std::move(metadata)));
}

std::optional<std::string> gguf_hf_name(std::string_view gguf_name) {
  struct Pair {
    std::string_view gguf, hf;
  };
  static constexpr Pair kTop[] = {
      {"token_embd.weight", "model.embed_tokens.weight"},
      {"output_norm.weight", "model.norm.weight"},
      {"output.weight", "lm_head.weight"},
  };
  static constexpr Pair kLayer[] = {
      {"attn_norm", "input_layernorm"},    {"ffn_norm", "post_attention_layernorm"},
      {"attn_q", "self_attn.q_proj"},      {"attn_k", "self_attn.k_proj"},
      {"attn_v", "self_attn.v_proj"},      {"attn_output", "self_attn.o_proj"},
      {"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"},
      {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
      {"ffn_down", "mlp.down_proj"},
  };
  for (const Pair& pair : kTop) {
    if (gguf_name == pair.gguf) return std::string(pair.hf);
  }
  if (!gguf_name.starts_with("blk.")) return std::nullopt;
  const std::string_view rest = gguf_name.substr(4);
  const size_t dot = rest.find('.'), last = rest.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || last <= dot) return std::nullopt;
  const std::string_view layer = rest.substr(0, dot), middle = rest.substr(dot + 1, last - dot - 1),
                         kind = rest.substr(last);
  if (!std::all_of(layer.begin(), layer.end(), [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  if (kind != ".weight" && kind != ".bias") return std::nullopt;
  for (const Pair& pair : kLayer) {
    if (middle == pair.gguf)
      return "model.layers." + std::string(layer) + "." + std::string(pair.hf) + std::string(kind);
  }
  return std::nullopt;
}

bool gguf_rows_interleaved(std::string_view arch, std::string_view hf_name) {
  if (arch != "llama") return false;
  for (const std::string_view end : {".q_proj.weight", ".k_proj.weight", ".q_proj.bias", ".k_proj.bias"}) {
    if (hf_name.ends_with(end)) return true;
  }
  return false;
}

}  // namespace toolgrad
