// Stopped and killed processes, forks, copies, and how long a view lives.
#include <sys/resource.h>

#include <thread>

#include "crash.hpp"

using namespace tapehub;
using namespace tapehub::test;

namespace {

const Geometry& geometry_of(Hub& hub) { return hub.log().geometry(); }

void wait_until_stopped(pid_t pid) {
  int status = 0;
  CHECK(::waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
}

void a_stopped_writer_blocks_no_reader_and_is_named_to_writers() {
  Home home;
  World w;
  Options options = home.options("living");
  options.lock_timeout_ns = 200'000'000;
  Hub hub(home.hub(), options);
  w.define(hub);
  w.fill(hub, 60, 900'000'000);
  for (const i64 n : {1, 5, 12, 40, 90, 150}) {
    const Operation o = w.next_tick(1, kSecond);
    const pid_t pid = start_child([&] {
      Hub child(home.hub(), home.options("sleeper"));
      crash_signal = SIGSTOP;
      crash_countdown = n;
      publish(child, o);
    });
    wait_until_stopped(pid);
    CHECK_EMPTY(nothing_torn(hub, outcomes(w.model, {o})));
    std::string told;
    try {
      publish(hub, tick(0, w.now, 100));
    } catch (const Error& error) {
      CHECK(error.cause == Cause::Stalled);
      told = error.what();
    }
    CHECK(told.find(std::to_string(pid)) != std::string::npos);
    CHECK(told.find("sleeper") != std::string::npos);
    ::kill(pid, SIGCONT);
    CHECK(came_to_its_end(end_of(pid)));
    w.model.apply(o);
    w.publish(hub, w.next_tick(0, 100'000'000));
    CHECK_EMPTY(compare(hub, w.model));
  }
}

void a_stopped_writer_that_is_killed_is_repaired() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options("living"));
  w.define(hub);
  for (const i64 n : {3, 11, 100}) {
    const Operation o = w.next_tick(1, kSecond);
    const pid_t pid = start_child([&] {
      Hub child(home.hub(), home.options("sleeper"));
      crash_signal = SIGSTOP;
      crash_countdown = n;
      publish(child, o);
    });
    wait_until_stopped(pid);
    const pid_t waiting = start_child([&] {  // queues behind the stopped one
      Hub child(home.hub(), home.options("patient"));
      publish(child, tick(0, w.now, 50));
    });
    sleep_ns(20'000'000);
    ::kill(pid, SIGKILL);
    CHECK(was_killed(end_of(pid)));
    CHECK(came_to_its_end(end_of(waiting)));
    std::vector<Model> possible = outcomes(w.model, {o});
    for (Model& model : possible) model.apply(tick(0, w.now, 50));
    CHECK_EMPTY(settle(hub, possible, &w.model));
  }
}

void a_producer_killed_again_and_again_loses_nothing_acknowledged() {
  Home home;
  Options options = home.options("living");
  options.segments_ahead = 1;
  Hub hub(home.hub(), options);
  World w;
  w.define(hub, 1);
  auto* acknowledged = static_cast<u64*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::mt19937_64 random(11);
  u64 sent = 0;
  for (u32 round = 0; round < 24 / kSlow + 4; ++round) {
    const u64 first = sent;
    const pid_t pid = start_child([&] {
      Options mine = home.options("victim");
      mine.helper_thread = true;
      Hub child(home.hub(), mine);
      for (u64 i = first;; ++i) {
        publish(child, tick(0, kTuesday + i64(i) * 50'000'000, 100 + double(i % 64) / 64));
        __atomic_store_n(acknowledged, i + 1, __ATOMIC_RELEASE);
      }
    });
    sleep_ns(10'000'000 + i64(random() % 20'000'000));
    ::kill(pid, SIGKILL);
    end_of(pid);
    hub.repair_if_needed();
    const u64 ticks = read_channel(hub.views().channel(0)).block.ticks;
    const u64 known = std::max(first, __atomic_load_n(acknowledged, __ATOMIC_ACQUIRE));
    CHECK(ticks == known || ticks == known + 1);
    sent = ticks;
  }
  for (u64 i = 0; i < sent; ++i) w.model.apply(tick(0, kTuesday + i64(i) * 50'000'000, 100 + double(i % 64) / 64));
  CHECK_EMPTY(compare(hub, w.model));
  ::munmap(acknowledged, 4096);
}

void two_attachments_in_one_process_share_one_hub() {
  Home home;
  World w;
  auto one = std::make_unique<Hub>(home.hub(), home.options("one"));
  auto two = std::make_unique<Hub>(home.hub(), home.options("two"));
  w.define(*one);
  for (u32 i = 0; i < 40; ++i) w.publish(i % 2 ? *one : *two, w.next_tick(u16(i % 3), 700'000'000));
  CHECK_EMPTY(compare(*one, w.model));
  CHECK_EMPTY(compare(*two, w.model));
  one.reset();  // not the last: the memory files stay
  w.publish(*two, w.next_tick(0, kSecond));
  CHECK_EMPTY(compare(*two, w.model));
  CHECK(two->at().lost() == Lost::No);
  const std::string memory = two->at().memory_dir();
  two.reset();
  CHECK(!std::filesystem::exists(memory));
  Hub again(home.hub(), home.options());
  CHECK_EMPTY(compare(again, w.model));
}

void a_forked_child_reads_but_never_writes_as_its_parent() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options("parent"));
  w.define(hub);
  w.fill(hub, 60, kSecond);
  CHECK(hub.at().of_this_process());
  CHECK(came_to_its_end(in_child([&] {
    CHECK(!hub.at().of_this_process());
    CHECK_EMPTY(compare(hub, w.model));
    bool refused = false;
    try {
      publish(hub, tick(0, w.now, 1));
    } catch (const Error& error) {
      refused = error.cause == Cause::Closed;
    }
    CHECK(refused);
    hub.~Hub();  // gives nothing of the parent's back
    Hub own(home.hub(), home.options("child"));
    CHECK(own.at().me().word() != 0);
    publish(own, tick(0, w.now + kSecond, 77));
  })));
  w.model.apply(tick(0, w.now + kSecond, 77));
  CHECK(std::filesystem::exists(hub.at().memory_dir()));
  CHECK(came_to_its_end(in_child([&] {  // and the parent's slot is still held
    Hub other(home.hub(), home.options("other"));
    CHECK(other.at().others_alive() == 1);
  })));
  w.publish(hub, w.next_tick(0, 3 * kSecond));
  CHECK_EMPTY(compare(hub, w.model));
}

void a_copied_directory_is_a_hub_of_its_own() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub);
  w.fill(hub, 60, kSecond);
  copy_hub(home.hub(), home.hub("copy"));
  {
    World other = w;
    Hub copy(home.hub("copy"), home.options("copy"));
    CHECK_EMPTY(compare(copy, other.model));
    other.publish(copy, other.next_tick(0, kSecond));
    CHECK_EMPTY(compare(copy, other.model));
  }
  CHECK_EMPTY(compare(hub, w.model));
  w.publish(hub, w.next_tick(1, kSecond));
  CHECK_EMPTY(compare(hub, w.model));
}

void a_view_outlives_its_segment_and_its_hub() {
  Home home;
  World w;
  std::shared_ptr<Window> keep;
  const unsigned char* view = nullptr;
  u64 start = 0, lines = 0;
  {
    Options options = home.options();
    options.retention_bytes = 1;
    Hub hub(home.hub(), options);
    w.define(hub, 1);
    w.fill(hub, 4000, kSecond);
    start = kHeaderLines;
    lines = 2500;  // crosses two segments
    view = hub.log().view(start, lines, &keep);
    CHECK(view != nullptr);
    hub.at().checkpoint();
    hub.upkeep(true);
    CHECK(!std::filesystem::exists(hub.log().path_of(0)));
    CHECK(peek(hub.hot().oldest_line) > start);
  }
  std::filesystem::remove_all(home.hub());
  const Geometry geometry = Geometry::of(1024);
  u64 found = 0;
  for (u64 n = start; n < start + lines;) {
    u64 word;
    CHECK(examine(view + (n - start) * kLineBytes, n, geometry, &word) == Found::Record);
    found += word_kind(word) == Kind::Tick;
    n += word_lines(word);
  }
  CHECK(found > 2000);
}

// A helper that did not run for a while goes on with the segment that was next when it stopped.
void a_helper_that_lags_neither_takes_a_segment_from_the_writer_nor_makes_a_dropped_one_again() {
  Home home;
  World w;
  Options options = home.options();
  options.retention_bytes = 1;
  Hub hub(home.hub(), options);
  w.define(hub, 1);
  w.fill(hub, 5000, kSecond);
  const Geometry& geometry = hub.log().geometry();
  const u64 head = peek(hub.hot().head), segment = geometry.segment_of(head);
  CHECK(segment >= 4);
  hub.at().prepare_segment(segment - 4);  // it lies there, and would take the place of the writer's
  CHECK(hub.log().writable(head) != nullptr);
  hub.at().checkpoint();
  hub.upkeep(true);
  CHECK(!hub.log().exists(0));
  hub.at().prepare_segment(0);
  CHECK(!hub.log().exists(0));
  const u64 oldest = peek(hub.hot().oldest_line);
  hub.upkeep(true);
  CHECK(peek(hub.hot().oldest_line) == oldest);
  w.fill(hub, 2000, kSecond);
  CHECK_EMPTY(compare_channel(hub, w.model, 0));
}

void more_segments_ahead_than_can_be_held_are_refused() {
  Home home;
  Options options = home.options();
  options.segments_ahead = 4;
  bool refused = false;
  try {
    Hub hub(home.hub(), options);
  } catch (const Error& error) {
    refused = error.cause == Cause::Invalid && std::string(error.what()).find("segments_ahead is 4") != std::string::npos;
  }
  CHECK(refused);
}

void a_reopened_hub_whose_first_segments_were_dropped_keeps_its_counts() {
  Home home;
  World w;
  Options options = home.options();
  options.retention_bytes = 1;
  u64 records = 0, oldest = 0;
  {
    Hub hub(home.hub(), options);
    w.define(hub, 1);
    w.fill(hub, 5000, kSecond);
    hub.at().checkpoint();
    hub.upkeep(true);
    oldest = peek(hub.hot().oldest_line);
    CHECK(oldest > 1024);
    records = read_hub(hub.hot()).block.records;
  }
  {
    Hub hub(home.hub(), options);
    CHECK(read_hub(hub.hot()).block.records == records);
    CHECK(peek(hub.hot().oldest_line) == oldest);
    CHECK_EMPTY(compare_channel(hub, w.model, 0));
  }
  // Without any checkpoint nobody knows what the instruments of the remaining ticks are called.
  std::filesystem::remove(home.hub() + "/checkpoint");
  std::filesystem::remove(home.hub() + "/checkpoint.old");
  bool refused = false;
  try {
    Hub hub(home.hub(), options);
  } catch (const Error& error) {
    refused = error.cause == Cause::Format;
  }
  CHECK(refused);
}

void a_repair_that_fails_leaves_the_repair_to_the_next() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options("living"));
  w.define(hub);
  w.fill(hub, 60, kSecond);
  const Operation o = w.next_tick(1, kSecond);
  CHECK(was_killed(in_child([&] {
    Hub child(home.hub(), home.options("dying"));
    crash_countdown = 12;
    publish(child, o);
  })));
  CHECK(came_to_its_end(in_child([&] {
    Hub child(home.hub(), home.options("full"));
    child.at().writable();
    rlimit none{3, 3};
    ::setrlimit(RLIMIT_NOFILE, &none);  // it cannot map the segment
    bool failed = false;
    try {
      child.repair_if_needed();
    } catch (const Error&) {
      failed = true;
    }
    CHECK(failed);
  })));
  std::vector<Model> possible = outcomes(w.model, {o});
  const Operation next = w.next_tick(0, 300'000'000);
  publish(hub, next);
  for (Model& model : possible) model.apply(next);
  CHECK_EMPTY(settle(hub, possible, &w.model));
}

// What cannot be opened for want of a descriptor is there all the same.
void a_process_without_descriptors_claims_neither_a_flush_nor_an_empty_log() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub, 1);
  w.fill(hub, 3000, kSecond);
  CHECK(came_to_its_end(in_child([&] {
    Hub child(home.hub(), home.options("full"));
    child.at().writable();
    const u64 before = peek(child.hot().synced_line);
    rlimit were{};
    ::getrlimit(RLIMIT_NOFILE, &were);
    const rlimit none{3, were.rlim_max};
    const auto fails = [](const auto& call) {
      try {
        call();
      } catch (const Error& error) {
        return error.cause == Cause::Hub;
      }
      return false;
    };
    CHECK(fails([] { fail(Cause::Hub, "seen"); }));  // UBSan opens a pipe to look at the first object of a type
    ::setrlimit(RLIMIT_NOFILE, &none);
    CHECK(fails([&] { child.at().flush(); }));
    CHECK(peek(child.hot().synced_line) == before);
    CHECK(fails([&] { child.log().line(geometry_of(child).first_line(1)); }));
    CHECK(fails([&] { child.log().segments(); }));
    ::setrlimit(RLIMIT_NOFILE, &were);
    child.at().flush();
    CHECK(peek(child.hot().synced_line) == peek(child.hot().head));
    CHECK(child.log().line(geometry_of(child).first_line(1)) != nullptr);
  })));
}

void a_helper_does_not_wait_for_a_process_that_stopped_as_it_extended_the_hub() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub, 1);
  hub.upkeep(true);
  const pid_t stopped = start_child([&] {
    Hub child(home.hub(), home.options("sleeper"));
    CHECK(child.at().locks().lock(kByteExtend, kSecond));
    ::raise(SIGSTOP);
    child.at().locks().unlock(kByteExtend);
  });
  wait_until_stopped(stopped);
  approach_end(w, hub, 10);
  w.fill(hub, 12, kSecond);  // the next segment is there; that behind it is to be made
  hub.upkeep(true);
  CHECK(!hub.log().exists(geometry_of(hub).segment_of(peek(hub.hot().head)) + 1));
  ::kill(stopped, SIGCONT);
  CHECK(came_to_its_end(end_of(stopped)));
  hub.upkeep(true);
  CHECK(hub.log().exists(geometry_of(hub).segment_of(peek(hub.hot().head)) + 1));
}

// Nobody has to publish for the counts to agree again.
void what_a_dead_writer_left_half_done_is_finished_by_upkeep() {
  Home home;
  World w;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub, 1);
    w.fill(hub, 30, kSecond);
    hub.at().release_slot();
  }
  u32 unfinished = 0;
  for (i64 n = 1;; n += kSlow) {
    const Operation o = tick(0, w.now + n * 1'000'000, 100);
    const int status = in_child([&] {
      Hub child(home.hub(), home.options("dying"));
      child.at().writable();
      crash_countdown = n;
      publish(child, o);
      ::_exit(0);
    });
    Hub hub(home.hub(), home.options());
    unfinished += peek(hub.hot().lock) != 0;
    hub.upkeep(true);
    CHECK(peek(hub.hot().lock) == 0);
    const HubState state = read_hub(hub.hot());
    u64 others = 0;
    for (u32 kind = 0; kind < kKindsCounted; ++kind) others += state.rare.by_kind[kind];
    CHECK(state.block.records - others == read_channel(hub.views().channel(0)).block.ticks);
    hub.at().release_slot();
    if (came_to_its_end(status)) break;
  }
  CHECK(unfinished > 5);
}

void a_view_reaches_over_the_end_of_a_window() {
  Home home(memory_backed());
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub, 1);
  w.fill(hub, 1, kSecond);
  const std::vector<TickInput> rows(65'536, tick_input(hub, tick(0, w.now, 100)));
  u64 published = 0;
  while (peek(hub.hot().head) < 1030 * 1024) hub.publish_ticks(rows.data(), rows.size(), &published);
  std::shared_ptr<Window> keep;
  const u64 end = 1024 * 1024;
  for (const u64 start : {end - 500, u64(kHeaderLines)}) {
    const unsigned char* view = hub.log().view(start, end + 1000 - start, &keep);
    CHECK(view != nullptr);
    CHECK(word_seq(*reinterpret_cast<const Word*>(view)) == start);
    const u64 last = end + 999;
    CHECK(word_seq(*reinterpret_cast<const Word*>(view + (last - start) * kLineBytes)) == last);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_tests({{"a process without descriptors claims neither a flush nor an empty log",
                     a_process_without_descriptors_claims_neither_a_flush_nor_an_empty_log},
                    {"a helper does not wait for a process that stopped as it extended the hub",
                     a_helper_does_not_wait_for_a_process_that_stopped_as_it_extended_the_hub},
                    {"what a dead writer left half done is finished by upkeep",
                     what_a_dead_writer_left_half_done_is_finished_by_upkeep},
                    {"a view reaches over the end of a window", a_view_reaches_over_the_end_of_a_window},
                    {"a stopped writer blocks no reader and is named to writers",
                     a_stopped_writer_blocks_no_reader_and_is_named_to_writers},
                    {"a stopped writer that is killed is repaired", a_stopped_writer_that_is_killed_is_repaired},
                    {"a producer killed again and again loses nothing acknowledged",
                     a_producer_killed_again_and_again_loses_nothing_acknowledged},
                    {"two attachments in one process share one hub", two_attachments_in_one_process_share_one_hub},
                    {"a forked child reads but never writes as its parent",
                     a_forked_child_reads_but_never_writes_as_its_parent},
                    {"a copied directory is a hub of its own", a_copied_directory_is_a_hub_of_its_own},
                    {"a view outlives its segment and its hub", a_view_outlives_its_segment_and_its_hub},
                    {"a reopened hub whose first segments were dropped keeps its counts",
                     a_reopened_hub_whose_first_segments_were_dropped_keeps_its_counts},
                    {"a helper that lags neither takes a segment from the writer nor makes a dropped one again",
                     a_helper_that_lags_neither_takes_a_segment_from_the_writer_nor_makes_a_dropped_one_again},
                    {"more segments ahead than can be held are refused", more_segments_ahead_than_can_be_held_are_refused},
                    {"a repair that fails leaves the repair to the next",
                     a_repair_that_fails_leaves_the_repair_to_the_next}},
                   argc, argv);
}
