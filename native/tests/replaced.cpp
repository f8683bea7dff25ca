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
      old.upkeep(true);
      moved.fill(old, 7000, kSecond);
      old.at().checkpoint();
      old.at().flush();
      old.upkeep(true);
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

}  // namespace

int main(int argc, char** argv) {
  return run_tests({{"a hub that was moved away goes on there and leaves the new one alone",
                     a_hub_that_was_moved_away_goes_on_there_and_leaves_the_new_one_alone},
                    {"a hub that was deleted refuses what it has no place for",
                     a_hub_that_was_deleted_refuses_what_it_has_no_place_for},
                    {"a hub made again in the same place is never taken for the one before",
                     a_hub_made_again_in_the_same_place_is_never_taken_for_the_one_before}},
                   argc, argv);
}
