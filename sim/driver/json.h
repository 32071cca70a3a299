// A JSON text, written in order: open, members, close. The writer puts the commas.
#pragma once

#include <cstdint>
#include <string>

namespace sim {

class JsonWriter {
 public:
  JsonWriter& key(const std::string& name) {
    separate();
    append_string(name);
    text_ += ": ";
    fresh_ = true;
    return *this;
  }
  JsonWriter& value(const std::string& text) {
    separate();
    append_string(text);
    return *this;
  }
  JsonWriter& value(const char* text) { return value(std::string(text)); }
  JsonWriter& value(uint64_t number) {
    separate();
    text_ += std::to_string(number);
    return *this;
  }
  JsonWriter& value(int number) {
    separate();
    text_ += std::to_string(number);
    return *this;
  }
  JsonWriter& value(bool truth) {
    separate();
    text_ += truth ? "true" : "false";
    return *this;
  }
  /// `bracket` is '{' or '['.
  JsonWriter& open(char bracket) {
    separate();
    text_ += bracket;
    fresh_ = true;
    return *this;
  }
  JsonWriter& close(char bracket) {
    text_ += bracket;
    fresh_ = false;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  void separate() {
    if (!fresh_) text_ += ", ";
    fresh_ = false;
  }
  void append_string(const std::string& text) {
    constexpr char kHex[] = "0123456789abcdef";
    text_ += '"';
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        text_ += '\\';
        text_ += c;
      } else if (byte < 0x20 || byte >= 0x7f) {
        // Texts of the simulator are ASCII; a byte of anything else stands for itself.
        text_ += std::string("\\u00") + kHex[byte >> 4] + kHex[byte & 15];
      } else {
        text_ += c;
      }
    }
    text_ += '"';
  }
  std::string text_;
  bool fresh_ = true;
};

}  // namespace sim
