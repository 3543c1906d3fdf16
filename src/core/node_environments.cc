// NodeCore: runtime environments (docs/design/0013-environments.md). A task of one that is not
// ready stays in its queue and holds nothing; when preparing fails, all that wait for it fail.
#include "base/probe.h"
#include "core/node_core.h"

namespace sundog::core {

void NodeCore::on_message(Client& c, const model::DefineEnvironment& m) {
  if (!environments_.define(m.hash, m.description, m.patience_ns))
    return violation(c, "a runtime environment's hash is taken, or there are too many");
  if (m.prestart > 0)
    scheduler_.prestart({c.job, model::Language::kPython, m.hash}, m.prestart, &actions_);
}

void NodeCore::want_environment(uint64_t hash) {
  EnvironmentOrders orders;
  environments_.want(hash, now_, &orders);
  perform(orders);
}

void NodeCore::environments_due() {
  EnvironmentOrders orders;
  environments_.tick(now_, &orders);
  perform(orders);
}

void NodeCore::perform(const EnvironmentOrders& orders) {
  for (const EnvironmentOrder& order : orders) {
    const Environments::Environment& e = *environments_.find(order.hash);
    switch (order.kind) {
      case EnvironmentOrder::Kind::kPrepare:
        effects_->push_back(PrepareEnvironment{order.hash, order.attempt, e.description});
        break;
      case EnvironmentOrder::Kind::kAbort:
        effects_->push_back(AbortEnvironment{order.hash, order.attempt});
        fail_environment(order.hash, "preparing it took longer than the " + seconds(e.patience) +
                                         " that it may (config={'setup_timeout_seconds': …})");
        break;
      case EnvironmentOrder::Kind::kEnd:
        scheduler_.environment_gone(order.hash);
        effects_->push_back(EndEnvironment{order.hash});
        break;
    }
  }
}

void NodeCore::on(const EnvironmentReady& e) {
  if (environments_.prepared(e.hash, e.attempt, now_))
    scheduler_.environment_ready(e.hash, &actions_);
}

void NodeCore::on(const EnvironmentFailed& e) {
  if (!environments_.failed(e.hash, e.attempt, now_)) return;
  scheduler_.environment_gone(e.hash);
  fail_environment(e.hash, e.reason);
}

void NodeCore::fail_environment(uint64_t hash, std::string_view why) {
  SUNDOG_PROBE("environments.tasks_failed");
  const std::string sentence = "its runtime environment could not be set up: " + std::string(why);
  for (uint32_t i = 0; i < tasks_.end(); ++i) {
    const TaskRecord& t = tasks_[i];
    if (!t.live || t.state != TaskState::kReady || tasks_.tmpl_of(t).runtime_env != hash) continue;
    if (t.kind == model::CallKind::kCreateActor) actors_[t.actor].setup_error = sentence;
    fail_task(i, model::ErrorKind::kRuntimeEnvSetup, sentence);
  }
}

std::string NodeCore::explain_environment(uint64_t hash, TimeNs now) const {
  const Environments::Environment* e = environments_.find(hash);
  if (e == nullptr) return {};
  using State = Environments::State;
  if (e->state == State::kPreparing)
    return "its runtime environment is being prepared since " + seconds(now - e->since);
  if (e->state == State::kQueued)
    return "its runtime environment waits for its turn since " + seconds(now - e->since) +
           ", for " + std::to_string(Environments::kPreparingMax) + " others are being prepared";
  if (e->state == State::kFailed)
    return "its runtime environment could not be set up, and is tried again soon";
  return {};
}

}  // namespace sundog::core
