// Instruments, sources and channels: found, or defined once for all processes. Included by hub.hpp.
#pragma once

#include "hub.hpp"

namespace tapehub {

inline u16 Hub::define(InstrumentRow row, bool redefine) {
  RecordInput input;
  input.kind = Kind::Definition;
  input.payload = &row;
  input.payload_bytes = sizeof row;
  publish_record(input, [&](RecordInput& record) {
    const Views& views = at_.writable();
    const u64 count = peek(views.hot().instruments);
    row.id = u16(count);
    for (u64 i = 0; i < count; ++i) {
      if (!same_name(views.instrument(u32(i)).symbol, row.symbol)) continue;
      row.id = u16(i);
      if (!redefine) return u64{0};
    }
    if (row.id >= kInstrumentsMax) {
      fail(Cause::Hub, "the hub holds " + std::to_string(kInstrumentsMax) + " instruments already, no room for " +
                           std::string(row.symbol));
    }
    record.instrument = row.id;
    return kUnset;
  });
  return row.id;
}

inline u8 Hub::define_source(const std::string& name) {
  SourceRow row{};
  std::strncpy(row.name, name.c_str(), kSymbolBytes - 1);
  RecordInput input;
  input.kind = Kind::Source;
  input.payload = &row;
  input.payload_bytes = sizeof row;
  publish_record(input, [&](RecordInput& record) {
    const Views& views = at_.writable();
    const u64 count = peek(views.hot().sources);
    for (u64 i = 0; i < count; ++i) {
      row.id = u8(i);
      if (same_name(views.source(u32(i)).name, row.name)) return u64{0};
    }
    if (count >= kSourcesMax) {
      fail(Cause::Hub, "the hub holds " + std::to_string(kSourcesMax) + " sources already, no room for " + name);
    }
    row.id = u8(count);
    record.source = row.id;
    return kUnset;
  });
  return row.id;
}

inline u16 Hub::define_channel(u16 instrument, u8 source) {
  RecordInput input;
  input.kind = Kind::Channel;
  input.instrument = instrument;
  input.source = source;
  u16 id = 0;
  publish_record(input, [&](RecordInput& record) {
    const Views& views = at_.writable();
    const u16 known = peek(views.channel_slot(instrument, source));
    if (known != 0) {
      id = u16(known - 1);
      return u64{0};
    }
    const u64 count = peek(views.hot().channels);
    if (count >= kChannelsMax) {
      fail(Cause::Hub, "the hub holds " + std::to_string(kChannelsMax) + " pairs of instrument and source already");
    }
    id = u16(count);
    record.fixed1 = id;
    return kUnset;
  });
  return id;
}

}  // namespace tapehub
