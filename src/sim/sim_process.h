// SimProcess: a model of a driver or worker process. It speaks the real messages through the real
// codec, keeps counts and pins by the rules of model/messages.h, and may be killed between any two
// of its actions: what was published is delivered, the rest is gone.
//
// Owned by SimNode; single-threaded under virtual time.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "core/events.h"
#include "core/tasks/streams.h"
#include "model/limits.h"
#include "sim/coroutine.h"
#include "sim/oracle.h"
#include "wire/codec.h"

namespace sundog::sim {

class SimNode;

// What is known here of an object's value.
struct LocalValue {
  bool is_error = false;
  uint64_t content = 0;  // Oracle's number; 0 for errors of the runtime
  bool is_end = false;   // of a stream
};
// A mapping of an extent, with the pins that keep it.
struct LocalView {
  model::Extent extent;
  uint64_t content = 0;
  uint32_t pins = 0;
};
struct OwnedArgument {
  ObjectId id;
  model::Extent extent;  // empty: inline
  uint64_t content = 0;  // of an inline value; an extent may be read only after the claim
};
struct OwnedExecute {
  uint32_t slot = 0, generation = 0, attempt = 0, num_results = 1;
  TaskId task;
  ObjectId function;
  bool retry_exceptions = false;
  model::CallKind kind = model::CallKind::kTask;
  ObjectId actor;
  std::string method;
  uint16_t group = 0;
  uint32_t concurrency = 1;
  std::vector<OwnedArgument> refs;
  std::vector<ObjectId> contained;  // as the arguments' bytes name them
  uint64_t seed = 0;
  uint32_t depth = 0;
  model::Returns returns = model::Returns::kFixed;
  core::StreamAmount credit;  // of a stream
  bool unwanted = false;      // its consumer closed it
};

// Runtime environments of model tasks: one can be built, one never.
constexpr uint64_t kGoodEnvironment = 7, kBrokenEnvironment = 13;
constexpr uint32_t kEnvironmentTemplates = 900;  // template of environment 7 is 907

enum class Wake : uint8_t { kMessage, kTimeout };

class SimProcess {
 public:
  SimProcess(SimNode* node, const core::ClientConnected& who, Random random);
  SimProcess(const SimProcess&) = delete;

  void start();  // runs its program: driver_program or worker_program
  void receive(wire::RecordType type, const std::vector<std::byte>& payload);
  // The process stops at once: what it sent before is on its way.
  void kill(const core::ClientGone& gone);
  void remove_group(const TaskId& id);
  void hears_of_removal(const TaskId& id);

  const core::ClientConnected& who() const { return who_; }
  bool alive() const { return alive_; }
  bool finished() const { return finished_; }
  bool runs_task() const { return running_.has_value(); }
  const TaskId& running_task() const { return running_->task; }
  bool is_blocked() const { return blocked_; }
  bool has_blocked() const { return has_blocked_; }
  // The core asked for a task back in vain: it goes on behind one that blocked, unplanned.
  void contested() { contested_ = true; }
  // Of the task that runs and, for an actor's process, what it keeps.
  int64_t running_cpu() const { return running_cpu_ + kept_cpu_; }
  int64_t running_gpu() const { return running_gpu_ + kept_gpu_; }
  // The placement group, and its bundle or -1, whose resources those are; nil: none.
  const TaskId& group() const { return group_; }
  int32_t bundle() const { return bundle_; }
  const ObjectId& actor() const { return actor_; }
  const std::map<ObjectId, LocalView>& views() const { return views_; }
  const std::map<uint64_t, model::Extent>& grants() const { return grants_; }
  uint32_t& claim_word(uint32_t slot) {
    if (slot >= claims_.size()) claims_.resize(slot + 1);
    return claims_[slot];
  }
  std::string describe() const;        // who
  std::string describe_state() const;  // and what it does

 private:
  friend struct Suspend;
  struct Handle {
    uint32_t handles = 0;
    uint32_t counted = 0;  // by the daemon, for us
  };

  // ---- programs (sim_programs.cc)
  Co<bool> driver_program();
  Co<bool> worker_program();
  Co<bool> rival_program();  // sim_rivals.cc
  Co<bool> run_task(OwnedExecute e);
  // Writes the results of the running task and says Done. `own`: refs that may go into results.
  Co<bool> produce_results(std::vector<ObjectId> own, bool raised);
  bool claim(const OwnedExecute& e);
  // Begins other calls that may run at once with those that do.
  void claim_more();
  void end_task(const model::Done& done, bool raised);
  // One random action of a driver or a task at nesting `depth`; new handles go to *own.
  Co<bool> random_step(uint32_t depth, std::vector<ObjectId>* own);
  void keep_some(std::vector<ObjectId>* own);
  Co<bool> random_get(std::vector<ObjectId>* own, bool values);
  Co<bool> get(std::vector<ObjectId> ids, uint32_t num_ready, bool values, DurationNs timeout);
  Co<bool> sleep(DurationNs duration);
  // False: no room will come.
  Co<bool> allocate(uint64_t size, model::Extent* extent);
  Co<bool> put_value(uint64_t size, std::vector<ObjectId> contained, std::vector<ObjectId>* own);
  void submit(uint32_t depth, std::vector<ObjectId>* own);
  void cancel_one(const std::vector<ObjectId>& own);
  // Any call: the message, what the oracle is to know of it, and its results in *own.
  TaskId send_submit(model::Submit submit, TaskFacts facts, uint32_t depth,
                     std::vector<ObjectId>* own);
  void define_templates();
  void define_environments();
  void put_functions();
  ObjectId function_id(uint32_t number) const;

  // ---- actors (sim_actors.cc)
  void define_actor_templates();
  Co<bool> actor_step(std::vector<ObjectId>* own);
  Co<bool> named_step(std::vector<ObjectId>* own);
  // Nil if it may not make one now.
  ObjectId make_actor(bool may_be_detached, std::vector<ObjectId>* own);
  void call_actors(std::vector<ObjectId>* own);
  void kill_an_actor(const std::vector<ObjectId>& own);
  std::vector<ObjectId> actors_in(const std::vector<ObjectId>& own) const;
  bool check_actor(const OwnedExecute& e);
  Co<bool> run_leaf(std::vector<ObjectId>* own);  // what a method does
  Co<bool> tool_program();

  // ---- placement groups (sim_groups.cc)
  Co<bool> group_step(uint32_t depth, std::vector<ObjectId>* own);
  void make_group(std::vector<ObjectId>* own);
  void submit_into(const TaskId& group, uint32_t depth, std::vector<ObjectId>* own);
  void make_actor_in(const TaskId& group, std::vector<ObjectId>* own);
  uint32_t define_in(const TaskId& group, model::DefineTemplate define, TaskFacts* facts);
  Co<bool> await_group(const TaskId& group);
  // Its time is over, whatever became of the process that made it.
  void group_expires(const TaskId& id);
  // In which group a call will run, and whether it can.
  void surround(TaskFacts* facts) const;

  // ---- streams (sim_streams.cc)
  void define_stream_templates();
  // Calls a generator and takes some or all of its items, at once.
  Co<bool> stream_step(std::vector<ObjectId>* own, TaskId group = {});
  Co<bool> consume(TaskId task, std::vector<ObjectId>* own);
  void close_stream(const TaskId& task, uint32_t from);
  // Yields the items of the running task. False: it raises; what it has yielded is counted.
  Co<bool> yield_items(std::vector<ObjectId> own);
  Co<bool> yield_item(uint32_t item, std::vector<ObjectId> contained);
  Co<bool> await_credit(uint32_t produced);

  // ---- references and values (sim_process.cc)
  void hold(const ObjectId& id);    // one more handle; counted at the daemon if it was not
  void adopt(const ObjectId& id);   // one handle, counted already by Submit or Put
  void let_go(const ObjectId& id);  // the count is given back by a later flush()
  void flush();
  void let_go_all(const std::vector<ObjectId>& ids);
  void open(const ObjectId& id, std::vector<ObjectId>* inner);
  void drop_some_views(bool all);
  void check_view(const ObjectId& id, const LocalView& view);
  void take_value(const model::Value& v);
  void add_view(const ObjectId& id, const model::Extent& extent, uint64_t content);
  uint64_t read_content(const model::ValueView& value) const;
  std::vector<ObjectId> pick(const std::vector<ObjectId>& from, uint64_t most);
  std::vector<ObjectId> held_ids() const;

  void send(const model::ClientMessage& message);
  void wake(Wake why);
  void finish(int32_t exit_code);

  SimNode* node_;
  core::ClientConnected who_;
  Random random_;
  Co<bool> program_;
  std::coroutine_handle<> waiter_;
  Wake woken_by_ = Wake::kMessage;
  uint64_t sleep_number_ = 0;
  bool alive_ = true, finished_ = false, stop_ = false;

  std::map<ObjectId, Handle> handles_;
  std::set<ObjectId> unflushed_;
  std::map<ObjectId, LocalValue> values_;
  std::set<ObjectId> ready_;
  std::map<ObjectId, LocalView> views_;
  std::set<uint32_t> waited_;  // requests whose Waited came
  std::map<uint32_t, std::optional<model::Extent>> granted_;
  std::map<uint64_t, model::Extent> grants_;  // not sealed; by offset
  std::vector<ObjectId> waits_for_;           // for people
  std::set<uint32_t> wants_room_;
  std::vector<ObjectId> kept_;  // refs that tasks left in the process, as in a global variable
  uint64_t credit_ = 0;
  uint32_t last_request_ = 0;
  uint64_t calls_ = 0;
  bool functions_put_ = false;
  std::deque<OwnedExecute> queue_;
  std::optional<OwnedExecute> running_;
  std::vector<OwnedExecute> begun_;  // claimed and not run yet: to the core they run
  uint32_t yielded_ = 0;             // items of the running task
  model::CancelLevel cancelled_ = model::CancelLevel::kQueued;  // what running_ was told
  bool blocked_ = false, has_blocked_ = false, contested_ = false;
  int64_t running_cpu_ = 0, running_gpu_ = 0;
  TimeNs running_since_ = 0;
  ObjectId actor_;  // whose constructor began here
  bool constructed_ = false, exiting_ = false, ignores_stop_ = false;
  int64_t kept_cpu_ = 0, kept_gpu_ = 0;
  std::map<uint32_t, model::NameReply> name_replies_;
  std::vector<TaskId> groups_;  // made here and not removed
  uint32_t group_templates_ = 0;
  TaskId group_;  // that pays for what runs here, or ran last
  int32_t bundle_ = -1;
  std::vector<uint32_t> claims_;
  std::vector<std::byte> encode_buffer_;
  wire::DecodeScratch scratch_;
};

// co_await Suspend{process}: until a message came or the sleep it asked for is over.
struct Suspend {
  SimProcess* process;
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle) const { process->waiter_ = handle; }
  Wake await_resume() const { return process->woken_by_; }
};

}  // namespace sundog::sim
