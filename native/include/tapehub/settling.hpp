// What a process says in the log for others that cannot any more, and for a machine that was started again. Included by
// hub.hpp.
#pragma once

#include "hub.hpp"

namespace tapehub {

// Lost for good, and shown: a record, beside the sums.
inline void Hub::log_loss(const Loss& loss) {
  std::string name;
  for (char c : loss.process) name += c >= ' ' && c < 127 && c != '"' && c != '\\' ? c : '?';
  const Counts& feeds = loss.counts.feeds;
  const std::string text = "{\"process\": \"" + name + "\", \"pid\": " + std::to_string(loss.pid) +
                           ", \"lost\": " + std::to_string(loss.counts.lost) +
                           ", \"received\": " + std::to_string(feeds.received) +
                           ", \"published\": " + std::to_string(feeds.published) + "}";
  RecordInput input;
  input.kind = Kind::Ledger;
  input.ts_event = now();
  input.fixed1 = kLedgerLoss;
  input.fixed2 = loss.counts.lost;
  input.payload = text.data();
  input.payload_bytes = u32(text.size());
  publish_record(input);
}

// What this process found as it opened the hub.
inline void Hub::log_found_losses() noexcept {
  try {
    for (const Loss& loss : at_.take_losses()) log_loss(loss);
  } catch (const std::exception&) {
    // A full disk, or a stopped writer, is no reason not to open: the sums have it, and the record alone is missing.
  }
}

// Those that died with something in hand.
inline void Hub::settle_dead() {
  for (u32 i = 0; i < kSlots; ++i) {
    const Slot& slot = at_.slots().slot(i);
    if (i == at_.me().slot || peek(slot.received) == 0 || in_hand(counts_of(slot)) <= 0) continue;
    if (at_.locks().holder(kByteSlots + i) != 0) continue;
    if (const std::optional<Loss> loss = at_.settle_slot(i)) {
      next_accounts_ = 1;  // soon
      log_loss(*loss);
    }
  }
}

inline void Hub::settle_as_it_leaves() noexcept {
  if (!at_.of_this_process() || !at_.is_writer() || at_.lost() != Lost::No) return;
  try {
    settle_dead();
    if (in_hand(counts_of(slot())) <= 0) return;
    if (const std::optional<Loss> loss = at_.settle_slot(at_.me().slot)) log_loss(*loss);
  } catch (const std::exception&) {
    // A full disk, or a stopped writer: the sums have it, and the record alone is missing.
  }
}

// Sequences from here on belong to the new epoch.
inline void Hub::log_epoch() {
  RecordInput input;
  input.kind = Kind::Epoch;
  input.fixed1 = at_.control().epoch;
  publish_record(input);
}

// CLOCK_BOOTTIME began anew with the machine, and a virtual clock is anchored in it: as it stands it would jump, back or far
// ahead. It goes on at the newest stamp that was given under it; while the machine was off it stood.
inline void Hub::anchor_clock_anew() {
  const HubState state = read_hub(hot());
  ClockBody clock = state.rare.clock;
  if (ClockMode(clock.mode) != ClockMode::Virtual) return;
  clock.anchor_ns = std::max(clock.anchor_ns, last_stamp_since(state.block.clock_seq));
  clock.anchor_boot_ns = boot_ns();
  clock.watermark_ns = state.block.watermark_ns;
  RecordInput input;
  input.kind = Kind::Clock;
  input.ts_event = clock.anchor_ns;
  input.flags = kClockGoesOn | kClockSameAuthor;
  input.payload = &clock;
  input.payload_bytes = sizeof clock;
  publish_record(input);
}

// The stamp of the newest record behind a line. Not of clocks and epochs: after a reboot they are stamped by the clock that
// they correct.
inline i64 Hub::last_stamp_since(u64 from) {
  const Geometry& geometry = log().geometry();
  const u64 head = peek_acquire(hot().head), oldest = peek(hot().oldest_line);
  for (u64 segment = geometry.segment_of(head - 1);; --segment) {
    i64 found = kTimeNever;
    u64 line = geometry.first_line(segment);
    for (const u64 end = std::min(head, geometry.end_line(segment)); line < end;) {
      const unsigned char* bytes = log().line(line);
      const u64 word = bytes ? peek_acquire(*reinterpret_cast<const Word*>(bytes)) : 0;  // pairs with commit()
      if (word == 0) break;
      const Kind kind = word_kind(word);
      const bool tells = kind != Kind::Pad && kind != Kind::Segment && kind != Kind::Clock && kind != Kind::Epoch;
      if (tells && line > from) found = std::max(found, peek(reinterpret_cast<const RecordHead*>(bytes)->ts_publish));
      line += word_lines(word);
    }
    if (found != kTimeNever || geometry.first_line(segment) <= std::max(from, oldest)) return found;
  }
}

}  // namespace tapehub
