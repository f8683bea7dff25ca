// Between Python's many ways to say "when" and int64 nanoseconds since 1970, UTC.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "tapehub/layout.hpp"

namespace tapehub::py {

// Load the datetime C API. Called by add_types; false with an exception set.
bool timestamps_init();

// datetime (naive is read as UTC), pandas.Timestamp (keeps its nanoseconds), numpy.datetime64, or integer nanoseconds.
// False with ValueError: another type (also None), not-a-time, or outside the years 1678 to 2261.
bool timestamp_to_ns(PyObject* when, i64* out);

// Aware datetime in UTC, rounded down to the microsecond. New reference.
PyObject* ns_to_datetime(i64 ns);

// "2025-06-02T14:30:00.123456789Z", with as many groups of three decimals as it needs. At most 31 bytes.
void ns_to_iso(i64 ns, char (&text)[32]);

}  // namespace tapehub::py
