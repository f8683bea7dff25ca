// A hub whose directory was moved away, or deleted, while a process was attached: until it is noticed that process goes on,
// and nothing of what it does may reach the hub that lies in that place now.
#include "crash.hpp"

using namespace tapehub;
using namespace tapehub::test;

namespace {

std::string counts_of_files(const std::string& hub) {
  std::string out;
  for (const std::string& path : files_below(hub)) {
    out += path.substr(hub.size()) + " " + std::to_string(std::filesystem::file_size(path)) + "\n";
  }
  return out;
}

void a_hub_that_was_moved_away_goes_on_there_and_leaves_the_new_one_alone() {
  Home home;
  World moved, w;
  Options options = home.options("before");
  options.retention_bytes = 1;  // it has segments to drop, too
  const std::string elsewhere = home.hub("elsewhere");
  {
    Hub old(home.hub(), options);
    moved.define(old, 1);
    moved.fill(old, 60, kSecond);
    std::filesystem::rename(home.hub(), elsewhere);
    {
      Hub hub(home.hub(), home.options("after"));
      w.define(hub);
      w.fill(hub, 1500, kSecond);  // has the segment that the old one needs next
      hub.at().checkpoint();
      const std::string files = counts_of_files(home.hub());
      moved.fill(old, 7000, kSecond);
      old.at().checkpoint();
      old.at().flush();
      old.at().save_accounts(false);
      CHECK(counts_of_files(home.hub()) == files);
      CHECK_EMPTY(compare(hub, w.model));
      w.fill(hub, 3000, kSecond);
      CHECK_EMPTY(compare(hub, w.model));
      CHECK_EMPTY(compare(old, moved.model));
    }
    sleep_ns(110'000'000);
    old.upkeep(true);
    CHECK(old.at().lost() == Lost::Replaced);
  }
  Hub hub(home.hub(), home.options());
  CHECK_EMPTY(compare(hub, w.model));
  Hub old(elsewhere, home.options());
  CHECK_EMPTY(compare_channel(old, moved.model, 0));
}

void a_hub_that_was_deleted_refuses_what_it_has_no_place_for() {
  Home home;
  World deleted, w;
  Hub old(home.hub(), home.options("before"));
  deleted.define(old, 1);
  std::filesystem::remove_all(home.hub());
  Hub hub(home.hub(), home.options("after"));
  w.define(hub);
  const std::string files = counts_of_files(home.hub());
  bool refused = false;
  try {
    deleted.fill(old, 3000, kSecond);
  } catch (const Error& error) {
    refused = error.cause == Cause::Hub;
  }
  CHECK(refused);
  CHECK(counts_of_files(home.hub()) == files);
  w.fill(hub, 3000, kSecond);
  CHECK_EMPTY(compare(hub, w.model));
}

// File systems give the inode of a deleted file to the next that is made.
void a_hub_made_again_in_the_same_place_is_never_taken_for_the_one_before() {
  Home home;
  for (u32 round = 0; round < 10; ++round) {
    Hub old(home.hub(), home.options("before"));
    std::filesystem::remove_all(home.hub());
    Hub hub(home.hub(), home.options("after"));
    old.at().look_around();
    CHECK(old.at().lost() == Lost::Replaced);
    hub.at().look_around();
    CHECK(hub.at().lost() == Lost::No);
  }
}

// A copy of the control file in its place, as rsync and sed -i leave it: for whoever is attached, another hub.
void replace_control(const Home& home) {
  std::filesystem::copy_file(home.hub() + "/control", home.hub() + "/copy");
  std::filesystem::rename(home.hub() + "/copy", home.hub() + "/control");
}

bool is_held(Hub& hub, off_t byte) { return hub.at().locks().mine(byte); }

// Its slot is what keeps the next writer from taking the lock over.
void a_writer_inside_a_call_keeps_its_slot_when_the_hub_is_lost() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub, 1);
  const off_t slot = kByteSlots + hub.at().me().slot;
  RecordInput note;
  note.kind = Kind::Note;
  hub.publish_record(note, [&](RecordInput&) {
    replace_control(home);
    hub.at().look_around();
    CHECK(hub.at().lost() == Lost::Replaced);
    CHECK(is_held(hub, slot));
    return kUnset;
  });
  CHECK(is_held(hub, slot));
  hub.at().look_around();
  CHECK(!is_held(hub, slot));
  bool refused = false;
  try {
    hub.publish_record(note);
  } catch (const Error& error) {
    refused = error.cause == Cause::Hub;
  }
  CHECK(refused);
}

void a_hub_that_was_lost_leaves_its_upkeep_to_the_next() {
  Home home;
  World w;
  Hub old(home.hub(), home.options());
  w.define(old, 1);
  old.upkeep(true);
  CHECK(is_held(old, kByteMaintainer));
  replace_control(home);
  Hub hub(home.hub(), home.options());
  hub.upkeep(true);
  sleep_ns(110'000'000);
  old.upkeep(true);
  CHECK(!is_held(old, kByteMaintainer));
  sleep_ns(1'000'000'000);
  hub.upkeep(true);
  CHECK(is_held(hub, kByteMaintainer));
}

// Whoever opens some other hub takes away what the dead left. A hub that was moved is not where its memory says it is.
void the_memory_of_a_moved_hub_is_left_alone_while_it_is_used() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub, 1);
  w.fill(hub, 30, kSecond);
  const std::string memory = hub.at().memory_dir();
  std::filesystem::rename(home.hub(), home.hub("elsewhere"));
  const timespec old[2] = {{::time(nullptr) - 3600, 0}, {::time(nullptr) - 3600, 0}};
  CHECK(::utimensat(AT_FDCWD, memory.c_str(), old, 0) == 0);
  Hub other(home.hub("other"), home.options());
  CHECK(std::filesystem::exists(memory + "/views"));
  Hub moved(home.hub("elsewhere"), home.options());
  CHECK_EMPTY(compare(moved, w.model));
}

}  // namespace

int main(int argc, char** argv) {
  return run_tests({{"a hub that was moved away goes on there and leaves the new one alone",
                     a_hub_that_was_moved_away_goes_on_there_and_leaves_the_new_one_alone},
                    {"a hub that was deleted refuses what it has no place for",
                     a_hub_that_was_deleted_refuses_what_it_has_no_place_for},
                    {"a hub made again in the same place is never taken for the one before",
                     a_hub_made_again_in_the_same_place_is_never_taken_for_the_one_before},
                    {"a writer inside a call keeps its slot when the hub is lost",
                     a_writer_inside_a_call_keeps_its_slot_when_the_hub_is_lost},
                    {"a hub that was lost leaves its upkeep to the next", a_hub_that_was_lost_leaves_its_upkeep_to_the_next},
                    {"the memory of a moved hub is left alone while it is used",
                     the_memory_of_a_moved_hub_is_left_alone_while_it_is_used}},
                   argc, argv);
}
