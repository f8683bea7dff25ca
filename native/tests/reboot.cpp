// A machine that starts again: what was in memory is gone, and of what was not on stable storage anything may be.
#include <cstddef>

#include "image.hpp"
#include "world.hpp"

using namespace tapehub;
using namespace tapehub::test;

namespace {

ControlFile control_of(const std::string& hub) {
  ControlFile control{};
  const std::string data = read_small_file(hub + "/control");
  CHECK(data.size() == sizeof control);
  std::memcpy(&control, data.data(), sizeof control);
  return control;
}

// The memory files go, and the control file was written in another life of the machine.
void reboot(const Home& home) {
  std::filesystem::remove_all(home.memory());
  std::filesystem::create_directories(home.memory());
  ControlFile control = control_of(home.hub());
  std::strncpy(control.boot_id, "another-boot", sizeof control.boot_id);
  control.crc32c = crc32c(&control, offsetof(ControlFile, crc32c));
  File file = File::open(home.hub() + "/control", O_WRONLY);
  CHECK(::pwrite(file.fd(), &control, sizeof control, 0) == ssize_t(sizeof control));
}

// Pages that never reached the disk read as zeros.
void lose_lines(const Home& home, u64 from, u64 to) {
  File file = File::open(home.hub() + "/log/000000000000.tape", O_WRONLY);
  const std::string zeros((to - from) * kLineBytes, '\0');
  CHECK(::pwrite(file.fd(), zeros.data(), zeros.size(), off_t(from * kLineBytes)) == ssize_t(zeros.size()));
}

void keep_cursor(const Home& home, const std::string& text) {
  std::filesystem::create_directories(home.hub() + "/cursors");
  File file = File::open(home.hub() + "/cursors/archive", O_WRONLY | O_CREAT | O_TRUNC);
  CHECK(::write(file.fd(), text.data(), text.size()) == ssize_t(text.size()));
}

// A life of the hub: opened, written to, and left or not. Returns its head.
u64 life(const Home& home, World& w, bool leaves, u32 ticks = 30) {
  Hub hub(home.hub(), home.options());
  if (w.model.channels.empty()) w.define(hub);
  w.fill(hub, ticks, kSecond);
  const u64 head = peek(hub.hot().head);
  if (!leaves) hub.at().release_slot();
  return head;
}

u64 epoch_after(const Home& home) {
  Hub hub(home.hub(), home.options());
  CHECK(hub.at().cut_tail() == (hub.at().control().epoch == 2));
  if (hub.at().cut_tail()) {  // and the log says from where on
    CHECK(read_hub(hub.hot()).rare.by_kind[u32(Kind::Epoch)] == 1);
  }
  return hub.at().control().epoch;
}

void a_clean_end_keeps_its_epoch_over_a_reboot() {
  Home home;
  World w;
  const u64 head = life(home, w, true);
  CHECK(control_of(home.hub()).clean_line == head);
  reboot(home);
  CHECK(epoch_after(home) == 1);
  reboot(home);
  CHECK(epoch_after(home) == 1);
}

// A process that may not write leaves a clean end as it found it.
void a_reader_keeps_a_clean_end_clean() {
  Home home;
  World w;
  const u64 head = life(home, w, true);
  {
    Options options = home.options("reader");
    options.read_only = true;
    Hub reader(home.hub(), options);
    CHECK(control_of(home.hub()).clean_line == 0);
  }
  CHECK(control_of(home.hub()).clean_line == head);
  reboot(home);
  CHECK(epoch_after(home) == 1);
}

// The lines that were lost leave no trace: without a new epoch their sequences would mean two things.
void a_reboot_without_a_clean_end_starts_a_new_epoch() {
  for (const u64 lost : {12, 0}) {
    Home home;
    World w;
    const u64 head = life(home, w, false);
    lose_lines(home, head - lost, head);
    reboot(home);
    CHECK(epoch_after(home) == 2);
  }
}

void a_reboot_after_a_clean_end_and_another_life_starts_a_new_epoch() {
  Home home;
  World w;
  const u64 clean = life(home, w, true), head = life(home, w, false);
  CHECK(control_of(home.hub()).clean_line == 0);
  lose_lines(home, clean, head);
  reboot(home);
  CHECK(epoch_after(home) == 2);  // it ends where the clean end was, but was further once
}

// The last one that leaves is killed when its end is known to be clean: who finds the memory files goes on, and from
// then on the end is open again.
void a_clean_end_whose_views_are_found_is_open_again() {
  Home home;
  World w;
  const u64 clean = life(home, w, false);
  {
    Hub hub(home.hub(), home.options("leaving"));
    hub.at().flush();
    hub.at().end_cleanly();
    CHECK(control_of(home.hub()).clean_line == clean);
    hub.at().release_slot();
  }
  const u64 head = life(home, w, false);
  CHECK(control_of(home.hub()).clean_line == 0);
  lose_lines(home, clean, head);
  reboot(home);
  CHECK(epoch_after(home) == 2);
}

// The one before is left when another hub lies in its place: that one has no end, and no counts, of it.
void a_hub_that_was_replaced_ends_without_a_trace_in_the_other() {
  Home home;
  World w;
  auto before = std::make_unique<Hub>(home.hub(), home.options());
  w.define(*before);
  w.fill(*before, 30, kSecond);
  std::filesystem::remove_all(home.hub());
  Hub hub(home.hub(), home.options());
  before.reset();
  CHECK(control_of(home.hub()).clean_line == 0);
  CHECK(!std::filesystem::exists(home.hub() + "/accounts"));
}

// What a disk lost that said it had stored it.
void a_log_that_ends_before_its_clean_end_starts_a_new_epoch() {
  Home home;
  World w;
  const u64 head = life(home, w, true);
  lose_lines(home, head - 3, head);
  std::filesystem::remove(home.hub() + "/checkpoint");
  std::filesystem::remove(home.hub() + "/checkpoint.old");
  CHECK(epoch_after(home) == 2);
}

void a_log_that_ends_before_a_cursor_starts_a_new_epoch() {
  Home home;
  World w;
  const u64 head = life(home, w, false);
  char id[33];
  for (u32 i = 0; i < 16; ++i) std::snprintf(id + 2 * i, 3, "%02x", control_of(home.hub()).hub_id[i]);
  const std::string at = std::to_string(head), other(32, 'f');
  struct Kept {
    std::string text;
    u64 epoch;
  };
  for (const Kept& kept : {Kept{at + "\n", 2}, Kept{at + " 1 " + id + "\n", 2}, Kept{at + " 1 " + other + "\n", 1},
                           Kept{std::to_string(head - 3) + " 1 " + id + "\n", 1}, Kept{at + " 0 " + id + "\n", 1},
                           Kept{"", 1}, Kept{"none\n", 1}}) {
    copy_hub(home.hub(), home.hub("copy"));
    keep_cursor(home, kept.text);
    lose_lines(home, head - 3, head);
    std::filesystem::remove_all(home.memory());
    std::filesystem::create_directories(home.memory());
    CHECK(epoch_after(home) == kept.epoch);
    std::filesystem::remove_all(home.memory());
    std::filesystem::create_directories(home.memory());
    Hub again(home.hub(), home.options());
    CHECK(again.at().control().epoch == kept.epoch);  // once, not with each opening
    again.at().release_slot();
    copy_hub(home.hub("copy"), home.hub());
  }
}

void set_clock(Hub& hub, const ClockBody& clock, u8 flags) {
  RecordInput input;
  input.kind = Kind::Clock;
  input.ts_event = clock.anchor_ns;
  input.flags = flags;
  input.payload = &clock;
  input.payload_bytes = sizeof clock;
  hub.publish_record(input);
}

ClockBody virtual_clock(i64 anchor_boot_ns) {
  ClockBody clock{};
  clock.mode = u32(ClockMode::Virtual);
  clock.rate = 1;
  clock.anchor_ns = kTuesday;
  clock.anchor_boot_ns = anchor_boot_ns;
  clock.watermark_ns = kTimeNever;
  return clock;
}

// CLOCK_BOOTTIME begins anew with the machine. Here the log is that of a machine which had been up for ten days more.
template <bool kLeaves>
void a_virtual_clock_goes_on_where_it_stood_over_a_reboot() {
  Home home;
  World w;
  i64 last = 0;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub);
    set_clock(hub, virtual_clock(boot_ns() - kDay), 0);
    const u64 seq = publish(hub, tick(0, kTuesday + kDay, 100));
    last = hub.log().tick(seq)->ts_publish;
    CHECK(last >= kTuesday + kDay);
    set_clock(hub, virtual_clock(boot_ns() + 10 * kDay), 1);
    CHECK(hub.now() < kTuesday);
    if (!kLeaves) hub.at().release_slot();
  }
  for (u32 life = 0; life < 3; ++life) {
    reboot(home);
    Hub hub(home.hub(), home.options());
    const i64 now = hub.now();
    CHECK(now >= last && now < last + kHour);
    const HubState state = read_hub(hub.hot());
    CHECK(state.rare.clock.rate == 1 && ClockMode(state.rare.clock.mode) == ClockMode::Virtual);
    CHECK(state.block.clock_seq != 0);
    const u64 seq = publish(hub, tick(0, kTuesday + kDay, 101));
    last = hub.log().tick(seq)->ts_publish;
    CHECK(last >= now);
    // The same time line: lateness does not begin afresh.
    CHECK(read_hub(hub.hot()).block.clock_seq == state.block.clock_seq);
    if (!kLeaves) hub.at().release_slot();
  }
}

void a_virtual_clock_is_let_alone_where_the_machine_went_on() {
  Home home;
  World w;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub);
    ClockBody clock = virtual_clock(boot_ns() - kHour);
    clock.rate = 60;
    set_clock(hub, clock, 0);
  }
  Hub hub(home.hub(), home.options());
  CHECK(hub.now() >= kTuesday + 60 * kHour);
  CHECK(read_hub(hub.hot()).rare.by_kind[u32(Kind::Clock)] == 1);
}

// Whoever rebuilt is killed, anywhere: the next one that comes in finds the record of the new epoch where the histories part,
// before any other, and a virtual clock that goes on.
void a_killed_rebuild_leaves_no_epoch_without_its_record() {
  Home home(memory_backed());
  World w;
  u64 cut = 0;
  i64 last = 0;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub, 1);
    set_clock(hub, virtual_clock(boot_ns() - kDay), 0);
    last = hub.log().tick(publish(hub, tick(0, kTuesday + kDay, 100)))->ts_publish;
    set_clock(hub, virtual_clock(boot_ns() + 10 * kDay), 1);
    cut = peek(hub.hot().head);
    for (u32 i = 0; i < 3; ++i) publish(hub, tick(0, kTuesday - kMinute, 101));
    hub.at().flush();
    hub.at().release_slot();
  }
  lose_lines(home, cut, cut + 3);
  reboot(home);
  Image image(home.hub(), home.memory());
  const Mapping stores(::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), kPage);
  const auto rebuild_and_die = [&](i64 n) {
    image.put_back();
    return in_child([&] {
      const i64 before = crash_stores;
      crash_countdown = n;
      Hub child(home.hub(), home.options("dying"));
      *stores.at<i64>() = crash_stores - before;
      ::_exit(0);
    });
  };
  CHECK(came_to_its_end(rebuild_and_die(-1)));
  const i64 all = *stores.at<i64>(), closely = try_all() ? all : 150 / kSlow;
  CHECK(all > 150);
  for (i64 n = 1; n <= all; n += n > all - closely ? 1 : (all - closely) / 20 + 1) {
    CHECK(was_killed(rebuild_and_die(n)));
    Hub hub(home.hub(), home.options());
    const u64 seq = publish(hub, tick(0, kTuesday + kDay, 102));
    const u64 epoch = hub.at().control().epoch;
    u64 told = 0;
    for (u64 line = cut; line < seq;) {
      auto* head = reinterpret_cast<const RecordHead*>(hub.log().line(line));
      if (line == cut) CHECK(word_kind(head->word) == Kind::Epoch && head->fixed[1] == 2);
      if (word_kind(head->word) == Kind::Epoch) told = head->fixed[1];
      line += word_lines(head->word);
    }
    CHECK(epoch >= 2 && told == epoch);
    CHECK(hub.log().tick(seq)->ts_publish >= last && hub.log().tick(seq)->ts_publish < last + kHour);
    hub.at().release_slot();
  }
}

void a_control_file_of_an_earlier_epoch_brings_no_epoch_back() {
  Home home;
  World w;
  life(home, w, true);
  std::filesystem::copy_file(home.hub() + "/control", home.hub("kept"));
  const u64 head = life(home, w, false);
  lose_lines(home, head - 12, head);
  reboot(home);
  CHECK(epoch_after(home) == 2);
  for (const bool checkpoint : {true, false}) {
    std::filesystem::copy_file(home.hub("kept"), home.hub() + "/control", std::filesystem::copy_options::overwrite_existing);
    if (!checkpoint) {
      std::filesystem::remove(home.hub() + "/checkpoint");
      std::filesystem::remove(home.hub() + "/checkpoint.old");
    }
    reboot(home);
    Hub hub(home.hub(), home.options());
    CHECK(hub.at().control().epoch >= 2);
  }
}

// A ring is made of chunks that are taken when they are needed: 2.8 MB for all of a channel, of which most use a few.
void a_hub_at_rest_is_opened_with_the_memory_that_it_had() {
  Home home;
  World w;
  u64 used = 0;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub, 20);
    w.fill(hub, 400, kSecond);
    used = peek(hub.hot().arena_next);
  }
  Hub hub(home.hub(), home.options());
  CHECK(hub.at().replayed() == 0);
  CHECK(peek(hub.hot().arena_next) <= used);
  CHECK(peek(hub.hot().arena_ready) <= used + used / 2 + 20 + 256);
  CHECK_EMPTY(compare(hub, w.model));
}

void a_hub_at_rest_without_any_channel_is_opened() {
  Home home;
  { Hub hub(home.hub(), home.options()); }
  CHECK(std::filesystem::exists(home.hub() + "/checkpoint"));
  Hub hub(home.hub(), home.options());
  CHECK(peek(hub.hot().channels) == 0);
}

}  // namespace

int main(int argc, char** argv) {
  return run_tests({{"a clean end keeps its epoch over a reboot", a_clean_end_keeps_its_epoch_over_a_reboot},
                    {"a reader keeps a clean end clean", a_reader_keeps_a_clean_end_clean},
                    {"a reboot without a clean end starts a new epoch", a_reboot_without_a_clean_end_starts_a_new_epoch},
                    {"a reboot after a clean end and another life starts a new epoch",
                     a_reboot_after_a_clean_end_and_another_life_starts_a_new_epoch},
                    {"a clean end whose views are found is open again", a_clean_end_whose_views_are_found_is_open_again},
                    {"a hub that was replaced ends without a trace in the other",
                     a_hub_that_was_replaced_ends_without_a_trace_in_the_other},
                    {"a log that ends before its clean end starts a new epoch",
                     a_log_that_ends_before_its_clean_end_starts_a_new_epoch},
                    {"a log that ends before a cursor starts a new epoch", a_log_that_ends_before_a_cursor_starts_a_new_epoch},
                    {"a virtual clock goes on where it stood over a reboot",
                     a_virtual_clock_goes_on_where_it_stood_over_a_reboot<true>},
                    {"a virtual clock goes on where it stood over a power loss",
                     a_virtual_clock_goes_on_where_it_stood_over_a_reboot<false>},
                    {"a virtual clock is let alone where the machine went on",
                     a_virtual_clock_is_let_alone_where_the_machine_went_on},
                    {"a killed rebuild leaves no epoch without its record",
                     a_killed_rebuild_leaves_no_epoch_without_its_record},
                    {"a control file of an earlier epoch brings no epoch back",
                     a_control_file_of_an_earlier_epoch_brings_no_epoch_back},
                    {"a hub at rest is opened with the memory that it had",
                     a_hub_at_rest_is_opened_with_the_memory_that_it_had},
                    {"a hub at rest without any channel is opened", a_hub_at_rest_without_any_channel_is_opened}},
                   argc, argv);
}
