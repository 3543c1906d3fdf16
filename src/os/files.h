// Files and folders, as far as a daemon needs them. Any thread; every call may wait for the disk.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "os/fd.h"

namespace sundog::os {

// Made with mode 0600 if it is not there; written at its end, readable at any offset.
Result<Fd> open_log_file(const std::string& path);
Result<uint64_t> file_size(int fd);
// Fails with the system's reason; what was written before stays.
Status write_all(int fd, Bytes data);
// Up to out.size() bytes from `offset`; 0 at the end.
Result<size_t> read_at(int fd, uint64_t offset, std::span<std::byte> out);
// One read() of a pipe or file: bytes, 0 at its end, or kWouldBlock.
constexpr size_t kWouldBlock = ~size_t{0};
size_t read_some(int fd, std::span<std::byte> out);

// The whole file, at most `bytes_max`.
Result<std::string> read_text(const std::string& path, size_t bytes_max = 1 << 20);

// Mode 0700; missing parents are made too. No error if it is there.
Status make_folder(const std::string& path);
// Fails unless it is a folder of ours that nobody else may enter.
Status check_private_folder(const std::string& path);
std::string parent_folder(const std::string& path);
bool is_folder(const std::string& path);

struct FolderEntry {
  std::string name;
  bool is_folder = false;
  TimeNs modified = 0;  // wall time
};
std::vector<FolderEntry> list_folder(const std::string& path);
void remove_file(const std::string& path);
void rename_file(const std::string& from, const std::string& to);
// Removes a folder and what is in it; never follows links.
void remove_tree(const std::string& path);

// A lock on the folder itself that lasts as long as the descriptor; nothing is left behind.
// Shared locks go together, an exclusive one goes alone; no descriptor if somebody is in the way.
Result<Fd> try_lock_folder(const std::string& path, bool exclusive);

}  // namespace sundog::os
