// Making and removing placement groups. See runtime_impl.h.
#include "client/runtime_impl.h"

namespace sundog::client {

CallResult<TaskId> RuntimeImpl::next_group_id() {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  return core_.next_group_id();
}

CallResult<RefHandle> RuntimeImpl::create_group(const GroupSpec& group) {
  if (auto error = unusable()) return Failure{*error};
  if (group.ready.bytes.size() > model::kInlineValueBytesMax) {
    return Failure{CallError{CallStatus::kBadArgument, "a placement group's value is too large"}};
  }
  std::vector<uint32_t> bundles;
  std::vector<model::NamedAmount> resources;
  for (const Resources& bundle : group.bundles) {
    bundles.push_back(static_cast<uint32_t>(bundle.size()));
    for (const auto& [name, amount] : bundle) resources.push_back({name, amount});
  }
  model::CreatePlacementGroup message;
  message.group = group.id;
  message.strategy = group.strategy;
  message.detached = group.detached;
  message.name_space = group.name_space;
  message.name = group.name;
  message.bundles = bundles;
  message.resources = resources;
  message.ready.format = group.ready.format;
  message.ready.bytes = group.ready.bytes;
  Operation operation(this);
  return RefHandle(core_.create_group(message));
}

CallResult<Unit> RuntimeImpl::remove_group(const TaskId& group) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  core_.remove_group(group);
  return Unit{};
}

CallResult<std::optional<bool>> RuntimeImpl::group_is_ready(const TaskId& group) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  if (link_.has_more()) drain();
  return core_.group_is_ready(group);
}

}  // namespace sundog::client
