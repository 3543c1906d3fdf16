// RuntimeImpl: the one Runtime. Spread over
//   runtime.cc          connect, lifecycle, forks, errors
//   runtime_inbound.cc  what comes in, sleeping, leader and followers
//   runtime_submit.cc   templates, environments, submit
//   runtime_calls.cc    put, get, wait, allocate, query
//   runtime_tasks.cc    the worker's side
//   runtime_cancel.cc   cancelling, on both sides
//   runtime_actors.cc   killing and naming actors
//   runtime_streams.cc  items of streams, taken and yielded
//   runtime_thread.cc   the one thread of its own: hang-up, drops, output
//
// Threads: `mutex_` guards everything but the atomics; it is a leaf, never held while sleeping,
// mapping or calling out (one exception: a full outbound ring, see Link). Of the threads
// that wait, one is the leader: it sleeps on the channel's word and drains for all; each follower
// sleeps on a word of its own and is woken once, when its wait is over or it becomes leader. When
// nobody waits, the word says kRuntime and the runtime thread drains.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "client/link.h"
#include "client/session.h"
#include "client/spin.h"
#include "client/views.h"
#include "client/writers.h"
#include "core/client_core.h"
#include "core/tasks/streams.h"
#include "os/light_mutex.h"
#include "os/poller.h"

namespace sundog::client {

// A thread that waits for an answer of the node. Lives on its stack.
struct Waiter {
  enum class Kind : uint8_t { kRequest, kTask, kWatch };
  Kind kind = Kind::kRequest;
  bool done = false;
  bool refused = false;
  uint32_t request = 0;
  model::Extent granted;
  std::string text;               // of Refused or Reply
  NameAnswer named;               // of NameReply
  std::atomic<uint32_t> word{0};  // where a follower sleeps
};

// A task that was sent to this worker: its record, and what it has made so far.
struct HeldTask {
  struct Result {
    uint32_t index = 0;
    model::Format format = model::Format::kInvalid;
    model::Extent extent;
    std::vector<std::byte> bytes;
    std::vector<ObjectId> contained;
  };
  wire::RecordType type = wire::RecordType::kInvalid;
  std::vector<std::byte> payload;
  wire::DecodeScratch scratch;
  std::vector<Result> results;
  size_t result_bytes = 0;
  uint16_t group = 0;
  uint32_t concurrency = 1;
  uint64_t arrival = 0;
  TaskId task;             // while it runs
  bool cancelled = false;  // somebody wants it to end
  // Of a task that streams.
  uint32_t attempt = 0;
  uint32_t items = 0;  // yielded
  core::StreamAmount credit;
  bool closed = false;
};

// Write-protects the room's bytes and names them; the room is over.
model::Extent seal_room(Room* room);

class RuntimeImpl final : public Runtime, private Link::Drainer {
 public:
  explicit RuntimeImpl(Session session);
  ~RuntimeImpl() override;

  const SessionInfo& info() const override { return session_.info; }
  void shutdown() override;
  bool connected() const override { return state_.load() == State::kLive; }

  CallResult<uint32_t> define_template(const TaskOptions& options, ObjectId function) override;
  CallResult<Unit> define_environment(uint64_t hash, std::string_view description,
                                      DurationNs patience, uint32_t prestart) override;
  CallResult<Unit> submit(const CallSpec& call, std::vector<RefHandle>* results) override;
  RefHandle submit_one(const CallSpec& call, CallError* error) override;
  CallResult<RefHandle> next_item(const TaskId& task, TimeNs deadline, Yielder* yielder) override;
  RefHandle peek_item(const TaskId& task) override;
  bool take_item(const TaskId& task, Entry* peeked) override;
  CallResult<bool> is_stream_over(const TaskId& task, Yielder* yielder) override;
  void close_stream(const TaskId& task) override;
  CallResult<bool> yield_item(const TaskCall& call, const OutValue& value,
                              std::unique_ptr<Room> room, Yielder* yielder) override;
  CallResult<StreamTurn> begin_yield(const TaskCall& call, const OutValue& value,
                                     std::unique_ptr<Room> room) override;
  CallResult<StreamTurn> stream_turn(const TaskCall& call) override;
  CallResult<Unit> watch_credit(const TaskCall& call, uint64_t token) override;
  uint32_t items_yielded(const TaskCall& call) override;
  CallResult<Unit> cancel(Entry* entry, model::CancelLevel level, uint32_t grace_ms,
                          bool recursive) override;
  CallResult<Unit> cancel_all(model::CancelLevel level) override;
  bool is_cancelled(const TaskId& task) override;
  void on_cancel(std::function<void(const TaskId&, model::CancelLevel)> handler) override;
  CallResult<Unit> kill_actor(Entry* actor, bool no_restart) override;
  CallResult<NameAnswer> claim_name(std::string_view name_space, std::string_view name,
                                    Yielder* yielder) override;
  CallResult<TaskId> next_group_id() override;
  CallResult<RefHandle> create_group(const GroupSpec& group) override;
  CallResult<Unit> remove_group(const TaskId& group) override;
  CallResult<std::optional<bool>> group_is_ready(const TaskId& group) override;
  CallResult<Unit> bind_name(std::string_view name_space, std::string_view name, Entry* actor,
                             Entry* descriptor) override;
  CallResult<NameAnswer> find_name(std::string_view name_space, std::string_view name,
                                   Yielder* yielder) override;
  CallResult<RefHandle> put(const OutValue& value, Yielder* yielder) override;
  CallResult<std::unique_ptr<Room>> allocate(uint64_t size, Yielder* yielder) override;
  CallResult<RefHandle> put_room(std::unique_ptr<Room> room, model::Format format,
                                 std::span<const ObjectId> contained) override;
  CallResult<ObjectId> put_function(Bytes pickled, std::span<const ObjectId> contained,
                                    Yielder* yielder) override;
  CallResult<Unit> get(std::span<Entry* const> entries, TimeNs deadline, Yielder* yielder,
                       std::vector<Fetched>* values, Reading reading) override;
  CallResult<bool> await_small(std::span<Entry* const> entries, TimeNs deadline,
                               Yielder* yielder) override;
  CallResult<Unit> wait(std::span<Entry* const> entries, size_t num_ready, TimeNs deadline,
                        Yielder* yielder, std::vector<bool>* ready) override;
  CallResult<Unit> watch(Entry* entry, uint64_t token) override;
  void unwatch(uint64_t token) override;
  CallResult<Unit> next_watched(Yielder* yielder, std::vector<uint64_t>* tokens) override;
  RefHandle ref_from_id(const ObjectId& id) override;

  std::optional<TaskCall> next_task(Yielder* yielder) override;
  std::optional<TaskCall> poll_task(bool* over) override;
  int task_event() override;
  void stop_tasks() override;
  void set_context_source(core::ClientContext* (*source)()) override { context_source_ = source; }
  CallResult<Unit> add_result(const TaskCall& call, uint32_t index, const OutValue& value,
                              std::unique_ptr<Room> room) override;
  CallResult<Unit> finish(const TaskCall& call, bool failed, bool retry, TimeNs started,
                          TimeNs finished, bool exiting) override;

  CallResult<std::string> query(model::Question question, std::string_view argument,
                                Yielder* yielder) override;
  void on_output(std::function<void(const model::Output&)> handler) override;
  void on_notice(std::function<void(const model::Notice&)> handler) override;
  void wait_delivered(TimeNs deadline) override;
  void before_fork() override;
  void after_fork_in_parent() override;
  void after_fork_in_child() override;

 private:
  friend class RoomImpl;
  using Lock = std::unique_lock<os::LightMutex>;
  enum class State : uint8_t { kLive, kShutDown, kNodeDied, kForkedChild };
  enum class WaitEnd : uint8_t { kDone, kTimeout, kInterrupted, kOver };

  // One call under the lock. At its end everything that was dropped or sent is in the ring,
  // published and rung once.
  class Operation {
   public:
    explicit Operation(RuntimeImpl* runtime) : runtime_(runtime), lock_(runtime->mutex_) {}
    ~Operation() { close(); }
    void close();
    Lock& lock() { return lock_; }

   private:
    RuntimeImpl* runtime_;
    Lock lock_;
  };

  // ---- runtime.cc
  // The error that every call gives in the present state, nullopt while live.
  std::optional<CallError> unusable() const;
  CallError over_error() const;
  void node_died(std::string cause);
  std::optional<CallError> check_entries(std::span<Entry* const> entries) const;
  void stop_thread();
  static bool goes_on_without_us(int control);
  void end_daemon();

  // ---- runtime_inbound.cc
  void drain() override;
  bool is_over() const override {
    return hung_up_.load(std::memory_order_relaxed) ||
           state_.load(std::memory_order_relaxed) != State::kLive;
  }
  void handle(const model::NodeMessage& message);
  void hold_task(const model::Execute& message);
  void give_grant(const model::Grant& message);
  Waiter* find_waiter(uint32_t request);
  void finish(Waiter* waiter);
  void wake(Waiter* waiter);
  void wake_task_waiters();
  // Whether the request was a watch; its token can be taken then.
  bool end_watch(uint32_t request);
  void add_watched(uint64_t token);
  void wake_everyone();
  // Waits with the lock given up. The first look, and what was published before, come first.
  WaitEnd wait_for(Waiter* waiter, Lock& lock, TimeNs deadline, Yielder* yielder);
  WaitEnd wait_in_line(Waiter* waiter, Lock& lock, TimeNs deadline, Yielder* yielder,
                       bool* yielded);
  // Once; false if a signal or its time ended it.
  bool sleep_once(Waiter* waiter, Lock& lock, DurationNs timeout);
  bool spin_for_more();
  void leave(Waiter* waiter);
  // Sends what was dropped; exports without users are unmapped after the lock.
  void flush_drops();
  void flush_drops_that_matter();  // the rest by the thread, kDropDelay later at most
  void send_unwanted();
  // Nobody waits: the runtime thread is to be woken for what is urgent.
  void rest();

  // ---- runtime_submit.cc and runtime_calls.cc
  core::ClientContext* own_context() const {
    return context_source_ != nullptr ? context_source_() : nullptr;
  }
  CallError wait_error(WaitEnd end, std::string_view what) const;
  // An export that was taken for the value of this index.
  struct TakenExport {
    size_t index = 0;
    core::ClientExport* exported = nullptr;  // with one use
  };
  // Appends all values, those in extents without their data; those are in *exports.
  CallResult<Unit> fetch(std::span<Entry* const> entries, TimeNs deadline, Yielder* yielder,
                         Reading reading, std::vector<Fetched>* values,
                         std::vector<TakenExport>* exports);
  // The bytes of a value that was taken; nullptr for one in an extent.
  static std::shared_ptr<Pinned> inline_data(core::TakenValue taken, Reading reading);
  // A result as a message carries it: in shared memory if it is large.
  CallResult<HeldTask::Result> make_result(uint32_t index, const OutValue& value,
                                           std::unique_ptr<Room> room, Yielder* yielder);
  CallResult<Unit> ask(std::span<Entry* const> entries, uint32_t num_ready, bool values,
                       TimeNs deadline, Yielder* yielder, Operation* operation);
  CallResult<std::shared_ptr<Pinned>> map_value(Entry* entry, core::ClientExport* exported,
                                                bool writable);
  CallResult<Unit> put_large_arguments(std::vector<Argument>* positional,
                                       std::vector<std::pair<std::string_view, Argument>>* keyword,
                                       std::vector<RefHandle>* hidden);
  // Calls send(model::Submit*) under the lock, with arguments that a message can carry. False: an
  // error that every call gives, or one about a reference of another session.
  template <typename Send>
  bool submit_with(const CallSpec& spec, CallError* error, Send&& send);
  template <typename Send>
  bool submit_small(const CallSpec& spec, CallError* error, Send&& send);
  // In arguments_, until the next call; the references are in argument_refs_.
  Bytes encode_words(std::span<const Argument> positional);
  Bytes encode_arguments(std::span<const Argument> positional,
                         std::span<const std::pair<std::string_view, Argument>> keyword);

  // ---- runtime_tasks.cc
  // Claims the oldest task offered. False if it was taken back meanwhile.
  bool claim(std::unique_ptr<HeldTask> held, TaskCall* call,
             std::vector<core::ClientExport*>* exports);
  // Claims the first of those that may run by the limits of their groups.
  bool claim_next(TaskCall* call, std::vector<core::ClientExport*>* exports);
  void view_arguments(const std::vector<core::ClientExport*>& exports, TaskCall* call);
  HeldTask* running_task(const TaskCall& call);
  void send_results(const TaskCall& call, HeldTask* held);
  std::unique_ptr<HeldTask> recycled_task();
  void recycle(std::unique_ptr<HeldTask> held);

  // ---- runtime_streams.cc
  void take_credit(const model::StreamCredit& message);
  // Makes the next item of a call and sends it; the call's record.
  CallResult<HeldTask*> send_item(const TaskCall& call, const OutValue& value,
                                  std::unique_ptr<Room> room, Yielder* yielder,
                                  std::optional<Operation>* operation);
  static StreamTurn turn_of(const HeldTask& held);
  CallResult<Unit> await_credit(const TaskCall& call, HeldTask* held, Yielder* yielder, Lock& lock);
  // ---- runtime_cancel.cc
  void take_cancel(const model::CancelRunning& message);
  void deliver_cancels();

  // ---- runtime_actors.cc
  template <typename Request>
  CallResult<NameAnswer> ask_for_name(std::string_view name_space, std::string_view name,
                                      Yielder* yielder);
  void take_name(const model::NameReply& message);
  void give_names_back();

  // ---- runtime_thread.cc
  void run_thread();
  void serve_event();
  TimeNs serve_drops();
  void deliver();
  void node_hung_up();
  void drop_fork_hold(uint64_t tag);
  static void poke(void* runtime);

  // Tags of the poller.
  static constexpr uint64_t kControlTag = 1, kEventTag = 2, kForkTagBase = 16;

  struct FullName {
    std::string name_space, name;
  };
  struct ForkHold {
    os::Fd read_end;
    std::vector<core::ClientExport*> exports;
  };
  struct Delivery {
    bool is_output = false;
    uint32_t pid = 0;
    bool is_stderr = false;
    uint8_t severity = 0;
    std::string task_name, text;
  };

  Session session_;
  ArenaViews views_;
  WritableRanges writers_;
  std::atomic<State> state_{State::kLive};
  std::atomic<bool> hung_up_{false};  // known before the lock can be had

  os::LightMutex mutex_;
  // ---- guarded by mutex_
  Link link_;
  core::ClientCore core_;
  SpinBudget spin_;
  std::string death_cause_;  // written once, before state_ says kNodeDied
  std::vector<Waiter*> waiters_;
  Waiter* leader_ = nullptr;
  std::vector<model::Extent> unwanted_grants_;
  // Names that were asked for by somebody who gave up waiting, by request, and those of them that
  // were reserved for us meanwhile.
  std::map<uint32_t, FullName> unwanted_claims_;
  std::vector<FullName> unwanted_names_;
  // Tasks that were offered, of each concurrency group; everything but an actor's calls is in the
  // first.
  struct Lane {
    std::deque<std::unique_ptr<HeldTask>> offered;
    uint32_t running = 0, limit = 1;
  };
  std::deque<Lane> lanes_ = std::deque<Lane>(1);
  uint64_t arrivals_ = 0;
  os::Fd task_event_;                                      // see task_event()
  bool task_event_due_ = false;                            // poll_task had nothing
  std::map<uint32_t, std::unique_ptr<HeldTask>> running_;  // by slot
  std::vector<std::unique_ptr<HeldTask>> spare_tasks_;
  bool stop_after_task_ = false;
  std::vector<model::CancelRunning> cancels_;  // for the handler
  std::function<void(const TaskId&, model::CancelLevel)> cancel_handler_;
  std::atomic<uint32_t> cancelled_running_{0};  // how many of running_ are
  std::map<uint32_t, uint64_t> watches_;        // request to token
  std::vector<uint64_t> watched_;               // tokens of what is here
  std::deque<Delivery> deliveries_;
  bool delivering_ = false;
  std::condition_variable_any delivered_;  // nothing is left to deliver
  std::function<void(const model::Output&)> output_handler_;
  std::function<void(const model::Notice&)> notice_handler_;
  std::vector<std::byte> arguments_;  // scratch of submit
  std::vector<ObjectId> argument_refs_;
  std::vector<Entry*> submitted_;
  std::map<uint64_t, ForkHold> fork_holds_;
  uint64_t last_fork_ = 0;
  os::Fd fork_write_end_;
  std::vector<core::ClientExport*> dead_exports_;
  std::vector<RefHandle> functions_;  // put by us, held while the session lives

  core::ClientContext* (*context_source_)() = nullptr;

  // ---- the runtime thread's own
  os::Poller poller_;
  std::atomic<bool> drops_poked_{false};
  std::atomic<bool> stop_thread_{false};
  std::thread thread_;
};

}  // namespace sundog::client
