// What was received, and what became of it: no count is lost or counted twice, wherever a process dies.
#include "crash.hpp"

using namespace tapehub;
using namespace tapehub::test;

namespace {

std::string differs(const Standing& found, u64 received, u64 published, u64 lost, i64 in_flight = 0) {
  Differences d;
  d.same("received", found.accounts.feeds.received, received);
  d.same("published", found.accounts.feeds.published, published);
  d.same("lost", found.accounts.lost, lost);
  d.same("in flight", found.in_flight, in_flight);
  d.same("callers", found.accounts.callers.received, u64{0});
  return d.text();
}

// A feed that dies with seven quotes in hand.
void a_feed_dies(const Home& home, World& w) {
  w.now += kSecond;
  CHECK(was_killed(in_child([&] {
    Hub hub(home.hub(), home.options("feed"));
    put(hub.slot().received, hub.slot().received + 10);
    for (u32 i = 0; i < 3; ++i) publish(hub, tick(0, w.now, 100 + i));
    ::kill(::getpid(), SIGKILL);
  })));
  for (u32 i = 0; i < 3; ++i) w.model.apply(tick(0, w.now, 100 + i));
}

u64 losses_told(Hub& hub) { return read_hub(hub.hot()).rare.by_kind[u32(Kind::Ledger)]; }

// Whoever takes the place of a dead feed moves its counts, and dies at every store of that.
void killed_while_it_settles() {
  Home home(memory_backed());
  World w;
  Hub hub(home.hub(), home.options("living"));
  w.define(hub);
  u64 feeds = 0;
  for (i64 n = 1;; n += try_all() ? 1 : 3 * kSlow) {
    a_feed_dies(home, w);
    ++feeds;
    CHECK_EMPTY(differs(hub.at().standing(), 10 * feeds, 3 * feeds, 7 * feeds));
    const int status = in_child([&] {
      crash_countdown = n;
      Hub taking(home.hub(), home.options("dying"));
      crash_countdown = -1;
      ::_exit(0);
    });
    tally.stores = n;
    ++tally.tried;
    CHECK_EMPTY(differs(hub.at().standing(), 10 * feeds, 3 * feeds, 7 * feeds));
    CHECK(came_to_its_end(in_child([&] {
      Hub next(home.hub(), home.options("next"));
      CHECK_EMPTY(differs(next.at().standing(), 10 * feeds, 3 * feeds, 7 * feeds));
      ::_exit(0);
    })));
    CHECK_EMPTY(differs(hub.at().standing(), 10 * feeds, 3 * feeds, 7 * feeds));
    if (came_to_its_end(status)) break;
  }
  // Each loss has its record, but those whose teller died between the sums and the record.
  CHECK(losses_told(hub) > 0 && losses_told(hub) <= feeds);
}

void who_is_attached_settles_for_who_died() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options("living"));
  w.define(hub);
  a_feed_dies(home, w);
  hub.upkeep(true);
  CHECK(losses_told(hub) == 1);
  CHECK_EMPTY(differs(hub.at().standing(), 10, 3, 7));
  CHECK(std::filesystem::exists(home.hub() + "/accounts"));
  put(hub.slot().received, 4);
  CHECK_EMPTY(differs(hub.at().standing(), 14, 3, 7, 4));
}

// Nobody is left to see it: the sums outlive slots and memory.
void counts_outlive_everyone() {
  Home home;
  World w;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub);
  }
  a_feed_dies(home, w);
  {
    Hub hub(home.hub(), home.options());
    CHECK_EMPTY(differs(hub.at().standing(), 10, 3, 7));
    CHECK(losses_told(hub) == 1);
  }
  Hub hub(home.hub(), home.options());
  CHECK_EMPTY(differs(hub.at().standing(), 10, 3, 7));
  CHECK(losses_told(hub) == 1);
}

// The views have to be built anew although the memory files are there: what the slots say is newer than the file.
void counts_outlive_a_tail_that_is_cut() {
  Home home;
  World w;
  {
    Hub hub(home.hub(), home.options());
    w.define(hub);
    w.fill(hub, 20, kSecond);
  }
  a_feed_dies(home, w);
  {
    File file = File::open(home.hub() + "/log/000000000000.tape", O_RDWR);
    const char damage = 77;
    CHECK(::pwrite(file.fd(), &damage, 1, off_t((kHeaderLines + 20) * kLineBytes + 40)) == 1);
  }
  Hub hub(home.hub(), home.options());
  CHECK(hub.at().cut_tail());
  CHECK_EMPTY(differs(hub.at().standing(), 10, 3, 7));
  CHECK(losses_told(hub) == 1);
}

void a_copied_directory_has_the_counts_that_were_saved() {
  Home home;
  World w;
  Hub hub(home.hub(), home.options());
  w.define(hub);
  put(hub.slot().received, 4);
  hub.at().save_accounts(false);
  put(hub.slot().received, 40);
  copy_hub(home.hub(), home.hub("copy"));
  Hub copy(home.hub("copy"), home.options("copy"));
  CHECK_EMPTY(differs(copy.at().standing(), 4, 0, 4));  // in flight by its last word, and nobody is there any more
  CHECK_EMPTY(differs(hub.at().standing(), 40, 0, 0, 40));
}

}  // namespace

int main(int argc, char** argv) {
  return run_crash_tests({{"killed while it settles the account of a dead feed", killed_while_it_settles},
                          {"who is attached settles for who died", who_is_attached_settles_for_who_died},
                          {"counts outlive everyone", counts_outlive_everyone},
                          {"counts outlive a tail that is cut", counts_outlive_a_tail_that_is_cut},
                          {"a copied directory has the counts that were saved",
                           a_copied_directory_has_the_counts_that_were_saved}},
                         argc, argv);
}
