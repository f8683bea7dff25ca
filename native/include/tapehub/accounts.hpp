// What became of what was received, in all processes there are and were.
//
// A process counts in its slot. When it is gone, whoever takes the slot, or notices that something was lost with it, adds
// its counts to those of all that are gone, in the header of the slots file; a file in the hub's directory keeps them over
// a reboot. Sums are written whole before they count, so that a settler may die at any store: the next one finishes.
#pragma once

#include "crc32c.hpp"
#include "slots.hpp"

namespace tapehub {

inline constexpr u64 kAccountsMagic = 0x5354435045504154ull;  // "TAPEPCTS"

struct AccountsFile {  // <hub>/accounts
  u64 magic;
  u32 format;
  u32 reserved0;
  u8 hub_id[16];
  Accounts accounts;
  u64 in_flight;  // of processes that were attached: lost, if this is the last word of them
  u32 crc32c;     // of all before
  u32 reserved1;
};

inline u64 moved(u64 from, i64 by) { return u64(std::max<i64>(0, i64(from) + by)); }

// What a slot's owner counted. One that received nothing owes nothing: what it published is a caller's.
inline Accounts counts_of(const Slot& slot) {
  Accounts out{};
  // Received last: a quote is counted there before it is counted anywhere else.
  const Counts seen{0, peek(slot.published), peek(slot.refused), peek(slot.duplicates), peek(slot.quarantined)};
  const u64 others = peek(slot.others), received = peek_acquire(slot.received);
  Counts& side = received == 0 ? out.callers : out.feeds;
  side = seen;
  if (received == 0) return out;
  side.received = received;
  side.published = moved(seen.published, -i64(others));
  out.callers.published = seen.published - side.published;
  return out;
}
// Received, and neither published nor explained yet.
inline i64 in_hand(const Accounts& counts) {
  const Counts& feeds = counts.feeds;
  return i64(feeds.received) - i64(feeds.published + feeds.refused + feeds.duplicates + feeds.quarantined + counts.lost);
}
// Of an owner that is gone. What it published beyond what it had received cannot be a feed's.
inline Accounts settled_of(const Slot& slot) {
  Accounts out = counts_of(slot);
  const i64 owed = in_hand(out);
  if (owed >= 0) {
    out.lost = u64(owed);
  } else {
    const u64 beyond = std::min(u64(-owed), out.feeds.published);
    out.feeds.published -= beyond;
    out.callers.published += beyond;
  }
  return out;
}

inline void add(Accounts& to, const Accounts& more) {
  auto* sum = reinterpret_cast<u64*>(&to);
  auto* one = reinterpret_cast<const u64*>(&more);
  for (u32 i = 0; i < sizeof to / 8; ++i) sum[i] += one[i];
}

// The move that somebody began and died in. The caller holds kByteOpen, as whoever begins one.
inline void finish_settling(const Slots& slots) {
  SlotsHeader& header = slots.header();
  const u64 moving = peek(header.moving);
  if (moving == 0) return;
  Accounts sums;
  read_words(sums, header.with_moving);
  fence_release();  // pairs with the fence in all_accounts: who sees a count of zero sees `moving`, or what comes after it
  write_words(header.settled, sums);
  Slot& slot = slots.slot(u32(moving - 1) % kSlots);
  for (u64* counter : {&slot.published, &slot.others, &slot.received, &slot.refused, &slot.duplicates, &slot.quarantined}) {
    put(*counter, 0);
  }
  put(header.settlings, peek(header.settlings) + 1);
  put_release(header.moving, 0);  // pairs with the loads in all_accounts
}

// Move the counts of a slot whose owner is gone to those of all that are. Returns what was lost with it.
inline Accounts settle(const Slots& slots, u32 number) {
  finish_settling(slots);
  const Accounts counts = settled_of(slots.slot(number));
  SlotsHeader& header = slots.header();
  Accounts sums;
  read_words(sums, header.settled);
  add(sums, counts);
  write_words(header.with_moving, sums);
  put_release(header.moving, number + 1);  // pairs with the first load in all_accounts
  finish_settling(slots);
  return counts;
}

struct Standing {
  Accounts accounts;  // lost: of all that are gone, settled or not
  i64 in_flight;      // of those that are attached
};

// The sums at one instant. A settler that died in its work does not disturb: its slot is in `with_moving` already.
template <class Alive>
inline Standing all_accounts(const Slots& slots, Alive alive) {
  const SlotsHeader& header = slots.header();
  Standing out{};
  for (u32 attempt = 0; attempt < 1000; ++attempt) {
    out = {};
    const u64 moving = peek_acquire(header.moving);  // pairs with both stores of it
    const u64 seen = peek(header.settlings);
    read_words(out.accounts, moving == 0 ? header.settled : header.with_moving);
    for (u32 i = 0; i < kSlots; ++i) {
      const Slot& slot = slots.slot(i);
      if (i + 1 == moving || (peek(slot.published) == 0 && peek(slot.received) == 0 && peek(slot.refused) == 0)) continue;
      const bool receives = peek(slot.received) != 0, there = receives && alive(i);
      const Accounts counts = receives && !there ? settled_of(slot) : counts_of(slot);
      add(out.accounts, counts);
      if (there) out.in_flight += in_hand(counts);
    }
    fence_acquire();  // pairs with the fence in finish_settling
    if (peek_acquire(header.moving) == moving && peek(header.settlings) == seen) break;
  }
  return out;
}

}  // namespace tapehub
