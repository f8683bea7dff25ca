// Kill a process after each single store of an operation, and look at what is left in every way there is.
//
// Each store is tried from the same state: the files of a prepared hub are put back, a child opens it, does the
// operation and dies after store n. With TAPEHUB_TEST_ALL set that is every n; else some 40 of them, spread evenly.
#pragma once

#include <malloc.h>
#include <sys/resource.h>

#include <fstream>
#include <set>

#include "image.hpp"
#include "outcome.hpp"

namespace tapehub::test {

struct Case {
  std::function<void(World&, Hub&)> setup = [](World& w, Hub& hub) { w.define(hub); w.fill(hub, 30, 1'800'000'000); };
  std::function<void(World&, Hub&)> before = [](World&, Hub&) {};  // behind the checkpoint: acknowledged, must survive
  std::function<Attempt(World&)> make;
  // Instead of opening the hub, starting to count, and running the attempt.
  std::function<void(const Home&, const Attempt&, const std::function<void()>& count)> child;
  double wounded = 0;  // a first writer died after this share of the attempt's stores: under test is the repair
  u64 retention_bytes = 10ull << 30;
  bool rebuilds = false;       // the memory files are gone: under test is the opening
  bool log_is_enough = true;   // a rebuild without any checkpoint shows the same
};

// What a case has tried, for the report.
struct Tally {
  i64 stores = 0, tried = 0, rebuilt = 0;
  std::set<size_t> states;  // how many records of the attempt the hub had after recovery
};
inline Tally tally;

class Trials {
 public:
  Trials(const Case& c, bool living) : case_(c), living_(living) {
    {
      Hub hub(home_.hub(), options("setup"));
      c.setup(world_, hub);
      hub.at().checkpoint();
      c.before(world_, hub);
      attempt_ = c.make(world_);
      leave(hub);
    }
    possible_ = outcomes(world_.model, attempt_.records);
    all_ = {possible_.back()};
    if (c.wounded > 0) {
      keep();
      const i64 first = std::max<i64>(1, i64(double(count_stores()) * c.wounded));
      image_->put_back();
      CHECK(was_killed(run_child(first)));
      attempt_.run = [](Hub& hub) { hub.repair_if_needed(); };
      repairs_ = true;
    }
    if (c.rebuilds) fs::remove_all(home_.memory());
    fs::create_directories(home_.memory());
    keep();
    next_ = world_.next_tick(0, 300'000'000);
    for (const Model& model : possible_) {
      and_next_.push_back(model);
      and_next_.back().apply(next_);
    }
  }

  void run() {
    const i64 stores = count_stores();
    const i64 step = try_all() ? 1 : (stores * kSlow / 40) | 1;
    tally.stores += stores;
    for (i64 n = 1;; n += step) {
      n = std::min(n, stores + 1);
      try {
        trial(n, n > stores);
      } catch (const std::exception& error) {
        throw Failed("killed after store " + std::to_string(n) + " of " + std::to_string(stores) + ": " + error.what());
      }
      if (n > stores) return;
      ++tally.tried;
    }
  }

 private:
  static constexpr u64 kChunks = 5 * Applier::kChunksPerRecord;  // of the arena that are ready when the child opens

  Options options(const char* name) const {
    Options options = home_.options(name);
    options.retention_bytes = case_.retention_bytes;
    return options;
  }
  static void leave(Hub& hub) { hub.at().release_slot(); }  // the memory files stay, as after a kill

  // Opening touches every page of the arena, which would be most of what a child does. So it is told that the
  // arena ends behind the chunks that a record needs, and makes it longer when it needs more. Once everybody has opened
  // the hub the test tells the truth again, in which there is room for a repair's whole chunk of records.
  void keep() {
    if (!case_.rebuilds) {
      const Views views = shared_views();
      if (arena_ready_ == 0) {
        constexpr u64 kMore = 256;
        arena_ready_ = peek(views.hot().arena_ready) + kMore;
        const u64 end = ViewsLayout::kArena + (arena_ready_ - kMore) * kChunkBytes;
        if (int code = allocate(File::open(views_path(), O_RDWR).fd(), end, kMore * kChunkBytes)) fail_errno("allocate", views_path(), code);
      }
      arena_told_ = peek(views.hot().arena_next) + kChunks;
      put(views.hot().arena_ready, arena_told_);
    }
    image_.emplace(home_.hub(), home_.memory());
  }
  void tell_truth() const {
    if (case_.rebuilds || !fs::exists(views_path())) return;
    const Views views = shared_views();
    if (peek(views.hot().arena_ready) == arena_told_) put(views.hot().arena_ready, arena_ready_);
  }
  std::string views_path() const {
    for (const std::string& path : files_below(home_.memory())) {
      if (path.ends_with("/views")) return path;
    }
    return {};
  }
  Views shared_views() const { return Views(File::open(views_path(), O_RDWR).fd(), true, views_path()); }

  // Killed after store n; lives when n is 0, and says how many there were.
  int run_child(i64 n, i64* stores = nullptr) {
    const Mapping counted(::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), kPage);
    const int status = in_child([&] {
      i64 before = 0;
      const std::function<void()> count = [&] {
        before = crash_stores;
        crash_countdown = n == 0 ? -1 : n;
      };
      if (case_.child) {
        case_.child(home_, attempt_, count);
      } else {
        Hub child(home_.hub(), options("dying"));
        child.at().writable();
        if (repairs_) tell_truth();
        count();
        attempt_.run(child);
        *counted.at<i64>() = crash_stores - before;
        ::_exit(0);  // it does not leave: that is a case of its own
      }
      *counted.at<i64>() = crash_stores - before;
      ::_exit(0);
    });
    if (stores) *stores = *counted.at<i64>();
    return status;
  }
  i64 count_stores() {
    i64 stores = 0;
    image_->put_back();
    open_living();
    CHECK(came_to_its_end(run_child(0, &stores)));
    CHECK(stores > 0);
    return stores;
  }

  void open_living() {
    if (living_ && !hub_) {
      hub_ = std::make_unique<Hub>(home_.hub(), options("living"));
    }
  }

  void trial(i64 n, bool lives) {
    if (!image_->put_back() && hub_) {
      leave(*hub_);
      hub_.reset();
    }
    open_living();
    const u64 repairs = case_.rebuilds ? 0 : peek(shared_views().hot().repairs);
    const int status = run_child(n);
    CHECK(lives ? came_to_its_end(status) : was_killed(status));
    const bool acknowledged = lives && !repairs_;
    const std::vector<Model>& possible = acknowledged ? all_ : possible_;
    if (shapes_.insert(shape_of(home_.hub())).second) check_rebuilt(possible);
    if (!living_) hub_ = std::make_unique<Hub>(home_.hub(), options("next"));
    hub_->at().writable();
    tell_truth();
    CHECK_EMPTY(nothing_torn(*hub_, possible));
    publish(*hub_, next_);
    const size_t found = settled(*hub_, and_next_);
    CHECK(!acknowledged || found + 1 == and_next_.size());
    // A repairer may have done it all but let go of the lock.
    CHECK(lives || peek(hub_->hot().repairs) <= repairs + (repairs_ ? 2 : 1));
    if (!living_) {
      const bool memory_is_one = std::distance(fs::directory_iterator(home_.memory()), fs::directory_iterator()) == 1;
      CHECK(memory_is_one);
      leave(*hub_);
      hub_.reset();
    }
    tally.states.insert(found);
  }

  // As after a reboot: from the directory alone, with its checkpoints and without.
  void check_rebuilt(const std::vector<Model>& possible) {
    if (!try_all() && ++skipped_ % 8 != 1) return;
    for (const bool with_checkpoint : {true, false}) {
      if (!with_checkpoint && !case_.log_is_enough) continue;
      copy_hub(home_.hub(), home_.hub("copy"));
      if (!with_checkpoint) {
        fs::remove(home_.hub("copy") + "/checkpoint");
        fs::remove(home_.hub("copy") + "/checkpoint.old");
      }
      Model model;
      Options options = home_.options("copy");
      options.memory_root = home_.hub("memory-of-the-copy");
      fs::create_directories(options.memory_root);
      Hub copy(home_.hub("copy"), options);
      CHECK_EMPTY(settle(copy, possible, &model));
      publish(copy, next_);
      model.apply(next_);
      CHECK_EMPTY(compare(copy, model));
    }
    ++tally.rebuilt;
  }

  Case case_;
  bool living_, repairs_ = false;
  Home home_{memory_backed()};
  World world_;
  Attempt attempt_;
  Operation next_;
  std::vector<Model> possible_, all_, and_next_;
  std::optional<Image> image_;
  std::unique_ptr<Hub> hub_;
  std::set<u64> shapes_;
  u64 skipped_ = 0, arena_ready_ = 0, arena_told_ = 0;
};

// Beside a process that has the hub open: its next publish repairs.
template <Case (*kCase)()>
void live() { Trials(kCase(), true).run(); }
// With nobody else attached: whoever opens next checks the tail, and repairs with its first write.
template <Case (*kCase)()>
void alone() { Trials(kCase(), false).run(); }

// Fill the head segment with notes until at most `lines` are left in it.
inline void approach_end(World& w, Hub& hub, u64 lines) {
  const Geometry& geometry = hub.log().geometry();
  for (;;) {
    const u64 head = peek(hub.hot().head), left = geometry.end_line(geometry.segment_of(head)) - head;
    if (geometry.offset_of(head) != 0 && left <= lines) return;
    if (geometry.offset_of(head) != 0 && left - lines >= 110) {
      static constexpr char kText[63 * 64] = {};
      RecordInput note;
      note.kind = Kind::Note;
      note.payload = kText;
      note.payload_bytes = sizeof kText;
      hub.publish_record(note);
      w.model.apply(of_kind(Kind::Note, kNone16, 0));
    } else {
      w.publish(hub, w.next_tick(0, 1'000'000));
    }
  }
}

// So that the next record of any kind begins a segment.
inline void fill_segment(World& w, Hub& hub) {
  approach_end(w, hub, 3);
  while (hub.log().geometry().offset_of(peek(hub.hot().head)) != 0) w.publish(hub, w.next_tick(0, 1'000'000));
}

// Of this process and of the children it has waited for.
inline double cpu_seconds() {
  double sum = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(who, &usage);
    for (const timeval& part : {usage.ru_utime, usage.ru_stime}) sum += double(part.tv_sec) + double(part.tv_usec) / 1e6;
  }
  return sum;
}

// Beside run_tests: what each case tried goes to its line, and, as one JSON object a line, to TAPEHUB_CRASH_REPORT.
inline int run_crash_tests(std::initializer_list<Test> tests, int argc, char** argv) {
  // What a writer allocates at once, 4 MiB, comes fresh: a child that is given pages of its parent's copies each of them.
  ::mallopt(M_MMAP_THRESHOLD, 1 << 20);
  const std::string program = fs::path(argv[0]).filename().string();
  double cpu = cpu_seconds();
  return run_tests(tests, argc, argv, [&](const Test& test, double seconds, bool held) {
    std::printf("        %lld of %lld stores, %lld directories rebuilt, %zu states\n", static_cast<long long>(tally.tried),
                static_cast<long long>(tally.stores), static_cast<long long>(tally.rebuilt), tally.states.size());
    const double cpu_before = std::exchange(cpu, cpu_seconds());
    if (const char* path = std::getenv("TAPEHUB_CRASH_REPORT")) {
      std::ofstream(path, std::ios::app) << "{\"program\": \"" << program << "\", \"case\": \"" << test.name
                                         << "\", \"stores\": " << tally.stores << ", \"tried\": " << tally.tried
                                         << ", \"directories_rebuilt\": " << tally.rebuilt
                                         << ", \"states\": " << tally.states.size() << ", \"seconds\": " << seconds
                                         << ", \"cpu_seconds\": " << cpu - cpu_before
                                         << ", \"held\": " << (held ? "true" : "false") << "}\n";
    }
    tally = {};
  });
}

}  // namespace tapehub::test
