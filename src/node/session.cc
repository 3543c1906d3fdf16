#include "node/session.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "os/files.h"
#include "os/socket.h"

namespace sundog::node {

Result<Session> Session::create(const std::string& folder) {
  if (Status s = os::make_folder(folder + "/logs"); !s) return Failure{s.error()};
  if (Status s = os::check_private_folder(folder); !s) return Failure{s.error()};
  auto lock = os::try_lock_folder(folder, /*exclusive=*/false);
  if (!lock) return Failure{lock.error()};
  return Session(folder, *std::move(lock));
}

// What a daemon that was killed could not remove itself.
void remove_left_environments(const std::string& session) {
  auto lock = os::try_lock_folder(session, /*exclusive=*/true);
  if (lock && *lock) os::remove_tree(session + "/environments");
}

size_t Session::remove_old_sessions(TimeNs wall_now) const {
  std::string parent = os::parent_folder(folder_);
  std::string own = folder_.substr(parent.size() + 1);
  std::vector<os::FolderEntry> others = os::list_folder(parent);
  std::erase_if(others, [&](const os::FolderEntry& e) { return !e.is_folder || e.name == own; });
  std::sort(others.begin(), others.end(), [](const auto& a, const auto& b) {
    return std::pair(b.modified, b.name) < std::pair(a.modified, a.name);  // newest first
  });
  size_t removed = 0;
  for (size_t i = 0; i < others.size(); ++i) {
    // Ours is one of those kept.
    bool keep = i + 1 < kSessionsKept && wall_now - others[i].modified < kSessionAgeMax;
    std::string path = parent + "/" + others[i].name;
    if (keep) {
      remove_left_environments(path);
      continue;
    }
    auto lock = os::try_lock_folder(path, /*exclusive=*/true);
    if (!lock || !*lock) continue;  // a daemon lives there
    os::remove_tree(path);
    ++removed;
  }
  return removed;
}

size_t Session::remove_dead_sockets(const std::string& sockets, TimeNs wall_now) const {
  constexpr std::string_view kSuffix = ".sock";
  const std::string parent = os::parent_folder(folder_);
  const std::vector<os::FolderEntry> entries = os::list_folder(sockets);
  size_t removed = 0;
  for (const os::FolderEntry& entry : entries) {
    if (!entry.name.ends_with(kSuffix) || wall_now - entry.modified < kDeadSocketAge) continue;
    const std::string name = entry.name.substr(0, entry.name.size() - kSuffix.size());
    if (os::is_folder(parent + "/" + name)) {
      auto lock = os::try_lock_folder(parent + "/" + name, /*exclusive=*/true);
      if (!lock || !*lock) continue;  // its daemon lives: nobody needs to knock
    }
    if (!os::is_dead_unix(sockets + "/" + entry.name)) continue;
    os::remove_file(sockets + "/" + entry.name);
    for (const os::FolderEntry& beside : entries) {
      if (beside.name.starts_with(entry.name + ".")) os::remove_file(sockets + "/" + beside.name);
    }
    ++removed;
  }
  return removed;
}

}  // namespace sundog::node
