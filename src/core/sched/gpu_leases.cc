// Workers that are started for a GPU (LocalScheduler, fourth part). Which GPUs a process sees is
// said before it starts, so such a worker is made for one task or actor: its resources and GPUs are
// taken when it is asked for, and free again when the process is gone (its memory on the GPU is not
// free before). No other task comes to it. GPUs are taken in the order of placement, lowest first,
// and processes get their tasks in that order too, whichever is up first: of two actors the one
// made first has the lower GPU.
#include <iterator>

#include "base/probe.h"
#include "core/sched/local_scheduler.h"

namespace sundog::core {

// C++ workers that join by themselves see what whoever started them shows them.
bool LocalScheduler::shape_needs_gpu(uint32_t shape_index) const {
  const Shape& shape = shapes_[shape_index];
  return shape.resources.get(model::kGpu) > 0 && pools_[shape.pool].can_start;
}

bool LocalScheduler::place_on_gpu(uint32_t shape_index, TimeNs now, Actions* actions) {
  Shape& shape = shapes_[shape_index];
  bool next_is_up =
      !shape.leased.empty() && (shape.leases_starting.empty() ||
                                shape.leased.begin()->first < *shape.leases_starting.begin());
  if (next_is_up) {
    Worker* w = worker(shape.leased.begin()->second);
    shape.leased.erase(shape.leased.begin());
    w->shape_since = w->front_since = now;
    const uint32_t task = ready_.front(shape_index);
    assign(w, task, expected(task), now, actions);
    return true;
  }
  Payer payer;
  while (shape.leased.size() + shape.leases_starting.size() < ready_.count(shape_index) &&
         choose_payer(shape, &payer) && live_workers_ + starting_.size() < kWorkersMax) {
    auto gpus = groups_.gpus(payer).take(shape.resources.get(model::kGpu));
    if (!gpus) {
      SUNDOG_PROBE("workers.gpus_in_pieces");
      break;
    }
    take_from(payer, shape.resources);
    Action a;
    a.kind = Action::Kind::kSpawn;
    a.token = ++last_token_;
    shape.leases_starting.insert(a.token);
    a.pool = shape.pool_key;
    for (const GpuShare& share : *gpus) a.gpus.push_back(share.gpu);
    starting_.emplace(a.token, Starting{shape.pool, shape_index, *std::move(gpus), payer});
    actions->push_back(a);
  }
  shape.try_now = false;
  return false;
}

void LocalScheduler::lease_joined(Worker* w, uint64_t token, Starting starting) {
  Shape& shape = shapes_[starting.shape];
  shape.leases_starting.erase(token);
  w->shape = starting.shape;
  w->holds_resources = true;
  w->gpus = std::move(starting.gpus);
  w->payer = starting.payer;
  charge(w);
  shape.leased.emplace(token, w->client);
  try_shape(starting.shape);
}

void LocalScheduler::lease_failed(uint64_t token, const Starting& starting) {
  Shape& shape = shapes_[starting.shape];
  shape.leases_starting.erase(token);
  groups_.available(starting.payer).add(shape.resources);
  groups_.gpus(starting.payer).give_back(starting.gpus);
  groups_.let_go(starting.payer.group);
  try_all();
}

// Its task is done, or nobody needs it any more: what it holds is free when it is gone.
void LocalScheduler::end_lease(Worker* w) {
  w->stopping = true;
  ended_leases_.push_back(w->client);
}

void LocalScheduler::stop_ended_leases(Actions* actions) {
  for (uint32_t s = 0; s < shapes_.size(); ++s) {
    auto& leased = shapes_[s].leased;
    while (leased.size() > ready_.count(s)) {
      SUNDOG_PROBE("workers.gpu_not_needed_any_more");
      auto last = std::prev(leased.end());
      end_lease(worker(last->second));
      leased.erase(last);
    }
  }
  for (ClientId client : ended_leases_) {
    if (worker(client) == nullptr) continue;
    Action a;
    a.kind = Action::Kind::kStop;
    a.worker = client;
    actions->push_back(a);
  }
  ended_leases_.clear();
}

}  // namespace sundog::core
