// Drivers that want all CPUs for themselves: what FairShare is for.
#include "sim/sim_node.h"
#include "sim/sim_process.h"

namespace sundog::sim {

Co<bool> SimProcess::rival_program() {
  SimWorld& world = node_->world();
  auto coming = sleep(world.delay(kMicrosecond, 40 * kMillisecond));
  co_await coming;
  put_functions();
  std::vector<ObjectId> own;
  const uint32_t count = world.config.rival_tasks;
  world.shares.wants(who_.job, who_.weight, count);
  for (uint32_t i = 0; i < count; ++i) {
    model::Submit submit;  // of the first template: one CPU
    submit.num_results = 1;
    TaskFacts facts;
    facts.seed = random_.next();
    facts.max_retries = 3;
    facts.cpu = model::kResourceUnit;
    constexpr uint32_t kLeaf = 100;  // too deep to submit or wait
    send_submit(submit, std::move(facts), kLeaf, &own);
  }
  auto waiting = get(own, count, false, kNever);
  co_await waiting;
  let_go_all(own);
  flush();
  finish(0);
  co_return true;
}

}  // namespace sundog::sim
