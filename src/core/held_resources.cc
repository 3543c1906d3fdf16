#include "core/held_resources.h"

#include <algorithm>
#include <vector>

namespace sundog::core {
namespace {

constexpr size_t kHoldersShownMax = 4;

std::string label_of(const NodeCore& core, const ActorRecord& a) {
  const std::string& title = core.tasks().tmpl(a.tmpl).name;
  if (!a.name.empty()) return title + " '" + a.name + "'";
  return title + " (actor " + a.handle.task.hex().substr(8, 4) + "…)";
}

std::string label_of(const PlacementGroup& g) {
  return "placement group " + (g.name.empty() ? g.id.hex().substr(8, 8) + "…" : "'" + g.name + "'");
}

struct Holders {
  int64_t sum = 0;
  size_t count = 0;
  std::vector<std::string> shown;

  bool takes_another(int64_t amount) {
    if (amount <= 0) return false;
    sum += amount;
    return ++count <= kHoldersShownMax;
  }
};

}  // namespace

std::string held_for_long(const NodeCore& core, model::ResourceId resource) {
  Holders holders;
  for (uint32_t i = 0; i < core.actors().end(); ++i) {
    const ActorRecord& a = core.actors()[i];
    const Worker* w = a.live ? core.scheduler().worker(a.worker) : nullptr;
    if (w == nullptr || !w->actor || !a.placement_group.is_nil()) continue;
    if (holders.takes_another(core.tasks().tmpl(a.tmpl).lifetime.get(resource)))
      holders.shown.push_back(label_of(core, a));
  }
  const PlacementGroups& groups = core.scheduler().groups();
  for (uint32_t i = 0; i < groups.end(); ++i) {
    const PlacementGroup& g = groups[i];
    if (!g.live || g.state != GroupState::kReady) continue;
    if (holders.takes_another(g.sum.get(resource))) holders.shown.push_back(label_of(g));
  }
  if (holders.count == 0) return "";
  std::string text = ", " + model::format_amount(holders.sum, resource) +
                     (holders.sum == model::kResourceUnit ? " is" : " are") + " held by " +
                     holders.shown[0];
  for (size_t i = 1; i < holders.shown.size(); ++i)
    text += (i + 1 == holders.count ? " and " : ", ") + holders.shown[i];
  if (holders.shown.size() < holders.count)
    text += " and " + std::to_string(holders.count - holders.shown.size()) + " more";
  return text;
}

}  // namespace sundog::core
