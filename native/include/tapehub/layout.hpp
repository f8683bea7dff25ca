// Every byte that two processes share, stated once.
//
// The tape is a directory of segment files. A segment is `segment_lines` lines of 64 bytes (2^20 lines, 64 MiB, by
// default); line n of the tape is line n mod segment_lines of segment n / segment_lines, so a sequence number is an
// address. Its first 64 lines are the segment's own header, written as a record, so that a raw walk skips it by length.
//
//   record word (bytes 0..7 of the first line of every record; written last: it is the commit)
//   63    60 59        54 53         48 47                                                                       0
//   [ flags ][   kind   ][ lines - 1  ][                              sequence                                   ]
//
//   tick: one line                              any other record: whole lines, at most 64 (4 KiB)
//    0  word            kind 0, so = sequence    0  word
//    8  ts_event        ns UTC, venue            8  ts_event
//   16  ts_recv         ns UTC, receiver        16  ts_recv
//   24  ts_publish      ns UTC, hub             24  ts_publish
//   32  bid             float64                 32  fixed[3]      uint64, meaning by kind (payload_bytes in fixed[0])
//   40  ask             float64                 40
//   48  bid_size        float32                 48
//   52  ask_size        float32
//   56  instrument      uint16                  56  instrument
//   58  source          uint8                   58  source
//   59  flags           uint8                   59  flags
//   60  crc32c          of the record but 60..63  60  crc32c
//                                               64  payload ... to the end of the last line
//
//   candle body, 96 bytes: in a ring, in a CANDLE record's payload, and as numpy dtype tapehub.CANDLE
//    0 timestamp (open, ns UTC)  8 open  16 high  24 low  32 close  40 volume
//   48 ts_first  56 ts_last  (ts_event of the opening and closing tick)  64 ts_arrival (hub clock of the last change)
//   72 seq (record that wrote this version)  80 ticks u32  84 revision u16  86 status u8  87 timeframe u8
//   88 coverage f32  92 flags u8  93 source u8  94 instrument u16
//
//   calendar record: New York's offsets from UTC, from which days, weeks and four-hour bars are cut; or with flag
//   kCalendarSessions, which session table a calendar has from here on
//   32  fixed[0] payload bytes    40  fixed[1] rows, or the calendar's id    48  fixed[2] 0, or the table's rows
//   64  (from_ns, offset_ns) int64 pairs, or SessionTableBody: the name of a file in <hub>/blobs with (open_ns, close_ns)
//
//   views file (memory-backed, rebuildable)
//   [ header page | hot page: lock, head, wake, hub block x2 | instruments | sources | channel map | channels | arena ]
//   channel  = one (instrument, source): flip word, two copies of its block and of its rare counters, chunk tables
//   ring     = chunks of 64 entries in the arena; an entry is two candle bodies. The valid body is the one with the
//              greatest seq <= applied_seq of the channel's active block, so one flip publishes every ring at once.
//
// tests/unit/test_layout.py compares every offset below with the numpy dtypes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tapehub {

using i64 = std::int64_t;
using u64 = std::uint64_t;
using u32 = std::uint32_t;
using u16 = std::uint16_t;
using u8 = std::uint8_t;

inline constexpr u32 kFormat = 1;
inline constexpr u64 kMagic = 0x0042554845504154ull;  // "TAPEHUB\0", little endian
inline constexpr u32 kLineBytes = 64;
inline constexpr u32 kHeaderLines = 64;
inline constexpr u32 kRecordLinesMax = 64;
inline constexpr u32 kSegmentLinesDefault = 1u << 20;
inline constexpr u32 kSegmentLinesMin = 1u << 10;
inline constexpr u32 kSymbolBytes = 32;  // 31 and a terminating zero
inline constexpr u32 kBatchRecords = 256;  // a batch holds the lock for this many records

inline constexpr u32 kInstrumentsMax = 2048;
inline constexpr u32 kSourcesMax = 32;
inline constexpr u32 kChannelsMax = 2048;
inline constexpr u16 kNone16 = 0xFFFF;

inline constexpr i64 kSecond = 1'000'000'000;
inline constexpr i64 kMinute = 60 * kSecond;
inline constexpr i64 kHour = 60 * kMinute;
inline constexpr i64 kDay = 24 * kHour;
inline constexpr i64 kTimeNever = INT64_MIN;
inline constexpr u64 kUnset = ~0ull;  // seq tag of a body that is being written
inline constexpr i64 kTimeMin = 631'152'000 * kSecond;  // 1990-01-01T00:00:00Z

// ---------------------------------------------------------------- records

enum class Kind : u8 {
  Tick = 0,
  Candle = 1,       // a pushed, warm-started, revised or superseded candle: body in the payload
  OrderFlow = 2,    // payload: OrderFlowBody, then futures symbol and bias as text
  Watermark = 3,    // ts_event = T: no interval that ended before T is open
  Definition = 4,   // payload: InstrumentRow
  Source = 5,       // payload: SourceRow
  Channel = 6,      // fixed[1] = channel id; instrument, source
  Clear = 7,        // instrument, or 0xFFFF for all
  Clock = 8,        // payload: ClockBody
  Calendar = 9,     // payload: zone transitions (see frames.hpp), or SessionTableBody where kCalendarSessions is set
  State = 10,
  Gap = 11,
  Quarantine = 12,
  Opinion = 13,
  Signal = 14,
  Order = 15,
  Fill = 16,
  Ledger = 17,      // fixed[1] = what a feed counts, or how its connection stands, or kLedgerLoss
  Epoch = 18,       // the tail was cut: fixed[1] = new epoch
  Note = 19,
  Comparison = 20,  // a candle that the venue built, and how the hub's differs
  Agent = 21,       // an agent's run: begun, ended, what it said; fixed[1] = run, fixed[2] = cause and ordinal
  Account = 22,     // a paper account and its positions, after a change
  Halt = 23,        // the kill switch: fixed[1] = 1 halted, 0 resumed
  Pad = 62,         // rest of a segment
  Segment = 63,     // a segment's header
};
inline constexpr u32 kKindsCounted = 24;

inline constexpr u64 kSeqMask = (1ull << 48) - 1;

constexpr u64 make_word(u64 seq, Kind kind, u32 lines, u8 flags = 0) {
  return (seq & kSeqMask) | (u64(lines - 1) << 48) | (u64(kind) << 54) | (u64(flags & 15) << 60);
}
constexpr u64 word_seq(u64 word) { return word & kSeqMask; }
constexpr u32 word_lines(u64 word) { return u32((word >> 48) & 63) + 1; }
constexpr Kind word_kind(u64 word) { return Kind((word >> 54) & 63); }

struct TickLine {
  u64 word;
  i64 ts_event;
  i64 ts_recv;
  i64 ts_publish;
  double bid;
  double ask;
  float bid_size;
  float ask_size;
  u16 instrument;
  u8 source;
  u8 flags;
  u32 crc32c;
};
static_assert(sizeof(TickLine) == 64 && offsetof(TickLine, bid) == 32 && offsetof(TickLine, bid_size) == 48 &&
              offsetof(TickLine, instrument) == 56 && offsetof(TickLine, source) == 58 &&
              offsetof(TickLine, crc32c) == 60);

enum TickFlags : u8 {
  kTickUnverified = 1,  // pushed by a caller: no proof from a venue
  kTickCorrected = 2,   // the caller's mid or spread contradicted bid and ask, and was recomputed
  kTickBackfill = 4,
};

struct RecordHead {  // first line of a record that is not a tick
  u64 word;
  i64 ts_event;
  i64 ts_recv;
  i64 ts_publish;
  u64 fixed[3];  // fixed[0] = payload bytes
  u16 instrument;
  u8 source;
  u8 flags;
  u32 crc32c;
};
static_assert(sizeof(RecordHead) == 64 && offsetof(RecordHead, fixed) == 32 && offsetof(RecordHead, instrument) == 56 &&
              offsetof(RecordHead, crc32c) == 60);
inline constexpr u32 kCrcOffset = 60;

struct SegmentHeader {  // payload of a segment's first record; the record's word is at byte 0 as always
  u64 word;
  u64 magic;
  u32 format;
  u32 segment_lines;
  u8 hub_id[16];
  u64 segment;
  u64 epoch;
  i64 created_ns;
  u64 records_before;  // records in all earlier segments; 0 until the segment becomes the head
  u32 crc32c;          // of bytes 0..records_before; the count itself is checked by the walk
  u32 reserved;
};
static_assert(sizeof(SegmentHeader) == 80 && offsetof(SegmentHeader, records_before) == 64);

// ---------------------------------------------------------------- candles

enum class CandleStatus : u8 { Forming = 0, Final = 1, Revised = 2, Superseded = 3 };

enum GapFlags : u8 {
  kGapLasts = 1,  // its end is not known yet: candles get their coverage when it is
  kGapNoted = 2,  // what became of a gap that is in the log already
};

inline constexpr u64 kLedgerLoss = 2;  // a ledger record: fixed[2] = what a process that is gone had in hand

enum CandleFlags : u8 {
  kCandlePushed = 1,      // authored by a caller; ticks do not change it
  kCandleWarm = 2,        // from a warm start
  kCandleRealVolume = 4,  // volume is size, not tick count
  kCandleBackfill = 8,
  kCandleUnconfirmed = 16,  // finalised without the venue's own end mark
};

struct CandleBody {
  i64 timestamp;
  double open, high, low, close, volume;
  i64 ts_first, ts_last, ts_arrival;
  u64 seq;
  u32 ticks;
  u16 revision;
  u8 status;
  u8 timeframe;
  float coverage;
  u8 flags;
  u8 source;
  u16 instrument;
};
static_assert(sizeof(CandleBody) == 96 && offsetof(CandleBody, volume) == 40 && offsetof(CandleBody, ts_first) == 48 &&
              offsetof(CandleBody, seq) == 72 && offsetof(CandleBody, ticks) == 80 &&
              offsetof(CandleBody, status) == 86 && offsetof(CandleBody, coverage) == 88 &&
              offsetof(CandleBody, source) == 93 && offsetof(CandleBody, instrument) == 94);

// One row a timeframe; src/tapehub/model/timeframes.py is compared with it by a test.
struct TimeframeRow {
  const char* name;
  i64 span_ns;
  u32 capacity;  // ring entries, a power of two and a multiple of kChunkEntries
};
inline constexpr TimeframeRow kTimeframes[] = {
    {"1s", kSecond, 2048},      {"5s", 5 * kSecond, 1024},   {"15s", 15 * kSecond, 1024}, {"1m", kMinute, 4096},
    {"5m", 5 * kMinute, 2048},  {"15m", 15 * kMinute, 1024}, {"30m", 30 * kMinute, 1024}, {"1h", kHour, 1024},
    {"4h", 4 * kHour, 512},     {"1d", kDay, 512},           {"1w", 7 * kDay, 128},
};
inline constexpr u32 kTimeframeCount = sizeof(kTimeframes) / sizeof(kTimeframes[0]);
inline constexpr u32 kMinuteFrame = 3;
inline constexpr u32 kHourFrame = 7;
inline constexpr u32 kFourHourFrame = 8;
inline constexpr u32 kDayFrame = 9;
inline constexpr u32 kWeekFrame = 10;

// ---------------------------------------------------------------- payloads

struct OrderFlowBody {
  double window_seconds, ofi_60s, net_volume_delta, buy_volume, sell_volume, total_volume, best_bid, best_ask, bid_size,
      ask_size, top_of_book_imbalance, vwap_60s, toxicity_score;
  i64 buy_sweep_count, sell_sweep_count, updates_count;
  u32 is_stale;
  u16 futures_symbol_bytes;   // text follows the body: futures symbol, then bias
  u16 order_flow_bias_bytes;
};
static_assert(sizeof(OrderFlowBody) == 136);

enum class ClockMode : u32 { Wall = 0, Virtual = 1, Event = 2 };
enum class WatermarkMode : u32 { Ticks = 0, Server = 1 };  // who moves the watermark

enum ClockFlags : u8 {
  kClockGoesOn = 1,      // the same time line: lateness and watermark go on
  kClockSameAuthor = 2,  // and whoever closed intervals goes on doing so; without it, that has changed
};

struct ClockBody {
  u32 mode;            // ClockMode
  u32 watermark_mode;  // WatermarkMode
  i64 anchor_ns;       // virtual: hub time at the anchor
  i64 anchor_boot_ns;  // virtual: CLOCK_BOOTTIME at the anchor
  double rate;         // virtual: hub seconds per second
  i64 skew_ns;         // wall: venue clock minus ours
  i64 watermark_ns;    // where the watermark starts under this clock
};
static_assert(sizeof(ClockBody) == 48);

enum class CalendarId : u8 { Fx = 0, Metals = 1, Always = 2 };
inline constexpr u32 kCalendarsMax = 8;

enum CalendarFlags : u8 {
  kCalendarSessions = 1,  // of one calendar; without, it is the zone's offsets
  kRecordNamesBlob = 128,  // of any record but a tick: its payload is the name of a file in <hub>/blobs
};

// A table of sessions has thousands of rows, and the log may drop the record that named it; so the views and every
// checkpoint keep the name, and the file is never removed.
struct SessionTableBody {
  char blob[64];  // SHA-256 of the file, in hex; zeros: the hub has no table for this calendar
};
static_assert(sizeof(SessionTableBody) == 64);

struct alignas(64) SessionTable {  // two copies of the name: a record fills the other one and flips
  u64 flip;
  u64 reserved[7];
  SessionTableBody body[2];
};
static_assert(sizeof(SessionTable) == 192 && offsetof(SessionTable, body) == 64);

struct InstrumentRow {
  char symbol[kSymbolBytes];
  double pip_size;      // 0: undeclared, spread is in price units
  double price_scale;   // input_scale of the configuration; 1 when none
  double price_low;     // plausible band, 0 when unknown
  double price_high;
  u16 id;
  u16 primary_channel;  // kNone16 until it has one
  u8 calendar;          // CalendarId
  u8 decimals;
  u8 declared;
  u8 week_days;         // 5: a week ends Friday 17:00 New York; 7: it runs through
  char base[8];
  char quote[8];
  u8 reserved[40];
};
static_assert(sizeof(InstrumentRow) == 128);

struct alignas(64) Instrument {  // two copies of the row: a definition fills the other one and flips
  u64 flip;
  u64 reserved[7];
  InstrumentRow row[2];
};
static_assert(sizeof(Instrument) == 320);

struct SourceRow {
  char name[kSymbolBytes];
  u64 fencing_token;  // of the collector's lease, reserved for the bridge
  u8 id;
  u8 reserved[23];
};
static_assert(sizeof(SourceRow) == 64);

// ---------------------------------------------------------------- views

inline constexpr u32 kChunkEntries = 64;
inline constexpr u32 kEntryBytes = 2 * sizeof(CandleBody);
inline constexpr u32 kChunkBytes = kChunkEntries * kEntryBytes;  // 12,288: three pages
static_assert(kChunkBytes % 4096 == 0);
inline constexpr u32 kIndexPerChunk = kChunkBytes / 8;
inline constexpr u32 kIndexCapacity = 8192;  // last ticks of a channel findable without a scan
inline constexpr u32 kIndexChunks = (kIndexCapacity + kIndexPerChunk - 1) / kIndexPerChunk;

struct RingPlace {  // of a timeframe's ring in a channel's chunk table
  u32 first_chunk[kTimeframeCount + 1]{};
  constexpr RingPlace() {
    for (u32 i = 0; i < kTimeframeCount; ++i) first_chunk[i + 1] = first_chunk[i] + kTimeframes[i].capacity / kChunkEntries;
  }
};
inline constexpr RingPlace kRings{};
inline constexpr u32 kRingChunks = kRings.first_chunk[kTimeframeCount];

struct Pending {  // the newest ticks of one second, not yet merged into the rings: readers merge them as they read
  i64 start;      // of the second
  double open, high, low, close;
  i64 ts_first, ts_last;
  u64 ticks;      // 0: nothing pending
};

struct ChannelBlock {  // what every tick changes: three lines, two copies, one flip
  u64 applied_seq;
  u64 ticks;            // applied ticks, all time: also the write position of the tick index
  i64 ts_event_max;     // under the present clock; kTimeNever before the first tick
  i64 ts_tick_arrival;  // ts_publish of the last tick
  u64 last_tick_seq;
  TickLine latest;      // greatest (ts_event, sequence); word 0 = none
  Pending pending;
  i64 ts_pending_arrival;
  i64 ring_top;           // ticks up to this second go into the rings at once, newer ones wait as pending
  u64 clock_seq;          // clock record under which ts_event_max was taken
};
static_assert(sizeof(ChannelBlock) == 192);

inline constexpr u32 kGapsOlder = 3;

struct ChannelRare {  // what few records change: two copies, the valid one by its seq tag, as in a ring entry
  u64 seq;
  u64 cleared_seq;
  u64 ticks_at_clear;
  i64 ts_candle_arrival;
  i64 ts_flow_arrival;
  u64 flow_seq;          // record of the latest order flow, 0 = none
  u64 flow_updates;
  u64 candles_received;  // accepted update_candle_1m calls
  u64 candles_warm;
  u64 candles_built;     // one-minute candles opened by ticks
  u64 late_applied;
  u64 late_unapplied;
  u64 superseded_ticks;  // arrived for a minute that a pushed candle owns
  u64 corrected;
  u64 state;             // of the liveness machine; 0 = unverified
  i64 ts_state;
  i64 gap_start;         // the newest span without a live feed; before the first tick there was none
  i64 gap_end;           // 0: none is known; INT64_MAX while it lasts
  i64 gaps_older[2 * kGapsOlder];  // (start, end) of those before it, newest first: see gaps.hpp
  i64 ts_flow_event;     // of the latest order flow, under the clock record that it came under
  u64 flow_clock_seq;
  u64 ring_end[kTimeframeCount];   // ordinals: entries are [max(base, end - capacity), end)
  u64 ring_base[kTimeframeCount];
};
static_assert(sizeof(ChannelRare) == 384);

struct alignas(64) Channel {
  u64 flip;  // low bit: active copy of the block. Stored with release after the copy is complete
  u16 instrument;
  u8 source;
  u8 week_days;
  u32 reserved[13];
  ChannelBlock block[2];
  ChannelRare rare[2];
  u32 ring_chunks[kRingChunks];  // chunk number + 1, 0 = not allocated
  u32 index_chunks[kIndexChunks];
};

struct HubBlock {      // what every publish changes: one line, two copies, one flip
  u64 head;            // next line to be written
  u64 records;         // records ever written, headers and pads not counted
  i64 watermark_ns;
  i64 ts_event_max;
  u64 clock_seq;       // the clock record in force
  u32 clock_mode;      // ClockMode and WatermarkMode, as in the clock record
  u32 watermark_mode;
  u64 reserved[2];
};
static_assert(sizeof(HubBlock) == 64);

struct HubRare {  // two copies, valid by tag
  u64 seq;
  ClockBody clock;
  u64 by_kind[kKindsCounted];  // ticks are not counted here: records - the others
  u64 reserved[1];
};
static_assert(sizeof(HubRare) == 256);

struct alignas(64) Hot {
  alignas(64) u64 lock;         // 0 free; else owner slot + 1 in bits 0..15, contended in bit 16, generation in 32..63
  alignas(64) u64 head;         // copy of the active hub block's head, for readers that only look for news
  u32 wake;                     // futex word, bumped by every publish
  u32 reserved0;
  alignas(64) u64 flip;
  alignas(64) HubBlock block[2];
  HubRare rare[2];
  alignas(64) u64 ready_line;   // lines below are allocated and prefaulted
  u64 arena_ready;              // chunks below are allocated
  u64 arena_next;
  u64 synced_line;              // lines below are on stable storage
  u64 sync_count;
  u64 oldest_line;              // first line still kept
  u64 checkpoint_line;          // recovery starts at or after this line
  u64 instruments;
  u64 sources;
  u64 channels;
  u64 repairs;                  // dead owners repaired
  u64 definitions;              // definition, source and channel records applied: caches by symbol check it
  i64 ts_server_heartbeat;      // CLOCK_BOOTTIME
  u64 zone_count;
  alignas(64) i64 zone_from[192];   // New York: UTC instant from which zone_offset holds
  i64 zone_offset[192];
  SessionTable sessions[kCalendarsMax];  // by CalendarId
};

struct ViewsHeader {
  u64 magic;
  u32 format;
  u32 ready;      // 1 once the rebuild is complete
  u8 hub_id[16];
  u64 epoch;
  char boot_id[40];
  u64 bytes_fixed;  // offset of the arena
  u64 home_device;  // of <hub>/locks: a copied hub directory must not find its way to the original's views
  u64 home_inode;
};

// ---------------------------------------------------------------- control file and slots

enum class PriceBasis : u32 { Mid = 0, Bid = 1, Ask = 2 };
enum class SyncMode : u32 { Interval = 0, Always = 1, None = 2 };

inline constexpr u64 kRetentionBytes = 10ull << 30;
inline constexpr i64 kRetentionNs = 14 * kDay;

struct ControlFile {  // less than a sector: written whole, by a rebuild through a temporary file and rename, else in place
  u64 magic;
  u32 format;
  u32 segment_lines;
  u8 hub_id[16];
  u64 epoch;
  i64 created_ns;
  u32 price_basis;
  u32 sync_mode;
  i64 grace_ns;
  i64 sync_interval_ns;
  char boot_id[40];
  char memory_dir[232];  // where the views of this boot are
  u64 clean_line;        // the head when the last process left and all was stored; 0 while the end is open
  u64 retention_bytes;   // 0: kRetentionBytes
  i64 retention_ns;      // 0: kRetentionNs
  u32 crc32c;            // of all before
  u32 reserved;
};

inline constexpr u32 kSlots = 256;      // attached processes
inline constexpr u32 kCursors = 1024;   // streams

struct alignas(64) Slot {
  u64 generation;  // bumped at every attach
  u32 pid;
  u32 is_server;
  i64 ts_attach;   // CLOCK_REALTIME
  u64 others;      // of `published`: what no feed's quote became, such as marks, and ticks of owners without a feed
  char name[kSymbolBytes];
  alignas(64) u64 get_tick_calls;
  u64 get_candles_calls;
  u64 get_flow_calls;
  u64 published;   // records for which a call returned
  u64 received;    // by the receiver, before parsing
  u64 refused;
  u64 duplicates;
  u64 quarantined;
};
static_assert(sizeof(Slot) == 128);

struct alignas(64) Cursor {
  u64 owner;   // 0 free; slot + 1 in the low 16 bits, generation above 32
  u64 position;
  u64 delivered;
  u64 lost;
  u64 waiting;
  u64 start;
  char name[kSymbolBytes];
};

struct Counts {
  u64 received, published, refused, duplicates, quarantined;
};
struct Accounts {  // feeds: received = published + refused + duplicates + quarantined + lost, and what is in flight
  Counts feeds;
  Counts callers;  // who received nothing; `published` is also what a feed's process publishes beside its quotes
  u64 lost;        // what processes that are gone had received, and neither published nor explained
};

struct alignas(64) SlotsHeader {
  u64 magic;
  u32 format;
  u32 waiters;    // set by a reader before it sleeps, taken by the next publish
  u64 settlings;  // how often counts were moved into `settled`
  u64 moving;     // slot + 1 whose counts are being moved, 0 = none: see accounts.hpp
  u64 reserved[4];
  Accounts settled;      // of processes that are gone
  Accounts with_moving;  // the same with those of `moving`
};

}  // namespace tapehub
