// NodeCore: everything that a node's daemon decides (DESIGN section 3).
//
//   step(now, random, event, effects)
//
// Pure: no clock, no I/O, no threads; equal events give equal effects. It composes the machines:
//   TaskTable       specifications and states of tasks        core/tasks/task_table.h
//   Streams         items of tasks that yield, and credit     core/tasks/streams.h
//   ObjectTable     values, references, pins, allocator       core/objects/object_table.h
//   WaitTable       who waits for which objects               core/objects/wait_table.h
//   LocalScheduler  which task runs where                     core/sched/local_scheduler.h
//   ActorTable      actors and the calls that wait for them   core/actors/actor_table.h
//   NameTable       names of actors                           core/actors/name_table.h
//   PlacementGroups resources reserved for calls              core/sched/placement_groups.h
//   Cancelling      tasks that are to end, and when    core/tasks/cancelling.h
//   Environments    runtime environments, prepared or not     core/sched/environments.h
//   StoreAdmission  who waits for room in the store           core/objects/store_admission.h
// and is itself the only place where an effect of one becomes an event of another.
//
// Implementation: node_core.cc (step, clients, jobs), node_tasks.cc (life of a task),
// node_objects.cc (values, references, waits), node_actors.cc and node_actor_calls.cc (actors,
// their calls and names), node_streams.cc (tasks that yield), node_cancel.cc (cancelling),
// node_environments.cc (runtime environments), node_groups.cc (placement groups),
// node_report.cc, node_actor_report.cc and node_lists.cc (explain, dump, status, lists).
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/random.h"
#include "core/actors/actor_table.h"
#include "core/actors/name_table.h"
#include "core/events.h"
#include "core/node_cluster.h"
#include "core/objects/object_table.h"
#include "core/objects/store_admission.h"
#include "core/objects/wait_table.h"
#include "core/sched/environments.h"
#include "core/sched/local_scheduler.h"
#include "core/tasks/cancelling.h"
#include "core/tasks/streams.h"
#include "core/tasks/task_table.h"
#include "model/errors.h"

namespace sundog::core {

// Bytes of a Format::kSystemError value; the layout belongs to src/wire, so the shell brings it.
using ErrorEncoder = std::function<std::string(const model::SystemError&)>;

struct NodeConfig {
  NodeId node;
  std::string session;
  std::vector<std::pair<std::string, int64_t>> resources;  // 1/10000, "CPU" among them
  uint64_t store_bytes = 0;
  ErrorEncoder encode_error;
};

// The error among the results of an attempt that failed, if it lies in the message.
inline model::ValueView error_in(std::span<const model::ResultView> results) {
  for (const auto& r : results)
    if (model::is_error(r.value.format)) return r.value;
  return {};
}

// One attached process.
struct Client {
  bool live = false;
  ClientId id;
  model::Role role = model::Role::kDriver;
  JobId job;
  uint32_t pid = 0;
  std::vector<uint32_t> templates;     // client's number -> TaskTable's
  std::vector<model::Extent> grants;   // lent and not sealed yet
  uint64_t pushed_bytes = 0;           // unasked and not acknowledged
  uint32_t actor = kNoIndex;           // whose process it is
  uint64_t runtime_env = 0;            // of a worker
  std::map<ObjectId, uint32_t> calls;  // of functions with max_calls
};

struct Job {
  ClientId driver;
  bool ended = false;
  uint32_t detached = 0;       // actors that outlive it
  std::vector<uint32_t> held;  // functions, until the job ends
};

class NodeCore {
 public:
  explicit NodeCore(NodeConfig config);

  // Appends to *effects what the shell is to do. Views in them live until the next step.
  void step(TimeNs now, Random& random, const Event& event, Effects* effects);

  // ---- as part of a cluster; without join_cluster() there is none
  void join_cluster(const ClusterConfig& config);
  void step_peer(TimeNs now, Random& random, const PeerEvent& event, Effects* effects);
  // To be performed after the effects of each step, of either kind.
  PeerEffects take_peer_effects() { return cluster_ ? cluster_->take_effects() : PeerEffects{}; }
  const NodeCluster* cluster() const { return cluster_.get(); }

  // ---- questions, without side effects
  std::string dump_json() const;
  std::string status_json() const;
  std::string memory_json() const;
  // Why the object is, or is not, ready: {"ready":…, "reason":"…", "chain":[…]}.
  std::string explain_json(const ObjectId& id, TimeNs now) const;
  // Of tasks that live, a page from a number on, or one task; with the templates that it names.
  std::string tasks_json(std::string_view argument) const;
  std::string processes_json() const;
  std::string environments_json() const;
  // Writes what calls of a template share, as an object.
  void describe_template(uint32_t tmpl, JsonWriter* j) const;

  // The empty string, or the invariant that does not hold.
  std::string validate() const;

  const ObjectTable& objects() const { return objects_; }
  const TaskTable& tasks() const { return tasks_; }
  const WaitTable& waits() const { return waits_; }
  const LocalScheduler& scheduler() const { return scheduler_; }
  const ActorTable& actors() const { return actors_; }
  const NameTable& names() const { return directory_; }
  const Streams& streams() const { return streams_; }
  const Environments& environments() const { return environments_; }

 private:
  friend class NodeCluster;

  // ---- events (node_core.cc)
  void on(const ClientConnected& e);
  void on(const ClientGone& e);
  void on(const ClaimRevoked& e);
  void on(const SpawnFailed& e);
  void on(const Tick& e);
  void on(const Prestart& e);
  void on(const WorkersWarm& e);
  void on(const FromClient& e);
  void end_job(JobId job);
  void settle_ended_job(JobId job);
  void begin_step(TimeNs now, Effects* effects);
  void finish_step();
  void settle_objects() {
    if (!arguments_there_.empty() || objects_.has_suspects() || objects_.has_freed_handles())
      settle_all_objects();
  }
  void settle_all_objects();
  void set_timer();
  void perform(const Action& action);
  void perform_all();
  void forget_kept();

  // ---- messages (node_tasks.cc)
  void on_message(Client& c, const model::DefineTemplate& m);
  void on_message(Client& c, const model::Submit& m);
  void on_message(Client& c, const model::Results& m);
  void on_message(Client& c, const model::Done& m);
  void arguments_ready(uint32_t task);
  bool argument_failed(uint32_t task) {
    return tasks_[task].num_refs > 0 && some_argument_failed(task);
  }
  bool some_argument_failed(uint32_t task);
  uint32_t template_for(uint32_t index, JobId id) {
    return tasks_.tmpl(index).job == id ? index : template_in_job(index, id);
  }
  uint32_t template_in_job(uint32_t index, JobId id);
  void take_back_results(Client& c, std::span<const uint32_t> results);
  void assign(const Action& action);
  bool accept_results(Client& c, uint32_t task, std::span<const model::ResultView> results);
  void discard_results(Client& c, std::span<const model::ResultView> results);
  void worker_crashed(uint32_t task, const model::DeathCause& cause, uint32_t pid);
  void fail_task(uint32_t task, model::ErrorKind kind, std::string_view sentence);
  void fail_task_with(uint32_t task, model::Format format, std::string_view bytes);
  void retry(uint32_t task);
  void finish_task(uint32_t task);
  void release_task(uint32_t task);
  void record(TaskRecord& t, model::Outcome outcome, uint32_t pid, TimeNs started, TimeNs finished,
              const model::ValueView& error = {});
  void record_unbegun(uint32_t task, model::Outcome outcome, model::Format format,
                      std::string_view error);
  std::string missing_node(const TaskTemplate& t) const;
  bool is_unplaceable(uint32_t task);
  bool lacks_cpp_worker(const TaskTemplate& tmpl) const;

  // ---- tasks that yield items (node_streams.cc)
  void on_message(Client& c, const model::StreamTaken& m);
  void on_message(Client& c, const model::AwaitStream& m);
  void begin_stream(uint32_t task);
  void make_next_item(uint32_t stream);
  void fill_next_item(uint32_t stream, const model::ValueView& value,
                      std::vector<uint32_t> contained);
  // False if it is to be discarded.
  bool accept_item(Client& c, uint32_t task, const model::ResultView& r);
  void end_stream(uint32_t task);
  void close_stream(uint32_t stream);
  void close_streams_of(ClientId consumer);
  void resume_producer(uint32_t stream);
  void send_credit(ClientId producer, const TaskId& task, uint32_t attempt, bool closed,
                   const StreamAmount& amount);
  bool is_unwanted(const TaskRecord& t) const;
  std::string explain_stream(const TaskRecord& t) const;
  // ---- cancelling (node_cancel.cc)
  void on_message(Client& c, const model::CancelTask& m);
  // The task and, if `recursive`, what it submitted; `root` may be a driver's own.
  void cancel_tree(const TaskId& root, CancelRequest request, bool recursive);
  void cancel_one(uint32_t task, CancelRequest request);
  void fail_cancelled(uint32_t task, CancelReason reason, bool ran);
  void claim_was_kept(uint32_t task);
  void cancel_what_is_due();
  void cancelled_task_done(Client& c, uint32_t task, const model::Done& m);
  void retire_worker(ClientId worker);
  void settle_retiring();
  void end_deadline(uint32_t task);
  void count_call(Client& c, const TaskTemplate& tmpl);

  // ---- runtime environments (node_environments.cc)
  void on_message(Client& c, const model::DefineEnvironment& m);
  void on(const EnvironmentReady& e);
  void on(const EnvironmentFailed& e);
  void want_environment(uint64_t hash);
  void environments_due();
  void perform(const EnvironmentOrders& orders);
  // Its tasks that wait for a worker fail.
  void fail_environment(uint64_t hash, std::string_view why);
  std::string explain_environment(uint64_t hash, TimeNs now) const;
  // ---- placement groups (node_groups.cc)
  void on_message(Client& c, const model::CreatePlacementGroup& m);
  void on_message(Client& c, const model::RemovePlacementGroup& m);
  // The placement group that a task runs in, and whether what it submits does too. A client
  // without such a task stands for its actor.
  struct Surroundings {
    TaskId group;
    bool captures = false;
  };
  Surroundings surroundings_of(const Client& c, uint32_t task) const;
  // False, and the task has failed, if it cannot run in the group that it is to run in.
  bool join_group(const Client& c, uint32_t task, uint32_t parent);
  void fail_outside(uint32_t task, model::ErrorKind kind, const std::string& sentence);
  bool reserve_groups();  // true: some are ready now
  void remove_group(uint32_t group, std::string_view why);
  void remove_groups_of(JobId job);
  std::string group_label(const PlacementGroup& group) const;  // "placement group 'x' (3f2a9c01)"
  std::string describe_amounts(const model::ResourceSet& amounts) const;  // "2 CPU and 1 GPU"
  std::string why_group_waits(const PlacementGroup& group) const;
  std::string explain_in_group(const TaskRecord& t) const;
  std::string groups_json(const Client& c, std::string_view argument) const;

  // ---- messages (node_objects.cc)
  void on_message(Client& c, const model::Put& m);
  void on_message(Client& c, const model::Allocate& m);
  void on_message(Client& c, const model::Abandon& m);
  void on_message(Client& c, const model::Get& m);
  void on_message(Client& c, const model::EndGet& m);
  void on_message(Client& c, const model::AddRefs& m);
  void on_message(Client& c, const model::DropRefs& m);
  void on_message(Client& c, const model::Unpin& m);
  void on_message(Client& c, const model::Credit& m);
  void on_message(Client& c, const model::Query& m);

  uint32_t find_or_lost(const ObjectId& id);
  std::vector<uint32_t> find_all(std::span<const ObjectId> ids);
  bool take_grant(Client& c, const model::Extent& used);
  void object_ready(uint32_t object, const model::ValueView& value,
                    std::vector<uint32_t> contained);
  void deliver(uint32_t get, uint32_t object);
  void push_to_submitter(uint32_t object, bool already_sent);
  void send_value(Client& c, uint32_t object, bool pushed);
  void end_wait(uint32_t get);
  void mark_awaited(uint32_t object);

  // ---- actors: their life (node_actors.cc)
  // Why an actor is dead: the sentence, and the error that led to it, if one did.
  struct ActorCause {
    std::string sentence;
    model::Format format = model::Format::kInvalid;
    std::string bytes;
    model::ErrorKind kind = model::ErrorKind::kActorDied;
  };
  void on_message(Client& c, const model::KillActor& m);
  void begin_actor(uint32_t creation);
  void actor_creating(const Action& action);
  void creation_done(Client& c, uint32_t creation, const model::Done& m);
  void creation_failed(uint32_t creation, model::Format format, std::string_view bytes);
  void creation_crashed(uint32_t creation, const model::DeathCause& cause, uint32_t pid,
                        bool claimed);
  void creation_finished(uint32_t creation);
  void create_again(uint32_t actor);
  void actor_process_gone(uint32_t actor, std::span<const uint32_t> offered,
                          const model::DeathCause& cause);
  bool handles_gone();  // true: some were
  // From now on calls fail with `cause`; those that wait do at once.
  void bury(uint32_t actor, ActorCause cause);
  // The same, and its creation ends if it is not with a worker.
  void end_actor(uint32_t actor, ActorCause cause);
  void stop_actor_process(uint32_t actor, std::string_view reason);
  void kill_actor_process(uint32_t actor, std::string_view reason);
  void kill_stopped_too_long();
  static constexpr uint32_t kEnvironmentStartsMax = 3;   // failed starts in a row
  static constexpr DurationNs kStopGrace = 2 * kSecond;  // after Stop; then it is killed
  void forget_actor_if_over(uint32_t actor);
  bool keeps_on(const Client& worker) const;

  // ---- actors: calls and names (node_actor_calls.cc)
  void on_message(Client& c, const model::ClaimName& m);
  void on_message(Client& c, const model::BindName& m);
  void on_message(Client& c, const model::FindName& m);
  void begin_call(uint32_t call, const ObjectId& handle);
  bool choose_group(uint32_t call);
  void offer_calls();
  void call_orphan_told(uint32_t call, bool claimed, const model::DeathCause& cause, uint32_t pid);
  void fail_call(uint32_t call);
  std::string death_sentence(const ActorRecord& actor) const;
  std::string death_error(uint32_t actor, uint32_t task) const;
  void send_answers(const NameTable::Answers& answers);
  void unname(ActorRecord* actor);

  void serve_admission();
  void grant(const StoreAdmission::Request& r, uint64_t offset);
  bool something_may_release(ClientId asker) const;

  // ---- small tools
  Client* client(ClientId id) {
    const uint32_t i = id.index();
    if (i >= clients_.size() || !clients_[i].live || clients_[i].id != id) return nullptr;
    return &clients_[i];
  }
  const Client* client(ClientId id) const;
  Job& job(JobId id) { return jobs_[id]; }
  // Whether the task's job has ended and it with it.
  bool is_over(const TaskRecord& t) const { return ended_jobs_ != 0 && is_over_with_its_job(t); }
  bool is_over_with_its_job(const TaskRecord& t) const;
  // Whether the client may make ids of this job: its own, or any for workers that serve all.
  bool speaks_for(const Client& c, JobId id) const;
  template <typename Message>
  void send(ClientId to, const Message& message) {
    effects_->emplace_back(std::in_place_type<ToClient>, to, std::in_place_type<Message>, message);
  }
  // A message to be filled in before the next effect. It is built where it stays.
  template <typename Message>
  Message& begin_message(ClientId to) {
    effects_->emplace_back(std::in_place_type<ToClient>, to, std::in_place_type<Message>);
    return *std::get_if<Message>(&std::get_if<ToClient>(&effects_->back())->message);
  }
  void notice(JobId job, uint8_t severity, std::string text);
  // The client broke the protocol: it is ended, with the sentence in the log.
  void violation(Client& c, std::string what);
  // Until the next step.
  std::string_view keep(std::string text);
  std::span<const uint32_t> keep(std::vector<uint32_t> numbers);
  std::string task_label(const TaskRecord& t) const;  // "f (task 3f2a…)"
  static std::string seconds(DurationNs duration);    // "2.1 s"
  std::string describe_cause(const model::DeathCause& cause, uint32_t pid,
                             std::string_view who = "worker") const;
  std::string missing_resources(const TaskTemplate& t) const;
  void explain_task(uint32_t task, TimeNs now, std::vector<std::string>* chain) const;
  void explain_call(uint32_t call, TimeNs now, std::vector<std::string>* chain) const;
  void explain_running(uint32_t task, const Worker& worker, TimeNs now,
                       std::vector<std::string>* chain) const;
  std::string actor_label(const ActorRecord& actor) const;  // "Counter (actor 3f2a…, pid 7)"
  uint32_t pending_calls(std::string_view handle, ClientId caller) const;
  std::string actors_json() const;
  std::string names_json(std::string_view name_space) const;
  void write_live(uint32_t task, JsonWriter* j) const;

  NodeConfig config_;
  model::ResourceNames names_;
  TaskTable tasks_;
  Streams streams_;
  ObjectTable objects_;
  WaitTable waits_;
  LocalScheduler scheduler_;
  ActorTable actors_;
  NameTable directory_;
  StoreAdmission admission_;
  Cancelling cancelling_;
  Environments environments_;
  std::set<ClientId> retiring_;           // workers that end when what they run has ended
  std::unique_ptr<NodeCluster> cluster_;  // null in a session of one node
  std::vector<Client> clients_;           // by client index
  std::map<JobId, Job> jobs_;
  uint32_t ended_jobs_ = 0;  // of jobs_

  // Tasks of dead workers whose claim is still to be told: (worker, slot) -> task.
  struct Orphan {
    uint32_t task = kNoIndex;
    uint32_t pid = 0;
    model::DeathCause::Kind kind = model::DeathCause::Kind::kDisconnected;
    int32_t code = 0;
    std::string detail;
  };
  std::map<std::pair<ClientId, uint32_t>, Orphan> orphans_;
  // Processes of actors that were told to stop, and when their grace ends; in that order.
  std::deque<std::pair<TimeNs, ClientId>> stopping_;
  std::vector<JobId> to_settle_;  // ended jobs whose last detached actor is dead

  // ---- valid during one step
  TimeNs now_ = 0;
  Effects* effects_ = nullptr;
  Actions actions_, spare_actions_;
  std::vector<model::Extent> freed_;
  std::vector<uint32_t> arguments_there_;  // tasks whose last argument came; a list, not recursion
  std::deque<std::string> kept_text_;
  std::deque<std::vector<model::ArgumentView>> kept_arguments_;
  std::deque<std::vector<uint32_t>> kept_numbers_;
  std::deque<std::vector<TaskId>> kept_inputs_;
  bool kept_something_ = false;
  TimeNs timer_at_ = kNever;
};

}  // namespace sundog::core
