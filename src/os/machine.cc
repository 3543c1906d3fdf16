#include "os/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "os/files.h"

namespace sundog::os {
namespace {

constexpr const char* kCgroupRoot = "/sys/fs/cgroup";

std::optional<int64_t> parse_number(std::string_view text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

// The number after `key` at the start of a line: "MemAvailable:  123 kB", "oom_kill 3".
std::optional<int64_t> number_after(std::string_view text, std::string_view key) {
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    if (line.starts_with(key)) {
      size_t digit = line.find_first_of("0123456789", key.size());
      if (digit != std::string_view::npos) return parse_number(line.substr(digit));
    }
    at = end + 1;
  }
  return std::nullopt;
}

// Our folder below the root of cgroup version 2; empty: none.
std::string own_cgroup() {
  auto text = read_text("/proc/self/cgroup");
  if (!text) return {};
  size_t at = text->find("0::");
  if (at == std::string::npos) return {};
  std::string path = text->substr(at + 3, text->find('\n', at) - at - 3);
  return path == "/" ? std::string(kCgroupRoot) : kCgroupRoot + path;
}

// The smallest limit of a file among our cgroup and its parents; "max" counts as none.
std::optional<int64_t> smallest_limit(const std::string& file) {
  std::optional<int64_t> smallest;
  for (std::string folder = own_cgroup(); folder.size() >= std::string_view(kCgroupRoot).size();
       folder = parent_folder(folder)) {
    auto text = read_text(folder + "/" + file);
    auto value = text ? parse_number(*text) : std::nullopt;
    if (value && (!smallest || *value < *smallest)) smallest = value;
  }
  if (!smallest && file == "memory.max") {
    auto text = read_text(std::string(kCgroupRoot) + "/memory/memory.limit_in_bytes");
    auto value = text ? parse_number(*text) : std::nullopt;
    if (value && *value < (int64_t{1} << 60)) smallest = value;
  }
  return smallest;
}

// CPUs of the quota in 1/100, of version 2 ("max 100000" or "150000 100000") or 1.
std::optional<int64_t> quota_hundredths() {
  std::optional<int64_t> smallest;
  auto consider = [&](std::optional<int64_t> quota, std::optional<int64_t> period) {
    if (!quota || !period || *quota <= 0 || *period <= 0) return;
    int64_t value = *quota * 100 / *period;
    if (!smallest || value < *smallest) smallest = value;
  };
  for (std::string folder = own_cgroup(); folder.size() >= std::string_view(kCgroupRoot).size();
       folder = parent_folder(folder)) {
    auto text = read_text(folder + "/cpu.max");
    if (!text) continue;
    size_t space = text->find(' ');
    if (space == std::string::npos) continue;
    consider(parse_number(*text), parse_number(std::string_view(*text).substr(space + 1)));
  }
  auto quota = read_text(std::string(kCgroupRoot) + "/cpu/cpu.cfs_quota_us");
  auto period = read_text(std::string(kCgroupRoot) + "/cpu/cpu.cfs_period_us");
  if (quota && period) consider(parse_number(*quota), parse_number(*period));
  return smallest;
}

}  // namespace

Sized usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int64_t affinity = 1;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) affinity = std::max(1, CPU_COUNT(&set));
  auto quota = quota_hundredths();
  if (quota && *quota < affinity * 100) {
    return {std::max<int64_t>(1, *quota / 100),
            "cgroup quota " + std::to_string(*quota / 100) + "." + std::to_string(*quota % 100)};
  }
  return {affinity, "affinity " + std::to_string(affinity)};
}

Sized usable_memory() {
  int64_t ram = static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  auto limit = smallest_limit("memory.max");
  if (limit && *limit < ram) return {*limit, "limit of this cgroup"};
  return {ram, "memory of this machine"};
}

int64_t available_memory() {
  int64_t available = 0;
  if (auto text = read_text("/proc/meminfo")) {
    available = number_after(*text, "MemAvailable:").value_or(0) * 1024;
  }
  auto limit = smallest_limit("memory.max");
  if (!limit) return available;
  auto current = read_text(own_cgroup() + "/memory.current");
  auto stat = read_text(own_cgroup() + "/memory.stat");
  int64_t used = current ? parse_number(*current).value_or(0) : 0;
  int64_t cache = stat ? number_after(*stat, "inactive_file ").value_or(0) : 0;
  return std::min(available, *limit - used + cache);
}

int64_t oom_kills() {
  auto text = read_text(own_cgroup() + "/memory.events");
  if (!text) return -1;
  return number_after(*text, "oom_kill ").value_or(-1);
}

bool shares_our_cgroup(uint32_t pid) {
  auto ours = read_text("/proc/self/cgroup");
  auto theirs = read_text("/proc/" + std::to_string(pid) + "/cgroup");
  return ours && theirs && *ours == *theirs;
}

bool commits_strictly() {
  auto text = read_text("/proc/sys/vm/overcommit_memory");
  return !text || parse_number(*text) == 2;
}

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) < 0) return "localhost";
  return name;
}

}  // namespace sundog::os
