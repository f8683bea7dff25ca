// What changes in the control file while processes are attached, and the accounts beside it. Included by attachment.hpp.
#pragma once

#include "attachment.hpp"

namespace tapehub {

// Change the control file where it lies, for whoever is attached knows it by its inode. It is smaller than a sector, so a
// power loss leaves it as it was or as it is meant to be. The caller holds kByteOpen.
template <class Change>
inline void Attachment::change_control(Change change) {
  const std::string path = home_.path_of("control");
  const std::string data = home_.read("control");
  ControlFile control{};
  if (data.size() != sizeof control) fail(Cause::Format, "control file has " + std::to_string(data.size()) + " bytes, expected " +
                                                             std::to_string(sizeof control) + ": " + path);
  std::memcpy(&control, data.data(), sizeof control);
  if (std::memcmp(control.hub_id, control_.hub_id, sizeof control.hub_id) != 0) {  // somebody copied it here
    fail(Cause::Hub, "control file is another hub's: " + path + "; restore this hub's own from a backup");
  }
  change(control);
  control.crc32c = crc32c(&control, offsetof(ControlFile, crc32c));
  const File file = home_.open("control", O_WRONLY);
  if (::pwrite(file.fd(), &control, sizeof control, 0) != ssize_t(sizeof control)) fail_errno("write", path);
  if (::fsync(file.fd()) != 0) fail_errno("sync", path);
  crash_point();
}

// As it is now: whoever changes it does not wait for the maintainer, nor the maintainer for anyone.
inline Retention Attachment::retention() const {
  ControlFile control = control_;
  const std::string data = home_.read("control");
  if (data.size() == sizeof control) {
    ControlFile now;
    std::memcpy(&now, data.data(), sizeof now);
    const bool sound = now.crc32c == crc32c(&now, offsetof(ControlFile, crc32c));
    if (sound && std::memcmp(now.hub_id, control_.hub_id, sizeof now.hub_id) == 0) control = now;
  }
  return {control.retention_bytes ? control.retention_bytes : kRetentionBytes,
          control.retention_ns ? control.retention_ns : kRetentionNs};
}

// 0 leaves one as it is.
inline void Attachment::set_retention(u64 bytes, i64 ns) {
  if (!locks_->lock(kByteOpen, 5 * kSecond)) {
    fail(Cause::Stalled, "process " + std::to_string(locks_->holder(kByteOpen)) + " has been opening the hub for 5 s: " +
                             directory_ + "; resume or kill it");
  }
  try {
    look_around();
    if (lost() != Lost::No) fail(Cause::Hub, "the hub was replaced or deleted: " + directory_);
    change_control([&](ControlFile& control) {
      if (bytes != 0) control.retention_bytes = bytes;
      if (ns != 0) control.retention_ns = ns;
    });
  } catch (...) {
    locks_->unlock(kByteOpen);
    throw;
  }
  locks_->unlock(kByteOpen);
}

// ---------------------------------------------------------------- accounts

inline std::optional<Loss> loss_of(const Slots& slots, u32 number, const Accounts& counts) {
  if (counts.lost == 0) return {};
  const Slot& slot = slots.slot(number);
  char name[kSymbolBytes + 1] = {};
  std::memcpy(name, slot.name, kSymbolBytes);
  return Loss{name, peek(slot.pid), counts};
}

// Of a slot whose byte is ours, with kByteOpen held.
inline std::optional<Loss> Attachment::settle_taken(u32 number) {
  return loss_of(slots_, number, settle(slots_, number));
}

// Of a slot whose owner is gone, or our own as we leave. Nothing where somebody is opening the hub: another time.
inline std::optional<Loss> Attachment::settle_slot(u32 number) {
  if (!locks_->try_lock(kByteOpen)) return {};
  std::optional<Loss> loss;
  const bool own = number == slot_ && slot_held_;
  if (own || locks_->try_lock(kByteSlots + number)) {
    loss = settle_taken(number);
    if (!own) locks_->unlock(kByteSlots + number);
  }
  locks_->unlock(kByteOpen);
  return loss;
}

// With a rebuild the slots are new. The sums are those of the old ones where they are still there, else the last that were
// saved; what was in flight by the last word of those who were attached is lost.
inline Accounts Attachment::accounts_before() {
  File views_file = boot_id() == control_.boot_id ? File::find(memory_dir() + "/views", O_RDONLY) : File();
  File slots_file = views_file ? File::find(memory_dir() + "/slots", O_RDWR) : File();
  if (slots_file && file_size(slots_file.fd()) == Slots::kBytes && file_size(views_file.fd()) >= sizeof(ViewsHeader)) {
    const Mapping map = Mapping::of(views_file.fd(), sizeof(ViewsHeader), false, memory_dir());
    const ViewsHeader& header = *map.at<ViewsHeader>();
    if (std::memcmp(header.hub_id, control_.hub_id, sizeof header.hub_id) == 0 && at_home(header)) {
      const Slots old(slots_file.fd(), memory_dir());
      for (u32 i = 0; i < kSlots; ++i) {
        if (in_hand(counts_of(old.slot(i))) > 0) losses_.push_back(*loss_of(old, i, settled_of(old.slot(i))));
      }
      return all_accounts(old, [](u32) { return false; }).accounts;
    }
  }
  const std::string data = home_.read("accounts");
  AccountsFile file{};
  if (data.size() != sizeof file) return {};
  std::memcpy(&file, data.data(), sizeof file);
  const bool sound = file.magic == kAccountsMagic && file.crc32c == crc32c(&file, offsetof(AccountsFile, crc32c)) &&
                     std::memcmp(file.hub_id, control_.hub_id, sizeof file.hub_id) == 0;
  if (!sound) return {};  // counts of another hub, or damaged: the log has everything but them
  if (file.in_flight != 0) {
    Accounts lost{};
    lost.lost = file.in_flight;
    losses_.push_back({"all that were attached", 0, lost});
    file.accounts.lost += file.in_flight;
  }
  return file.accounts;
}

inline void Attachment::save_accounts(bool all_left) {
  const std::string there = home_.read("control");
  const size_t at = offsetof(ControlFile, hub_id), bytes = sizeof control_.hub_id;
  if (there.size() < at + bytes || std::memcmp(there.data() + at, control_.hub_id, bytes) != 0) return;  // another hub's place
  const Standing now = all_accounts(slots_, [&](u32 i) { return !all_left && locks_->holder(kByteSlots + i) != 0; });
  AccountsFile file{};
  file.magic = kAccountsMagic;
  file.format = 1;
  std::memcpy(file.hub_id, control_.hub_id, sizeof file.hub_id);
  file.accounts = now.accounts;
  file.in_flight = u64(std::max<i64>(0, now.in_flight));
  file.crc32c = crc32c(&file, offsetof(AccountsFile, crc32c));
  constexpr Accounts kNone{};
  const bool nothing = saved_accounts_.magic == 0 && std::memcmp(&file.accounts, &kNone, sizeof kNone) == 0;
  if (nothing || std::memcmp(&file, &saved_accounts_, sizeof file) == 0) return;
  home_.write_atomically("accounts", &file, sizeof file);
  saved_accounts_ = file;
}

}  // namespace tapehub
