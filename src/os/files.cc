#include "os/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace sundog::os {

Result<Fd> open_log_file(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Failure{system_error("open the file " + path)};
  return Fd(fd);
}

Result<uint64_t> file_size(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) < 0) return Failure{system_error("ask a file for its size")};
  return static_cast<uint64_t>(info.st_size);
}

Status write_all(int fd, Bytes data) {
  while (!data.empty()) {
    ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failure{system_error("write to a file")};
    data = data.subspan(static_cast<size_t>(n));
  }
  return ok_status();
}

Result<size_t> read_at(int fd, uint64_t offset, std::span<std::byte> out) {
  for (;;) {
    ssize_t n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR) return Failure{system_error("read a file")};
  }
}

size_t read_some(int fd, std::span<std::byte> out) {
  for (;;) {
    ssize_t n = ::read(fd, out.data(), out.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EAGAIN) return kWouldBlock;
    if (errno != EINTR) return 0;  // an error of a pipe is its end
  }
}

Result<std::string> read_text(const std::string& path, size_t bytes_max) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Failure{system_error("open the file " + path)};
  std::string text;
  std::byte buffer[4096];
  while (text.size() < bytes_max) {
    size_t n = read_some(fd.get(), buffer);
    if (n == 0 || n == kWouldBlock) break;
    text.append(reinterpret_cast<const char*>(buffer), n);
  }
  if (text.size() > bytes_max) text.resize(bytes_max);
  return text;
}

Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return ok_status();
  if (errno == ENOENT && !parent_folder(path).empty()) {
    if (Status s = make_folder(parent_folder(path)); !s) return s;
    if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return ok_status();
  }
  return Failure{system_error("make the folder " + path)};
}

Status check_private_folder(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) < 0) {
    return Failure{system_error("look at the folder " + path)};
  }
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::getuid() || (info.st_mode & 077) != 0) {
    return Failure{path + " must be a folder of ours that nobody else may enter (mode 0700)"};
  }
  return ok_status();
}

bool is_folder(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::string parent_folder(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? std::string() : path.substr(0, slash);
}

std::vector<FolderEntry> list_folder(const std::string& path) {
  std::vector<FolderEntry> entries;
  DIR* folder = ::opendir(path.c_str());
  if (folder == nullptr) return entries;
  while (dirent* d = ::readdir(folder)) {
    std::string name = d->d_name;
    if (name == "." || name == "..") continue;
    struct stat info {};
    if (::fstatat(::dirfd(folder), d->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0) continue;
    entries.push_back({std::move(name), S_ISDIR(info.st_mode),
                       info.st_mtim.tv_sec * kSecond + info.st_mtim.tv_nsec});
  }
  ::closedir(folder);
  return entries;
}

void remove_file(const std::string& path) { ::unlink(path.c_str()); }

void rename_file(const std::string& from, const std::string& to) {
  ::rename(from.c_str(), to.c_str());
}

void remove_tree(const std::string& path) {
  std::error_code ignored;  // what cannot be removed is met again at the next start
  std::filesystem::remove_all(path, ignored);
}

Result<Fd> try_lock_folder(const std::string& path, bool exclusive) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return Failure{system_error("open the folder " + path)};
  if (::flock(fd.get(), (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0) return fd;
  if (errno == EWOULDBLOCK) return Fd();
  return Failure{system_error("lock the folder " + path)};
}

}  // namespace sundog::os
