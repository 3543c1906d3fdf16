#include "api/watcher.h"

#include <vector>

#include "api/session_core.h"
#include "sundog/async.h"

namespace sundog::detail {

void Watcher::watch(client::Entry* entry, std::function<void()> done) {
  uint64_t token = 0;
  {
    std::lock_guard lock(mutex_);
    if (!is_over_) {
      token = ++last_token_;
      waiting_.emplace(token, std::move(done));
      if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    }
  }
  if (token == 0) return done();
  if (!runtime_->watch(entry, token)) {
    if (auto left = take(token)) left();  // get tells why
  }
}

std::function<void()> Watcher::take(uint64_t token) {
  std::lock_guard lock(mutex_);
  auto found = waiting_.extract(token);
  return found.empty() ? nullptr : std::move(found.mapped());
}

void Watcher::run() {
  std::vector<uint64_t> tokens;
  while (runtime_->next_watched(nullptr, &tokens)) {
    for (uint64_t token : tokens) {
      if (auto done = take(token)) done();
    }
    tokens.clear();
  }
  std::map<uint64_t, std::function<void()>> left;
  {
    std::lock_guard lock(mutex_);
    is_over_ = true;
    left.swap(waiting_);
  }
  for (auto& [token, done] : left) done();
}

void Watcher::join() {
  if (thread_.joinable()) thread_.join();
}

void when_ready(SessionCore* core, const ReferencePtr& reference, std::function<void()> done) {
  if (reference == nullptr) throw TypeError("an empty ObjectRef refers to nothing");
  core->watcher().watch(reference.get(), std::move(done));
}

void when_next(SessionCore* core, const ReferencePtr& completed,
               std::function<void(ReferencePtr)> done) {
  ReferencePtr coming = coming_item(core, completed.get());
  if (coming == nullptr) return done(nullptr);
  client::Entry* entry = coming.get();
  auto take = [core, completed, coming = std::move(coming), done = std::move(done)]() mutable {
    if (core->runtime().take_item(completed->id.task, coming.get())) {
      done(std::move(coming));
    } else {  // the end, behind which nothing comes; or another thread was faster
      when_next(core, completed, std::move(done));
    }
  };
  core->watcher().watch(entry, std::move(take));
}

}  // namespace sundog::detail
