// Session: the folder of one session, and the end of old ones.
//
//   <home>/sessions/<session>/logs/…   mode 0700
//                            environments/…   as long as it lives
//
// A daemon holds a shared lock on its folder while it lives (the lock is the descriptor: nothing
// to clean). Folders without a lock are old; the newest few are kept for some days.
#pragma once

#include <string>

#include "base/result.h"
#include "base/time.h"
#include "os/fd.h"

namespace sundog::node {

constexpr size_t kSessionsKept = 20;
constexpr DurationNs kSessionAgeMax = 7 * 24 * 3600 * kSecond;
constexpr DurationNs kDeadSocketAge = 60 * kSecond;  // a younger one may be about to listen

class Session {
 public:
  static Result<Session> create(const std::string& folder);

  const std::string& folder() const { return folder_; }
  // Snapshots of folders and what else belongs to runtime environments; goes with the session.
  std::string environments_folder() const { return folder_ + "/environments"; }
  std::string log_path(const std::string& name) const { return folder_ + "/logs/" + name; }
  // Removes what is beyond number and age beside our folder; returns how many went.
  size_t remove_old_sessions(TimeNs wall_now) const;
  // Removes sockets of sessions on which nobody listens, and what programs wrote beside them, from
  // the folder of this user's sockets: daemon and zygote were killed at once. Returns how many.
  size_t remove_dead_sockets(const std::string& sockets, TimeNs wall_now) const;

 private:
  Session(std::string folder, os::Fd lock) : folder_(std::move(folder)), lock_(std::move(lock)) {}

  std::string folder_;
  os::Fd lock_;
};

}  // namespace sundog::node
