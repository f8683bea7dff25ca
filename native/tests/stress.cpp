// Two producers and three readers at once: no torn read, no reversed time, nothing lost. For the thread sanitizer too.
#include <thread>

#include "support.hpp"

using namespace tapehub;
using namespace tapehub::test;

namespace {

// Everything in a tick follows from one number.
TickInput tick_of(u64 n, u16 channel) {
  TickInput input{};
  input.ts_event = 1'700'000'000 * kSecond + i64(n) * 20'000'000;
  input.bid = double(n);
  input.ask = double(n) + 1;
  input.bid_size = float(n % 65'536);
  input.ask_size = float(n % 65'536) + 1;
  input.channel = channel;
  input.instrument = channel;
  return input;
}
template <class T>
bool is_whole(const T& tick) {
  const u64 n = u64(tick.bid);
  const TickInput expected = tick_of(n, tick.instrument);
  return tick.bid == expected.bid && tick.ask == expected.ask && tick.bid_size == expected.bid_size &&
         tick.ask_size == expected.ask_size && tick.ts_event == expected.ts_event;
}

void readers_beside_producers_never_see_half_a_record() {
  Home home;
  Options options = home.options();
  options.segment_lines = 1 << 14;
  options.helper_thread = true;
  options.sync_interval_ns = 20'000'000;
  Hub first(home.hub(), options), second(home.hub(), options);
  for (u16 i = 0; i < 2; ++i) {
    InstrumentRow row{};
    std::snprintf(row.symbol, sizeof row.symbol, "SYM_%u", i);
    row.primary_channel = kNone16;
    row.week_days = 5;
    CHECK(first.define(row) == i);
    if (i == 0) CHECK(first.define_source("direct") == 0);
    CHECK(first.define_channel(i, 0) == i);
  }
  const u64 ticks = 600'000 / (kSlow > 1 ? 10 : 1);
  std::atomic<u32> producing{2};
  std::atomic<bool> failed{false};
  std::string message;
  std::mutex mutex;
  const auto guarded = [&](auto work) {
    return std::thread([&, work] {
      try {
        work();
      } catch (const std::exception& error) {
        std::lock_guard guard(mutex);
        if (!failed.exchange(true)) message = error.what();
      }
    });
  };
  const auto produce = [&](Hub& hub, u16 channel) {
    return guarded([&, channel] {
      for (u64 n = 1; n <= ticks && !failed;) {
        if (n % 3 == 0) {
          const u64 batch = std::min<u64>(50, ticks + 1 - n);
          std::vector<TickInput> rows;
          for (u64 i = 0; i < batch; ++i) rows.push_back(tick_of(n + i, channel));
          u64 published = 0;
          hub.publish_ticks(rows.data(), rows.size(), &published);
          n += batch;
        } else {
          hub.publish_tick(tick_of(n++, channel));
        }
        if (n % 1000 < 2) {  // some that are late, and some more kinds
          hub.publish_tick(tick_of(n > 500 ? n - 500 : 1, channel));
          RecordInput flow;
          OrderFlowBody body{};
          flow.kind = Kind::OrderFlow;
          flow.instrument = channel;
          flow.payload = &body;
          flow.payload_bytes = sizeof body;
          hub.publish_record(flow);
        }
      }
      --producing;
    });
  };
  const auto read = [&](Hub& hub, u32 kind) {
    return guarded([&, kind] {
      std::vector<CandleBody> candles(512);
      u64 seen = 0, last[2]{}, line = kHeaderLines;
      i64 newest[2]{};
      bool more = true;
      while (more && !failed) {
        more = producing.load() != 0;
        if (kind == 0) {  // rings
          for (u16 c = 0; c < 2; ++c) {
            RingQuery query;
            query.frame = u32(seen++ % 5);
            query.limit = 1 + seen % 512;
            query.forming = seen % 2;
            const u64 n = hub.rings().read(hub.views().channel(c), query, candles.data());
            for (u64 i = 0; i < n; ++i) {
              const CandleBody& body = candles[i];
              CHECK(body.instrument == c && body.timeframe == query.frame);
              CHECK(body.ticks > 0 && double(body.ticks) == body.volume);
              CHECK(body.low <= body.open && body.low <= body.close && body.open <= body.high && body.close <= body.high);
              // Ticks rise with time, so that a whole candle is exactly this.
              CHECK(is_whole(TickInput{body.ts_first, 0, body.open - 0.5, body.open + 0.5,
                                       float(u64(body.open - 0.5) % 65'536), float(u64(body.open - 0.5) % 65'536) + 1, c, c, 0, 0}));
              CHECK(i == 0 || candles[i - 1].timestamp < body.timestamp);
            }
          }
        } else if (kind == 1) {  // latest values
          for (u16 c = 0; c < 2; ++c) {
            const ChannelState state = read_channel(hub.views().channel(c));
            if (state.block.latest.word == 0) continue;
            CHECK(is_whole(state.block.latest));
            CHECK(state.block.latest.ts_event >= newest[c]);
            CHECK(record_crc(&state.block.latest, sizeof state.block.latest) == state.block.latest.crc32c);
            CHECK(state.block.ticks >= last[c]);
            newest[c] = state.block.latest.ts_event;
            last[c] = state.block.ticks;
            const HubState all = read_hub(hub.hot());
            u64 others = 0;
            for (u32 k = 1; k < kKindsCounted; ++k) others += all.rare.by_kind[k];
            CHECK(others <= all.block.records);
          }
        } else {  // the log, waiting
          const u64 head = peek_acquire(hub.hot().head);
          while (line < head) {
            u64 word;
            const unsigned char* bytes = hub.log().line(line);
            CHECK(bytes != nullptr);
            CHECK(examine(bytes, line, hub.log().geometry(), &word) == Found::Record);
            if (word_kind(word) == Kind::Tick) {
              TickLine tick;
              std::memcpy(&tick, bytes, sizeof tick);
              CHECK(is_whole(tick));
              ++seen;
            }
            line += word_lines(word);
          }
          if (more) hub.wait(head, 20'000'000);
        }
      }
      if (kind == 2) CHECK(seen >= 2 * ticks);
    });
  };
  std::vector<std::thread> threads;
  threads.push_back(produce(first, 0));
  threads.push_back(produce(second, 1));
  threads.push_back(read(first, 0));
  threads.push_back(read(second, 1));
  threads.push_back(read(second, 2));
  for (std::thread& thread : threads) thread.join();
  if (failed) throw Failed(message);
  u64 total = 0;
  for (u16 c = 0; c < 2; ++c) total += read_channel(first.views().channel(c)).block.ticks;
  CHECK(total >= 2 * ticks);
}

void two_threads_of_one_hub_may_write_their_first_record_at_once() {
  for (u32 round = 0; round < 20 / kSlow + 2; ++round) {
    Home home;
    { Hub maker(home.hub(), home.options()); maker.at().release_slot(); }
    Options options = home.options();
    options.helper_thread = true;
    Hub hub(home.hub(), options);
    std::vector<std::thread> threads;
    for (u32 t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        for (u32 i = 0; i < 50; ++i) {
          RecordInput note;
          note.kind = Kind::Note;
          hub.publish_record(note);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(read_hub(hub.hot()).block.records == 100);
  }
}

void a_waiting_reader_is_woken() {
  Home home;
  Hub hub(home.hub(), home.options()), other(home.hub(), home.options());
  std::atomic<u64> woken{0};
  const u64 rounds = 200 / kSlow;
  std::thread reader([&] {
    for (u64 i = 0; i < rounds; ++i) {
      const u64 seen = peek_acquire(hub.hot().head);
      if (read_hub(hub.hot()).block.records <= i && !hub.wait(seen, 30 * kSecond)) return;
      while (read_hub(hub.hot()).block.records <= i) hub.wait(peek_acquire(hub.hot().head), kSecond);
      ++woken;
    }
  });
  for (u64 i = 0; i < rounds; ++i) {
    while (woken < i) sleep_ns(20'000);
    RecordInput note;
    note.kind = Kind::Note;
    other.publish_record(note);
  }
  reader.join();
  CHECK(woken == rounds);
}

}  // namespace

int main(int argc, char** argv) {
  return run_tests({{"readers beside producers never see half a record", readers_beside_producers_never_see_half_a_record},
                    {"two threads of one hub may write their first record at once",
                     two_threads_of_one_hub_may_write_their_first_record_at_once},
                    {"a waiting reader is woken", a_waiting_reader_is_woken}},
                   argc, argv);
}
