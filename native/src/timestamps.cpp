#include "timestamps.hpp"

#include <datetime.h>

#include <cstdio>
#include <cstring>

namespace tapehub::py {
namespace {

constexpr i64 kSecondsMax = 9'223'372'035;  // one second inside int64 nanoseconds, on both sides

struct Civil {
  int year, month, day;
};

// Days since 1970-01-01 in the proleptic Gregorian calendar, and back. The year is counted from March, so that the leap
// day is its last; an era is 400 years, 146,097 days.
constexpr i64 days_from_civil(i64 year, unsigned month, unsigned day) {
  year -= month <= 2;
  const i64 era = (year >= 0 ? year : year - 399) / 400;
  const unsigned year_of_era = unsigned(year - era * 400);
  const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + i64(day_of_era) - 719'468;
}

constexpr Civil civil_from_days(i64 days) {
  days += 719'468;
  const i64 era = (days >= 0 ? days : days - 146'096) / 146'097;
  const unsigned day_of_era = unsigned(days - era * 146'097);
  const unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned month_from_march = (5 * day_of_year + 2) / 153;
  const unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  return {int(i64(year_of_era) + era * 400 + (month <= 2)), int(month),
          int(day_of_year - (153 * month_from_march + 2) / 5 + 1)};
}
static_assert(days_from_civil(1970, 1, 1) == 0 && days_from_civil(2000, 2, 29) == 11'016);
static_assert(civil_from_days(11'016).month == 2 && civil_from_days(11'016).day == 29);

struct Moment {
  Civil date;
  int hour, minute, second, nanosecond;
};

Moment split(i64 ns) {
  i64 days = ns / kDay, rest = ns % kDay;
  if (rest < 0) {
    rest += kDay;
    --days;
  }
  return {civil_from_days(days), int(rest / kHour), int(rest / kMinute % 60), int(rest / kSecond % 60),
          int(rest % kSecond)};
}

bool out_of_range(PyObject* when) {
  PyErr_Format(PyExc_ValueError, "timestamp is %.100R, expected a time in the years 1678 to 2261", when);
  return false;
}

// seconds * 1e9 + ns with the range checked; ns may be anything a day or less.
bool combine(i64 seconds, i64 ns, PyObject* when, i64* out) {
  if (seconds > kSecondsMax || seconds < -kSecondsMax) return out_of_range(when);
  if (__builtin_add_overflow(seconds * kSecond, ns, out) || *out == INT64_MIN) return out_of_range(when);
  return true;
}

bool from_integer(PyObject* when, i64* out) {
  int overflow = 0;
  PyObject* integer = PyNumber_Index(when);
  if (integer == nullptr) return false;
  const long long ns = PyLong_AsLongLongAndOverflow(integer, &overflow);
  Py_DECREF(integer);
  if (ns == -1 && PyErr_Occurred()) return false;
  if (overflow != 0 || ns == INT64_MIN) return out_of_range(when);
  *out = ns;
  return true;
}

// A tzinfo other than datetime.timezone.utc: subtract its offset, unless it has none (then it is naive, so UTC).
bool subtract_offset(PyObject* when, i64* seconds, i64* ns) {
  PyObject* offset = PyObject_CallMethod(when, "utcoffset", nullptr);
  if (offset == nullptr) return false;
  if (PyDelta_Check(offset)) {
    *seconds -= i64(PyDateTime_DELTA_GET_DAYS(offset)) * 86'400 + PyDateTime_DELTA_GET_SECONDS(offset);
    *ns -= i64(PyDateTime_DELTA_GET_MICROSECONDS(offset)) * 1'000;
  }
  Py_DECREF(offset);
  return true;
}

// A subclass may know more than microseconds: pandas.Timestamp does.
bool add_nanosecond(PyObject* when, i64* ns) {
  PyObject* extra = PyObject_GetAttrString(when, "nanosecond");
  if (extra == nullptr) {
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return false;
    PyErr_Clear();
    return true;
  }
  if (PyLong_Check(extra)) {
    const long value = PyLong_AsLong(extra);
    if (value == -1 && PyErr_Occurred()) {
      Py_DECREF(extra);
      return false;
    }
    if (value > 0 && value < 1'000) *ns += value;
  }
  Py_DECREF(extra);
  return true;
}

bool from_datetime(PyObject* when, i64* out) {
  const int year = PyDateTime_GET_YEAR(when);
  // pandas.NaT is a datetime too, of year 1.
  if (year < 1677 || year > 2262) return out_of_range(when);
  const i64 days = days_from_civil(year, unsigned(PyDateTime_GET_MONTH(when)), unsigned(PyDateTime_GET_DAY(when)));
  i64 seconds = days * 86'400 + PyDateTime_DATE_GET_HOUR(when) * 3'600 + PyDateTime_DATE_GET_MINUTE(when) * 60 +
                PyDateTime_DATE_GET_SECOND(when);
  i64 ns = i64(PyDateTime_DATE_GET_MICROSECOND(when)) * 1'000;
  PyObject* zone = PyDateTime_DATE_GET_TZINFO(when);
  if (zone != Py_None && zone != PyDateTime_TimeZone_UTC && !subtract_offset(when, &seconds, &ns)) return false;
  if (!PyDateTime_CheckExact(when) && !add_nanosecond(when, &ns)) return false;
  return combine(seconds, ns, when, out);
}

// numpy wraps around silently when a cast overflows, so the range is looked at in seconds first.
bool datetime64_as(PyObject* when, const char* unit, i64* out) {
  PyObject* cast = PyObject_CallMethod(when, "astype", "s", unit);
  PyObject* integer = cast == nullptr ? nullptr : PyObject_CallMethod(cast, "astype", "s", "int64");
  Py_XDECREF(cast);
  if (integer == nullptr) return false;
  const bool good = from_integer(integer, out);
  Py_DECREF(integer);
  return good;
}

bool from_datetime64(PyObject* when, i64* out) {
  i64 seconds = 0;
  if (!datetime64_as(when, "datetime64[s]", &seconds)) {
    if (PyErr_ExceptionMatches(PyExc_ValueError)) out_of_range(when);  // NaT is the smallest integer
    return false;
  }
  if (seconds > kSecondsMax || seconds < -kSecondsMax) return out_of_range(when);
  return datetime64_as(when, "datetime64[ns]", out);
}

}  // namespace

bool timestamps_init() {
  if (PyDateTimeAPI == nullptr) PyDateTime_IMPORT;
  return PyDateTimeAPI != nullptr;
}

bool timestamp_to_ns(PyObject* when, i64* out) {
  if (PyDateTime_Check(when)) return from_datetime(when, out);
  if (std::strcmp(Py_TYPE(when)->tp_name, "numpy.datetime64") == 0) return from_datetime64(when, out);
  if (PyIndex_Check(when) && !PyBool_Check(when)) return from_integer(when, out);
  PyErr_Format(PyExc_ValueError,
               "timestamp is %.100R (%s), expected a datetime (naive is read as UTC), a numpy.datetime64, "
               "or int nanoseconds since 1970 UTC%s",
               when, Py_TYPE(when)->tp_name,
               PyFloat_Check(when)     ? "; for seconds pass int(seconds * 1e9)"
               : PyUnicode_Check(when) ? "; parse text with datetime.fromisoformat"
                                       : "");
  return false;
}

PyObject* ns_to_datetime(i64 ns) {
  const Moment at = split(ns);
  return PyDateTimeAPI->DateTime_FromDateAndTime(at.date.year, at.date.month, at.date.day, at.hour, at.minute,
                                                 at.second, at.nanosecond / 1'000, PyDateTime_TimeZone_UTC,
                                                 PyDateTimeAPI->DateTimeType);
}

void ns_to_iso(i64 ns, char (&text)[32]) {
  const Moment at = split(ns);
  int fraction = at.nanosecond, digits = 9;
  while (digits > 0 && fraction % 1'000 == 0) {
    fraction /= 1'000;
    digits -= 3;
  }
  // The masks tell the compiler what it cannot see: that every part fits its width.
  const int used = std::snprintf(text, sizeof text, "%04u-%02u-%02uT%02u:%02u:%02u", unsigned(at.date.year) % 10'000,
                                 unsigned(at.date.month) % 100, unsigned(at.date.day) % 100, unsigned(at.hour) % 100,
                                 unsigned(at.minute) % 100, unsigned(at.second) % 100);
  if (digits == 0) {
    std::snprintf(text + used, sizeof text - std::size_t(used), "Z");
  } else {
    std::snprintf(text + used, sizeof text - std::size_t(used), ".%0*uZ", digits, unsigned(fraction));
  }
}

}  // namespace tapehub::py
