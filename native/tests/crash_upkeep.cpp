// A process killed while it checkpoints, leaves, opens, creates a segment, or first writes.
#include "crash.hpp"

using namespace tapehub;
using namespace tapehub::test;

namespace {

Case a_checkpoint() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.fill(hub, 12, kSecond); };
  c.make = [](World&) { return Attempt{[](Hub& hub) { hub.at().checkpoint(); }, {}}; };
  c.copy_step = 1;
  return c;
}

void killed_while_it_leaves_as_the_last() {
  Case c = a_checkpoint();
  die_alone(c, [](const Home& home, const Attempt&, i64 n) {
    {
      Hub hub(home.hub(), home.options("leaving"));
      crash_countdown = n;
    }
  });
}

void killed_while_it_publishes_and_leaves() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.fill(hub, 12, kSecond); };
  c.make = [](World& w) { return attempt(w.next_tick(1, kSecond)); };
  c.step = 11;
  die_alone(c, [](const Home& home, const Attempt& attempt, i64 n) {
    Hub hub(home.hub(), home.options("leaving"));
    crash_countdown = n;
    attempt.run(hub);
  });
}

// The memory files are gone, so that opening rebuilds; and what a killed rebuild leaves behind is taken away.
void killed_while_it_rebuilds() {
  Home home;
  World w;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub);
    w.fill(hub, 90, kSecond);
    hub.at().checkpoint();
    w.fill(hub, 30, kSecond);
    hub.at().release_slot();
  }
  std::mt19937_64 random(7);
  for (i64 n = 1; n < 40'000; n += n < 60 ? 1 : 1 + i64(random() % (900 * kSlow))) {
    for (const auto& entry : std::filesystem::directory_iterator(home.memory())) {
      if (n % 2) std::filesystem::remove(entry.path() / "slots");  // unusable, and found all the same
    }
    const int status = in_child([&] {
      crash_countdown = n;
      Hub hub(home.hub(), home.options("dying"));
      hub.repair_if_needed();
      ::_exit(0);
    });
    Hub hub(home.hub(), home.options());
    CHECK_EMPTY(compare(hub, w.model));
    const auto left = std::distance(std::filesystem::directory_iterator(home.memory()), std::filesystem::directory_iterator());
    CHECK(left == 1);
    w.fill(hub, 3, kSecond);
    CHECK_EMPTY(compare(hub, w.model));
    hub.at().release_slot();
    if (came_to_its_end(status) && n > 60) break;
  }
}

void killed_while_it_creates_a_hub() {
  for (i64 n = 1; n < 400; n += n < 30 ? 1 : 23 * kSlow) {
    Home home;
    const int status = in_child([&] {
      crash_countdown = n;
      Hub hub(home.hub(), home.options("dying"));
      World w;
      w.define(hub, 1);
      ::_exit(0);
    });
    Hub hub(home.hub(), home.options());
    if (came_to_its_end(status)) return;
    World w;
    if (read_hub(hub.hot()).block.records == 0) {
      hub.repair_if_needed();
      if (read_hub(hub.hot()).block.records == 0) {
        w.define(hub, 2);
        w.fill(hub, 10, kSecond);
        CHECK_EMPTY(compare(hub, w.model));
      }
    }
  }
}

// What the helper thread does for segments, here step by step.
void killed_while_it_prepares_segments() {
  Case c;
  c.before = [](World& w, Hub& hub) { approach_end(w, hub, 900); };
  c.make = [](World&) {
    return Attempt{[](Hub& hub) {
                     hub.repair_if_needed();
                     hub.upkeep(true);
                     const Geometry& geometry = hub.log().geometry();
                     hub.at().prepare_segment(geometry.segment_of(peek(hub.hot().head)) + 1);
                   },
                   {}};
  };
  die_at_every_store(c);
}

// Its successor dies in the repair, and the successor's successor has to do it all.
void killed_while_it_repairs() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options("living"));
  w.define(hub);
  w.fill(hub, 60, 900'000'000);
  for (i64 n = 1; n < 2000; n += 13 * kSlow) {
    std::vector<Operation> ticks;
    for (u32 i = 0; i < 6; ++i) ticks.push_back(w.next_tick(u16(i % 3), 400'000'000));
    const i64 first = 40 + n % 500;
    if (!was_killed(in_child([&] {
          Hub child(home.hub(), home.options("first"));
          crash_countdown = first;
          publish_all(child, ticks);
        }))) {
      throw Failed("the first one lived");
    }
    const int status = in_child([&] {
      Hub child(home.hub(), home.options("second"));
      crash_countdown = n;
      child.repair_if_needed();
      ::_exit(0);
    });
    std::vector<Model> possible = outcomes(w.model, ticks);
    const Operation next = w.next_tick(0, 300'000'000);
    publish(hub, next);
    for (Model& model : possible) model.apply(next);
    CHECK_EMPTY(settle(hub, possible, &w.model));
    if (came_to_its_end(status)) break;
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_tests({{"killed in a checkpoint", [] { die_at_every_store(a_checkpoint()); }},
                    {"killed in a checkpoint, nobody else attached", [] { die_alone(a_checkpoint()); }},
                    {"killed while it leaves as the last", killed_while_it_leaves_as_the_last},
                    {"killed while it publishes and leaves", killed_while_it_publishes_and_leaves},
                    {"killed while it rebuilds", killed_while_it_rebuilds},
                    {"killed while it creates a hub", killed_while_it_creates_a_hub},
                    {"killed while it prepares segments", killed_while_it_prepares_segments},
                    {"killed while it repairs", killed_while_it_repairs}},
                   argc, argv);
}
