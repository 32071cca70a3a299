// What the trainer sends, as the supervisor takes it in: frames, calls, settings, and what is kept of streams; then a few
// hundred thousand changed streams through the fuzz target (sandbox/fuzz/frames_fuzz.c), always the same ones.
#include <sys/types.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"

extern "C" {
#include "frames.h"
#include "kept.h"
#include "settings.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
}

namespace {

using namespace toolgrad::test;
using Bytes = std::string;

Bytes number(uint64_t value, int bytes) {
  Bytes out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}
Bytes text(const Bytes& content) {
  return number(content.size(), 4) + content;
}
Bytes frame(uint8_t kind, const Bytes& body) {
  return number(1 + body.size(), 4) + static_cast<char>(kind) + body;
}
tg_text view(const Bytes& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<uint32_t>(bytes.size())};
}
Bytes copy(tg_text text) {
  return Bytes(reinterpret_cast<const char*>(text.data), text.size);
}

// ---- frames

struct Found {
  uint8_t kind;
  Bytes body;
};

struct Stream {
  std::vector<Found> frames;
  bool broken = false;  // what cannot be a frame was found
};

Stream read_frames(const Bytes& bytes, size_t piece) {
  Stream stream;
  tg_buffer buffer{};
  for (size_t at = 0; at < bytes.size() && !stream.broken; at += piece) {
    if (tg_append(&buffer, bytes.data() + at, std::min(piece, bytes.size() - at)) != 0) std::abort();
    uint8_t kind;
    tg_text body;
    int found;
    while ((found = tg_next_frame(&buffer, &kind, &body)) == 1) stream.frames.push_back({kind, copy(body)});
    stream.broken = found < 0;
  }
  tg_free(&buffer);
  return stream;
}

void frames_are_found_however_they_arrive() {
  const Bytes large(100000, 'x');
  const Bytes bytes = frame(3, number(5, 8)) + frame(99, "") + frame(2, large) + frame(4, number(6, 8));
  bool same = true;
  for (size_t piece : {1, 2, 3, 7, 4096, 1 << 20}) {
    const Stream stream = read_frames(bytes, piece);
    same = same && !stream.broken && stream.frames.size() == 4 && stream.frames[0].kind == 3 &&
           stream.frames[1].kind == 99 && stream.frames[1].body.empty() && stream.frames[2].body == large &&
           stream.frames[3].body == number(6, 8);
  }
  check(same, "four frames are found in pieces of every size");
  check(read_frames(bytes.substr(0, bytes.size() - 1), 10).frames.size() == 3,
        "a frame that has not ended is not found");
  check(read_frames(number(0, 4) + "x", 1).broken, "a frame of no byte cannot be one");
  check(read_frames(number(TG_MAX_FRAME + 1, 4), 1).broken, "one larger than the largest neither");
  check(!read_frames(number(TG_MAX_FRAME, 4) + "x", 1).broken, "the largest may be");
}

void frames_are_written_as_they_are_read() {
  tg_buffer out{};
  for (int i = 0; i < 3; ++i) {
    const size_t begin = tg_begin_frame(&out, 17);
    tg_put(&out, 0x0102030405060708, 8);
    tg_put(&out, 0xfffe, 2);
    tg_put_bytes(&out, "end", 3);
    check(tg_end_frame(&out, begin) == 0, "a frame is written");
    if (i == 0) out.taken = 5;  // part of it has gone out
  }
  const Bytes once = frame(17, number(0x0102030405060708, 8) + number(0xfffe, 2) + "end");
  const Bytes left(reinterpret_cast<const char*>(out.data) + out.taken, out.size - out.taken);
  check(left == once.substr(5) + once + once, "what has gone out makes room, the rest stays as it was");
  const size_t begin = tg_begin_frame(&out, 17);
  out.failed = 1;  // as tg_put leaves it when memory runs out
  check(tg_end_frame(&out, begin) == -1 && out.size - out.taken == left.size() && out.failed == 0,
        "a frame that memory ran out for is taken back");
  tg_free(&out);
}

// ---- calls

struct Call {
  uint64_t start = 1, cpu = 2, wall = 3;
  Bytes code = "print(1)", input = "in", files = "", fetch = Bytes("a\0b/c\0", 6);
  Bytes body() const {
    Bytes out = number(7, 8) + number(9, 8) + number(1, 4) + number(2, 4) + number(3, 4);
    for (uint64_t value : {start, cpu, wall, uint64_t{64}, uint64_t{65}, uint64_t{66}, uint64_t{67}, ~uint64_t{0}})
      out += number(value, 8);
    return out + text(code) + text(input) + text(files) + text(fetch);
  }
};

int parse(const Bytes& body, tg_run* run) {
  // Exactly as long as it is, so that a sanitizer sees a read beyond it.
  const std::vector<uint8_t> exact(body.begin(), body.end());
  return tg_parse_run({exact.data(), static_cast<uint32_t>(exact.size())}, run);
}

void calls_are_read() {
  tg_run run;
  const Bytes body = Call().body();
  check(tg_parse_run(view(body), &run) == 0 && run.id == 7 && run.session == 9 && run.continues == 1 &&
            run.template_index == 2 && run.processes == 3 && run.start_us == 1 && run.cpu_us == 2 && run.wall_us == 3 &&
            run.memory_bytes == 64 && run.file_bytes == 65 && run.kept_bytes == 66 && run.hard_bytes == 67 &&
            run.seed == ~uint64_t{0},
        "every number of a call is read");
  check(copy(run.code) == "print(1)" && copy(run.input) == "in" && run.files.size == 0 &&
            copy(run.fetch) == Bytes("a\0b/c\0", 6),
        "and every text");
  size_t accepted = 0;
  for (size_t size = 0; size < body.size(); ++size) accepted += parse(body.substr(0, size), &run) == 0;
  check(accepted == 0, "a call that is cut anywhere is refused");
  check(parse(body + "x", &run) != 0, "and one with a byte too many");
  const uint64_t longest = uint64_t{1} << 50;
  for (uint64_t Call::*time : {&Call::start, &Call::cpu, &Call::wall}) {
    Call call;
    call.*time = longest;
    const bool fits = parse(call.body(), &run) == 0;
    call.*time = longest + 1;
    check(fits && parse(call.body(), &run) != 0, "a time that the clock would run over with is refused");
  }
  Call open;
  open.fetch = "a";
  check(parse(open.body(), &run) != 0, "names whose last has no end are refused");
  uint64_t id = 0;
  check(tg_parse_id(view(number(5, 8)), &id) == 0 && id == 5 && tg_parse_id(view(number(5, 7)), &id) != 0 &&
            tg_parse_id(view(number(5, 8) + "x"), &id) != 0,
        "an id is eight bytes");
}

// ---- settings: of the parser in the fuzz target, which keeps track of their memory

int settings_of(const std::vector<Bytes>& texts, tg_settings* settings, Bytes* said = nullptr) {
  Bytes body;
  for (const Bytes& one : texts) body += text(one);
  char error[200] = "";
  const int result = tg_parse_settings(view(body), settings, error, sizeof error);
  if (said != nullptr) *said = error;
  return result;
}

const std::vector<Bytes> kEnough = {"python=/p", "library=/l", "bootstrap=/b", "temporary=/t", "template="};

std::vector<Bytes> with(const Bytes& more) {
  std::vector<Bytes> all = kEnough;
  all.push_back(more);
  return all;
}

void settings_are_read() {
  tg_settings found;
  check(settings_of(kEnough, &found) == 0 && std::strcmp(found.python, "/p") == 0 && found.template_count == 1 &&
            found.user == -1 && found.layers == 0 && found.budget_bytes == 0,
        "five settings are enough");
  std::vector<Bytes> all = with("read=/usr/lib");
  for (const char* more : {"read=/x=y", "environment=PATH=/bin", "template=numpy,sympy", "layers=15", "container=1",
                           "user=65534", "budget=1024"})
    all.push_back(more);
  check(settings_of(all, &found) == 0 && found.read_count == 2 && std::strcmp(found.read[1], "/x=y") == 0 &&
            std::strcmp(found.environment[0], "PATH=/bin") == 0 && found.environment[1] == nullptr &&
            std::strcmp(found.templates[1], "numpy,sympy") == 0 && found.layers == 15 && found.container == 1 &&
            found.user == 65534 && found.budget_bytes == 1024,
        "and all are read");
  const std::vector<Bytes> strange = {
      "colour=red",          "layers", "layers=16", "layers=-1", "layers=",     "layers=1x", "container=2", "user=-2",
      Bytes("read=/\0x", 8), "=x",     "read=lib",  "read=",     "budget=many", ""};
  for (const Bytes& one : strange) {
    Bytes said;
    const bool refused = settings_of(with(one), &found, &said) == -1;
    check(refused && said.find("settings: expected") == 0, "refused: " + Bytes(one.c_str()) + ": " + said);
  }
  for (size_t left_out = 0; left_out < kEnough.size(); ++left_out) {
    std::vector<Bytes> fewer = kEnough;
    fewer.erase(fewer.begin() + static_cast<long>(left_out));
    check(settings_of(fewer, &found) == -1, "refused: all but " + kEnough[left_out]);
  }
  for (const auto& [name, most] : {std::pair{"read=/x", TG_MAX_READ}, {"environment=A=b", TG_MAX_ENVIRONMENT}}) {
    std::vector<Bytes> many = kEnough;
    many.insert(many.end(), most, name);
    const bool fits = settings_of(many, &found) == 0;
    many.push_back(name);
    check(fits && settings_of(many, &found) == -1, "no more than there is room for: " + Bytes(name));
  }
  const Bytes whole = text("python=/p") + text("library=/l");
  char error[20];
  check(tg_parse_settings(view(whole.substr(0, whole.size() - 1)), &found, error, sizeof error) == -1 &&
            std::strlen(error) == sizeof error - 1,
        "a text that is cut is refused, and the reason fits where it goes");
}

// ---- streams

void heads_and_tails_are_kept() {
  bool right = true;
  tg_kept kept{};
  for (uint64_t room = 0; room <= 9; ++room) {
    for (size_t size = 0; size <= 24; ++size) {
      for (size_t piece = 1; piece <= 7; ++piece) {
        const Bytes stream = Bytes("abcdefghijklmnopqrstuvwxyz").substr(0, size);
        tg_keep_begin(&kept, room);
        for (size_t at = 0; at < size; at += piece) {
          const Bytes part = stream.substr(at, piece);
          right = right && tg_keep(&kept, reinterpret_cast<const uint8_t*>(part.data()), part.size()) == 0;
        }
        const size_t head = std::min<size_t>(size, room - room / 2), tail = std::min<size_t>(size - head, room / 2);
        const Bytes ring(reinterpret_cast<const char*>(kept.tail), kept.tail_size);
        right = right && kept.total == size && kept.head_size == head && kept.tail_size == tail &&
                std::memcmp(kept.head == nullptr ? "" : reinterpret_cast<const char*>(kept.head), stream.data(),
                            head) == 0 &&
                ring.substr(kept.tail_begin) + ring.substr(0, kept.tail_begin) == stream.substr(size - tail);
      }
    }
  }
  tg_keep_free(&kept);
  check(right, "of every short stream the first and the last bytes are kept, in order");
}

// ---- changed streams

std::vector<Bytes> seeds() {
  Bytes settings;
  for (const char* one :
       {"python=/p", "library=/l", "bootstrap=/b", "temporary=/t", "template=", "read=/r", "layers=7"})
    settings += text(one);
  const Bytes stream = frame(1, settings) + frame(2, Call().body()) + frame(3, number(7, 8)) + frame(4, number(9, 8));
  Bytes records;
  for (const auto& [kind, body] : {std::pair{1, settings}, {2, Call().body()}, {3, number(7, 8)}})
    records += static_cast<char>(kind) + number(body.size(), 2) + body;
  return {number(0, 4) + stream, number(1, 4) + records, number(0, 4) + frame(2, Call().body()),
          number(3, 4) + records.substr(records.size() / 2)};
}

Bytes changed(Bytes bytes, Random& random) {
  static const uint8_t telling[] = {0, 1, 2, 3, 4, 8, 0x7f, 0x80, 0xff};
  for (uint64_t i = 0, most = 1 + random.next() % 4; i < most && bytes.size() > 4; ++i) {
    const size_t at = random.next() % bytes.size(), size = 1 + random.next() % 40;
    switch (random.next() % 6) {
      case 0:
        bytes[at] = static_cast<char>(random.next());
        break;
      case 1:
        bytes[at] = static_cast<char>(telling[random.next() % sizeof telling]);
        break;
      case 2:
        bytes.erase(at, size);
        break;
      case 3:
        bytes.insert(at, bytes.substr(random.next() % bytes.size(), size));
        break;
      case 4:
        bytes.resize(at);
        break;
      default:
        bytes.insert(at, size, static_cast<char>(random.next()));
    }
  }
  return bytes;
}

void changed_streams_are_taken_in() {
  constexpr int kRuns = 200000;
  Random random(7);
  const std::vector<Bytes> from = seeds();
  std::vector<Bytes> grown = from;
  for (int i = 0; i < kRuns; ++i) {
    const std::vector<Bytes>& pool = i % 2 == 0 ? from : grown;
    const Bytes one = changed(pool[random.next() % pool.size()], random);
    const std::vector<uint8_t> exact(one.begin(), one.end());
    LLVMFuzzerTestOneInput(exact.data(), exact.size());  // aborts when anything does not hold
    // Changes of changes go further; half are of the seeds, so that not all go to pieces.
    if (i % 5 == 0 && grown.size() < 400) grown.push_back(one.size() < 4096 ? one : from[0]);
    if (grown.size() == 400) grown = from;
  }
  check(true, std::to_string(kRuns) + " changed streams are taken in as the model has it");
}

}  // namespace

int main() {
  frames_are_found_however_they_arrive();
  frames_are_written_as_they_are_read();
  calls_are_read();
  settings_are_read();
  heads_and_tails_are_kept();
  changed_streams_are_taken_in();
  return finish();
}
