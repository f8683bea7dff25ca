// The one exception of the native core; bindings map its cause to tapehub.errors.
#pragma once

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace tapehub {

enum class Cause {
  Hub,         // restart, rebuild or free something
  Format,      // not ours, damaged, or another version
  NotRunning,  // no hub there
  Closed,
  Stalled,     // the lock's owner is alive but does not move
  Invalid,     // the caller's value
};

struct Error : std::runtime_error {
  Cause cause;
  Error(Cause cause, const std::string& what) : std::runtime_error(what), cause(cause) {}
};

[[noreturn]] inline void fail(Cause cause, const std::string& what) { throw Error(cause, what); }

[[noreturn]] inline void fail_errno(const std::string& doing, const std::string& where, int code = errno) {
  std::string hint;
  switch (code) {
    case ENOSPC: hint = "; free space there, the hub goes on by itself"; break;
    case EACCES:
    case EPERM:
    case EROFS: hint = "; the hub's user needs to write there"; break;
    case EMFILE: hint = "; raise the limit of open files"; break;
    default: break;
  }
  throw Error(Cause::Hub, "could not " + doing + ": " + std::strerror(code) + ": " + where + hint);
}

}  // namespace tapehub
