// Random operations through several attachments, with crashes and reopenings between them, against the model.
#include "crash.hpp"

using namespace tapehub;
using namespace tapehub::test;

namespace {

struct Random {
  std::mt19937_64 engine;
  explicit Random(u64 seed) : engine(seed) {}
  u64 below(u64 n) { return engine() % n; }
  bool one_in(u64 n) { return below(n) == 0; }
};

Operation random_tick(World& w, Random& random) {
  const u16 instrument = u16(random.below(3));
  switch (random.below(12)) {
    case 0: return tick(instrument, w.now - i64(random.below(400)) * 1'000'000, w.price());   // inside the grace window
    case 1: return tick(instrument, w.now - i64(random.below(120)) * kSecond, w.price());     // late
    case 2: return tick(instrument, w.now - i64(random.below(30)) * kHour, w.price());        // very late
    case 3: return w.next_tick(instrument, i64(random.below(50)) * kMinute);
    case 4: return tick(instrument, w.now, w.price());                                        // the same instant
    default: return w.next_tick(instrument, i64(random.below(900)) * 1'000'000);
  }
}

Attempt random_attempt(World& w, Random& random) {
  const u16 instrument = u16(random.below(3));
  switch (random.below(30)) {
    case 0: return attempt(candle(instrument, w.now - i64(random.below(10)) * kMinute, w.price(), random.one_in(3) ? kCandleBackfill : 0));
    case 1: return attempt(candle(instrument, w.now - i64(random.below(200)) * kMinute, w.price(), kCandleWarm));
    case 2: return attempt(of_kind(Kind::OrderFlow, instrument, w.now, ++w.count));
    case 3: return attempt(gap(instrument, w.now - i64(random.below(300)) * kSecond, w.now - i64(random.below(20)) * kSecond));
    case 4: return attempt(of_kind(Kind::Watermark, kNone16, w.now - i64(random.below(900)) * 1'000'000));
    case 5: return attempt(of_kind(Kind::State, instrument, w.now, random.below(5)));
    case 6:
      if (random.one_in(6)) return attempt(of_kind(Kind::Clear, random.one_in(2) ? instrument : kNone16, w.now));
      [[fallthrough]];
    case 7:
      if (random.one_in(6)) {
        Operation o = of_kind(Kind::Clock, kNone16, w.now);
        o.clock.mode = u32(ClockMode::Event);
        o.clock.watermark_mode = u32(random.below(2));
        o.clock.watermark_ns = w.now - kMinute;
        return attempt(o);
      }
      [[fallthrough]];
    case 8:
      if (random.one_in(4)) return attempt(sessions(random.below(kCalendarsMax), random.below(16)));
      [[fallthrough]];
    case 9:
    case 10:
    case 11: {
      std::vector<Operation> ticks;
      for (u64 i = 0, n = 1 + random.below(random.one_in(5) ? 600 : 40); i < n; ++i) ticks.push_back(random_tick(w, random));
      return attempt_batch(ticks);
    }
    default: return attempt(random_tick(w, random));
  }
}

void run_seed(u64 seed) {
  Home home;
  World w;
  Random random(seed);
  std::vector<std::unique_ptr<Hub>> hubs;
  const auto attach = [&] { hubs.push_back(std::make_unique<Hub>(home.hub(), home.options("one of several"))); };
  attach();
  w.define(*hubs[0]);
  const u32 steps = 400 / (kSlow > 1 ? 4 : 1);
  for (u32 step = 0; step < steps; ++step) {
    Hub& hub = *hubs[random.below(hubs.size())];
    const Attempt attempt = random_attempt(w, random);
    if (random.one_in(25)) {  // in a child that dies somewhere in it
      const i64 n = 1 + i64(random.below(attempt.records.size() > 20 ? 4000 : 400));
      const int status = in_child([&] {
        Hub child(home.hub(), home.options("dying"));
        crash_countdown = n;
        attempt.run(child);
        ::_exit(0);
      });
      CHECK(was_killed(status) || came_to_its_end(status));
      std::vector<Model> possible = outcomes(w.model, attempt.records);
      if (came_to_its_end(status)) possible = {possible.back()};
      CHECK_EMPTY(nothing_torn(hub, possible));
      hub.repair_if_needed();
      CHECK_EMPTY(settle(hub, possible, &w.model));
    } else {
      attempt.run(hub);
      for (const Operation& o : attempt.records) w.model.apply(o);
    }
    switch (random.below(40)) {
      case 0: if (hubs.size() < 4) attach(); break;
      case 1: if (hubs.size() > 1) hubs.erase(hubs.begin() + i64(random.below(hubs.size()))); break;
      case 2: hubs[0]->at().checkpoint(); break;
      case 3:  // all leave
        hubs.clear();
        if (random.one_in(3)) std::filesystem::remove(home.hub() + "/checkpoint");
        attach();
        break;
      case 4:  // all die
        for (auto& one : hubs) one->at().release_slot();
        hubs.clear();
        if (random.one_in(2)) {
          std::filesystem::remove_all(home.memory());
          std::filesystem::create_directories(home.memory());
        }
        attach();
        break;
      default: break;
    }
    if (step % 16 == 0 || step + 1 == steps) {
      try {
        CHECK_EMPTY(compare(*hubs[random.below(hubs.size())], w.model));
      } catch (const std::exception& error) {
        throw Failed("step " + std::to_string(step) + ": " + error.what());
      }
    }
  }
}

void hubs_agree_with_the_model() {
  const char* only = std::getenv("TAPEHUB_TEST_SEED");
  for (u64 seed = only ? std::strtoull(only, nullptr, 10) : 1, last = only ? seed : try_all() ? 40 : 6; seed <= last; ++seed) {
    try {
      run_seed(seed);
    } catch (const std::exception& error) {
      throw Failed("seed " + std::to_string(seed) + ": " + error.what());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_tests({{"hubs agree with the model", hubs_agree_with_the_model}}, argc, argv);
}
