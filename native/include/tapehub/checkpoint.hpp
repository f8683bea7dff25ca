// The views as a file, so that opening replays at most what was logged since.
//
// Taken while writers go on: each channel is consistent at its own applied_seq, and the replay that follows skips what a
// channel has already. So only the line to start from is common to all.
#pragma once

#include <functional>

#include "reading.hpp"

namespace tapehub {

inline constexpr u64 kCheckpointMagic = 0x54504B4345504154ull;  // "TAPECKPT"
inline constexpr u32 kCheckpointFormat = 2;  // 1 had no session tables: it is read all the same

struct CheckpointHead {
  u64 magic;
  u32 format;
  u32 channels;
  u8 hub_id[16];
  u64 epoch;
  HubState hub;
  u64 instruments;
  u64 sources;
  u64 zone_count;
  u64 bytes;  // of the whole file, the CRC at its end included
};

class CheckpointWriter {
 public:
  CheckpointWriter(const Views& views, const u8* hub_id, u64 epoch) : views_(views) {
    head_.magic = kCheckpointMagic;
    head_.format = kCheckpointFormat;
    std::memcpy(head_.hub_id, hub_id, 16);
    head_.epoch = epoch;
  }

  // Returns the line from which a replay has to start.
  u64 write(const Directory& home, const std::string& name) {
    const Hot& hot = views_.hot();
    head_.hub = read_hub(hot);
    head_.instruments = peek_acquire(hot.instruments);
    head_.sources = peek_acquire(hot.sources);
    head_.channels = u32(peek_acquire(hot.channels));
    head_.zone_count = peek(hot.zone_count);
    append(head_);
    for (u32 id = 0; id < head_.instruments; ++id) append(read_instrument(views_, id));
    append_words(&views_.source(0), head_.sources * sizeof(SourceRow));
    append_words(hot.zone_from, sizeof hot.zone_from);
    append_words(hot.zone_offset, sizeof hot.zone_offset);
    for (u32 id = 0; id < kCalendarsMax; ++id) append(read_sessions(views_, id));
    for (u32 id = 0; id < head_.channels; ++id) channel(id);
    head_.bytes = data_.size() + 8;
    std::memcpy(data_.data(), &head_, sizeof head_);
    const u64 crc = crc32c(data_.data(), data_.size());
    append(crc);
    home.write_atomically(name, data_.data(), data_.size());
    return head_.hub.block.head;
  }

 private:
  template <class T>
  void append(const T& value) {
    const auto* p = reinterpret_cast<const char*>(&value);
    data_.insert(data_.end(), p, p + sizeof value);
  }
  void append_words(const void* from, size_t bytes) {
    auto* words = static_cast<const u64*>(from);
    for (size_t i = 0; i < bytes / 8; ++i) append(peek(words[i]));
  }

  void channel(u32 id) {
    const Channel& channel = views_.channel(id);
    const size_t start = data_.size();
    for (u32 attempt = 0; attempt < 10'000; ++attempt) {
      data_.resize(start);
      if (try_channel(channel)) return;
    }
    fail(Cause::Hub, "channel " + std::to_string(id) + " changes faster than a checkpoint can read it");
  }

  // Newest entries first: those are what a busy writer changes under us.
  bool try_channel(const Channel& channel) {
    ChannelState state;
    if (!try_read_channel(channel, state)) return false;
    std::vector<CandleBody> rings[kTimeframeCount];
    const RingReader reader(views_, 0);
    for (u32 pass = 0; pass < 2; ++pass) {
      for (u32 frame = 0; frame < kTimeframeCount; ++frame) {
        const u64 end = state.rare.ring_end[frame], low = RingReader::lowest(state.rare, frame);
        const u64 middle = end - low > 4 ? end - 4 : low;
        CandleBody body;
        for (u64 k = pass == 0 ? end : middle, stop = pass == 0 ? middle : low; k-- > stop;) {
          if (!reader.read_entry(channel, frame, k, state.block.applied_seq, body)) {
            if (pass == 1 && k < low + kChunkEntries) break;  // the oldest were overwritten meanwhile
            return false;
          }
          rings[frame].push_back(body);
        }
      }
    }
    for (u32 frame = 0; frame < kTimeframeCount; ++frame) {
      state.rare.ring_base[frame] = state.rare.ring_end[frame] - rings[frame].size();
    }
    append(channel.instrument);
    append(channel.source);
    append(channel.week_days);
    append(u32{0});
    append(state.block);
    append(state.rare);
    for (const auto& ring : rings) {
      append(u64(ring.size()));
      for (const CandleBody& body : ring) append(body);
    }
    const u64 count = std::min<u64>(state.block.ticks, kIndexCapacity - 2 * kBatchRecords);
    append(count);
    for (u64 k = state.block.ticks - count; k < state.block.ticks; ++k) {
      const u64* entry = views_.index_entry(channel, k);
      append(entry ? peek(*entry) : u64{0});
    }
    return true;
  }

  const Views& views_;
  CheckpointHead head_{};
  std::vector<char> data_;
};

// Restores into empty views. Throws Cause::Format when the file is not a whole checkpoint of this hub.
class CheckpointReader {
 public:
  CheckpointReader(std::string data, const u8* hub_id, const std::string& path) : data_(std::move(data)) {
    u64 crc = 0;
    if (data_.size() < sizeof head_ + 8) fail(Cause::Format, "checkpoint is cut short: " + path);
    std::memcpy(&head_, data_.data(), sizeof head_);
    std::memcpy(&crc, data_.data() + data_.size() - 8, 8);
    if (head_.magic != kCheckpointMagic || head_.format < 1 || head_.format > kCheckpointFormat || head_.bytes != data_.size() ||
        std::memcmp(head_.hub_id, hub_id, 16) != 0 || crc != crc32c(data_.data(), data_.size() - 8)) {
      fail(Cause::Format, "checkpoint is damaged or of another hub: " + path);
    }
  }
  const CheckpointHead& head() const { return head_; }

  // Chunks of the arena that the candles and indices of all channels lie in.
  u64 chunks_needed() {
    at_ = sizeof head_;
    skip(head_.instruments * sizeof(InstrumentRow) + head_.sources * sizeof(SourceRow) + sizeof(Hot::zone_from) +
         sizeof(Hot::zone_offset) + (head_.format >= 2 ? kCalendarsMax * sizeof(SessionTableBody) : 0));
    u64 chunks = 0;
    for (u32 id = 0; id < head_.channels; ++id) {
      skip(sizeof(u16) + 2 * sizeof(u8) + sizeof(u32));
      const auto block = take<ChannelBlock>();
      const auto rare = take<ChannelRare>();
      for (u32 frame = 0; frame < kTimeframeCount; ++frame) {
        const u64 count = take<u64>();
        chunks += std::min<u64>(spanned(rare.ring_end[frame], count, kChunkEntries), kTimeframes[frame].capacity / kChunkEntries);
        skip(count * sizeof(CandleBody));
      }
      const u64 count = take<u64>();
      chunks += std::min<u64>(spanned(block.ticks, count, kIndexPerChunk) + 1, kIndexChunks);  // its ring ends within a chunk
      skip(count * sizeof(u64));
    }
    return chunks;
  }

  void restore(const Views& views) {
    Hot& hot = views.hot();
    at_ = sizeof head_;
    for (u32 id = 0; id < head_.instruments; ++id) take_words(&views.instrument(id), sizeof(InstrumentRow));
    take_words(&views.source(0), head_.sources * sizeof(SourceRow));
    take_words(hot.zone_from, sizeof hot.zone_from);
    take_words(hot.zone_offset, sizeof hot.zone_offset);
    for (u32 id = 0; id < kCalendarsMax && head_.format >= 2; ++id) {
      take_words(&hot.sessions[id].body[peek(hot.sessions[id].flip) & 1], sizeof(SessionTableBody));
    }
    put(hot.zone_count, head_.zone_count);
    put(hot.instruments, head_.instruments);
    put(hot.sources, head_.sources);
    for (u32 id = 0; id < head_.channels; ++id) channel(views, id);
    put(hot.channels, head_.channels);
    write_words(hot.block[0], head_.hub.block);
    write_words(hot.rare[0], head_.hub.rare);
    put(hot.rare[1].seq, kUnset);
    put(hot.flip, 0);
    put(hot.head, head_.hub.block.head);
  }

 private:
  template <class T>
  T take() {
    T out;
    if (at_ + sizeof out > data_.size()) fail(Cause::Format, "checkpoint ends early");
    std::memcpy(&out, data_.data() + at_, sizeof out);
    at_ += sizeof out;
    return out;
  }
  void skip(u64 bytes) {
    if (bytes > data_.size() - at_) fail(Cause::Format, "checkpoint ends early");
    at_ += bytes;
  }
  // How many chunks the `count` entries before `end` lie in.
  static u64 spanned(u64 end, u64 count, u64 per_chunk) {
    return count == 0 ? 0 : (end - 1) / per_chunk - (end - count) / per_chunk + 1;
  }
  void take_words(void* to, size_t bytes) {
    auto* words = static_cast<u64*>(to);
    for (size_t i = 0; i < bytes / 8; ++i) put(words[i], take<u64>());
  }

  void channel(const Views& views, u32 id) {
    Channel& channel = views.channel(id);
    Hot& hot = views.hot();
    put(channel.instrument, take<u16>());
    put(channel.source, take<u8>());
    put(channel.week_days, take<u8>());
    take<u32>();
    const auto block = take<ChannelBlock>();
    const auto rare = take<ChannelRare>();
    write_words(channel.block[0], block);
    write_words(channel.rare[0], rare);
    put(channel.rare[1].seq, kUnset);
    put(channel.flip, 0);
    put(views.channel_slot(channel.instrument, channel.source), u16(id + 1));
    auto chunk = [&hot](u32& number) {
      if (number != 0) return;
      number = u32(hot.arena_next++) + 1;
    };
    for (u32 frame = 0; frame < kTimeframeCount; ++frame) {
      const u64 count = take<u64>();
      for (u64 i = 0; i < count; ++i) {
        const u64 ordinal = rare.ring_end[frame] - 1 - i;
        const u32 slot = u32(ordinal & (kTimeframes[frame].capacity - 1));
        chunk(channel.ring_chunks[kRings.first_chunk[frame] + slot / kChunkEntries]);
        CandleBody* pair = views.entry(channel, frame, ordinal);
        write_words(pair[0], take<CandleBody>());
        put(pair[1].seq, kUnset);
      }
    }
    const u64 count = take<u64>();
    for (u64 k = block.ticks - count; k < block.ticks; ++k) {
      chunk(channel.index_chunks[k % kIndexCapacity / kIndexPerChunk]);
      put(*views.index_entry(channel, k), take<u64>());
    }
  }

  std::string data_;
  CheckpointHead head_{};
  size_t at_ = 0;
};

}  // namespace tapehub
