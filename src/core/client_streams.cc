// ClientCore: streams that this process consumes, and the request of one that it produces
// (docs/design/0007).
#include "base/probe.h"
#include "core/client_core.h"
#include "model/limits.h"

namespace sundog::core {
namespace {

// Taken items are told in steps, so that one that came by itself costs no message.
constexpr uint32_t kTakenStep = 64;

}  // namespace

void ClientCore::define_template(const model::DefineTemplate& definition) {
  if (definition.returns == model::Returns::kStream)
    streaming_templates_[definition.template_id] = definition.stream_items;
  emit(definition);
}

void ClientCore::define_environment(const model::DefineEnvironment& definition) {
  emit(definition);
}

// An object that we know nothing of came: it may be an item that was pushed.
void ClientCore::pushed_item(const ObjectId& id) {
  auto it = streams_.find(id.task);
  if (it == streams_.end() || id.is_put() || id.index == 0) return;
  Stream& s = it->second;
  const uint32_t item = id.index - 1;
  if (item < s.next) return;
  const size_t at = item - s.next;
  if (at >= s.ahead.size()) s.ahead.resize(at + 1, nullptr);
  if (s.ahead[at] == nullptr) s.ahead[at] = adopt(id);
}

ClientEntry* ClientCore::next_item(const TaskId& task) {
  auto it = streams_.find(task);
  if (it == streams_.end()) return nullptr;
  Stream& s = it->second;
  if (s.ahead.empty()) s.ahead.push_back(nullptr);
  if (s.ahead.front() == nullptr) s.ahead.front() = adopt({task, s.next + 1});
  s.ahead.front()->use();
  return s.ahead.front();
}

bool ClientCore::take_item(const TaskId& task, ClientEntry* entry) {
  auto it = streams_.find(task);
  if (it == streams_.end()) return false;
  Stream& s = it->second;
  if (s.ahead.empty() || s.ahead.front() != entry) return false;
  if (entry->format == model::Format::kEndOfStream) {
    close_stream(task);
    return false;
  }
  s.ahead.pop_front();
  ++s.next;
  entry->drop();  // the caller has a use of it
  // What is large, or holds the producer back, is told at once.
  const uint32_t untold = s.next - s.told;
  const bool narrow = s.window_items != 0 && untold * uint64_t{4} >= s.window_items;
  if (narrow || entry->in_extent || untold >= kTakenStep) tell_taken(task);
  return true;
}

void ClientCore::tell_taken(const TaskId& task) {
  auto it = streams_.find(task);
  if (it == streams_.end() || it->second.told == it->second.next) return;
  it->second.told = it->second.next;
  emit(model::StreamTaken{task, it->second.next, false});
}

void ClientCore::close_stream(const TaskId& task) {
  auto it = streams_.find(task);
  if (it == streams_.end()) return;
  const Stream s = std::move(it->second);
  streams_.erase(it);
  for (size_t i = 0; i < s.ahead.size(); ++i) {
    if (s.ahead[i] != nullptr) {
      s.ahead[i]->drop();
    } else {
      SUNDOG_PROBE("client.stream_closed_with_a_gap");
      removed_refs_.push_back({{task, s.next + static_cast<uint32_t>(i) + 1}, 1});
    }
  }
  emit(model::StreamTaken{task, s.next + static_cast<uint32_t>(s.ahead.size()), true});
}

uint32_t ClientCore::begin_stream_wait(const TaskId& task, uint32_t attempt, uint32_t produced,
                                       bool blocking) {
  const uint32_t request = next_request();
  open_gets_.insert(request);
  emit(model::AwaitStream{request, task, attempt, produced, blocking});
  return request;
}

}  // namespace sundog::core
