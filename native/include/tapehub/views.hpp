// The views file: latest ticks, candle rings, counters. Rebuildable from checkpoint and log, so it lives in memory.
//
// Reading takes no lock: load the active block, take every other body by the greatest seq tag that the block has
// applied, and check the tags once more. A stopped or dead writer leaves a body half-written only with tag kUnset, next
// to a whole older one, so nobody waits for it.
#pragma once

#include "crc32c.hpp"
#include "frames.hpp"
#include "fold.hpp"
#include "gaps.hpp"
#include "system.hpp"

namespace tapehub {

inline constexpr u64 kPage = 4096;
constexpr u64 round_to_page(u64 n) { return (n + kPage - 1) / kPage * kPage; }

struct ViewsLayout {
  static constexpr u64 kHot = kPage;
  static constexpr u64 kInstruments = kHot + round_to_page(sizeof(Hot));
  static constexpr u64 kSources = kInstruments + kInstrumentsMax * sizeof(Instrument);
  static constexpr u64 kChannelMap = kSources + round_to_page(kSourcesMax * sizeof(SourceRow));
  static constexpr u64 kChannels = kChannelMap + kInstrumentsMax * kSourcesMax * sizeof(u16);
  static constexpr u64 kArena = round_to_page(kChannels + kChannelsMax * sizeof(Channel));
  static constexpr u64 kArenaReserve = 16ull << 30;  // address space, not memory
};

class Views {
 public:
  Views() = default;
  Views(int fd, bool writable, const std::string& path)
      : map_(Mapping::of(fd, ViewsLayout::kArena + ViewsLayout::kArenaReserve, writable, path)) {}

  explicit operator bool() const { return bool(map_); }
  ViewsHeader& header() const { return *map_.at<ViewsHeader>(); }
  Hot& hot() const { return *map_.at<Hot>(ViewsLayout::kHot); }
  Instrument& instrument_copies(u32 id) const { return map_.at<Instrument>(ViewsLayout::kInstruments)[id]; }
  // For one field of it, or its symbol, which no definition changes; read_instrument() for a row that belongs together.
  InstrumentRow& instrument(u32 id) const {
    Instrument& copies = instrument_copies(id);
    return copies.row[peek_acquire(copies.flip) & 1];
  }
  SourceRow& source(u32 id) const { return map_.at<SourceRow>(ViewsLayout::kSources)[id]; }
  // Channel id + 1 of an (instrument, source), 0 when there is none.
  u16& channel_slot(u32 instrument, u32 source) const {
    return map_.at<u16>(ViewsLayout::kChannelMap)[instrument * kSourcesMax + source];
  }
  Channel& channel(u32 id) const { return map_.at<Channel>(ViewsLayout::kChannels)[id]; }
  unsigned char* chunk(u32 number) const { return map_.at(ViewsLayout::kArena + u64(number) * kChunkBytes); }
  Zone zone() const { return {hot().zone_from, hot().zone_offset, peek(hot().zone_count)}; }
  unsigned char* at(u64 offset) const { return map_.at(offset); }

  // The two bodies of a ring entry, or null when its chunk was never allocated.
  CandleBody* entry(const Channel& channel, u32 frame, u64 ordinal) const {
    const u32 slot = u32(ordinal & (kTimeframes[frame].capacity - 1));
    const u32 number = peek(channel.ring_chunks[kRings.first_chunk[frame] + slot / kChunkEntries]);
    if (number == 0) return nullptr;
    return reinterpret_cast<CandleBody*>(chunk(number - 1)) + 2 * (slot % kChunkEntries);
  }
  u64* index_entry(const Channel& channel, u64 ordinal) const {
    const u32 slot = u32(ordinal % kIndexCapacity);
    const u32 number = peek(channel.index_chunks[slot / kIndexPerChunk]);
    if (number == 0) return nullptr;
    return reinterpret_cast<u64*>(chunk(number - 1)) + slot % kIndexPerChunk;
  }

 private:
  Mapping map_;
};

inline constexpr u32 kReadAttempts = 100'000;  // a writer would have to lap the reader this often in a row

[[noreturn]] inline void fail_lapped(const char* what) {
  fail(Cause::Hub, std::string("no consistent copy of ") + what + " in " + std::to_string(kReadAttempts) +
                       " attempts; the views are damaged: close every process of this hub and open it again");
}

// Two copies and a flip word: copy the active one, and check that nobody came round to it meanwhile. A stopped or dead
// writer never makes this repeat; a running one has to finish two whole updates within one copy.
template <class Block>
inline u64 read_flipped(const u64& flip, const Block (&copies)[2], Block& out) {
  for (u32 attempt = 0; attempt < kReadAttempts; ++attempt) {
    const u64 seen = peek_acquire(flip);
    read_words(out, copies[seen & 1]);
    fence_acquire();
    if (peek(flip) == seen) return seen;
    cpu_pause();
  }
  fail_lapped("a block");
}

// Two tagged copies: the index of the one with the greatest tag that is not above `applied`, or -1.
template <class Body>
inline int valid_copy(const Body* pair, u64 applied) {
  // How far behind each is. Not yet applied wraps round to more than any that is, kUnset to just one more.
  const u64 a = applied - peek_acquire(pair[0].seq), b = applied - peek_acquire(pair[1].seq);
  if (std::min(a, b) > applied) return -1;
  return a <= b ? 0 : 1;
}
// The same, and a copy of it. Compared are distances and pointers, for a loop over a ring runs at half the speed when each
// round has to wait for what the one before has stored.
template <class Body>
inline bool read_tagged(const Body* pair, u64 applied, Body& out) {
  const u64 a = applied - peek_acquire(pair[0].seq), b = applied - peek_acquire(pair[1].seq);
  const Body* valid = a <= b ? pair : pair + 1;
  const u64 behind = std::min(a, b);
  if (behind > applied) return false;
  read_words(out, *valid);
  fence_acquire();
  return applied - peek(valid->seq) == behind;  // kUnset was put there before the first word of another body
}

inline InstrumentRow read_instrument(const Views& views, u32 id) {
  InstrumentRow out;
  read_flipped(views.instrument_copies(id).flip, views.instrument_copies(id).row, out);
  return out;
}

// Which session table a calendar has; a name of zeros when it has none.
inline SessionTableBody read_sessions(const Views& views, u32 calendar) {
  SessionTableBody out;
  read_flipped(views.hot().sessions[calendar].flip, views.hot().sessions[calendar].body, out);
  return out;
}

struct ChannelState {
  ChannelBlock block;
  ChannelRare rare;
};

inline bool try_read_channel(const Channel& channel, ChannelState& out) {
  read_flipped(channel.flip, channel.block, out.block);
  return read_tagged(channel.rare, out.block.applied_seq, out.rare);
}

struct HubState {
  HubBlock block;
  HubRare rare;
};

inline HubState read_hub(const Hot& hot) {
  HubState out;
  for (u32 attempt = 0; attempt < kReadAttempts; ++attempt) {
    read_flipped(hot.flip, hot.block, out.block);
    if (read_tagged(hot.rare, out.block.head - 1, out.rare)) return out;
  }
  fail_lapped("the hub's counters");
}

// Up to which instant intervals of this channel are closed.
inline i64 watermark_of(const HubBlock& hub, i64 ts_event_max, i64 grace_ns) {
  i64 mark = hub.watermark_ns;
  if (WatermarkMode(hub.watermark_mode) == WatermarkMode::Ticks && ts_event_max != kTimeNever &&
      ts_event_max - grace_ns > mark) {
    mark = ts_event_max - grace_ns;
  }
  return mark;
}

}  // namespace tapehub
