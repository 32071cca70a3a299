#include "bench.h"

namespace foreign {
namespace {

struct Case {
  const char* kernel;
  int m, n, k, lda, ldb, ldd;
  bool a_column, b_column, d_column;
  char element;  // h f16, b bf16, t tf32, d double, s signed and u unsigned bytes
  char sum;      // f float, h f16, d double, i integer
};
const Case kCases[] = {
    {"half_16", 16, 16, 16, 16, 24, 16, false, true, false, 'h', 'f'},
    {"half_8_32", 8, 32, 16, 16, 40, 8, true, false, true, 'h', 'f'},
    {"half_32_8", 32, 8, 16, 16, 8, 8, false, false, false, 'h', 'f'},
    {"half_sum", 16, 16, 16, 16, 16, 16, true, true, false, 'h', 'h'},
    {"brain_16", 16, 16, 16, 16, 16, 16, false, false, false, 'b', 'f'},
    {"brain_32_8", 32, 8, 16, 32, 16, 32, true, true, true, 'b', 'f'},
    {"tf32_16", 16, 16, 8, 8, 8, 16, false, true, false, 't', 'f'},
    {"double_8", 8, 8, 4, 4, 4, 8, false, true, false, 'd', 'd'},
    {"byte_16", 16, 16, 16, 16, 16, 16, false, true, false, 's', 'i'},
    {"byte_32_8", 32, 8, 16, 32, 16, 8, true, false, false, 'u', 'i'},
};

/// Small multiples of 1/8: exact in every type.
uint16_t half_bits(double x) {
  if (x == 0) return 0;
  const int e = std::ilogb(x);
  const int fraction = static_cast<int>(std::ldexp(std::abs(x), 10 - e)) - 1024;
  return static_cast<uint16_t>((x < 0 ? 0x8000 : 0) | (e + 15) << 10 | fraction);
}
double from_half_bits(uint16_t h) {
  const int e = (h >> 10) & 31, fraction = h & 1023;
  const double size = e == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, e - 25);
  return (h & 0x8000) != 0 ? -size : size;
}
void encode(double x, char type, std::vector<unsigned char>& to) {
  unsigned char bytes[8];
  size_t size = 0;
  const auto put = [&](const auto value) {
    size = sizeof value;
    std::memcpy(bytes, &value, size);
  };
  const float single = static_cast<float>(x);
  uint32_t word;
  std::memcpy(&word, &single, 4);
  if (type == 'h') put(half_bits(x));
  if (type == 'b') put(static_cast<uint16_t>(word >> 16));
  if (type == 't' || type == 'f') put(single);
  if (type == 'd') put(x);
  if (type == 's' || type == 'u') put(static_cast<unsigned char>(static_cast<int>(x)));
  if (type == 'i') put(static_cast<int>(x));
  to.insert(to.end(), bytes, bytes + size);
}
double decode(const unsigned char* at, char type) {
  uint16_t h;
  float f;
  double d;
  int i;
  switch (type) {
    case 'h':
      return std::memcpy(&h, at, 2), from_half_bits(h);
    case 'f':
      return std::memcpy(&f, at, 4), f;
    case 'd':
      return std::memcpy(&d, at, 8), d;
    default:
      return std::memcpy(&i, at, 4), i;
  }
}
size_t size_of(char type) {
  return type == 'd' ? 8 : type == 'h' || type == 'b' ? 2 : type == 's' || type == 'u' ? 1 : 4;
}

}  // namespace

void matrices() {
  Bench m;
  Random random(4);
  for (const Case& c : kCases) {
    const bool bytes = c.element == 's' || c.element == 'u';
    const auto number = [&] {
      const int x = static_cast<int>(random.next() % 33) - 16;
      return bytes ? (c.element == 'u' ? x + 200.0 : 7.0 * x) : x / 8.0;
    };
    const auto area = [](int lines, int stride) {
      return std::vector<double>(static_cast<size_t>(lines) * static_cast<size_t>(stride));
    };
    std::vector<double> a = area(c.a_column ? c.k : c.m, c.lda), b = area(c.b_column ? c.n : c.k, c.ldb),
                        start = area(c.d_column ? c.n : c.m, c.ldd), wanted = start;
    for (auto* all : {&a, &b, &start}) {
      for (double& x : *all) x = number();
    }
    const auto at = [](std::vector<double>& x, bool column, int stride, int i, int j) -> double& {
      return x[static_cast<size_t>(column ? j * stride + i : i * stride + j)];
    };
    for (int i = 0; i < c.m; ++i) {
      for (int j = 0; j < c.n; ++j) {
        double sum = at(start, c.d_column, c.ldd, i, j);
        for (int k = 0; k < c.k; ++k) sum += at(a, c.a_column, c.lda, i, k) * at(b, c.b_column, c.ldb, k, j);
        at(wanted, c.d_column, c.ldd, i, j) = 2 * sum;
      }
    }
    std::vector<unsigned char> a_bytes, b_bytes, c_bytes;
    for (double x : a) encode(x, c.element, a_bytes);
    for (double x : b) encode(x, c.element, b_bytes);
    for (double x : start) encode(x, c.sum, c_bytes);
    const auto out = m.room(wanted.size() * size_of(c.sum));
    if (!m.run(c.kernel, {1, 32}, m.put(a_bytes), m.put(b_bytes), m.put(c_bytes), out)) continue;
    const std::vector<unsigned char> raw = m.get<unsigned char>(out, wanted.size() * size_of(c.sum));
    std::vector<double> got;
    for (size_t i = 0; i < wanted.size(); ++i) got.push_back(decode(raw.data() + i * size_of(c.sum), c.sum));
    // Every product and sum is a small multiple of 1/64; f16 rounds them to 11 bits.
    close(std::string("wmma ") + c.kernel, got, wanted, c.sum == 'h' ? 0x1p-10 : 0, 1.0);
  }
}

}  // namespace foreign
