// Cancelling tasks from C++ (Session::cancel, cancel_on, stop_token). Any thread.
#include <cmath>

#include "api/session_core.h"

namespace sundog {
namespace detail {
namespace {

constexpr double kGraceSecondsMax = 1e6;

// Whether a call of an actor, which has not ended, makes the object.
bool is_call(client::Runtime* runtime, const ObjectId& id) {
  auto told = runtime->query(model::Question::kExplain, id.hex(), nullptr);
  return told.ok() && told->find("\"call\":true") != std::string::npos;
}

}  // namespace

void check_cancel(SessionCore* core, const ReferencePtr& reference, const CancelOptions& options) {
  if (reference == nullptr) throw TypeError("an empty ObjectRef refers to nothing");
  const ObjectId& id = reference->id;
  if (id.is_put())
    throw Error("object " + id.hex() + " was put: no task makes it, to be cancelled");
  const double grace = options.grace.count();
  if (!(grace >= 0) || grace > kGraceSecondsMax) {
    throw Error("the grace of a cancelling is 0 to 1e6 seconds, got " + std::to_string(grace));
  }
  if (grace > 0 && !options.force) {
    throw Error("the grace of a cancelling is for .force = true: without it no worker is killed");
  }
  if (options.force && is_call(&core->runtime(), id)) {
    throw Error(
        "force would end the actor with all its state: cancel the call without it, or end the "
        "actor with kill()");
  }
}

void send_cancel(SessionCore* core, const ReferencePtr& reference, const CancelOptions& options) {
  const auto level = options.force ? model::CancelLevel::kKill : model::CancelLevel::kInterrupt;
  const auto grace_ms = static_cast<uint32_t>(std::ceil(options.grace.count() * 1000));
  value_or_throw(core->runtime().cancel(reference.get(), level, grace_ms, options.recursive));
}

std::stop_token stop_token_of(const Call& call) { return call.session.stop_token(); }

}  // namespace detail

std::stop_token Session::stop_token() const {
  detail::CurrentCall* call = core_->current_call();
  return call == nullptr ? std::stop_token() : call->token();
}

}  // namespace sundog
