// Candles and counters against the model, without crashes: each test is a case that once went wrong or easily might.
#include "image.hpp"
#include "world.hpp"

using namespace tapehub;
using namespace tapehub::test;

namespace {

void ticks_of_several_minutes_fold_as_the_model_says() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub);
  w.fill(hub, 400, 700'000'000);
  CHECK_EMPTY(compare(hub, w.model));
}

void out_of_order_ticks_inside_the_grace_window_revise_nothing() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub, 1);
  for (u32 i = 0; i < 200; ++i) {
    w.publish(hub, w.next_tick(0, 310'000'000));
    w.publish(hub, tick(0, w.now - 290'000'000, w.price()));
    CHECK_EMPTY(compare_channel(hub, w.model, 0));
  }
  CHECK(w.model.by_kind[u32(Kind::Candle)] == 0);
  CHECK_EMPTY(compare(hub, w.model));
}

void late_ticks_revise_and_announce_every_closed_candle() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub, 2);
  for (u32 i = 0; i < 120; ++i) {
    w.publish(hub, w.next_tick(0, 1'700'000'000));
    if (i % 3 == 2) w.publish(hub, tick(0, w.now - i64(i) * 1'300'000'000, w.price()));
    CHECK_EMPTY(compare_channel(hub, w.model, 0));
  }
  CHECK(w.model.by_kind[u32(Kind::Candle)] > 50);
  CHECK_EMPTY(compare(hub, w.model));
}

void a_late_tick_that_rolls_the_segment_returns_its_own_line() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub, 1);
  w.fill(hub, 10, 2 * kSecond);
  while (1024 - peek(hub.hot().head) % 1024 > 20) w.publish(hub, w.next_tick(0, 10'000'000));
  const Operation late = tick(0, w.now - 5 * kSecond, w.price());
  const u64 seq = publish(hub, late);
  w.model.apply(late);
  CHECK(seq == 1024 + kHeaderLines);
  CHECK(hub.log().tick(seq)->ts_event == late.ts);
  CHECK(read_channel(hub.views().channel(0)).block.applied_seq == seq);
  CHECK_EMPTY(compare(hub, w.model));
}

void a_segment_header_counts_the_records_before_it_whatever_rolled() {
  for (int what = 0; what < 4; ++what) {
    Home home;
    World w;
    Hub hub(home.hub(), home.options());
    w.define(hub, 1);
    w.fill(hub, 10, 2 * kSecond);
    for (int round = 0; round < 3; ++round) {
      while (1024 - peek(hub.hot().head) % 1024 > (what == 3 ? 1 : 20)) w.publish(hub, w.next_tick(0, 10'000'000));
      switch (what) {
        case 0: w.publish(hub, tick(0, w.now - 5 * kSecond, w.price())); break;
        case 1: w.publish(hub, candle(0, w.now, w.price())); break;
        case 2: w.publish(hub, gap(0, w.now - kSecond, w.now)); break;
        default: w.fill(hub, 3, 10'000'000); break;
      }
      CHECK_EMPTY(compare(hub, w.model));
    }
  }
}

void a_pushed_minute_supersedes_and_rolls_up() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub, 1);
  w.fill(hub, 300, 2 * kSecond);
  w.publish(hub, candle(0, kTuesday + 2 * kMinute, 90.5));      // over a built one
  CHECK_EMPTY(compare(hub, w.model));
  w.publish(hub, candle(0, kTuesday - 90 * kMinute, 80, kCandleWarm));  // over nothing, in the past
  CHECK_EMPTY(compare(hub, w.model));
  w.publish(hub, candle(0, w.now, 95));                         // the minute that is forming
  w.publish(hub, w.next_tick(0, 100'000'000));                  // and is superseded
  CHECK_EMPTY(compare(hub, w.model));
  w.publish(hub, candle(0, kTuesday + 2 * kMinute, 91.5));      // once more
  w.fill(hub, 100, 2 * kSecond);
  CHECK_EMPTY(compare(hub, w.model));
}

void a_minute_pushed_ahead_of_the_ticks_keeps_reads_in_order() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub, 1);
  w.fill(hub, 20, kSecond);
  w.publish(hub, candle(0, w.now, 85));
  w.publish(hub, candle(0, w.now + 6 * kMinute, 90));
  for (u32 i = 0; i < 60; ++i) {
    w.publish(hub, w.next_tick(0, 7 * kSecond));
    CHECK_EMPTY(compare_channel(hub, w.model, 0));
  }
  CHECK_EMPTY(compare(hub, w.model));
}

void full_rings_drop_their_oldest_and_refuse_what_is_older() {
  Home home;
  World w;
  Options options = home.options();
  Hub hub(home.hub(), options);
  w.define(hub, 1);
  w.fill(hub, 2300, 13 * kSecond);  // the 1s, 5s and 15s rings wrap
  CHECK_EMPTY(compare(hub, w.model));
  w.publish(hub, tick(0, kTuesday + 14 * kSecond, w.price()));            // too old for 1s
  w.publish(hub, tick(0, w.now - 2000 * 13 * kSecond + 3 * kSecond, w.price()));  // shifts nearly the whole ring
  w.publish(hub, tick(0, w.now - 20 * 13 * kSecond + 3 * kSecond, w.price()));
  CHECK_EMPTY(compare(hub, w.model));
}

void a_minute_pushed_at_the_edge_of_its_ring_counts_nothing_twice() {
  Home home;
  World w;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub, 1);
    w.fill(hub, 4100, kMinute);  // the oldest five minutes have lost some of their minutes
    const i64 oldest = w.model.channels[0].rings[kMinuteFrame].begin()->first;
    CHECK(oldest % (5 * kMinute) != 0);
    w.publish(hub, candle(0, oldest, w.price()));
    CHECK_EMPTY(compare(hub, w.model));
  }
  Hub again(home.hub(), home.options());  // from a checkpoint
  w.publish(again, candle(0, w.model.channels[0].rings[kMinuteFrame].begin()->first, w.price()));
  CHECK_EMPTY(compare(again, w.model));
}

void a_rebuilt_hub_shows_the_same_bytes_as_the_live_one() {
  Home home;
  World w;
  const auto dump = [](Hub& hub, u32 channels) {
    std::string out;
    for (u32 id = 0; id < channels; ++id) {
      for (u32 frame = 0; frame < kTimeframeCount; ++frame) {
        for (CandleBody body : read_ring(hub, id, frame, 4096, true)) {
          body.seq = 0;  // of the chunk, and chunks differ
          out.append(reinterpret_cast<const char*>(&body), sizeof body);
        }
      }
      const ChannelState state = read_channel(hub.views().channel(id));
      out += std::to_string(state.rare.ts_candle_arrival) + " " + std::to_string(state.block.ts_tick_arrival) + " " +
             std::to_string(state.rare.ts_flow_arrival) + "\n";
    }
    return out;
  };
  std::string before;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub);
    w.fill(hub, 300, 900'000'000);
    std::vector<Operation> batch;  // one chunk live, and cut differently in the log
    for (u32 i = 0; i < 40; ++i) {
      batch.push_back(w.next_tick(0, 400'000'000));
      batch.push_back(tick(0, w.now - 390'000'000, w.price()));
      batch.push_back(w.next_tick(1, 50'000'000));
    }
    w.publish_batch(hub, batch);
    for (u32 i = 0; i < 20; ++i) {
      w.publish(hub, w.next_tick(2, 600'000'000));
      w.publish(hub, tick(2, w.now - 450'000'000, w.price()));
    }
    w.now = (w.now / kSecond + 1) * kSecond + 100'000'000;
    w.publish(hub, w.next_tick(2, 0));
    w.publish(hub, w.next_tick(2, kSecond));
    w.publish(hub, tick(2, w.now - 300'000'000, w.price()));  // opens no candle
    w.publish(hub, candle(1, w.now - 2 * kMinute, 90));
    CHECK_EMPTY(compare(hub, w.model));
    before = dump(hub, 3);
  }
  std::filesystem::remove(home.hub() + "/checkpoint");
  Hub again(home.hub(), home.options());
  CHECK_EMPTY(compare(again, w.model));
  const std::string after = dump(again, 3);
  const auto place = std::mismatch(before.begin(), before.end(), after.begin(), after.end()).first - before.begin();
  if (after != before) throw Failed("byte " + std::to_string(place) + " of " + std::to_string(before.size()) + " differs");
}

void a_calendar_published_later_reaches_every_attachment() {
  Home home;
  World w;
  Hub one(home.hub(), home.options());
  Hub two(home.hub(), home.options());
  w.define(one, 1);
  w.publish(two, w.next_tick(0, 0));  // both have built their intervals by now
  w.publish(one, w.next_tick(0, kSecond));
  CHECK_EMPTY(compare(two, w.model));
  Operation calendar;
  calendar.kind = Kind::Calendar;
  calendar.instrument = kNone16;
  calendar.zone = {0, -5 * kHour, kTuesday + 20 * kDay, -4 * kHour, kTuesday + 200 * kDay, -5 * kHour};
  w.publish(one, calendar);
  w.now = kTuesday + 30 * kDay;
  for (u32 i = 0; i < 40; ++i) w.publish(i % 2 ? one : two, w.next_tick(0, 3 * kHour));
  CHECK_EMPTY(compare(one, w.model));
  CHECK_EMPTY(compare(two, w.model));
}

void clears_flows_gaps_states_clocks_and_watermarks_agree_with_the_model() {
  Home home;
  World w;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub);
    w.fill(hub, 100, 3 * kSecond);
    for (u16 i = 0; i < 3; ++i) {
      w.publish(hub, of_kind(Kind::OrderFlow, i, w.now, 100 + i));
      w.publish(hub, gap(i, w.now - 90 * kSecond, w.now - 10 * kSecond));
      w.publish(hub, of_kind(Kind::State, i, w.now, 2));
    }
    CHECK_EMPTY(compare(hub, w.model));
    w.fill(hub, 50, kSecond);
    w.publish(hub, of_kind(Kind::Clear, 1, w.now));
    CHECK_EMPTY(compare(hub, w.model));
    w.fill(hub, 50, kSecond);
    Operation clock = of_kind(Kind::Clock, kNone16, w.now);
    clock.clock.mode = u32(ClockMode::Event);
    clock.clock.watermark_mode = u32(WatermarkMode::Server);
    clock.clock.watermark_ns = w.now - kMinute;
    w.publish(hub, clock);
    w.fill(hub, 30, kSecond);
    w.publish(hub, of_kind(Kind::Watermark, kNone16, w.now - 5 * kSecond));
    w.publish(hub, tick(0, w.now - 20 * kSecond, w.price()));
    CHECK_EMPTY(compare(hub, w.model));
    w.publish(hub, of_kind(Kind::Clear, kNone16, w.now));
    w.fill(hub, 30, kSecond);
    CHECK_EMPTY(compare(hub, w.model));
  }
  Hub again(home.hub(), home.options());
  CHECK_EMPTY(compare(again, w.model));
}

// Every tick is in a candle, was refused by one by name, or went with a clear; the clear in the middle of a second too.
void a_clear_in_the_middle_of_a_second_leaves_every_tick_accounted_for() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub, 1);
  const auto in_candles = [&](u32 frame) {
    u64 ticks = 0;
    for (const CandleBody& body : read_ring(hub, 0, frame, kTimeframes[frame].capacity, true)) ticks += body.ticks;
    return ticks;
  };
  w.fill(hub, 30, 7 * kSecond);
  for (u32 round = 0; round < 5; ++round) {
    w.now = (w.now / kSecond + 1) * kSecond;
    for (u32 i = 0; i <= round; ++i) w.publish(hub, w.next_tick(0, 100'000'000));  // pending
    CHECK(read_channel(hub.views().channel(0)).block.pending.ticks == round + 1);
    w.publish(hub, of_kind(Kind::Clear, 0, w.now));
    ChannelState state = read_channel(hub.views().channel(0));
    CHECK(state.block.ticks == state.rare.ticks_at_clear);  // the clear took them all, and says how many
    CHECK(in_candles(0) == 0);
    w.fill(hub, 20 + round, 300'000'000);  // goes on within the second that was cleared
    w.publish(hub, tick(0, w.now - 3 * kSecond, w.price()));
    w.fill(hub, 3, 200'000'000);
    state = read_channel(hub.views().channel(0));
    for (u32 frame = 0; frame < kTimeframeCount; ++frame) {
      CHECK(state.block.ticks - state.rare.ticks_at_clear == in_candles(frame));
    }
    CHECK_EMPTY(compare(hub, w.model));
  }
  hub.at().checkpoint();
  copy_hub(home.hub(), home.hub("copy"));
  Hub copy(home.hub("copy"), home.options("copy"));
  CHECK_EMPTY(compare(copy, w.model));
}

void a_clear_of_many_instruments_takes_no_room_in_their_rings() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub, 300);
  for (u16 i = 0; i < 300; ++i) w.publish(hub, w.next_tick(i, 1'000'000));
  w.publish(hub, candle(7, w.now, w.price()));
  w.publish(hub, w.next_tick(7, 1'000'000));  // pending, and superseded
  w.publish(hub, of_kind(Kind::Clear, kNone16, w.now));
  CHECK_EMPTY(compare(hub, w.model));
}

}  // namespace

int main(int argc, char** argv) {
  return run_tests(
      {{"ticks of several minutes fold as the model says", ticks_of_several_minutes_fold_as_the_model_says},
       {"out-of-order ticks inside the grace window revise nothing",
        out_of_order_ticks_inside_the_grace_window_revise_nothing},
       {"late ticks revise and announce every closed candle", late_ticks_revise_and_announce_every_closed_candle},
       {"a late tick that rolls the segment returns its own line",
        a_late_tick_that_rolls_the_segment_returns_its_own_line},
       {"a segment header counts the records before it, whatever rolled",
        a_segment_header_counts_the_records_before_it_whatever_rolled},
       {"a pushed minute supersedes and rolls up", a_pushed_minute_supersedes_and_rolls_up},
       {"a minute pushed ahead of the ticks keeps reads in order",
        a_minute_pushed_ahead_of_the_ticks_keeps_reads_in_order},
       {"full rings drop their oldest and refuse what is older", full_rings_drop_their_oldest_and_refuse_what_is_older},
       {"a minute pushed at the edge of its ring counts nothing twice",
        a_minute_pushed_at_the_edge_of_its_ring_counts_nothing_twice},
       {"a rebuilt hub shows the same bytes as the live one", a_rebuilt_hub_shows_the_same_bytes_as_the_live_one},
       {"a calendar published later reaches every attachment", a_calendar_published_later_reaches_every_attachment},
       {"clears, flows, gaps, states, clocks and watermarks agree with the model",
        clears_flows_gaps_states_clocks_and_watermarks_agree_with_the_model},
       {"a clear in the middle of a second leaves every tick accounted for",
        a_clear_in_the_middle_of_a_second_leaves_every_tick_accounted_for},
       {"a clear of many instruments takes no room in their rings", a_clear_of_many_instruments_takes_no_room_in_their_rings}},
      argc, argv);
}
