// Flipped bits, cut files and lost checkpoints: found, repaired or refused, never other data.
#include "crash.hpp"

using namespace tapehub;
using namespace tapehub::test;

namespace {

// Damage a hub that nobody has open, then open it. What it shows must be a whole prefix of what was published, and
// when anything is missing, a new epoch says so.
struct Damaged {
  Home home{memory_backed()};
  World w;
  std::vector<Model> history;  // after each of the last records
  u64 head = 0, epoch = 0;

  // `views`: the memory files stay, as after a kill; else only what is on disk.
  explicit Damaged(bool checkpoint_at_end) {
    Hub hub(home.hub(), home.options());
    w.define(hub);
    w.fill(hub, 40, 900'000'000);
    hub.at().checkpoint();
    history.push_back(w.model);
    const auto add = [&](const Operation& o) {
      w.publish(hub, o);
      history.push_back(w.model);
    };
    for (u32 i = 0; i < 4; ++i) add(w.next_tick(u16(i % 3), kSecond));
    add(candle(1, kTuesday - 30 * kMinute, 90));  // over nothing, so that it is one record
    add(of_kind(Kind::OrderFlow, 2, w.now, 5));
    add(w.next_tick(0, kSecond));
    add(w.next_tick(1, kSecond));
    head = peek(hub.hot().head);
    epoch = hub.at().control().epoch;
    if (checkpoint_at_end) hub.at().checkpoint();
    copy_hub(home.hub(), home.hub("original"));
    hub.at().release_slot();
  }
  std::string copy_path() const { return home.hub("copy"); }
  std::string segment() const { return copy_path() + "/log/000000000000.tape"; }
  void fresh_copy() const { copy_hub(home.hub("original"), copy_path()); }

  // What the damaged copy shows; throws when it is neither refused nor a prefix.
  void check(const std::string& what) const {
    try {
      Hub hub(copy_path(), home.options("copy"));
      const bool cut = hub.at().control().epoch > epoch;
      std::vector<Model> possible = history;
      if (cut) {
        for (Model& model : possible) model.apply(of_kind(Kind::Epoch, kNone16, 0));
      }
      if (cut && read_hub(hub.hot()).block.records < possible.front().log.size()) return;  // cut further back, and said so
      Model found;
      CHECK_EMPTY(settle(hub, possible, &found));
      if (found.log.size() != possible.back().log.size()) CHECK(cut);
      Operation next = tick(0, w.now + kSecond, 123);
      publish(hub, next);
      found.apply(next);
      CHECK_EMPTY(compare(hub, found));
    } catch (const Error& error) {
      if (error.cause != Cause::Format) throw Failed(what + ": " + error.what());
    } catch (const Failed& failed) {
      throw Failed(what + ": " + failed.what());
    }
  }
};

void flip(const std::string& path, u64 offset, u8 mask) {
  File file = File::open(path, O_RDWR);
  u8 byte;
  CHECK(::pread(file.fd(), &byte, 1, off_t(offset)) == 1);
  byte ^= mask;
  CHECK(::pwrite(file.fd(), &byte, 1, off_t(offset)) == 1);
}

template <bool kCheckpointAtEnd>
void a_flipped_bit_in_the_last_records_is_found() {
  Damaged damaged(kCheckpointAtEnd);
  const u64 from = (damaged.head - 9) * kLineBytes, to = damaged.head * kLineBytes;
  std::mt19937_64 random(3);
  // In a common run every third byte of the very last record; with try_all() every byte of all.
  const u64 before = try_all() ? 1 : (kCheckpointAtEnd ? 15 : 6) * kSlow, last = try_all() ? 1 : 3 * kSlow;
  for (u64 offset = from; offset < to; offset += offset < to - kLineBytes ? before : last) {
    damaged.fresh_copy();
    flip(damaged.segment(), offset, u8(1u << random() % 8));
    damaged.check("byte " + std::to_string(offset - from));
  }
}

void a_flipped_bit_beside_living_views_is_found() {
  Home home;
  World w;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub);
    w.fill(hub, 60, kSecond);
    hub.at().release_slot();
  }
  flip(home.hub() + "/log/000000000000.tape", (kHeaderLines + 50) * kLineBytes + 34, 1);
  Hub hub(home.hub(), home.options());
  CHECK(hub.at().cut_tail());
  CHECK(hub.at().control().epoch == 2);
  CHECK(peek(hub.hot().head) == kHeaderLines + 50 + 1);  // and the record that says so
}

void a_segment_cut_at_any_byte_is_made_whole_or_refused() {
  Damaged damaged(false);
  const u64 end = damaged.head * kLineBytes;
  for (u64 size = end + 70; size > end - 8 * kLineBytes; size -= try_all() ? 1 : 17 * (kSlow > 1 ? 2 : 1)) {
    damaged.fresh_copy();
    CHECK(::truncate(damaged.segment().c_str(), off_t(size)) == 0);
    damaged.check("cut at " + std::to_string(size));
  }
  damaged.fresh_copy();
  std::filesystem::remove(damaged.segment());
  damaged.check("segment removed");
}

void a_damaged_segment_header_costs_no_record() {
  for (const bool living_views : {false, true}) {
    for (u64 offset = 0; offset < 72; offset += 3 * kSlow) {
      Home home;
      World w;
      {
        Hub hub(home.hub(), home.options());
        w.define(hub, 1);
        w.fill(hub, 1200, kSecond);
        hub.at().checkpoint();
        w.fill(hub, 5, kSecond);
        hub.at().release_slot();
      }
      if (!living_views) std::filesystem::remove_all(home.memory());
      std::filesystem::create_directories(home.memory());
      flip(home.hub() + "/log/000000000001.tape", offset, 4);
      {
        Hub hub(home.hub(), home.options());
        CHECK_EMPTY(compare_channel(hub, w.model, 0));
        w.publish(hub, w.next_tick(0, kSecond));
        CHECK_EMPTY(compare_channel(hub, w.model, 0));
        hub.at().release_slot();
      }
      std::filesystem::remove_all(home.memory());
      std::filesystem::create_directories(home.memory());
      Hub hub(home.hub(), home.options());
      CHECK_EMPTY(compare_channel(hub, w.model, 0));
    }
  }
}

void a_damaged_checkpoint_falls_back_to_the_older_or_to_the_log() {
  Damaged damaged(true);
  const u64 size = std::filesystem::file_size(damaged.home.hub("original") + "/checkpoint");
  std::mt19937_64 random(5);
  for (u32 i = 0; i < (try_all() ? 60 : 24) / kSlow; ++i) {
    damaged.fresh_copy();
    const std::string path = damaged.copy_path() + "/checkpoint";
    if (i % 3 == 0) {
      CHECK(::truncate(path.c_str(), off_t(random() % size)) == 0);
    } else {
      flip(path, i % 3 == 1 ? random() % 400 : random() % size, u8(1u << random() % 8));
    }
    if (i % 4 == 0) flip(damaged.copy_path() + "/checkpoint.old", random() % 400, 2);
    Hub hub(damaged.copy_path(), damaged.home.options("copy"));
    CHECK_EMPTY(compare(hub, damaged.w.model));
    CHECK(hub.at().control().epoch == damaged.epoch);
  }
}

void a_damaged_control_file_is_refused() {
  Damaged damaged(true);
  for (u64 offset = 0; offset < sizeof(ControlFile) - 4; offset += 5 * kSlow) {
    damaged.fresh_copy();
    flip(damaged.copy_path() + "/control", offset, 16);
    bool refused = false;
    try {
      Hub hub(damaged.copy_path(), damaged.home.options("copy"));
    } catch (const Error& error) {
      refused = error.cause == Cause::Format;
    }
    CHECK(refused);
  }
}

// The one bit of the word of tick 128 is what a writer sets last: without it the line looks as if it was being written.
template <bool kLivingViews>
void the_only_bit_of_a_word_is_missed() {
  Home home;
  World w;
  constexpr u64 kLine = 2 * kHeaderLines;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub, 1);
    while (peek(hub.hot().head) <= kLine) w.publish(hub, w.next_tick(0, kSecond));
    hub.at().release_slot();
  }
  if (!kLivingViews) {
    std::filesystem::remove_all(home.memory());
    std::filesystem::create_directories(home.memory());
  }
  flip(home.hub() + "/log/000000000000.tape", kLine * kLineBytes, u8(kLine));
  Hub hub(home.hub(), home.options());
  const u64 records = read_hub(hub.hot()).block.records;
  if (hub.at().control().epoch == 1) CHECK_EMPTY(compare(hub, w.model));  // nothing is missing
  CHECK(hub.at().cut_tail() == (hub.at().control().epoch == 2));
  w.publish(hub, w.next_tick(0, kSecond));
  CHECK(read_hub(hub.hot()).block.records == records + 1);
}

// A process that may not write finds the tail cut: it shows what is whole, and says in the log that a new epoch begins.
void a_reader_that_finds_the_tail_cut_says_so() {
  Home home;
  World w;
  Model kept;
  u64 end = 0;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub);
    w.fill(hub, 30, kSecond);
    kept = w.model;
    end = peek(hub.hot().head);
    w.fill(hub, 3, kSecond);
    hub.at().release_slot();
  }
  flip(home.hub() + "/log/000000000000.tape", end * kLineBytes + 34, 1);
  kept.apply(of_kind(Kind::Epoch, kNone16, 0));
  Options options = home.options("reader");
  options.read_only = true;
  Hub reader(home.hub(), options);
  CHECK(reader.at().cut_tail());
  CHECK(reader.at().control().epoch == 2);
  CHECK_EMPTY(compare(reader, kept));
  const auto* line = reinterpret_cast<const RecordHead*>(reader.log().line(end));
  CHECK(word_kind(line->word) == Kind::Epoch);  // sequences from here on belong to the new epoch
  CHECK(line->fixed[1] == 2);
  bool refused = false;
  try {
    publish(reader, tick(0, w.now + kSecond, 100));
  } catch (const Error& error) {
    refused = std::string(error.what()).find("read-only") != std::string::npos;
  }
  CHECK(refused);
  Hub writer(home.hub(), home.options("writer"));
  const Operation next = tick(0, w.now + kSecond, 100);
  publish(writer, next);
  kept.apply(next);
  CHECK_EMPTY(compare(reader, kept));
}

void a_missing_segment_in_the_middle_starts_a_new_epoch() {
  Home home;
  World w;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub, 1);
    w.fill(hub, 2500, kSecond);
  }
  std::filesystem::remove(home.hub() + "/log/000000000001.tape");
  std::filesystem::remove(home.hub() + "/checkpoint");
  Hub hub(home.hub(), home.options());
  CHECK(hub.at().control().epoch == 2);
  CHECK(peek(hub.hot().head) == 1024 + kHeaderLines + 1);
  CHECK(word_kind(hub.log().tick(1024 + kHeaderLines)->word) == Kind::Epoch);
  publish(hub, tick(0, w.now + kSecond, 100));
  CHECK(hub.log().tick(peek(hub.hot().head) - 1)->bid == 100);
}

// The views know what was in it; what lies before it cannot be walked to from there, and counts as dropped.
void a_segment_missing_behind_the_checkpoint_ends_the_log_there() {
  for (const bool views : {false, true}) {
    Home home;
    World w;
    u64 head = 0, third = 0;
    {
      Hub hub(home.hub(), home.options());
      w.define(hub, 1);
      w.fill(hub, 5000, kSecond);
      head = peek(hub.hot().head);
      third = hub.log().geometry().first_line(2);
      if (views) hub.at().release_slot();
      if (views) hub.at().checkpoint();
    }
    std::filesystem::remove(home.hub() + "/log/000000000001.tape");
    Hub hub(home.hub(), home.options());
    CHECK(hub.at().control().epoch == 1);
    CHECK(peek(hub.hot().head) == head);
    CHECK(peek(hub.hot().oldest_line) == third);
    CHECK_EMPTY(compare_channel(hub, w.model, 0));
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_tests({{"a flipped bit in the last records is found", a_flipped_bit_in_the_last_records_is_found<false>},
                    {"a flipped bit below a checkpoint is found", a_flipped_bit_in_the_last_records_is_found<true>},
                    {"a flipped bit beside living views is found", a_flipped_bit_beside_living_views_is_found},
                    {"a segment cut at any byte is made whole or refused", a_segment_cut_at_any_byte_is_made_whole_or_refused},
                    {"a damaged segment header costs no record", a_damaged_segment_header_costs_no_record},
                    {"a damaged checkpoint falls back to the older or to the log",
                     a_damaged_checkpoint_falls_back_to_the_older_or_to_the_log},
                    {"a damaged control file is refused", a_damaged_control_file_is_refused},
                    {"the only bit of a word is missed", the_only_bit_of_a_word_is_missed<false>},
                    {"the only bit of a word is missed beside living views", the_only_bit_of_a_word_is_missed<true>},
                    {"a reader that finds the tail cut says so", a_reader_that_finds_the_tail_cut_says_so},
                    {"a missing segment in the middle starts a new epoch", a_missing_segment_in_the_middle_starts_a_new_epoch},
                    {"a segment missing behind the checkpoint ends the log there",
                     a_segment_missing_behind_the_checkpoint_ends_the_log_there}},
                   argc, argv);
}
