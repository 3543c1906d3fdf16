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

namespace {

bool all_of(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

// The session that may have made a file of this name; empty if none has. Others may keep files in
// the folder: a socket's path is the caller's choice.
std::string session_of_socket(std::string_view file) {
  constexpr std::string_view kSuffix = ".sock";
  if (!file.ends_with(kSuffix)) return "";
  const std::string_view name = file.substr(0, file.size() - kSuffix.size());
  const bool is_ours = name.size() >= 4 && name.size() <= 8 && all_of(name, "0123456789abcdef");
  return is_ours ? std::string(name) : "";
}

// Whether it is the file in which a program that joined the session describes itself.
bool describes_program(const std::string& socket, std::string_view file) {
  if (!file.starts_with(socket + ".")) return false;
  file.remove_prefix(socket.size() + 1);
  if (file.starts_with("job-")) file.remove_prefix(4);
  return all_of(file, "0123456789");
}

}  // namespace

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
  const std::string parent = os::parent_folder(folder_);
  const std::vector<os::FolderEntry> entries = os::list_folder(sockets);
  size_t removed = 0;
  for (const os::FolderEntry& entry : entries) {
    const std::string name = session_of_socket(entry.name);
    if (name.empty() || wall_now - entry.modified < kDeadSocketAge) continue;
    if (os::is_folder(parent + "/" + name)) {
      auto lock = os::try_lock_folder(parent + "/" + name, /*exclusive=*/true);
      if (!lock || !*lock) continue;  // its daemon lives: nobody needs to knock
    }
    if (!os::is_dead_unix(sockets + "/" + entry.name)) continue;
    os::remove_file(sockets + "/" + entry.name);
    for (const os::FolderEntry& beside : entries) {
      if (describes_program(entry.name, beside.name)) {
        os::remove_file(sockets + "/" + beside.name);
      }
    }
    ++removed;
  }
  return removed;
}

}  // namespace sundog::node
