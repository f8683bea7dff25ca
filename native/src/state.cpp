// What Python can see of a hub itself: counters, attached processes, readers, and the layout of what they share.
#include "bound.hpp"

namespace tapehub::py {

nb::dict hub_state(PyHub& python) {
  Hub& hub = python.live();
  const HubState state = read_hub(hub.hot());
  const Hot& hot = hub.hot();
  nb::dict out;
  out["head"] = state.block.head;
  out["records"] = state.block.records;
  out["watermark_ns"] = state.block.watermark_ns;
  out["ts_event_max"] = state.block.ts_event_max;
  out["clock_seq"] = state.block.clock_seq;
  out["clock_mode"] = state.rare.clock.mode;
  out["watermark_mode"] = state.rare.clock.watermark_mode;
  out["anchor_ns"] = state.rare.clock.anchor_ns;
  out["anchor_boot_ns"] = state.rare.clock.anchor_boot_ns;
  out["rate"] = state.rare.clock.rate;
  out["skew_ns"] = state.rare.clock.skew_ns;
  nb::list kinds;
  for (u64 count : state.rare.by_kind) kinds.append(count);
  out["by_kind"] = kinds;
  out["oldest"] = peek(hot.oldest_line);
  out["synced"] = peek(hot.synced_line);
  out["checkpoint"] = peek(hot.checkpoint_line);
  out["ready"] = peek(hot.ready_line);
  out["repairs"] = peek(hot.repairs);
  out["syncs"] = peek(hot.sync_count);
  out["arena_chunks"] = peek(hot.arena_next);
  out["server_heartbeat_ns"] = peek(hot.ts_server_heartbeat);
  out["epoch"] = hub.at().control().epoch;
  out["segment_lines"] = hub.at().control().segment_lines;
  out["price_basis"] = hub.at().control().price_basis;
  out["sync_mode"] = hub.at().control().sync_mode;
  out["grace_ns"] = hub.at().control().grace_ns;
  out["created_ns"] = hub.at().control().created_ns;
  out["hub_id"] = nb::bytes(reinterpret_cast<const char*>(hub.at().control().hub_id), 16);
  out["memory_dir"] = hub.at().memory_dir();
  out["replayed"] = hub.at().replayed();
  out["cut_tail"] = hub.at().cut_tail();
  return out;
}

nb::dict accounts(PyHub& python) {
  const Standing found = python.live().at().standing();
  nb::dict out;
  const auto tell = [&out](const char* whose, const Counts& counts) {
    nb::dict side;
    side["received"] = counts.received;
    side["published"] = counts.published;
    side["refused"] = counts.refused;
    side["duplicates"] = counts.duplicates;
    side["quarantined"] = counts.quarantined;
    out[whose] = side;
  };
  tell("feeds", found.accounts.feeds);
  tell("callers", found.accounts.callers);
  out["lost"] = found.accounts.lost;
  out["in_flight"] = found.in_flight;
  return out;
}

nb::list slots(PyHub& python) {
  Hub& hub = python.live();
  nb::list out;
  for (u32 i = 0; i < kSlots; ++i) {
    Slot& slot = hub.at().slots().slot(i);
    if (peek(slot.generation) == 0) continue;
    nb::dict row;
    row["slot"] = i;
    row["alive"] = hub.at().locks().holder(kByteSlots + i) != 0;
    row["pid"] = peek(slot.pid);
    row["attached_ns"] = peek(slot.ts_attach);
    row["name"] = shown(slot.name);
    row["get_tick_calls"] = peek(slot.get_tick_calls);
    row["get_candles_calls"] = peek(slot.get_candles_calls);
    row["get_flow_calls"] = peek(slot.get_flow_calls);
    row["published"] = peek(slot.published);
    row["others"] = peek(slot.others);
    row["received"] = peek(slot.received);
    row["refused"] = peek(slot.refused);
    row["duplicates"] = peek(slot.duplicates);
    row["quarantined"] = peek(slot.quarantined);
    out.append(row);
  }
  return out;
}

u32 open_cursor(PyHub& python, const std::string& name, u64 position) {
  Hub& hub = python.live();
  for (u32 i = 0; i < kCursors; ++i) {
    Cursor& cursor = hub.at().slots().cursor(i);
    u64 owner = peek(cursor.owner);
    if (owner != 0 && hub.at().owner_alive(Owner::of(owner))) continue;
    if (!__atomic_compare_exchange_n(&cursor.owner, &owner, hub.at().me().word(), false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) continue;
    put(cursor.start, position);
    put(cursor.position, position);
    put(cursor.delivered, 0);
    put(cursor.lost, 0);
    put(cursor.waiting, 0);
    char text[kSymbolBytes] = {};
    std::strncpy(text, cut_name(name).c_str(), kSymbolBytes - 1);
    std::memcpy(cursor.name, text, sizeof text);
    return i;
  }
  fail(Cause::Hub, "all " + std::to_string(kCursors) + " reader places are taken; close streams that are not used");
}

nb::list cursors(PyHub& python) {
  Hub& hub = python.live();
  nb::list out;
  for (u32 i = 0; i < kCursors; ++i) {
    Cursor& cursor = hub.at().slots().cursor(i);
    const u64 owner = peek(cursor.owner);
    if (owner == 0 || !hub.at().owner_alive(Owner::of(owner))) continue;
    nb::dict row;
    row["name"] = shown(cursor.name);
    row["pid"] = peek(hub.at().slots().slot(Owner::of(owner).slot).pid);
    row["position"] = peek(cursor.position);
    row["delivered"] = peek(cursor.delivered);
    row["lost"] = peek(cursor.lost);
    row["waiting"] = peek(cursor.waiting) != 0;
    out.append(row);
  }
  return out;
}

nb::dict layout() {
  nb::dict out;
  auto field = [&](const char* name, size_t offset) { out[name] = offset; };
#define FIELD(type, name) field(#type "." #name, offsetof(type, name))
  FIELD(TickLine, word); FIELD(TickLine, ts_event); FIELD(TickLine, ts_recv); FIELD(TickLine, ts_publish);
  FIELD(TickLine, bid); FIELD(TickLine, ask); FIELD(TickLine, bid_size); FIELD(TickLine, ask_size);
  FIELD(TickLine, instrument); FIELD(TickLine, source); FIELD(TickLine, flags); FIELD(TickLine, crc32c);
  FIELD(CandleBody, timestamp); FIELD(CandleBody, open); FIELD(CandleBody, high); FIELD(CandleBody, low);
  FIELD(CandleBody, close); FIELD(CandleBody, volume); FIELD(CandleBody, ts_first); FIELD(CandleBody, ts_last);
  FIELD(CandleBody, ts_arrival); FIELD(CandleBody, seq); FIELD(CandleBody, ticks); FIELD(CandleBody, revision);
  FIELD(CandleBody, status); FIELD(CandleBody, timeframe); FIELD(CandleBody, coverage); FIELD(CandleBody, flags);
  FIELD(CandleBody, source); FIELD(CandleBody, instrument);
  FIELD(InstrumentRow, symbol); FIELD(InstrumentRow, pip_size); FIELD(InstrumentRow, price_scale);
  FIELD(InstrumentRow, price_low); FIELD(InstrumentRow, price_high); FIELD(InstrumentRow, id);
  FIELD(InstrumentRow, primary_channel); FIELD(InstrumentRow, calendar); FIELD(InstrumentRow, decimals);
  FIELD(InstrumentRow, declared); FIELD(InstrumentRow, week_days); FIELD(InstrumentRow, base); FIELD(InstrumentRow, quote);
  FIELD(SourceRow, name); FIELD(SourceRow, fencing_token); FIELD(SourceRow, id);
  FIELD(ClockBody, mode); FIELD(ClockBody, watermark_mode); FIELD(ClockBody, anchor_ns); FIELD(ClockBody, anchor_boot_ns);
  FIELD(ClockBody, rate); FIELD(ClockBody, skew_ns); FIELD(ClockBody, watermark_ns);
  FIELD(SessionTableBody, blob);
  FIELD(RecordHead, word); FIELD(RecordHead, ts_event); FIELD(RecordHead, ts_recv); FIELD(RecordHead, ts_publish);
  FIELD(RecordHead, fixed); FIELD(RecordHead, instrument); FIELD(RecordHead, source); FIELD(RecordHead, flags);
  FIELD(RecordHead, crc32c);
  FIELD(ChannelBlock, applied_seq); FIELD(ChannelBlock, ticks); FIELD(ChannelBlock, ts_event_max);
  FIELD(ChannelBlock, ts_tick_arrival); FIELD(ChannelBlock, last_tick_seq); FIELD(ChannelBlock, latest);
  FIELD(ChannelBlock, pending); FIELD(ChannelBlock, ts_pending_arrival);
  FIELD(ChannelRare, seq); FIELD(ChannelRare, cleared_seq); FIELD(ChannelRare, ticks_at_clear);
  FIELD(ChannelRare, ts_candle_arrival); FIELD(ChannelRare, ts_flow_arrival); FIELD(ChannelRare, flow_seq);
  FIELD(ChannelRare, flow_updates); FIELD(ChannelRare, candles_received); FIELD(ChannelRare, candles_warm);
  FIELD(ChannelRare, candles_built); FIELD(ChannelRare, late_applied); FIELD(ChannelRare, late_unapplied);
  FIELD(ChannelRare, superseded_ticks); FIELD(ChannelRare, corrected); FIELD(ChannelRare, state);
  FIELD(ChannelRare, ts_state); FIELD(ChannelRare, gap_start); FIELD(ChannelRare, gap_end);
  FIELD(ChannelRare, ring_end); FIELD(ChannelRare, ring_base);
#undef FIELD
  out["sizeof.TickLine"] = sizeof(TickLine);
  out["sizeof.CandleBody"] = sizeof(CandleBody);
  out["sizeof.InstrumentRow"] = sizeof(InstrumentRow);
  out["sizeof.SourceRow"] = sizeof(SourceRow);
  out["sizeof.ClockBody"] = sizeof(ClockBody);
  out["sizeof.ChannelBlock"] = sizeof(ChannelBlock);
  out["sizeof.ChannelRare"] = sizeof(ChannelRare);
  out["sizeof.OrderFlowBody"] = sizeof(OrderFlowBody);
  out["sizeof.RecordHead"] = sizeof(RecordHead);
  out["sizeof.SessionTableBody"] = sizeof(SessionTableBody);
  out["calendars_max"] = kCalendarsMax;
  out["calendar_sessions"] = u32(kCalendarSessions);
  out["record_names_blob"] = u32(kRecordNamesBlob);
  nb::list frames;
  for (const TimeframeRow& row : kTimeframes) frames.append(nb::make_tuple(row.name, row.span_ns, row.capacity));
  out["timeframes"] = frames;
  out["format"] = kFormat;
  return out;
}

}  // namespace tapehub::py
