// NodeCore: tasks that yield items (docs/design/0007). The next item of a stream is always there as
// a pending object that the task makes; at the task's end it becomes the end mark.
#include <algorithm>

#include "base/probe.h"
#include "core/node_core.h"

namespace sundog::core {

using model::ErrorKind;
using model::Format;

void NodeCore::begin_stream(uint32_t index) {
  TaskRecord& t = tasks_[index];
  const TaskTemplate& tmpl = tasks_.tmpl_of(t);
  StreamAmount window;
  if (tmpl.stream_items != 0) window.items = tmpl.stream_items;
  window.bytes = streams_.next_window_bytes(config_.store_bytes);
  t.stream = streams_.open(t.id, index, t.submitter, window);
  make_next_item(t.stream);
}

// The object behind the last item: counted for the consumer as a result is by Submit.
void NodeCore::make_next_item(uint32_t stream) {
  StreamRecord& s = streams_[stream];
  ObjectId id{s.id, s.produced + 1};
  s.pending = objects_.find(id);
  if (s.pending == kNoIndex) {
    s.pending = objects_.create(id, now_);
    objects_[s.pending].submitter = s.consumer;
    objects_[s.pending].producer = s.task;
  } else {
    // Somebody asked for it by its name before it could be there, and was told that it is lost.
    SUNDOG_PROBE("streams.item_was_asked_for_too_early");
  }
  if (!s.closed) objects_.add_refs(s.pending, s.consumer, 1);
}

// The pending object has its value; what is behind it is not made here.
void NodeCore::fill_next_item(uint32_t stream, const model::ValueView& value,
                              std::vector<uint32_t> contained) {
  const uint32_t object = std::exchange(streams_[stream].pending, kNoIndex);
  objects_[object].producer = kNoIndex;
  if (objects_[object].ready) {  // as lost
    if (!objects_[object].referenced()) objects_.suspect(object);
    return;
  }
  object_ready(object, value, std::move(contained));
}

bool NodeCore::accept_item(Client& c, uint32_t index, const model::ResultView& r) {
  const uint32_t stream = tasks_[index].stream;
  StreamRecord& s = streams_[stream];
  // What ends it comes behind what is there, however far this attempt came.
  const bool is_last = is_error(r.value.format);
  switch (streams_.arrive(stream, is_last ? s.produced : r.index - 1, r.value.size())) {
    case Streams::Arrival::kNew:
      break;
    case Streams::Arrival::kKnown:
      return false;
    case Streams::Arrival::kUnwanted:
      // It was told, perhaps before it began.
      send_credit(c.id, s.id, tasks_[index].attempt, true, {0, 0});
      return false;
    case Streams::Arrival::kWrong:
      violation(c, "items of a stream are missing");
      return false;
  }
  s.failed = is_last;
  if (objects_[s.pending].ready) {  // as lost, and stays so
    fill_next_item(stream, r.value, {});
    make_next_item(stream);
    return false;
  }
  model::ValueView value = r.value;
  if (value.in_extent() && !take_grant(c, value.extent)) {
    violation(c, "an item lies in memory that was not granted");
    value = {Format::kNone, {}, {}};
  }
  fill_next_item(stream, value, find_all(r.contained));
  make_next_item(stream);
  return true;
}

// The task is over: the item that will not come becomes the end mark.
void NodeCore::end_stream(uint32_t index) {
  const TaskRecord& t = tasks_[index];
  const uint32_t stream = t.stream;
  StreamRecord& s = streams_[stream];
  const ObjectRecord& end = objects_[t.results()[0]];
  if (!s.closed && !s.failed && is_error(end.format)) {
    std::string bytes = end.bytes;
    Format format = end.format;
    if (!end.extent.empty()) {
      format = Format::kSystemError;
      bytes = config_.encode_error({ErrorKind::kTaskCancelled, t.id, tasks_.tmpl_of(t).title,
                                    "it failed; get() of completed() shows the error"});
    }
    model::ValueView error{format, {}, as_bytes(bytes)};
    streams_.arrive(stream, s.produced, bytes.size());
    fill_next_item(stream, error, {});
    make_next_item(stream);
  }
  model::ValueView mark;
  mark.format = Format::kEndOfStream;
  fill_next_item(stream, mark, {});
  s.waiting = false;
  streams_.end(stream);
  tasks_[index].stream = kNoIndex;
  streams_.forget_if_over(stream);
}

// ---------------------------------------------------------------- the consumer

void NodeCore::on_message(Client& c, const model::StreamTaken& m) {
  uint32_t stream = streams_.find(m.task);
  if (stream == kNoIndex || streams_[stream].consumer != c.id || streams_[stream].closed) return;
  if (!m.closed) {
    streams_.take(stream, m.taken);
    return resume_producer(stream);
  }
  // One object more than there are items: the pending one, or the end mark.
  const StreamRecord& s = streams_[stream];
  for (uint64_t item = m.taken; item <= s.produced; ++item) {
    uint32_t object = objects_.find({s.id, static_cast<uint32_t>(item + 1)});
    if (object != kNoIndex) objects_.drop_refs(object, c.id, 1);
  }
  close_stream(stream);
}

// A consumer that is gone counts nothing any more: its references went with it.
void NodeCore::close_streams_of(ClientId consumer) {
  for (uint32_t stream : streams_.of_consumer(consumer)) {
    SUNDOG_PROBE("streams.consumer_gone");
    close_stream(stream);
  }
}

void NodeCore::close_stream(uint32_t stream) {
  StreamRecord& s = streams_[stream];
  streams_.take(stream, s.produced);
  streams_.close(stream);
  if (s.ended) return streams_.forget_if_over(stream);
  const uint32_t task = s.task;
  const TaskRecord& t = tasks_[task];
  if (t.state == TaskState::kOffered || t.state == TaskState::kRevoking) {
    SUNDOG_PROBE("streams.producer_told_to_end");
    if (scheduler_.worker(t.worker) != nullptr)
      send_credit(t.worker, t.id, t.attempt, true, {0, 0});
    return resume_producer(stream);
  }
  SUNDOG_PROBE("streams.closed_before_it_began");
  fail_task(task, ErrorKind::kTaskCancelled, "its generator was closed before it began");
}

bool NodeCore::is_unwanted(const TaskRecord& t) const {
  return t.stream != kNoIndex && streams_[t.stream].closed;
}

// ---------------------------------------------------------------- the producer

void NodeCore::send_credit(ClientId producer, const TaskId& task, uint32_t attempt, bool closed,
                           const StreamAmount& amount) {
  send(producer, model::StreamCredit{task, attempt, closed, amount.items, amount.bytes});
}

void NodeCore::on_message(Client& c, const model::AwaitStream& m) {
  if (waits_.find(c.id, m.request) != kNoIndex) return violation(c, "a get's number is in use");
  uint32_t get = waits_.create(c.id, m.request);
  waits_[get].missing = 1;
  waits_[get].since = now_;
  uint32_t stream = streams_.find(m.task);
  const bool current = stream != kNoIndex && !streams_[stream].ended &&
                       tasks_[streams_[stream].task].worker == c.id &&
                       tasks_[streams_[stream].task].attempt == m.attempt;
  if (!current) {
    send_credit(c.id, m.task, m.attempt, true, {0, 0});
    return end_wait(get);
  }
  StreamRecord& s = streams_[stream];
  s.waiting = true;
  s.producer = c.id;
  s.request = m.request;
  s.attempt_produced = m.produced;
  resume_producer(stream);
  if (!s.waiting) return;
  SUNDOG_PROBE("streams.producer_waits");
  if (!m.blocking) return;
  waits_[get].blocking = true;
  scheduler_.block(c.id, &actions_);
  perform_all();
}

// Answers the producer, if it waits and may go on.
void NodeCore::resume_producer(uint32_t stream) {
  StreamRecord& s = streams_[stream];
  if (!s.waiting || (!s.ended && !streams_.may_go_on(stream, s.attempt_produced))) return;
  s.waiting = false;
  uint32_t get = waits_.find(s.producer, s.request);
  if (get == kNoIndex) return;  // it gave up, or is gone
  const uint32_t attempt = s.task == kNoIndex ? 0 : tasks_[s.task].attempt;
  send_credit(s.producer, s.id, attempt, s.closed, streams_.credit(stream, s.attempt_produced));
  end_wait(get);
}

std::string NodeCore::explain_stream(const TaskRecord& t) const {
  if (t.stream == kNoIndex || !streams_[t.stream].waiting) return {};
  const StreamRecord& s = streams_[t.stream];
  return ": for its consumer, who has not taken " + std::to_string(s.produced - s.taken) +
         " items (" + std::to_string(s.untaken_bytes) + " bytes)";
}

}  // namespace sundog::core
