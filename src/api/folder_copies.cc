#include "api/folder_copies.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>

#include "api/ignore_rules.h"
#include "base/hash.h"
#include "base/ids.h"
#include "sundog/errors.h"

namespace sundog::detail {
namespace {

namespace fs = std::filesystem;

// What no worker misses.
constexpr std::array<const char*, 4> kNeverCopied{".git", ".venv", "venv", "__pycache__"};

struct Found {
  std::string path;  // relative, with slashes
  struct stat info;
};

[[noreturn]] void throw_cannot(const std::string& what, const std::string& folder,
                               const fs::filesystem_error& error) {
  const std::string of = error.path1().empty() ? "" : ": " + error.path1().string();
  throw TypeError("runtime_env: " + what + " cannot be copied into " + folder + ": " +
                  error.code().message() + of);
}

[[noreturn]] void throw_errno(const char* doing, const fs::path& path) {
  throw fs::filesystem_error(doing, path, std::error_code(errno, std::generic_category()));
}

// The files, links and folders to be copied, in order of their names.
class Walk {
 public:
  Walk(const std::string& root, const std::vector<std::string>& excludes) : root_(root) {
    for (const std::string& pattern : excludes) given_.add(pattern);
  }
  std::vector<Found> run() {
    look_into("");
    return std::move(found_);
  }

 private:
  struct OfFolder {
    std::string folder;
    IgnoreRules rules;
  };

  void look_into(const std::string& folder) {
    const fs::path here = folder.empty() ? root_ : root_ / folder;
    const bool has_rules = read_rules(here, folder);
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(here)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      if (std::find(kNeverCopied.begin(), kNeverCopied.end(), name) != kNeverCopied.end()) continue;
      take(folder.empty() ? name : folder + "/" + name);
      if (found_.size() > kCopiedFilesMax) break;
    }
    if (has_rules) rules_.pop_back();
  }
  void take(const std::string& path) {
    Found found{path, {}};
    if (lstat((root_ / path).c_str(), &found.info) != 0) throw_errno("stat", root_ / path);
    const mode_t kind = found.info.st_mode;
    if (!S_ISDIR(kind) && !S_ISREG(kind) && !S_ISLNK(kind)) return;
    if (is_left_out(path, S_ISDIR(kind))) return;
    found_.push_back(found);
    if (S_ISDIR(kind)) look_into(path);
  }
  bool read_rules(const fs::path& here, const std::string& folder) {
    std::error_code ignored;
    if (!fs::is_regular_file(here / ".gitignore", ignored)) return false;  // a pipe would block us
    std::ifstream file(here / ".gitignore");
    if (!file) return false;
    OfFolder& made = rules_.emplace_back(OfFolder{folder, {}});
    for (std::string line; std::getline(file, line);) made.rules.add(line);
    return true;
  }
  bool is_left_out(std::string_view path, bool is_folder) const {
    if (auto decided = given_.decides(path, is_folder)) return *decided;
    for (auto each = rules_.rbegin(); each != rules_.rend(); ++each) {
      const size_t skipped = each->folder.empty() ? 0 : each->folder.size() + 1;
      if (auto decided = each->rules.decides(path.substr(skipped), is_folder)) return *decided;
    }
    return false;
  }

  const fs::path root_;
  IgnoreRules given_;
  std::vector<OfFolder> rules_;  // of the folders that we are in
  std::vector<Found> found_;
};

uint64_t size_of(const std::vector<Found>& found) {
  uint64_t size = 0;
  for (const Found& each : found) {
    if (S_ISREG(each.info.st_mode)) size += static_cast<uint64_t>(each.info.st_size);
  }
  return size;
}

void check_size(const std::string& root, const std::vector<Found>& found) {
  const uint64_t size = size_of(found);
  if (found.size() <= kCopiedFilesMax && size <= kCopiedBytesMax) return;
  auto largest = std::max_element(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return a.info.st_size < b.info.st_size;
  });
  const bool counted = found.size() <= kCopiedFilesMax;
  throw TypeError("runtime_env: " + root +
                  " is too large to copy: " + std::to_string(size / 1'000'000) + " MB in " +
                  (counted ? std::to_string(found.size()) : "more than 100000") +
                  " files, at most " + std::to_string(kCopiedBytesMax / 1'000'000) + " MB and " +
                  std::to_string(kCopiedFilesMax) +
                  " files; name what is not needed in `excludes` (the largest: " + largest->path +
                  ", " + std::to_string(largest->info.st_size / 1'000'000) + " MB)");
}

// What is in a file, as hashes of its pieces.
void add_content(const fs::path& path, const struct stat& info, std::string* described) {
  if (S_ISLNK(info.st_mode)) *described += fs::read_symlink(path).native() + '\0';
  if (!S_ISREG(info.st_mode)) return;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw_errno("open", path);
  std::vector<char> piece(1 << 20);
  while (file.read(piece.data(), static_cast<std::streamsize>(piece.size())) || file.gcount() > 0) {
    const auto hash = hash128(piece.data(), static_cast<size_t>(file.gcount()));
    described->append(reinterpret_cast<const char*>(hash.data()), sizeof hash);
  }
}

void copy_one(const fs::path& from, const fs::path& to, const struct stat& info) {
  if (S_ISDIR(info.st_mode)) {
    if (mkdir(to.c_str(), 0700) != 0) throw_errno("mkdir", to);
  } else if (S_ISLNK(info.st_mode)) {
    fs::copy_symlink(from, to);
  } else {
    fs::copy_file(from, to);
    if (chmod(to.c_str(), (info.st_mode & 0777) | 0600) != 0) throw_errno("chmod", to);
  }
}

std::string hex_of(const std::string& described) {
  const auto hash = hash128(described.data(), described.size());
  return to_hex(hash.data(), sizeof hash);
}

// The folder `name` of all copies, which `fill` fills beside its place unless it is there. What
// fails leaves nothing.
std::string published(const std::string& folder, const std::string& name,
                      const std::function<void(const fs::path&)>& fill) {
  const fs::path all = fs::path(folder) / "dirs", target = all / name;
  if (fs::is_directory(target)) return target;
  fs::create_directories(all);
  std::string beside = target.native() + ".XXXXXX";
  if (mkdtemp(beside.data()) == nullptr) throw_errno("mkdtemp", all);
  std::error_code ignored;
  try {
    fill(beside);
    fs::rename(beside, target);
  } catch (...) {
    fs::remove_all(beside, ignored);
    if (!fs::is_directory(target, ignored)) throw;  // else somebody was quicker
  }
  return target;
}

}  // namespace

std::string copy_of_folder(const std::string& root, const std::vector<std::string>& excludes,
                           const std::string& folder, const std::string& name) {
  if (root.starts_with(folder + "/")) return root;
  try {
    const std::vector<Found> found = Walk(root, excludes).run();
    check_size(root, found);
    std::string described = name + '\0';
    for (const Found& each : found) {
      const mode_t kind = each.info.st_mode & (S_IFMT | 0111);
      described += each.path + '\0' + std::to_string(kind) + '\0';
      add_content(fs::path(root) / each.path, each.info, &described);
    }
    return published(folder, hex_of(described), [&](const fs::path& to) {
      const fs::path inside = name.empty() ? to : to / name;
      if (!name.empty()) fs::create_directory(inside);
      for (const Found& each : found) {
        copy_one(fs::path(root) / each.path, inside / each.path, each.info);
      }
    });
  } catch (const fs::filesystem_error& error) {
    throw_cannot(root, folder, error);
  }
}

std::string copy_of_file(const std::string& path, const std::string& folder) {
  if (path.starts_with(folder + "/")) return path;
  const std::string name = fs::path(path).filename();
  try {
    struct stat info;
    if (stat(path.c_str(), &info) != 0) throw_errno("stat", path);
    std::string described = "file " + name + '\0';
    add_content(path, info, &described);
    return published(folder, hex_of(described),
                     [&](const fs::path& to) { copy_one(path, to / name, info); });
  } catch (const fs::filesystem_error& error) {
    throw_cannot(path, folder, error);
  }
}

}  // namespace sundog::detail
