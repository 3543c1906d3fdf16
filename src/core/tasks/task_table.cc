#include "core/tasks/task_table.h"

#include <algorithm>

namespace sundog::core {

namespace {

// How many threads of numeric libraries a task of these resources deserves.
uint16_t whole_cpus(const model::ResourceSet& resources) {
  int64_t cpus = resources.get(model::kCpu) / model::kResourceUnit;
  return static_cast<uint16_t>(std::clamp<int64_t>(cpus, 1, UINT16_MAX));
}

}  // namespace

uint32_t TaskTable::try_create(const model::Submit& submit) {
  uint32_t index = tasks_.allocate();
  if (!index_.try_emplace(submit.task, index).second) {
    tasks_.release(index);
    return kNoIndex;
  }
  TaskRecord& t = tasks_[index];
  t.id = submit.task;
  t.parent = submit.parent;
  t.num_results = submit.num_results;
  t.num_refs = static_cast<uint32_t>(submit.refs.size());
  t.num_contained = static_cast<uint32_t>(submit.contained.size());
  t.argument_bytes = static_cast<uint32_t>(submit.arguments.size());
  uint64_t head = (uint64_t{t.num_results} + t.num_refs + t.num_contained) * sizeof(uint32_t);
  uint64_t total = round_up(head, 8) + t.argument_bytes;
  t.block.allocate(total);
  if (t.argument_bytes != 0)
    std::memcpy(t.block.data() + round_up(head, 8), submit.arguments.data(), t.argument_bytes);
  return index;
}

void TaskTable::release(uint32_t index) {
  index_.erase(tasks_[index].id);
  tasks_.release(index);
}

uint32_t TaskTable::intern_template(TaskTemplate candidate) {
  candidate.cpus = whole_cpus(candidate.resources);
  std::string key = candidate.function.hex() + '\n' + candidate.name + '\n' + candidate.source;
  auto append = [&](auto number) { key += '\n' + std::to_string(number); };
  append(candidate.job.value);
  append(static_cast<int>(candidate.language));
  append(candidate.max_retries);
  append(static_cast<int>(candidate.retry_exceptions));
  append(candidate.priority);
  append(candidate.runtime_env);
  append(static_cast<int>(candidate.kind));
  append(candidate.max_restarts);
  append(static_cast<int>(candidate.detached));
  append(static_cast<int>(candidate.returns));
  append(candidate.stream_items);
  key += '\n' + candidate.method + '\n' + candidate.group;
  append(candidate.max_concurrency);
  append(static_cast<int>(candidate.out_of_order));
  append(candidate.groups.size());
  for (const auto& [name, limit] : candidate.groups) {
    append(limit);
    key += name;
  }
  append(candidate.timeout);
  append(candidate.max_calls);
  append(static_cast<int>(candidate.unrecorded));
  if (candidate.names_group) {
    key += "\nin " + candidate.placement_group.hex();
    append(candidate.bundle);
    append(static_cast<int>(candidate.capture_children));
    append(static_cast<int>(candidate.outside_groups));
  }
  for (const model::ResourceSet* set : {&candidate.resources, &candidate.lifetime}) {
    append(set->entries().size());
    for (const auto& r : set->entries()) {
      append(r.id);
      append(r.amount);
    }
  }
  auto [it, is_new] = template_index_.emplace(key, static_cast<uint32_t>(templates_.size()));
  if (is_new) templates_.push_back(std::make_unique<TaskTemplate>(std::move(candidate)));
  return it->second;
}

void TaskTable::add_edge(uint32_t* head, uint32_t task) {
  uint32_t edge = edges_.allocate();
  edges_[edge].task = task;
  edges_[edge].next = *head;
  *head = edge;
}

void TaskTable::remove_edges(uint32_t* head, uint32_t task) {
  uint32_t* link = head;
  while (*link != kNoIndex) {
    uint32_t edge = *link;
    if (edges_[edge].task != task) {
      link = &edges_[edge].next;
      continue;
    }
    *link = edges_[edge].next;
    edges_.release(edge);
  }
}

}  // namespace sundog::core
