#include "model/resources.h"

#include <algorithm>

#include "base/check.h"

namespace sundog::model {

void ResourceSet::set(ResourceId id, int64_t amount) {
  auto at = std::lower_bound(entries_.begin(), entries_.end(), id,
                             [](const ResourceAmount& e, ResourceId i) { return e.id < i; });
  bool found = at != entries_.end() && at->id == id;
  if (amount == 0) {
    if (found) entries_.erase(at);
  } else if (found) {
    at->amount = amount;
  } else {
    entries_.insert(at, {id, amount});
  }
}

bool ResourceSet::covers(const ResourceSet& request) const {
  for (const auto& e : request.entries_)
    if (get(e.id) < e.amount) return false;
  return true;
}

void ResourceSet::add(const ResourceSet& other) {
  for (const auto& e : other.entries_) set(e.id, get(e.id) + e.amount);
}

void ResourceSet::subtract(const ResourceSet& other, bool may_go_negative) {
  for (const auto& e : other.entries_) {
    int64_t left = get(e.id) - e.amount;
    SUNDOG_CHECK(left >= 0 || may_go_negative);
    set(e.id, left);
  }
}

ResourceNames::ResourceNames() : names_{"CPU", "GPU", "memory"} {}

ResourceId ResourceNames::intern(std::string_view name) {
  for (size_t i = 0; i < names_.size(); ++i)
    if (names_[i] == name) return static_cast<ResourceId>(i);
  SUNDOG_CHECK(names_.size() < UINT16_MAX);
  names_.emplace_back(name);
  return static_cast<ResourceId>(names_.size() - 1);
}

std::string format_amount(int64_t amount) {
  std::string text = std::to_string(amount / kResourceUnit);
  int64_t fraction = amount % kResourceUnit;
  if (fraction != 0) {
    std::string digits = std::to_string(kResourceUnit + fraction).substr(1);
    while (digits.back() == '0') digits.pop_back();
    text += "." + digits;
  }
  return text;
}

std::string format_amount(int64_t amount, ResourceId id) {
  if (id != kMemory) return format_amount(amount);
  constexpr int64_t kGigabyte = 1'000'000'000, kMegabyte = 1'000'000, kDigits = 1'000;
  int64_t bytes = amount / kResourceUnit;
  if (bytes < kMegabyte) return std::to_string(bytes) + " bytes";
  bool giga = bytes >= kGigabyte;
  int64_t thousandths = bytes / ((giga ? kGigabyte : kMegabyte) / kDigits);
  return format_amount(thousandths * (kResourceUnit / kDigits)) + (giga ? " GB" : " MB");
}

}  // namespace sundog::model
