// Kill a writer after each single store of an operation, and look at what is left in every way there is.
#pragma once

#include "world.hpp"

namespace tapehub::test {

// The operation under test: what a child does, and the records it makes, in order.
struct Attempt {
  std::function<void(Hub&)> run;
  std::vector<Operation> records;
};

inline Attempt attempt(const Operation& o) {
  return {[o](Hub& hub) { publish(hub, o); }, {o}};
}
inline Attempt attempt_batch(const std::vector<Operation>& ticks) {
  return {[ticks](Hub& hub) { publish_all(hub, ticks); }, ticks};
}

struct Case {
  std::function<void(World&, Hub&)> setup = [](World& w, Hub& hub) { w.define(hub); w.fill(hub, 60, 900'000'000); };
  std::function<void(World&, Hub&)> before = [](World&, Hub&) {};  // each round: acknowledged, must survive
  std::function<Attempt(World&)> make;
  u32 step = 1;       // try every step-th store; with TAPEHUB_TEST_ALL set, every one
  u32 copy_step = 20;  // rebuild copies of the hub in every copy_step-th round
};

// The models that the hub may agree with once the child has died: nothing of the attempt, or a prefix of it.
inline std::vector<Model> outcomes(const Model& before, const std::vector<Operation>& records) {
  std::vector<Model> out{before};
  for (const Operation& o : records) {
    out.push_back(out.back());
    out.back().apply(o);
  }
  return out;
}

inline std::string settle(Hub& hub, const std::vector<Model>& possible, Model* found) {
  const u64 records = read_hub(hub.hot()).block.records;
  for (const Model& model : possible) {
    if (model.log.size() != records) continue;
    *found = model;
    return compare(hub, model);
  }
  return "the hub holds " + std::to_string(records) + " records, expected between " +
         std::to_string(possible.front().log.size()) + " and " + std::to_string(possible.back().log.size());
}

// Before any repair: each channel is as it was before the attempt, or after a whole part of it.
inline std::string nothing_torn(Hub& hub, const std::vector<Model>& possible) {
  for (u32 id = 0; id < possible.front().channels.size(); ++id) {
    std::string before, after;
    for (const Model& model : possible) {
      after = compare_channel(hub, model, id);
      if (after.empty()) break;
      if (before.empty()) before = after;
    }
    if (!after.empty()) return "neither before (" + before + ") nor after (" + after + ")";
  }
  return {};
}

// The directory alone, as after a reboot: control, log and checkpoint. The lock file stays where it is, since a process
// keeps every lock file open that it ever used.
inline void copy_hub(const std::string& from, const std::string& to) {
  namespace fs = std::filesystem;
  fs::create_directories(to);
  for (const auto& entry : fs::directory_iterator(to)) {
    if (entry.path().filename() != "locks") fs::remove_all(entry.path());
  }
  for (const auto& entry : fs::directory_iterator(from)) {
    if (entry.path().filename() != "locks") {
      fs::copy(entry.path(), to + "/" + entry.path().filename().string(), fs::copy_options::recursive);
    }
  }
}

inline void check_rebuilt(const Home& home, const std::vector<Model>& possible, i64 now, bool with_checkpoint) {
  copy_hub(home.hub(), home.hub("copy"));
  if (!with_checkpoint) {
    std::filesystem::remove(home.hub("copy") + "/checkpoint");
    std::filesystem::remove(home.hub("copy") + "/checkpoint.old");
  }
  Model model;
  {
    Hub copy(home.hub("copy"), home.options("copy"));
    CHECK_EMPTY(settle(copy, possible, &model));
    const Operation next = tick(0, now + kMinute, 200);
    publish(copy, next);
    model.apply(next);
    CHECK_EMPTY(compare(copy, model));
  }
}

// One hub that stays open while children die in it: its next publish repairs.
inline void die_beside_a_living_writer(const Case& c) {
  Home home;
  World w;
  Hub hub(home.hub(), home.options("living"));
  c.setup(w, hub);
  hub.at().checkpoint();
  u32 round = 0;
  for (i64 n = 1;; n += c.step, ++round) {
    c.before(w, hub);
    const Attempt attempt = c.make(w);
    const u64 repairs = peek(hub.hot().repairs);
    const int status = in_child([&] {
      Hub child(home.hub(), home.options("dying"));
      crash_countdown = n;
      attempt.run(child);
      ::_exit(0);
    });
    std::vector<Model> possible = outcomes(w.model, attempt.records);
    try {
      if (came_to_its_end(status)) possible = {possible.back()};  // acknowledged
      else CHECK(was_killed(status));
      CHECK_EMPTY(nothing_torn(hub, possible));
      if (round % c.copy_step == 0) {
        check_rebuilt(home, possible, w.now, true);
        check_rebuilt(home, possible, w.now, false);
      }
      const Operation next = w.next_tick(0, 300'000'000);
      publish(hub, next);
      for (Model& model : possible) model.apply(next);
      CHECK_EMPTY(settle(hub, possible, &w.model));
      CHECK(came_to_its_end(status) || peek(hub.hot().repairs) <= repairs + 1);
    } catch (const std::exception& error) {
      throw Failed("killed after store " + std::to_string(n) + ": " + error.what());
    }
    if (came_to_its_end(status)) return;
  }
}

// Nobody else is attached: whoever opens next checks the tail, and repairs with its first write.
inline void die_alone(const Case& c, const std::function<void(const Home&, const Attempt&, i64)>& child = {}) {
  Home home;
  World w;
  const auto leave = [](Hub& hub) { hub.at().release_slot(); };  // the memory files stay, as after a kill
  {
    Hub hub(home.hub(), home.options());
    c.setup(w, hub);
    hub.at().checkpoint();
    leave(hub);
  }
  u32 round = 0;
  for (i64 n = 1;; n += c.step, ++round) {
    Attempt attempt;
    {
      Hub hub(home.hub(), home.options("before"));
      CHECK_EMPTY(compare(hub, w.model));
      c.before(w, hub);
      attempt = c.make(w);
      leave(hub);
    }
    const int status = in_child([&] {
      if (child) {
        child(home, attempt, n);
        ::_exit(0);
      }
      Hub hub(home.hub(), home.options("dying"));
      crash_countdown = n;
      attempt.run(hub);
      ::_exit(0);
    });
    std::vector<Model> possible = outcomes(w.model, attempt.records);
    try {
      if (came_to_its_end(status)) possible = {possible.back()};
      else CHECK(was_killed(status));
      if (round % 3 == 2) std::filesystem::remove_all(home.memory());
      std::filesystem::create_directories(home.memory());
      Hub hub(home.hub(), home.options("next"));
      if (round % 3 == 2) CHECK_EMPTY(settle(hub, possible, &w.model));
      CHECK_EMPTY(nothing_torn(hub, possible));
      const Operation next = w.next_tick(0, 300'000'000);
      publish(hub, next);
      for (Model& model : possible) model.apply(next);
      CHECK_EMPTY(settle(hub, possible, &w.model));
      if (round % 4 != 3) leave(hub);
    } catch (const std::exception& error) {
      throw Failed("killed after store " + std::to_string(n) + ", alone: " + error.what());
    }
    if (came_to_its_end(status)) return;
  }
}

inline bool all_stores() { return std::getenv("TAPEHUB_TEST_ALL") != nullptr; }

inline void die_at_every_store(Case c) {
  c.step = all_stores() ? 1 : c.step * kSlow;
  die_beside_a_living_writer(c);
}
inline void die_at_every_store_alone(Case c) {
  c.step = all_stores() ? 1 : c.step * kSlow * 7;  // each round opens the hub three times
  die_alone(c);
}

// Fill the head segment with notes until at most `lines` are left in it.
inline void approach_end(World& w, Hub& hub, u64 lines) {
  const Geometry& geometry = hub.log().geometry();
  for (;;) {
    const u64 head = peek(hub.hot().head), left = geometry.end_line(geometry.segment_of(head)) - head;
    if (geometry.offset_of(head) != 0 && left <= lines) return;
    if (geometry.offset_of(head) != 0 && left - lines >= 110) {
      static constexpr char kText[63 * 64] = {};
      RecordInput note;
      note.kind = Kind::Note;
      note.payload = kText;
      note.payload_bytes = sizeof kText;
      hub.publish_record(note);
      w.model.apply(of_kind(Kind::Note, kNone16, 0));
    } else {
      w.publish(hub, w.next_tick(0, 1'000'000));
    }
  }
}

}  // namespace tapehub::test
