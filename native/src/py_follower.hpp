// Following the log from one line on: what a stream does many times a second, without the interpreter.
#pragma once

#include <nanobind/nanobind.h>

#include "py_hub.hpp"

namespace tapehub::py {

struct Scan {
  u64 next;         // where to go on
  u64 ticks;        // copied to out
  u64 records;      // passed, wanted or not
  u64 other;        // sequence of the wanted record of another kind that stopped the scan, or 0
  u64 lost_before;  // the first line that is still there, when `from` is not: else 0
};

// Copy wanted ticks from line `from` on until `out` is full, `to` is reached, or a wanted record of another kind comes.
inline Scan scan(Hub& hub, u64 from, u64 to, const u8* channels, u64 channels_bytes, u64 kinds, i64 from_ts, i64 to_ts,
          unsigned char* out, u64 room) {
  Scan result{from, 0, 0, 0, 0};
  const Geometry& geometry = hub.log().geometry();
  u64 line = from;
  auto wanted = [&](u16 instrument, u8 source) {
    if (channels_bytes == 0) return true;
    if (instrument >= kInstrumentsMax || source >= kSourcesMax) return false;
    const u16 slot = peek(hub.views().channel_slot(instrument, source));
    return slot != 0 && u64(slot - 1) < channels_bytes && channels[slot - 1] != 0;
  };
  while (line < to) {
    const unsigned char* bytes = hub.log().line(line);
    if (!bytes) {
      const u64 oldest = peek_acquire(hub.hot().oldest_line);
      if (oldest <= line) break;
      result.lost_before = oldest;
      break;
    }
    // A run inside one segment, at consecutive addresses.
    const u64 stop = std::min(to, geometry.end_line(geometry.segment_of(line)));
    for (; line < stop; bytes += kLineBytes) {
      const u64 word = peek_acquire(*reinterpret_cast<const Word*>(bytes));
      const Kind kind = word_kind(word);
      if (kind == Kind::Tick) [[likely]] {
        if (word != line) {  // not a record: the caller gave a sequence inside one, or the tape is damaged
          result.next = line;
          return result;
        }
        auto* tick = reinterpret_cast<const TickLine*>(bytes);
        if ((kinds & 1) && wanted(tick->instrument, tick->source) && tick->ts_event >= from_ts && tick->ts_event < to_ts) {
          if (result.ticks == room) {
            result.next = line;
            return result;
          }
          std::memcpy(out + result.ticks++ * kLineBytes, bytes, kLineBytes);
        }
        ++result.records;
        ++line;
        continue;
      }
      if (word_seq(word) != line) {
        result.next = line;
        return result;
      }
      const u32 lines = word_lines(word);
      if (kind != Kind::Pad && kind != Kind::Segment) {
        auto* head = reinterpret_cast<const RecordHead*>(bytes);
        // A new channel concerns every stream that asks for it: one of its symbols may have come up.
        const bool everyones = head->instrument == kNone16 || kind == Kind::Channel;
        if ((kinds >> u32(kind) & 1) && (everyones || wanted(head->instrument, head->source))) {
          result.next = line + lines;
          result.other = line;
          ++result.records;
          return result;
        }
        ++result.records;
      }
      line += lines;
      bytes += (lines - 1) * kLineBytes;
    }
  }
  result.next = line;
  return result;
}

// The ticks of a stream, one by one. Whatever else comes up (another kind of record, a lap, a replaced hub) ends `next`
// with None before it, and the stream in Python deals with it.
class Follower {
 public:
  Follower(PyHub& python, u64 position, u64 kinds, std::string channels, u32 spins)
      : python_(python), channels_(std::move(channels)),
        kinds_(kinds | (channels_.empty() ? 0 : u64{1} << u32(Kind::Channel))), spins_(spins), position(position),
        incarnation(python.incarnation()) {}

  PyObject* next(i64 timeout_ns);
  bool rewind() {
    if (at_ == count_) return false;
    position = word_seq(buffer_[at_].word);
    at_ = count_ = 0;
    return true;
  }
  void set_channels(std::string channels) { channels_ = std::move(channels); }

 private:
  static constexpr u64 kBuffer = 256;
  PyObject* take(Hub& hub);
  bool refill(Hub& hub, u64 head);

  PyHub& python_;
  std::string channels_;
  u64 kinds_;
  u32 spins_;
  TickLine buffer_[kBuffer];
  u64 at_ = 0, count_ = 0;

 public:
  u64 position;     // the line that is read next
  bool stopped = false;  // the last None stands for something that Python has to see
  u64 passed = 0;   // records passed since it was last asked for
  u64 incarnation;
};

void add_follower(nanobind::module_& m);
void add_intervals(nanobind::module_& m);  // intervals.cpp

}  // namespace tapehub::py
