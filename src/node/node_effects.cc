// NodeShell: the core's effects.
#include "model/limits.h"
#include "node/node_shell.h"
#include "os/clock.h"
#include "os/files.h"
#include "shm/claims.h"

namespace sundog::node {

void NodeShell::decide(const core::Event& event) {
  SUNDOG_CHECK(!deciding_);
  deciding_ = true;
  step(event);
  if (!queued_.empty()) drain_queue();
  deciding_ = false;
}

// Now if nothing is being decided, else right after it.
void NodeShell::queue_event(core::Event event, std::string text) {
  queued_.push_back({std::move(event), std::move(text)});
  if (deciding_) return;
  deciding_ = true;
  drain_queue();
  deciding_ = false;
}

void NodeShell::drain_queue() {
  while (!queued_.empty()) {
    Queued next = std::move(queued_.front());
    queued_.pop_front();
    if (auto* failed = std::get_if<core::SpawnFailed>(&next.event)) failed->reason = next.text;
    if (auto* env = std::get_if<core::EnvironmentFailed>(&next.event)) env->reason = next.text;
    auto* gone = std::get_if<core::ClientGone>(&next.event);
    now_ = os::now();
    if (gone != nullptr) gone->cause.detail = next.text;
    step(next.event);
    // Its channel was needed until here: its claims tell what it had taken.
    if (gone != nullptr) drop_link(gone->client);
  }
}

// Views in the effects die with the next step, so one event is performed whole before the next.
void NodeShell::step(const core::Event& event) {
  effects_.clear();
  core_->step(now_, random_, event, &effects_);
  for (const core::Effect& effect : effects_) {
    // What each task costs goes the short way.
    if (const auto* message = std::get_if<core::ToClient>(&effect)) {
      perform(*message);
    } else if (const auto* record = std::get_if<core::RecordTask>(&effect)) {
      perform(*record);
    } else {
      std::visit([this](const auto& e) { perform(e); }, effect);
    }
  }
}

// ---------------------------------------------------------------- messages

void NodeShell::perform(const core::ToClient& e) {
  ClientLink* client = link(e.client);
  if (client == nullptr) return;
  auto* execute = std::get_if<model::Execute>(&e.message);
  if (client->state != LinkState::kAttached) {
    // The core has not heard of the end yet. Whether the task was begun is read from its claim.
    if (execute != nullptr && client->channel) offer_claim(client, *execute);
    return;
  }
  if (execute != nullptr) {
    for (const model::ArgumentView& argument : execute->refs) arena_->read(argument.value.extent);
    send_execute(client, *execute);
  } else if (auto* value = std::get_if<model::Value>(&e.message)) {
    if (value->value.in_extent()) arena_->read(value->value.extent);
    sent(client, client->write_call(*value, &encode_scratch_));
  } else if (auto* grant = std::get_if<model::Grant>(&e.message)) {
    send_grant(client, *grant);
  } else {
    send(client, e.message);
  }
}

void NodeShell::send(ClientLink* client, const model::NodeMessage& message) {
  sent(client, client->write(message, &encode_scratch_));
}

void NodeShell::cut_off(ClientLink* client) {
  disconnect(client, model::DeathCause::Kind::kKilledByUs, 0,
             "it did not read " + std::to_string(kOverflowBytesMax >> 20) +
                 " MB of messages that were sent to it");
}

void NodeShell::offer_claim(ClientLink* client, const model::Execute& message) {
  SUNDOG_CHECK(message.slot < model::kClaimSlots);
  shm::offer(client->channel.header()->claim(message.slot), message.generation);
}

void NodeShell::send_execute(ClientLink* client, const model::Execute& message) {
  offer_claim(client, message);
  if (client->label) {
    // Of several calls at once nobody knows which one prints: their actor does.
    std::string_view name = message.name;
    if (message.kind == model::CallKind::kMethod && message.concurrency > 1)
      name = name.substr(0, name.rfind('.'));
    const std::string* known = client->label->name.load();
    if (known == nullptr || *known != name)
      client->label->name.store(&*task_names_.emplace(name).first);
  }
  sent(client, client->write_call(message, &encode_scratch_));
}

// The grant waits for its pages, unless the client makes them: it does where it finds none.
void NodeShell::send_grant(ClientLink* client, const model::Grant& grant) {
  auto done = [this, id = client->id, grant](const Status& made) {
    ClientLink* then = link(id);
    if (then == nullptr || then->state != LinkState::kAttached) return;
    if (made) {
      send(then, grant);
    } else {
      grant_failed(id, grant, made.error());
    }
  };
  auto maker = client->makes_pages ? Arena::Maker::kClient : Arena::Maker::kArena;
  Arena::Room room = arena_->make_room(grant.extent.offset, grant.extent.size, done, maker);
  if (room == Arena::Room::kThere) send(client, grant);
  if (room == Arena::Room::kFailed) grant_failed(client->id, grant, "no pages could be made");
}

void NodeShell::grant_failed(ClientId id, const model::Grant& grant, const std::string& reason) {
  log_.error("no memory behind the object store", {{"bytes", grant.extent.size}, {"why", reason}});
  ClientLink* client = link(id);
  std::string sentence = "this machine has no memory left for " +
                         std::to_string(grant.extent.size) + " bytes of the object store (" +
                         reason + "); free memory or use a smaller store";
  send(client, model::Refused{grant.request, sentence});
  queue_event(core::FromClient{id, model::Abandon{grant.extent}});
}

// ---------------------------------------------------------------- the others

void NodeShell::perform(const core::RevokeClaim& e) {
  ClientLink* client = link(e.worker);
  // The channel of a dead worker stays until its end was told; what it had not claimed is ours.
  bool won = true;
  if (client != nullptr && client->channel) {
    won = shm::revoke(client->channel.header()->claim(e.slot), e.generation);
  }
  queue_event(core::ClaimRevoked{e.worker, e.slot, e.generation, won});
}

void NodeShell::perform(const core::KillClient& e) {
  ClientLink* client = link(e.client);
  if (client == nullptr || client->state != LinkState::kAttached) return;
  log_.info("client ended by us",
            {{"pid", client->pid}, {"why", e.reason}, {"client", client->id.value}});
  if (client->role == model::Role::kWorker && client->pidfd) {
    client->killed_because = e.reason;
    end_process(client);  // its pidfd tells
  } else {
    disconnect(client, model::DeathCause::Kind::kKilledByUs, 0, std::string(e.reason));
  }
}

void NodeShell::perform(const core::ExtentFreed& e) {
  arena_->freed(e.extent.offset, e.extent.size, now_);
}

void NodeShell::perform(const core::SetTimer& e) { tick_at_ = e.at; }

void NodeShell::perform(const core::RecordTask& e) {
  if (model::is_error(e.event.error.format)) failures_.note(e.event, recorder_.end());
  recorder_.record(e.event);
}

void NodeShell::perform(const core::JobSettled& e) {
  name_spaces_.erase(e.job);
  os::remove_file(described_in(e.job));
  jobs_.settled(e.job);
}

void NodeShell::perform(const core::AnswerTimeline& e) {
  ClientLink* client = link(e.client);
  if (client == nullptr || client->state != LinkState::kAttached) return;
  if (client->trace) {
    send(client, model::Reply{e.request, true, "[]"});  // one at a time
    return;
  }
  client->trace = std::make_unique<obs::ChromeTrace>(
      &recorder_, static_cast<uint32_t>(os::own_pid()), "sundog node " + options_.session);
  client->trace_request = e.request;
  serve_patient(client);
}

// ---------------------------------------------------------------- what can wait

void NodeShell::deliver_output(OutputBatch batch) {
  // C++ workers serve every job; what they print is the first driver's.
  const JobId job = batch.job.value == 0 && !drivers_.empty() ? drivers_.begin()->first : batch.job;
  ClientLink* client = driver_of(job);
  if (client == nullptr) {
    output_->passed_on(batch.job, batch.text.size());
    return;
  }
  client->outputs.push_back(std::move(batch));
  serve_patient(client);
}

// Output and timelines are written while the ring has room; the rest waits for the retry timer.
void NodeShell::serve_patient(ClientLink* client) {
  while (!client->outputs.empty() && !client->is_busy()) {
    write_output(client, client->outputs.front());
    output_->passed_on(client->outputs.front().job, client->outputs.front().text.size());
    client->outputs.pop_front();
  }
  if (client->trace && !client->is_busy()) {
    std::string chunk;
    bool more = client->trace->next(kTimelineChunkBytes, &chunk);
    send(client, model::Reply{client->trace_request, !more, chunk});
    if (!more) client->trace.reset();
  }
  mark_for_publishing(client);
}

void NodeShell::write_output(ClientLink* client, const OutputBatch& batch) {
  if (batch.is_mark) {
    send(client, model::Reply{batch.request, true, {}});
    return;
  }
  model::Output output;
  output.pid = batch.pid;
  output.is_stderr = batch.is_stderr;
  if (batch.task != nullptr) output.task_name = *batch.task;
  output.text = batch.text;
  send(client, output);
}

}  // namespace sundog::node
