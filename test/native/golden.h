// Reading reference data: tensors of a safetensors file as fp32 or int32 vectors, and JSON files.
#pragma once

#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "engine/json.h"
#include "engine/weight_file.h"

namespace toolgrad::test {

class Golden {
 public:
  explicit Golden(const std::string& path) : file_(WeightFile::open_safetensors(path)) {}
  bool has(const std::string& name) const { return file_->find(name) != nullptr; }
  std::vector<int64_t> shape(const std::string& name) const { return file_->at(name).shape; }
  const std::vector<TensorEntry>& tensors() const { return file_->tensors(); }

  std::vector<float> floats(const std::string& name) const {
    const TensorEntry& entry = file_->at(name);
    std::vector<float> values(static_cast<size_t>(checked_elements(entry.shape, name)));
    file_->read_f32(entry, values.data());
    return values;
  }
  std::vector<int32_t> ints(const std::string& name) const {
    const TensorEntry& entry = file_->at(name);
    if (entry.dtype != "I32") throw Error("BAD_TEST_DATA", name + ": expected I32, found " + entry.dtype);
    std::vector<int32_t> values(static_cast<size_t>(checked_elements(entry.shape, name)));
    std::memcpy(values.data(), entry.data, values.size() * sizeof(int32_t));
    return values;
  }

 private:
  std::shared_ptr<WeightFile> file_;
};

inline json::Value read_json(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return json::parse(text.str());
}

/// A number of a JSON object, or `otherwise` when the key is absent or null.
inline double number(const json::Value& object, const char* key, double otherwise) {
  const json::Value* value = object.find(key);
  return value == nullptr || value->is_null() ? otherwise : value->as_double();
}
inline std::string text(const json::Value& object, const char* key) {
  const json::Value* value = object.find(key);
  return value == nullptr || !value->is_string() ? "" : value->as_string();
}

}  // namespace toolgrad::test
