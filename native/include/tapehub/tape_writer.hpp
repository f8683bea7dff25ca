// Where on the tape a record goes, and its lines word by word, the commit word last. Included by hub.hpp.
#pragma once

#include "hub.hpp"

namespace tapehub {

inline bool Hub::arena_room(u64 records) {
  return peek(writer_hot().arena_next) + at_.applier().chunks_for(records) <= at_.arena_touched();
}

// Make *head the line of a record of `lines` lines: in this segment, or, after padding, in the next. Null when
// something has to be provided first, outside the lock. `done` records of this chunk are written already, the next
// needs ring chunks like `more` of them.
inline const unsigned char* Hub::place(u32 lines, u64* head, Need* need, u64 done, u64 more) {
  const Geometry& geometry = log().geometry();
  if (!arena_room(done + more)) {
    need->chunks = at_.applier().chunks_for(std::max<u64>(done + more, kBatchRecords));
    return nullptr;
  }
  u64 line = *head;
  u64 segment = geometry.segment_of(line);
  const bool rolls = geometry.offset_of(line) == 0 || geometry.end_line(segment) - line < lines;
  const u64 target = rolls ? (geometry.offset_of(line) == 0 ? segment : segment + 1) : segment;
  if (geometry.end_line(target) > peek_acquire(writer_hot().ready_line) || !log().writable(geometry.first_line(target)) ||
      (target != segment && !log().writable(line))) {
    need->segment = true;
    need->segment_number = log().writable(line) || geometry.offset_of(line) == 0 || target == segment ? target : segment;
    return nullptr;
  }
  if (rolls) {
    if (geometry.offset_of(line) != 0) pad(line, geometry.end_line(segment));
    auto* header = reinterpret_cast<SegmentHeader*>(log().writable(target << geometry.shift));
    put(header->records_before, at_.applier().hub().records + done);
    line = geometry.first_line(target);
  }
  *head = line;
  return log().writable(line);
}

inline bool Hub::place_group(u64* head, Need* need) {
  return place(1 + kTimeframeCount * 3, head, need, 0, 2) != nullptr;
}

inline void Hub::pad(u64 line, u64 end) {
  while (line < end) {
    const u32 lines = u32(std::min<u64>(end - line, kRecordLinesMax));
    unsigned char* bytes = log().writable(line);
    RecordHead head{};
    head.word = make_word(line, Kind::Pad, lines);
    head.instrument = kNone16;
    // The rest of the pad's lines are zeros: the segment was created that way and repair leaves it so.
    u32 crc = crc_update(0xFFFFFFFFu, &head, kCrcOffset);
    static constexpr unsigned char kZeros[kLineBytes] = {};
    for (u32 i = 1; i < lines; ++i) crc = crc_update(crc, kZeros, kLineBytes);
    head.crc32c = ~crc;
    const u64 word = head.word;
    head.word = 0;
    write_words(*reinterpret_cast<RecordHead*>(bytes), head);
    commit(bytes, word);
    line += lines;
  }
}

// An event clock stands where the newest record is, this one included.
inline i64 Hub::stamp(i64 now, i64 ts_event) const {
  return ClockMode(at_.applier().hub().clock_mode) == ClockMode::Event ? std::max(now, ts_event) : now;
}

// Everything in registers up to the log: a record put together field by field in memory and read back as words costs
// more than all the rest of a publish, since no store of a field can be forwarded to the load of a word.
inline const TickLine& Hub::write_tick(const TickInput& input, u64 seq, i64 now, bool committed) {
  now = stamp(now, input.ts_event);
  u64 words[8] = {
      make_word(seq, Kind::Tick, 1), u64(input.ts_event), u64(input.ts_recv == 0 ? now : input.ts_recv), u64(now),
      std::bit_cast<u64>(input.bid), std::bit_cast<u64>(input.ask),
      std::bit_cast<u32>(input.bid_size) | u64(std::bit_cast<u32>(input.ask_size)) << 32,
      input.instrument | u64(input.source) << 16 | u64(input.flags) << 24,
  };
  words[7] |= u64(tick_crc(words)) << 32;
  auto* line = reinterpret_cast<TickLine*>(log().writable(seq));
  auto* to = reinterpret_cast<Word*>(line);
  for (u32 i = 1; i < 8; ++i) put(to[i], words[i]);
  if (committed) put_release(to[0], words[0]);
  return *line;
}

inline void Hub::late_tick(const TickInput& input, i64 now, u64* head, u64* records) {
  const u64 seq = (*head)++;
  at_.applier().late_tick(input.channel, seq, write_tick(input, seq, now, false));
  write_revisions(head, records, now, input.source);
  commit(log().writable(seq), make_word(seq, Kind::Tick, 1));
}

// The candles that a record revised or superseded, announced behind it and committed before it.
inline void Hub::write_revisions(u64* head, u64* records, i64 now, u8 source) {
  for (const Revision& revision : at_.applier().revisions()) {
    RecordInput announced;
    announced.kind = Kind::Candle;
    announced.ts_event = revision.body.timestamp;
    announced.instrument = revision.body.instrument;
    announced.source = source;
    announced.payload = &revision.body;
    announced.payload_bytes = sizeof(CandleBody);
    unsigned char* bytes = log().writable(*head);
    const u64 word = write_record(announced, *head, 3, now);
    commit(bytes, word);
    *head += 3;
    ++*records;
    at_.applier().count_announced();
  }
}

// Everything but the commit word, which is returned.
inline u64 Hub::write_record(const RecordInput& input, u64 seq, u32 lines, i64 now) {
  now = stamp(now, input.ts_event);
  RecordHead head{};
  head.word = make_word(seq, input.kind, lines);
  head.ts_event = input.ts_event;
  head.ts_recv = input.ts_recv == 0 ? now : input.ts_recv;
  head.ts_publish = now;
  head.fixed[0] = input.payload_bytes;
  head.fixed[1] = input.fixed1;
  head.fixed[2] = input.fixed2;
  head.instrument = input.instrument;
  head.source = input.source;
  head.flags = input.flags;
  unsigned char* to = log().writable(seq);
  u32 crc = crc_update(0xFFFFFFFFu, &head, kCrcOffset);
  const auto* from = static_cast<const unsigned char*>(input.payload);
  for (u32 i = 1; i < lines; ++i) {
    u64 words[8] = {};
    const u32 offset = (i - 1) * kLineBytes;
    std::memcpy(words, from + offset, std::min<u32>(kLineBytes, input.payload_bytes - offset));
    for (u32 k = 0; k < 8; ++k) put(reinterpret_cast<Word*>(to + i * kLineBytes)[k], words[k]);
    crc = crc_update(crc, words, sizeof words);
  }
  head.crc32c = ~crc;
  u64 words[8];
  std::memcpy(words, &head, sizeof head);
  for (u32 k = 1; k < 8; ++k) put(reinterpret_cast<Word*>(to)[k], words[k]);
  return words[0];
}

}  // namespace tapehub
