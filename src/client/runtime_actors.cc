// Killing and naming actors. See runtime_impl.h.
#include "client/runtime_impl.h"

namespace sundog::client {

CallResult<Unit> RuntimeImpl::kill_actor(Entry* actor, bool no_restart) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  if (auto error = check_entries(std::span(&actor, 1))) return Failure{*error};
  core_.send(model::KillActor{actor->id, no_restart});
  return Unit{};
}

// ---------------------------------------------------------------- names

template <typename Request>
CallResult<NameAnswer> RuntimeImpl::ask_for_name(std::string_view name_space, std::string_view name,
                                                 Yielder* yielder) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  Waiter waiter;
  waiter.request = core_.next_request();
  core_.send(Request{waiter.request, name_space, name});
  WaitEnd end = wait_for(&waiter, operation.lock(), kNever, yielder);
  if (end == WaitEnd::kDone) return std::move(waiter.named);
  if (std::is_same_v<Request, model::ClaimName> && end == WaitEnd::kInterrupted) {
    unwanted_claims_[waiter.request] = {std::string(name_space), std::string(name)};
  }
  return Failure{wait_error(end, "no answer")};
}

CallResult<NameAnswer> RuntimeImpl::claim_name(std::string_view name_space, std::string_view name,
                                               Yielder* yielder) {
  return ask_for_name<model::ClaimName>(name_space, name, yielder);
}

CallResult<NameAnswer> RuntimeImpl::find_name(std::string_view name_space, std::string_view name,
                                              Yielder* yielder) {
  return ask_for_name<model::FindName>(name_space, name, yielder);
}

CallResult<Unit> RuntimeImpl::bind_name(std::string_view name_space, std::string_view name,
                                        Entry* actor, Entry* descriptor) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  model::BindName message{name_space, name, {}, {}};
  if (actor != nullptr) {
    Entry* entries[] = {actor, descriptor};
    if (auto error = check_entries(entries)) return Failure{*error};
    message.actor = actor->id;
    message.descriptor = descriptor->id;
  }
  core_.send(message);
  return Unit{};
}

void RuntimeImpl::take_name(const model::NameReply& message) {
  NameAnswer answer;
  answer.status = message.status;
  if (message.status == model::NameStatus::kFound) {
    answer.actor = RefHandle(core_.adopt(message.actor));
    answer.descriptor = RefHandle(core_.adopt(message.descriptor));
  }
  auto given_up = unwanted_claims_.extract(message.request);
  if (Waiter* waiter = find_waiter(message.request)) {
    waiter->named = std::move(answer);
    finish(waiter);
  } else if (!given_up.empty() && message.status == model::NameStatus::kReserved) {
    unwanted_names_.push_back(std::move(given_up.mapped()));  // nothing is sent while draining
  }
}

void RuntimeImpl::give_names_back() {
  for (const FullName& name : unwanted_names_) {
    core_.send(model::BindName{name.name_space, name.name, {}, {}});
  }
  unwanted_names_.clear();
}

}  // namespace sundog::client
