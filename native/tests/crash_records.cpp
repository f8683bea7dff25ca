// A writer killed after each single store of any other record.
#include "crash.hpp"

using namespace tapehub;
using namespace tapehub::test;

namespace {

Case order_flow() {
  Case c;
  c.make = [](World& w) { return attempt(of_kind(Kind::OrderFlow, 1, w.now, ++w.count)); };
  return c;
}
Case state_change() {
  Case c;
  c.make = [](World& w) { return attempt(of_kind(Kind::State, 1, w.now, ++w.count)); };
  return c;
}
Case clear_one() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.fill(hub, 9, 3 * kSecond); };
  c.make = [](World& w) { return attempt(of_kind(Kind::Clear, 1, w.now)); };
  return c;
}
Case clear_all() {
  Case c = clear_one();
  c.make = [](World& w) { return attempt(of_kind(Kind::Clear, kNone16, w.now)); };
  return c;
}
Case a_definition() {
  Case c;
  c.make = [](World& w) { return attempt(definition(w.model, "NEW_" + std::to_string(w.model.instruments.size()))); };
  return c;
}
Case a_redefinition() {
  Case c;
  c.make = [](World& w) {
    Operation o = definition(w.model, "SYM_0");
    o.instrument = o.row.id = 0;
    o.row.pip_size = 0.01;
    o.row.price_scale = 100;
    o.row.price_low = 50;
    o.row.price_high = 150;
    o.row.decimals = 3;
    o.row.declared = 1;
    return attempt(o);
  };
  return c;
}
Case a_source() {
  Case c;
  c.make = [](World& w) { return attempt(source(w.model, "source" + std::to_string(w.model.sources.size()))); };
  return c;
}
Case a_channel() {
  Case c;
  c.before = [](World& w, Hub& hub) { w.publish(hub, definition(w.model, "NEW_" + std::to_string(w.model.instruments.size()))); };
  c.make = [](World& w) { return attempt(channel(w.model, u16(w.model.instruments.size() - 1), 0)); };
  return c;
}
Case a_watermark() {
  Case c;
  c.make = [](World& w) { return attempt(of_kind(Kind::Watermark, kNone16, w.now - 200'000'000)); };
  return c;
}
Case a_clock() {
  Case c;
  c.make = [](World& w) {
    Operation o = of_kind(Kind::Clock, kNone16, w.now);
    o.clock.mode = u32(ClockMode::Event);
    o.clock.watermark_mode = u32(++w.count % 2);
    o.clock.watermark_ns = w.now - kMinute;
    return attempt(o);
  };
  return c;
}
Case a_note_of_several_lines() {
  Case c;
  c.make = [](World&) {
    return Attempt{[](Hub& hub) {
                     const std::string text(3 * kLineBytes + 5, 'n');
                     RecordInput note;
                     note.kind = Kind::Note;
                     note.payload = text.data();
                     note.payload_bytes = u32(text.size());
                     hub.publish_record(note);
                   },
                   {of_kind(Kind::Note, kNone16, 0)}};
  };
  return c;
}
Case a_calendar() {
  Case c;
  c.make = [](World& w) {
    Operation o = of_kind(Kind::Calendar, kNone16, w.now);
    o.zone = {0, -5 * kHour, w.now / kDay * kDay + 90 * kDay, -4 * kHour};
    return attempt(o);
  };
  return c;
}
Case a_session_table() {
  Case c;
  c.before = [](World& w, Hub& hub) {
    w.publish(hub, sessions(0, 1));
    w.publish(hub, sessions(2, 2));
  };
  c.make = [](World&) { return attempt(sessions(0, 3)); };
  return c;
}
Case a_session_table_of_a_checkpoint() {
  Case c;
  c.setup = [](World& w, Hub& hub) {
    w.define(hub);
    w.publish(hub, sessions(0, 1));
    w.fill(hub, 9, kSecond);
  };
  c.make = [](World&) { return attempt(sessions(0, 2)); };
  return c;
}

}  // namespace

int main(int argc, char** argv) {
  return run_crash_tests({{"an order flow", live<order_flow>},
                          {"an order flow, nobody attached", alone<order_flow>},
                          {"a state change", live<state_change>},
                          {"a state change, nobody attached", alone<state_change>},
                          {"a clear of one instrument", live<clear_one>},
                          {"a clear of one instrument, nobody attached", alone<clear_one>},
                          {"a clear of all", live<clear_all>},
                          {"a clear of all, nobody attached", alone<clear_all>},
                          {"a definition", live<a_definition>},
                          {"a definition, nobody attached", alone<a_definition>},
                          {"a redefinition", live<a_redefinition>},
                          {"a source", live<a_source>},
                          {"a channel", live<a_channel>},
                          {"a channel, nobody attached", alone<a_channel>},
                          {"a watermark", live<a_watermark>},
                          {"a watermark, nobody attached", alone<a_watermark>},
                          {"a clock", live<a_clock>},
                          {"a clock, nobody attached", alone<a_clock>},
                          {"a calendar", live<a_calendar>},
                          {"a calendar, nobody attached", alone<a_calendar>},
                          {"a session table", live<a_session_table>},
                          {"a session table, nobody attached", alone<a_session_table>},
                          {"a session table in place of a checkpoint's", live<a_session_table_of_a_checkpoint>},
                          {"a session table in place of a checkpoint's, nobody attached", alone<a_session_table_of_a_checkpoint>},
                          {"a note of several lines", live<a_note_of_several_lines>}},
                         argc, argv);
}
