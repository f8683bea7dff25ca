// What a hub may show after a writer died in it: nothing of its attempt, or a whole part of it, or all.
#pragma once

#include "world.hpp"

namespace tapehub::test {

// The operation under test: what a process does, and the records it makes, in order.
struct Attempt {
  std::function<void(Hub&)> run;
  std::vector<Operation> records;
};

inline Attempt attempt(const Operation& o) {
  return {[o](Hub& hub) { publish(hub, o); }, {o}};
}
inline Attempt attempt_batch(const std::vector<Operation>& ticks) {
  return {[ticks](Hub& hub) { publish_all(hub, ticks); }, ticks};
}

// The models that the hub may agree with once the writer has died: nothing of the attempt, or a prefix of it.
inline std::vector<Model> outcomes(const Model& before, const std::vector<Operation>& records) {
  std::vector<Model> out{before};
  for (const Operation& o : records) {
    out.push_back(out.back());
    out.back().apply(o);
  }
  return out;
}

// Which of them it is, or an exception that says what differs.
inline size_t settled(Hub& hub, const std::vector<Model>& possible) {
  const u64 records = read_hub(hub.hot()).block.records;
  for (size_t i = 0; i < possible.size(); ++i) {
    if (possible[i].log.size() != records) continue;
    CHECK_EMPTY(compare(hub, possible[i]));
    return i;
  }
  throw Failed("the hub holds " + std::to_string(records) + " records, expected between " +
               std::to_string(possible.front().log.size()) + " and " + std::to_string(possible.back().log.size()));
}
inline std::string settle(Hub& hub, const std::vector<Model>& possible, Model* found) {
  try {
    *found = possible[settled(hub, possible)];
  } catch (const Failed& failed) {
    return failed.what();
  }
  return {};
}

// Before any repair: each channel, each instrument's row and each calendar's table is as it was before the attempt or after a part of it.
inline std::string nothing_torn(Hub& hub, const std::vector<Model>& possible) {
  const auto whole = [&possible](const auto& compared) -> std::string {
    std::string before, after;
    for (const Model& model : possible) {
      after = compared(model);
      if (after.empty()) return {};
      if (before.empty()) before = after;
    }
    return "neither before (" + before + ") nor after (" + after + ")";
  };
  for (u32 id = 0; id < possible.front().channels.size(); ++id) {
    if (std::string text = whole([&](const Model& model) { return compare_channel(hub, model, id); }); !text.empty()) return text;
  }
  for (u32 id = 0; id < possible.front().instruments.size(); ++id) {
    if (std::string text = whole([&](const Model& model) { return compare_row(hub, model, id); }); !text.empty()) return text;
  }
  for (u32 id = 0; id < kCalendarsMax; ++id) {
    if (std::string text = whole([&](const Model& model) { return compare_sessions(hub, model, id); }); !text.empty()) return text;
  }
  return {};
}

}  // namespace tapehub::test
