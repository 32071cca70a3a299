// Weight files: what a valid one gives, what each malformed one says, that no mutation of a file crashes, and that the
// golden files dequantise bit for bit (skipped with a line when ../shared is absent). Also run under ASan and UBSan.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "check.h"
#include "engine/dtype.h"
#include "engine/gguf.h"
#include "engine/json.h"
#include "engine/model_weights.h"
#include "engine/safetensors.h"
#include "engine/weight_file.h"
#include "weight_bytes.h"

namespace {

using namespace toolgrad;
using namespace toolgrad::test;
namespace fs = std::filesystem;

std::shared_ptr<WeightFile> safetensors(const Bytes& bytes) {
  return WeightFile::parse_safetensors(MappedFile::from_bytes(bytes, "model.safetensors"));
}

std::shared_ptr<WeightFile> gguf(const Bytes& bytes) {
  return WeightFile::parse_gguf(MappedFile::from_bytes(bytes, "model.gguf"));
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> read(const WeightFile& file, const TensorEntry& entry) {
  std::vector<float> values(static_cast<size_t>(checked_elements(entry.shape, entry.name)));
  file.read_f32(entry, values.data());
  return values;
}

void json_is_strict_and_exact() {
  check(json::parse("9007199254740993").as_int64() == 9007199254740993, "JSON keeps an integer above 2^53");
  check(json::parse("18446744073709551615").as_uint64() == UINT64_MAX, "JSON keeps the largest u64");
  check(json::parse("-9223372036854775808").as_int64() == INT64_MIN, "JSON keeps the least i64");
  check(json::parse(R"("\u00e9\ud83d\ude00\n")").as_string() == "\xc3\xa9\xf0\x9f\x98\x80\n",
        "JSON decodes escapes to UTF-8");
  check(json::parse(json::quote("a\"\\\n\x01\xc3\xa9")).as_string() == "a\"\\\n\x01\xc3\xa9",
        "quote() and parse() are inverse");
  const std::pair<const char*, const char*> refused[] = {
      {"{\"a\":1,\"a\":2}", "duplicate key"},
      {"[1,]", "expected a value"},
      {"[01]", "leading zero"},
      {"[1] x", "unexpected text"},
      {"18446744073709551616", "does not fit 64 bits"},
      {"-9223372036854775809", "does not fit 64 bits"},
      {"1e999", "out of range"},
      {"\"\\ud800\"", "surrogate"},
      {"\"\xc0\xaf\"", "invalid UTF-8"},
      {"\"\xed\xa0\x80\"", "invalid UTF-8"},
      {"\"a\nb\"", "control character"},
      {"\"abc", "unterminated"},
      {"{\"a\":", "found the end"},
      {"nul", "expected a value"},
      {"-", "expected a value"},
      {"", "found the end"},
  };
  for (const auto& [text, part] : refused) {
    check_throws([text = text] { json::parse(text); }, "ERR_JSON", part, "JSON is refused");
  }
  check_throws([] { json::parse(std::string(100, '[')); }, "ERR_JSON", "nested deeper than 64", "JSON nested 100 deep");
  json::Limits few;
  few.max_values = 10;
  check_throws([&] { json::parse("[1,2,3,4,5,6,7,8,9,10]", few); }, "ERR_JSON", "more than 10 values",
               "JSON with too many values");
}

void a_written_file_reads_back() {
  const fs::path folder = fs::temp_directory_path() / ("toolgrad-weights-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  const std::string path = (folder / "model.safetensors").string();
  Random random(1);
  const std::vector<float> wide = random.normals(6);
  std::vector<uint16_t> narrow, halves;
  for (const float value : wide) {
    narrow.push_back(f32_to_bf16(value));
    halves.push_back(f32_to_f16(value));
  }
  const uint8_t byte = 7;
  write_safetensors(path,
                    {{"byte", DType::kU8, {}, &byte},
                     {"halves", DType::kF16, {6}, halves.data()},
                     {"narrow \"\xc3\xa9\"", DType::kBF16, {3, 2}, narrow.data()},
                     {"wide", DType::kF32, {2, 3}, wide.data()},
                     {"empty", DType::kF32, {0, 4}, nullptr}},
                    {{"step", "12"}});
  const auto file = WeightFile::open(path);
  check(file->tensors().size() == 5 && same_bits(read(*file, file->at("wide")), wide),
        "an fp32 tensor reads back the same bits");
  bool rounded = true;
  const std::vector<float> read_narrow = read(*file, file->at("narrow \"\xc3\xa9\"")),
                           read_halves = read(*file, file->at("halves"));
  for (size_t i = 0; i < 6; ++i) {
    rounded = rounded && read_narrow[i] == bf16_to_f32(narrow[i]) && read_halves[i] == f16_to_f32(halves[i]);
  }
  check(rounded, "bf16 and fp16 tensors widen to the values written");
  check(file->metadata().find("format")->as_string() == "pt" && file->metadata().find("step")->as_string() == "12",
        "metadata are written, with format: pt added");
  check(*file->at("byte").data == 7, "a tensor without dimensions holds one element");
  check((file->at("wide").data - reinterpret_cast<const uint8_t*>(0)) % 4 == 0, "fp32 data are aligned in the file");
  std::vector<float> row(3);
  file->read_f32_rows(file->at("wide"), 1, 1, row.data());
  check(same_bits(row, {wide[3], wide[4], wide[5]}), "a range of rows can be read alone");
  check_throws([&] { file->read_f32_rows(file->at("wide"), 1, 2, row.data()); }, "ERR_OUT_OF_RANGE", "\"wide\" [2, 3]",
               "rows beyond the end");
  check_throws([&] { file->read_f32(file->at("byte"), row.data()); }, "ERR_WEIGHT_TYPE", "stored as U8",
               "a U8 tensor read as weight");
  check_throws([&] { file->at("nowhere"); }, "ERR_TENSOR_NOT_FOUND", "\"nowhere\"", "a missing tensor");

  const int64_t rows = 3 * kWriteChunkBytes / 4096 + 5;  // several chunks
  int64_t calls = 0;
  write_safetensors(path, {{"big", DType::kF32, {rows, 1024}}}, {},
                    [&](size_t, int64_t row0, int64_t count, void* out) {
                      ++calls;
                      std::fill_n(static_cast<float*>(out), count * 1024, static_cast<float>(row0));
                      for (int64_t i = 0; i < count; ++i)
                        static_cast<float*>(out)[i * 1024] = static_cast<float>(row0 + i);
                    });
  const auto big = WeightFile::open(path);
  const std::vector<float> values = read(*big, big->at("big"));
  bool counted = calls > 1;
  for (int64_t i = 0; i < rows; ++i)
    counted = counted && values[static_cast<size_t>(i) * 1024] == static_cast<float>(i);
  check(counted, "a tensor filled in " + std::to_string(calls) + " chunks has every row in its place");

  const auto fail = [](size_t, int64_t, int64_t, void*) { throw Error("ERR_TEST", "stop"); };
  check_throws(
      [&] {
        write_safetensors(path, {{"big", DType::kF32, {4}}}, {}, fail);
      },
      "ERR_TEST", "stop", "a failing writer");
  check(WeightFile::open(path)->find("big")->shape[0] == rows, "after a failed write the old file is still there");
  check_throws(
      [&] {
        write_safetensors(path, {{"a", DType::kU8, {}, &byte}, {"a", DType::kU8, {}, &byte}});
      },
      "ERR_INVALID_ARGUMENT", "\"a\"", "two tensors of one name");
  size_t files = 0;
  for ([[maybe_unused]] const auto& item : fs::directory_iterator(folder)) ++files;
  check(files == 1, "no temporary file is left behind");
  check_throws(
      [&] {
        write_safetensors((folder / "no" / "x").string(), {{"a", DType::kU8, {}, &byte}});
      },
      "ERR_FILE_IO", "cannot create", "a folder that does not exist");
  check_throws([&] { WeightFile::open((folder / "none").string()); }, "ERR_FILE_NOT_FOUND", "cannot open",
               "a file that does not exist");
  check_throws([&] { WeightFile::open(folder.string()); }, "ERR_FILE_IO", "regular file", "a folder instead of a file");
  fs::remove_all(folder);
}

void malformed_safetensors_are_refused() {
  const std::string good =
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[2,2],"data_offsets":[8,16]}})";
  check(safetensors(safetensors_bytes(good, 16))->tensors().size() == 2,
        "the file the malformed ones are made from is accepted");
  const auto refuse = [](const Bytes& bytes, const char* part, const char* what) {
    check_throws([&] { safetensors(bytes); }, "ERR_WEIGHT_FILE", part, std::string("safetensors: ") + what);
  };
  Bytes cut = safetensors_bytes(good, 16);
  cut.resize(cut.size() - 1);
  refuse(cut, "truncated", "last byte missing");
  cut.resize(20);
  refuse(cut, "does not fit the file", "header cut");
  cut.resize(5);
  refuse(cut, "at least 8 bytes", "five bytes");
  refuse({}, "at least 8 bytes", "empty file");
  refuse(Bytes(64, 0xff), "above the limit", "header length 2^64 - 1");
  refuse(safetensors_bytes(good, 17), "belong to no tensor", "trailing byte");
  refuse(safetensors_bytes("[]", 0), "not a JSON object", "header is an array");
  refuse(safetensors_bytes("{", 0), "malformed header", "header is cut JSON");
  const auto one = [](const std::string& fields) { return "{\"a\":{" + fields + "}}"; };
  const struct {
    std::string header;
    uint64_t data;
    const char *part, *what;
  } cases[] = {
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
       12, "overlap", "overlapping tensors"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})",
       16, "belong to no tensor", "a hole"},
      {one(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), 8, "needs 3 x 4 bytes", "shape and bytes disagree"},
      {one(R"("dtype":"F31","shape":[2],"data_offsets":[0,8])"), 8, "unknown dtype \"F31\"", "unknown dtype"},
      {one(R"("dtype":"Q4_0","shape":[32],"data_offsets":[0,18])"), 18, "unknown dtype", "a GGUF type"},
      {one(R"("dtype":7,"shape":[2],"data_offsets":[0,8])"), 8, "expected a string", "dtype is a number"},
      {one(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), 8,
       "tensor \"a\": shape [-2] has a negative dimension", "negative dimension"},
      {one(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), 8, "expected an integer", "fractional dimension"},
      {one(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0])"), 0, "more elements than 2^62",
       "shape product overflows"},
      {one(R"("dtype":"F32","shape":[2305843009213693952],"data_offsets":[0,0])"), 0, "needs", "byte count overflows"},
      {one(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), 8, "run backwards", "offsets backwards"},
      {one(R"("dtype":"F32","shape":[2],"data_offsets":[-8,0])"), 8, "non-negative", "negative offset"},
      {one(R"("dtype":"F32","shape":[2],"data_offsets":[18446744073709551608,18446744073709551615])"), 8, "beyond",
       "offsets near 2^64"},
      {one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,8])"), 8, "3 numbers", "three offsets"},
      {one(R"("dtype":"F32","shape":[2])"), 8, "\"data_offsets\" is missing", "no offsets"},
      {one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1)"), 8, "unknown key \"x\"", "an unknown key"},
      {R"({"a":3})", 0, "expected an object", "a tensor that is a number"},
      {R"({"":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8, "tensor name", "an empty name"},
      {R"({"__metadata__":{"a":1}})", 0, "expected a string", "metadata that is a number"},
      {R"({"a":{"dtype":"F32","shape":[[[2]]],"data_offsets":[0,8]}})", 8, "nested deeper", "nesting"},
  };
  for (const auto& item : cases) refuse(safetensors_bytes(item.header, item.data), item.part, item.what);
  check(safetensors(safetensors_bytes(R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", 4))
            ->tensors()[0]
            .shape.empty(),
        "safetensors: a tensor without dimensions is accepted");
}

void malformed_gguf_is_refused() {
  const auto refuse = [](const Bytes& bytes, const char* part, const char* what) {
    check_throws([&] { gguf(bytes); }, "ERR_WEIGHT_FILE", part, std::string("GGUF: ") + what);
  };
  for (const uint32_t version : {2u, 3u}) {
    GgufSpec spec = small_gguf();
    spec.version = version;
    check(gguf(gguf_bytes(spec))->tensors().size() == 3, "GGUF version " + std::to_string(version) + " is accepted");
  }
  const Bytes good = gguf_bytes(small_gguf());
  size_t refused = 0;
  for (size_t length = 0; length + 1 < good.size(); ++length) {
    try {
      gguf(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length)));
    } catch (const Error&) {
      ++refused;
    }
  }
  check(refused == good.size() - 1, "GGUF: cut at any of its " + std::to_string(good.size()) + " bytes it is refused");
  const auto changed = [&](const std::function<void(GgufSpec&)>& change) {
    GgufSpec spec = small_gguf();
    change(spec);
    return gguf_bytes(spec);
  };
  Bytes bad = good;
  bad[0] = 'X';
  refuse(bad, "does not start with GGUF", "wrong magic");
  refuse(changed([](GgufSpec& s) { s.version = 1; }), "version 1", "version 1");
  refuse(changed([](GgufSpec& s) { s.version = 0x03000000; }), "big-endian", "big-endian");
  refuse(changed([](GgufSpec& s) { s.tensor_count = uint64_t{1} << 60; }), "claims", "2^60 tensors");
  refuse(changed([](GgufSpec& s) { s.pair_count = uint64_t{1} << 60; }), "claims", "2^60 pairs");
  refuse(changed([](GgufSpec& s) {
           s.pairs += pair_bytes("x", 99, {});
           ++s.pair_count;
         }),
         "unknown value type 99", "unknown value type");
  refuse(changed([](GgufSpec& s) {
           s.pairs += pair_bytes("x", 7, {2});
           ++s.pair_count;
         }),
         "boolean byte 2", "a boolean of 2");
  refuse(changed([](GgufSpec& s) {
           s.pairs += pair_bytes("x", 8, u64_bytes(uint64_t{1} << 63));
           ++s.pair_count;
         }),
         "does not fit", "a string of 2^63 bytes");
  refuse(changed([](GgufSpec& s) {
           s.pairs += pair_bytes("x", 9, u32_bytes(4) + u64_bytes(uint64_t{1} << 40));
           ++s.pair_count;
         }),
         "elements", "an array of 2^40 elements");
  refuse(changed([](GgufSpec& s) {
           s.pairs += pair_bytes("x", 9, u32_bytes(9) + u64_bytes(1));
           ++s.pair_count;
         }),
         "array of arrays", "an array of arrays");
  refuse(changed([](GgufSpec& s) {
           s.pairs += pair_bytes("y", 0, {1}) + pair_bytes("y", 0, {2});
           s.pair_count += 2;
         }),
         "occurs twice", "a key twice");
  refuse(changed([](GgufSpec& s) {
           s.pairs += pair_bytes("\xff", 0, {1});
           ++s.pair_count;
         }),
         "UTF-8", "a key that is not UTF-8");
  refuse(changed([](GgufSpec& s) { s.alignment = 48; }), "power of two", "alignment 48");
  refuse(changed([](GgufSpec& s) { s.alignment = 0; }), "power of two", "alignment 0");
  refuse(changed([](GgufSpec& s) { s.tensors[0].dims = {}; }), "0 dimensions", "no dimensions");
  refuse(changed([](GgufSpec& s) { s.tensors[0].dims = {1, 1, 1, 1, 1}; }), "5 dimensions", "five dimensions");
  refuse(changed([](GgufSpec& s) { s.tensors[0].dims = {0, 4}; }), "out of range", "dimension 0");
  refuse(changed([](GgufSpec& s) { s.tensors[0].dims = {uint64_t{1} << 63, 4}; }), "out of range", "dimension 2^63");
  refuse(changed([](GgufSpec& s) {
           s.tensors[0].dims = {uint64_t{1} << 40, uint64_t{1} << 40};
         }),
         "more elements than 2^62", "2^80 elements");
  refuse(changed([](GgufSpec& s) { s.tensors[0].dims = {uint64_t{1} << 62}; }), "64-bit count", "2^64 bytes");
  refuse(changed([](GgufSpec& s) { s.tensors[1].dims = {33, 2}; }), "multiple of the 32", "rows of 33 in Q8_0");
  refuse(changed([](GgufSpec& s) { s.tensors[1].offset = 33; }), "multiple of the alignment", "a crooked offset");
  refuse(changed([](GgufSpec& s) { s.tensors[1].offset = 0; }), "overlap", "overlapping tensors");
  refuse(changed([](GgufSpec& s) { s.tensors[1].offset = uint64_t{1} << 62; }), "beyond", "data past the end");
  refuse(changed([](GgufSpec& s) { s.tensors[1].name = "plain"; }), "listed twice", "a name twice");
  const auto unknown = gguf(changed([](GgufSpec& s) { s.tensors[2].type = 77; }));
  check(unknown->at("last").dtype == "type 77", "GGUF: a tensor of unknown type does not stop the file from opening");
  std::vector<float> values(64);
  check_throws([&] { unknown->read_f32(unknown->at("last"), values.data()); }, "ERR_WEIGHT_TYPE",
               "\"last\" is stored as type 77", "GGUF: reading it names tensor and type");
}

void rows_of_llama_gguf_are_put_back() {
  GgufSpec spec = small_gguf();
  spec.pairs = pair_bytes("general.architecture", 8, string_bytes("llama")) +
               pair_bytes("llama.attention.head_count", 4, u32_bytes(2));
  spec.pair_count = 2;
  spec.alignment = -1;
  spec.tensors = {{"blk.0.attn_q.weight", {1, 8}, 0, 0}, {"blk.0.attn_v.weight", {1, 8}, 0, 32}};
  spec.tensor_count = 2;
  spec.data.clear();
  for (int copy = 0; copy < 2; ++copy) {
    for (int row = 0; row < 8; ++row) spec.data += u32_bytes(f32_bits(static_cast<float>(row)));
  }
  const fs::path path = fs::temp_directory_path() / ("toolgrad-llama-" + std::to_string(::getpid()) + ".gguf");
  const Bytes bytes = gguf_bytes(spec);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  const auto weights = ModelWeights::open({path.string()});
  std::vector<float> q(8), v(8);
  weights->read_f32("model.layers.0.self_attn.q_proj.weight", {8, 1}, q.data());
  weights->read_f32("model.layers.0.self_attn.v_proj.weight", {8, 1}, v.data());
  check(same_bits(q, {0, 2, 1, 3, 4, 6, 5, 7}), "interleaved rows of q are put back, per head");
  check(same_bits(v, {0, 1, 2, 3, 4, 5, 6, 7}), "rows of v stay");
  check_throws(
      [&] {
        weights->read_f32("model.layers.0.self_attn.q_proj.weight", {1, 8}, q.data());
      },
      "ERR_SHAPE_MISMATCH", "expected shape [1, 8] from the config, found [8, 1]", "a tensor of another shape");
  check_throws([&] { weights->read_f32("model.norm.weight", {8}, q.data()); }, "ERR_TENSOR_NOT_FOUND",
               "\"model.norm.weight\" is missing", "a tensor that is not there");
  check(!gguf_hf_name("rope_freqs.weight") && !gguf_hf_name("blk.x.attn_q.weight") &&
            !gguf_hf_name("blk..attn_q.weight") &&
            gguf_hf_name("blk.12.attn_k_norm.weight") == "model.layers.12.self_attn.k_norm.weight",
        "GGUF names map to HF names");
  fs::remove(path);
}

// Opens and, when that works, reads every tensor; anything but Error escapes and fails the test.
bool survives(const Bytes& bytes, bool is_gguf) {
  try {
    const auto file = is_gguf ? gguf(bytes) : safetensors(bytes);
    for (const TensorEntry& entry : file->tensors()) {
      const int64_t elements = checked_elements(entry.shape, entry.name);
      if (elements > 1 << 20) continue;
      std::vector<float> values(static_cast<size_t>(elements));
      file->read_f32(entry, values.data());
    }
    return true;
  } catch (const Error&) {
    return false;
  }
}

void mutations_never_crash() {
  const Bytes seeds[] = {
      safetensors_bytes(
          R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[2,2],"data_offsets":[8,16]}})",
          16),
      gguf_bytes(small_gguf())};
  Random random(7);
  for (const bool is_gguf : {false, true}) {
    const Bytes& seed = seeds[is_gguf ? 1 : 0];
    size_t accepted = 0;
    constexpr size_t kRounds = 20'000;
    for (size_t round = 0; round < kRounds; ++round) {
      Bytes bytes = seed;
      for (uint64_t edits = 1 + random.next() % 4; edits > 0; --edits) mutate(&bytes, &random);
      accepted += survives(bytes, is_gguf) ? 1 : 0;
    }
    check(accepted > 0 && accepted < kRounds, std::string(is_gguf ? "GGUF" : "safetensors") + ": of " +
                                                  std::to_string(kRounds) + " mutants " + std::to_string(accepted) +
                                                  " were read, the others refused, none crashed");
  }
}

void dequantisation_is_exact(const std::string& golden) {
  const std::map<std::string, std::string> pairs = {{"blocks", "blocks"},
                                                    {"qwen2-tied.Q8_0", "qwen2-tied.Q8_0"},
                                                    {"qwen2-tied.Q4_0", "qwen2-tied.Q4_0"},
                                                    {"qwen2-tied.Q4_1", "qwen2-tied.Q4_1"},
                                                    {"llama-smol.Q8_0", "llama-smol.Q8_0"}};
  std::map<std::string, int64_t> exact, unreadable;
  bool all = true;
  for (const auto& [name, expected_name] : pairs) {
    const auto file = WeightFile::open(golden + "/gguf/" + name + ".gguf");
    const auto expected = WeightFile::open(golden + "/gguf/dequant/" + expected_name + ".safetensors");
    for (const TensorEntry& want : expected->tensors()) {
      const TensorEntry& entry = file->at(want.name);
      try {
        const std::vector<float> found = read(*file, entry), wanted = read(*expected, want);
        bool same = entry.shape == want.shape && found.size() == wanted.size();
        for (size_t i = 0; same && i < found.size(); ++i) {
          same = f32_bits(found[i]) == f32_bits(wanted[i]) || (std::isnan(found[i]) && std::isnan(wanted[i]));
        }
        if (!same) check(false, name + ": " + want.name + " (" + entry.dtype + ") differs from the golden values");
        all = all && same;
        exact[entry.dtype] += static_cast<int64_t>(found.size());
      } catch (const Error& error) {
        if (error.code() != "ERR_WEIGHT_TYPE") throw;
        ++unreadable[entry.dtype];
      }
    }
  }
  std::string text;
  for (const auto& [dtype, count] : exact) text += " " + dtype + " (" + std::to_string(count) + ")";
  const bool complete = exact.count("F32") && exact.count("F16") && exact.count("BF16") && exact.count("Q8_0") &&
                        exact.count("Q4_0") && exact.count("Q4_1") && exact.count("Q6_K");
  check(all && complete, "golden blocks dequantise bit for bit:" + text);
  check(unreadable.count("Q2_K") == 1 && unreadable.count("F32") == 0,
        "types that are not supported are refused on reading");
}

void gguf_equals_the_hf_model(const std::string& golden) {
  const struct {
    const char *gguf, *model;
    bool half;
  } cases[] = {{"qwen2-tied.F32.gguf", "qwen2-tied", false},
               {"qwen2-tied.F16.gguf", "qwen2-tied", true},
               {"llama-smol.F16.gguf", "llama-smol", true}};
  for (const auto& item : cases) {
    const auto found = ModelWeights::open({golden + "/gguf/" + item.gguf});
    const auto wanted = ModelWeights::open({golden + "/models/" + item.model + "/model.safetensors"});
    bool same = found->names().size() == wanted->names().size();
    for (const std::string& name : wanted->names()) {
      const std::vector<int64_t>& shape = wanted->find(name)->entry->shape;
      std::vector<float> a(static_cast<size_t>(checked_elements(shape, name))), b(a.size());
      wanted->read_f32(name, shape, a.data());
      found->read_f32(name, shape, b.data());
      if (item.half && shape.size() > 1) {
        for (float& value : a) value = f16_to_f32(f32_to_f16(value));
      }
      same = same && same_bits(a, b);
    }
    check(same, std::string(item.gguf) + " read under HF names has the bits of " + item.model +
                    (item.half ? " rounded to fp16" : ""));
  }
  std::vector<std::string> shards;
  for (int i = 1; i <= 3; ++i)
    shards.push_back(golden + "/models/qwen2-untied-bf16-sharded/model-0000" + std::to_string(i) +
                     "-of-00003.safetensors");
  check(ModelWeights::open(shards)->names().size() == 27, "three shards open as one model of 27 tensors");
  check_throws(
      [&] {
        ModelWeights::open({shards[0], shards[1], shards[0]});
      },
      "ERR_WEIGHT_FILE", "is in both", "a shard given twice");
}

}  // namespace

int main(int argc, char** argv) {
  json_is_strict_and_exact();
  a_written_file_reads_back();
  malformed_safetensors_are_refused();
  malformed_gguf_is_refused();
  rows_of_llama_gguf_are_put_back();
  mutations_never_crash();
  const std::string shared = shared_folder(argc, argv);
  if (!shared.empty()) {
    dequantisation_is_exact(shared + "/golden");
    gguf_equals_the_hf_model(shared + "/golden");
  }
  return finish();
}
