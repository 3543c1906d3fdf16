// Resources in 1/10000 of a unit, named by interned numbers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sundog::model {

using ResourceId = uint16_t;
constexpr ResourceId kCpu = 0;
constexpr ResourceId kGpu = 1;
constexpr ResourceId kMemory = 2;  // bytes, in units of 10000 for one byte like every other
constexpr int64_t kResourceUnit = 10'000;
// What may run on one node only asks for a resource of this name and the node's id, which that node
// has; where it is not, nobody waits for it.
constexpr std::string_view kOnlyOnNode = "only on node ";

struct ResourceAmount {
  ResourceId id = 0;
  int64_t amount = 0;  // 1/10000
  auto operator<=>(const ResourceAmount&) const = default;
};

// Sorted by id, amounts positive. Small: a vector of a few entries.
class ResourceSet {
 public:
  ResourceSet() = default;
  void set(ResourceId id, int64_t amount);
  int64_t get(ResourceId id) const {
    for (const auto& e : entries_)
      if (e.id == id) return e.amount;
    return 0;
  }
  bool covers(const ResourceSet& request) const;  // every amount of request is available here
  void add(const ResourceSet& other);
  // Requires covers(other) unless `may_go_negative` (a resumed worker may overdraw CPUs).
  void subtract(const ResourceSet& other, bool may_go_negative = false);
  const std::vector<ResourceAmount>& entries() const { return entries_; }
  bool empty() const { return entries_.empty(); }
  bool operator==(const ResourceSet&) const = default;
  auto operator<=>(const ResourceSet&) const = default;

 private:
  std::vector<ResourceAmount> entries_;
};

// Names of resources <-> numbers. CPU, GPU and memory are always 0, 1, 2.
class ResourceNames {
 public:
  ResourceNames();
  ResourceId intern(std::string_view name);
  const std::string& name(ResourceId id) const { return names_[id]; }
  size_t size() const { return names_.size(); }

 private:
  std::vector<std::string> names_;
};

// "1", "0.5", "2.25": an amount as people write it.
std::string format_amount(int64_t amount);
// The same; of memory "12.5 GB".
std::string format_amount(int64_t amount, ResourceId id);

}  // namespace sundog::model
