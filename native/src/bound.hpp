// The functions behind the bound methods of a hub: declared here, bound in bindings.cpp, a file for each kind of work.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "py_follower.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace tapehub::py {

using ConstBytes = nb::ndarray<const u8, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<u8, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class Row>
Row row_of(nb::bytes bytes) {
  Row row;
  if (bytes.size() != sizeof row) throw nb::value_error("row has the wrong size");
  std::memcpy(&row, bytes.c_str(), sizeof row);
  return row;
}
template <class Row>
nb::bytes bytes_of(const Row& shared) {
  Row row;
  read_words(row, shared);
  return nb::bytes(reinterpret_cast<const char*>(&row), sizeof row);
}

// Names have room for 31 bytes. They are cut between two characters, or every process that lists them would read nonsense.
inline std::string cut_name(std::string name) {
  if (name.size() < kSymbolBytes) return name;
  size_t end = kSymbolBytes - 1;
  while (end > 0 && (u8(name[end]) & 0xC0) == 0x80) --end;
  name.resize(end);
  return name;
}
// What another process wrote there may be of a version that cut anywhere, or is being written right now.
inline nb::object shown(const char (&name)[kSymbolBytes]) {
  return nb::steal(PyUnicode_DecodeUTF8(name, Py_ssize_t(::strnlen(name, kSymbolBytes)), "replace"));
}

// publishing.cpp
std::pair<u64, std::string> publish_array(PyHub& python, nb::handle array, const std::array<i64, 7>& offsets,
                                          const std::vector<u16>& channels, u8 flags);
u64 publish_record(PyHub& python, u8 kind, i64 ts_event, i64 ts_recv, u64 fixed1, u64 fixed2, u16 instrument, u8 source,
                   u8 flags, nb::bytes payload, u64 incarnation);

// reading.cpp
u64 read_candles(PyHub& python, u16 channel, u32 frame, u64 limit, i64 from, i64 to, bool forming, Bytes out);
nb::tuple read_snapshot(PyHub& python, u16 channel, u32 frame, u64 limit);
std::vector<u64> read_index(PyHub& python, u16 channel, u64 limit);
u64 gather(PyHub& python, const std::vector<u64>& sequences, Bytes out);
nb::tuple scan_into(PyHub& python, u64 from, u64 to, nb::bytes channels, u64 kinds, i64 from_ts, i64 to_ts, Bytes out);
u64 records_before(PyHub& python, u64 line);
nb::object record(PyHub& python, u64 line);
nb::list tick_objects(PyHub& python, ConstBytes lines);
nb::list recorded_ticks(ConstBytes lines, nb::list symbols, nb::list sources, const std::vector<double>& pips);
nb::list candle_objects(PyHub& python, ConstBytes bodies);
nb::object order_flow_object(PyHub& python, u64 line);
nb::bytes history(PyHub& python, u16 channel, u32 frame, u64 from, u64 to, i64 from_ts, i64 to_ts, u64 limit, bool forming);
nb::tuple verify_segment(PyHub& python, u64 segment);

// state.cpp
nb::dict hub_state(PyHub& python);
nb::dict accounts(PyHub& python);
nb::list slots(PyHub& python);
u32 open_cursor(PyHub& python, const std::string& name, u64 position);
nb::list cursors(PyHub& python);
nb::dict layout();

}  // namespace tapehub::py
