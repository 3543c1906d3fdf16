// Runtime: what drivers and workers embed. One face for every language (DESIGN section 2).
//
// Any thread may call; calls block only where they say so. The caller of a blocking call has given
// up the GIL (the Python binding does so through `Yielder`). Errors are values.
//
// Reference counts: the Runtime keeps one Entry for each object that this process knows. Language
// bindings hold RefHandle (an intrusive pointer to the Entry); its copy and destruction never take
// a lock or touch a ring: a count that falls to zero puts the entry on a lock-free list, which the
// next ring operation flushes as DropRefs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "model/limits.h"
#include "model/messages.h"

namespace sundog::core {
struct ClientContext;  // src/core/client_core.h
struct ClientEntry;
}  // namespace sundog::core

namespace sundog::client {

using Entry = core::ClientEntry;

// A counted reference to an object of this process's table. Cheap to copy and to drop.
class RefHandle {
 public:
  RefHandle() = default;
  explicit RefHandle(Entry* adopted) : entry_(adopted) {}  // takes one count over
  RefHandle(const RefHandle& other) : entry_(other.entry_) {
    if (entry_ != nullptr) use(entry_);
  }
  RefHandle(RefHandle&& other) noexcept : entry_(other.entry_) { other.entry_ = nullptr; }
  RefHandle& operator=(RefHandle other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~RefHandle() {
    if (entry_ != nullptr) drop(entry_);
  }
  explicit operator bool() const { return entry_ != nullptr; }
  const ObjectId& id() const;
  Entry* get() const { return entry_; }
  Entry* release() { return std::exchange(entry_, nullptr); }

 private:
  static void use(Entry* entry);
  static void drop(Entry* entry);

  Entry* entry_ = nullptr;
};

// Bytes of an object that are pinned for this process while any Pinned of it lives.
class Pinned {
 public:
  virtual ~Pinned() = default;
  virtual Bytes bytes() const = 0;          // MAP_PRIVATE view, or inline bytes
  virtual std::byte* writable_bytes() = 0;  // same memory; a write makes a private page
  // The same bytes in a mapping or copy of their own, which nobody else sees.
  virtual Result<std::shared_ptr<Pinned>> own() const = 0;
};

// A value that is here: inline bytes or a pinned extent.
struct Fetched {
  model::Format format = model::Format::kInvalid;
  std::shared_ptr<Pinned> data;  // never null when format is valid, but for Reading::kInPlace
  Bytes in_place = {};           // then: a few bytes, where the table has them
  Bytes bytes() const { return data != nullptr ? data->bytes() : in_place; }
};
// What the one who gets values will do with them.
enum class Reading : uint8_t {
  kKept,     // keep them for any time
  kWritten,  // write there: each gets a mapping or copy of its own, which nobody else sees
  kInPlace   // read them while it holds their references: small ones need no memory of their own
};

enum class CallStatus : uint8_t {
  kOk,
  kTimeout,
  kInterrupted,
  kNodeDied,
  kNotConnected,
  kForkedChild,
  kStoreFull,
  kBadArgument
};
// What went wrong, with the sentence for a person.
struct CallError {
  CallStatus status = CallStatus::kOk;
  std::string text;
};
template <typename T>
using CallResult = Result<T, CallError>;

// How a blocking call gives up and takes back the caller's interpreter, and asks for interrupts.
class Yielder {
 public:
  virtual ~Yielder() = default;
  virtual void release() = 0;
  virtual void acquire() = 0;
  // Called without having acquired, some times a second while waiting and after EINTR; true:
  // stop waiting with kInterrupted.
  virtual bool interrupted() = 0;
};

struct Argument {
  model::Format format = model::Format::kInvalid;  // kRef: `ref`, else `bytes`
  Bytes bytes;
  Entry* ref = nullptr;
};

using Resources = std::vector<std::pair<std::string, int64_t>>;  // 1/10000

struct TaskOptions {
  std::string name;
  std::string source;
  model::Language language = model::Language::kPython;
  Resources resources;  // kCreateActor: what it needs to be placed
  int32_t max_retries = 3;
  bool retry_exceptions = false;
  int32_t priority = 0;
  uint64_t runtime_env = 0;
  model::CallKind kind = model::CallKind::kTask;
  std::string method;        // kMethod: the attribute's name
  Resources lifetime;        // kCreateActor: what it keeps while it lives
  int32_t max_restarts = 0;  // kCreateActor; -1: without end
  bool detached = false;     // kCreateActor: lives until it is killed
  // kCreateActor: see model::DefineTemplate; groups with their limits in calls.
  uint32_t max_concurrency = 1;
  Resources groups;
  bool out_of_order = false;
  std::string group;  // kMethod
  model::Returns returns = model::Returns::kFixed;
  uint64_t stream_items = 0;  // kStream: untaken items at which its producer waits; 0: no limit
  DurationNs timeout_ns = 0;  // kTask: of an attempt; 0: none
  uint32_t max_calls = 0;     // kTask: after so many its worker ends; 0: never
  // Not kMethod: see model::DefineTemplate.
  TaskId placement_group;
  int32_t bundle = -1;
  model::CaptureChildren capture_children = model::CaptureChildren::kAsParent;
  bool outside_groups = false;
  bool unrecorded = false;
};

// One call to be submitted. Views live until submit() returned.
struct CallSpec {
  uint32_t template_id = 0;
  uint32_t num_results = 1;
  Entry* actor = nullptr;  // whose method it is; null for anything else
  std::span<const Argument> positional = {};
  std::span<const std::pair<std::string_view, Argument>> keyword = {};
  std::span<const ObjectId> contained = {};
};

// One task for a worker to run; views live until finish().
struct TaskCall {
  TaskId task;
  uint32_t attempt = 0;
  uint32_t slot = 0;
  uint32_t num_results = 1;
  ObjectId function;
  std::string_view name;
  model::CallKind kind = model::CallKind::kTask;
  ObjectId actor;           // the handle; nil for kTask
  std::string_view method;  // kMethod
  bool retry_exceptions = false;
  uint16_t cpus = 1;   // that it was given, at least 1
  uint16_t group = 0;  // see model::Execute
  uint32_t concurrency = 1;
  Bytes arguments;            // wire/arguments.h
  std::vector<Fetched> refs;  // values of top-level references, in order
  model::Returns returns = model::Returns::kFixed;
};

// A result being written by a task, or a value being put.
struct OutValue {
  model::Format format = model::Format::kInvalid;
  Bytes bytes;  // used when `room` is null
  std::span<const ObjectId> contained;
};

// A placement group to be made. Views live until create_group() returned.
struct GroupSpec {
  TaskId id;  // of next_group_id()
  std::vector<Resources> bundles;
  model::GroupStrategy strategy = model::GroupStrategy::kPack;
  std::string_view name_space, name;  // no name: empty
  bool detached = false;
  OutValue ready;  // what its object shows once it is ready; small
};

// Room in shared memory that the caller fills and then seals by put or finish; given back on drop.
class Room {
 public:
  virtual ~Room() = default;
  virtual std::byte* data() = 0;
  virtual uint64_t size() const = 0;
  // Before put_room, for a writer that keeps the address: replaces the memory where it lies by a
  // private copy-on-write view of itself, so that later writes there stay the writer's own. It is
  // mapped as long as the result lives, and shows the object only while the object is pinned.
  virtual Result<std::shared_ptr<void>> become_private() = 0;
};

struct DriverConfig {
  std::string daemon_path;
  std::vector<std::string> daemon_arguments;
  uint32_t prestart = 0;
  std::string entry_point;
  std::string address;     // empty: start a daemon; else the socket of a running one
  std::string name_space;  // of the names of actors; empty: one that is this job's alone
  uint32_t job_weight = model::kJobWeightUnit;  // beside other jobs of the session, in 1/1000
  bool only_asks = false;                       // it looks at a session, and is no job of it
  std::function<void()> meanwhile = {};  // called once, while a daemon that we started starts
};

// What became of a name that was asked for.
struct NameAnswer {
  model::NameStatus status = model::NameStatus::kUnknown;
  RefHandle actor, descriptor;  // kFound
};

struct SessionInfo {
  std::string session, session_dir;
  std::string name_space;  // where this job looks for names
  NodeId node;
  JobId job;
  uint32_t daemon_pid = 0;
  uint64_t store_bytes = 0, total_memory_bytes = 0;
  int64_t num_cpus = 0, num_gpus = 0;
};

// How a task that streams goes on behind an item.
enum class StreamTurn : uint8_t {
  kClosed,   // not at all: nobody wants more
  kGoOn,     // at once
  kMustWait  // once its consumer took items
};

class Runtime {
 public:
  // Starts a daemon or joins one; returns when it welcomed us.
  static CallResult<std::unique_ptr<Runtime>> connect_driver(const DriverConfig& config);
  // `control` is the already connected control socket. `program`: what the daemon may start to have
  // more workers like this one; empty: nothing.
  static CallResult<std::unique_ptr<Runtime>> connect_worker(int control, JobId job,
                                                             model::Language language,
                                                             uint64_t runtime_env,
                                                             uint64_t spawn_token,
                                                             std::string_view program = {});
  virtual ~Runtime() = default;

  virtual const SessionInfo& info() const = 0;
  // Driver: ends its job and, if it started the daemon, the daemon; waits for its exit. Entries
  // and pinned bytes stay readable.
  virtual void shutdown() = 0;
  virtual bool connected() const = 0;

  // ---- submitting
  virtual CallResult<uint32_t> define_template(const TaskOptions& options, ObjectId function) = 0;
  // Announces a runtime environment (model::DefineEnvironment); once for each hash is enough.
  virtual CallResult<Unit> define_environment(uint64_t hash, std::string_view description,
                                              DurationNs patience, uint32_t prestart) = 0;
  // New handles for the results are appended to *results.
  virtual CallResult<Unit> submit(const CallSpec& call, std::vector<RefHandle>* results) = 0;
  // The same for a call of one result, whatever `num_results` says. An empty handle: *error.
  virtual RefHandle submit_one(const CallSpec& call, CallError* error) = 0;

  // ---- streams: the consumer's side. The task of a call whose template streams; its one result is
  // ready when it has ended: kNone, or the error that ended it.
  // Waits for the next item; an empty handle when there is none any more.
  virtual CallResult<RefHandle> next_item(const TaskId& task, TimeNs deadline,
                                          Yielder* yielder) = 0;
  // What to wait for or to watch, without taking it: ready when next_item would not wait. Empty
  // when the stream is over.
  virtual RefHandle peek_item(const TaskId& task) = 0;
  // Whether `peeked`, whose value or error came, is still the next item: the program has it now.
  // False at the end too, which closes the stream.
  virtual bool take_item(const TaskId& task, Entry* peeked) = 0;
  // Whether next_item would find the end; false while that is not known. Asks the node, waits for
  // nothing else.
  virtual CallResult<bool> is_stream_over(const TaskId& task, Yielder* yielder) = 0;
  // Nobody wants more: the producer ends at its next yield, what was not taken is freed. Nothing
  // happens for a stream that is over. Never waits.
  virtual void close_stream(const TaskId& task) = 0;
  // Ends the task that makes this object; nothing happens to one that is finished. `grace_ms`:
  // between kInterrupt and kKill. `recursive`: with what it submitted.
  virtual CallResult<Unit> cancel(Entry* entry, model::CancelLevel level, uint32_t grace_ms,
                                  bool recursive) = 0;
  // Driver: ends all tasks that it submitted, with theirs.
  virtual CallResult<Unit> cancel_all(model::CancelLevel level) = 0;

  // ---- placement groups. The handle of an object that is there when the group is ready; the group
  // has its task's id.
  virtual CallResult<TaskId> next_group_id() = 0;
  virtual CallResult<RefHandle> create_group(const GroupSpec& group) = 0;
  // Ends it and what runs in it; nothing happens for one that is gone.
  virtual CallResult<Unit> remove_group(const TaskId& group) = 0;
  // Whether it is ready now, as far as this process was told; nothing if it has to ask: it did not
  // make the group, or the group's value did not come with the news.
  virtual CallResult<std::optional<bool>> group_is_ready(const TaskId& group) = 0;

  // ---- actors
  // Ends the process of an actor; with `no_restart` false it comes back if it has restarts left.
  virtual CallResult<Unit> kill_actor(Entry* actor, bool no_restart) = 0;
  // kReserved: the name is the caller's, who has to bind it; kFound: somebody has it. Waits while
  // somebody else has reserved it.
  virtual CallResult<NameAnswer> claim_name(std::string_view name_space, std::string_view name,
                                            Yielder* yielder) = 0;
  // Binds a reserved name; null for both gives it back.
  virtual CallResult<Unit> bind_name(std::string_view name_space, std::string_view name,
                                     Entry* actor, Entry* descriptor) = 0;
  // kFound or kUnknown. Waits while somebody has reserved it.
  virtual CallResult<NameAnswer> find_name(std::string_view name_space, std::string_view name,
                                           Yielder* yielder) = 0;

  // ---- objects
  // Makes an id, writes the value (inline or through an arena) and returns a handle.
  virtual CallResult<RefHandle> put(const OutValue& value, Yielder* yielder) = 0;
  // Room for `size` bytes in an arena; waits while the store is full.
  virtual CallResult<std::unique_ptr<Room>> allocate(uint64_t size, Yielder* yielder) = 0;
  virtual CallResult<RefHandle> put_room(std::unique_ptr<Room> room, model::Format format,
                                         std::span<const ObjectId> contained) = 0;
  // Content-addressed and held by the job: a pickled function.
  virtual CallResult<ObjectId> put_function(Bytes pickled, std::span<const ObjectId> contained,
                                            Yielder* yielder) = 0;

  // Waits until all are here. `deadline` kNever: no limit. Errors are values in Fetched.
  virtual CallResult<Unit> get(std::span<Entry* const> entries, TimeNs deadline, Yielder* yielder,
                               std::vector<Fetched>* values, Reading reading = Reading::kKept) = 0;
  // Waits until all are here, like get, but takes nothing. Whether each is a value of a few bytes
  // that lies in its entry: it can be read there (client/entry.h) while the entry is held.
  virtual CallResult<bool> await_small(std::span<Entry* const> entries, TimeNs deadline,
                                       Yielder* yielder) = 0;
  // Waits until `num_ready` are ready or the deadline passed; ready[i] tells for each. When more
  // are ready, the earliest completed are chosen.
  virtual CallResult<Unit> wait(std::span<Entry* const> entries, size_t num_ready, TimeNs deadline,
                                Yielder* yielder, std::vector<bool>* ready) = 0;
  // Asks for an object without waiting: `token` comes out of next_watched when its value is here
  // (or the error in its place). The caller holds the entry until then.
  virtual CallResult<Unit> watch(Entry* entry, uint64_t token) = 0;
  // Watches no longer; the token may come out nevertheless if the object was here first.
  virtual void unwatch(uint64_t token) = 0;
  // Waits until watched objects are here and takes their tokens; for one thread. Fails when the
  // session is over: what is watched then never comes out.
  virtual CallResult<Unit> next_watched(Yielder* yielder, std::vector<uint64_t>* tokens) = 0;
  // A handle for an id that came from outside (inside a value, or typed by a person).
  virtual RefHandle ref_from_id(const ObjectId& id) = 0;

  // ---- worker side
  // The next claimed task; nullopt when the worker is to end. Blocks. What is claimed and not
  // finished counts against the limit of its group.
  virtual std::optional<TaskCall> next_task(Yielder* yielder) = 0;
  // Without waiting: nullopt if there is none, or (*over) the worker is to end.
  virtual std::optional<TaskCall> poll_task(bool* over) = 0;
  // A descriptor that is readable when poll_task may have something after it had nothing.
  virtual int task_event() = 0;
  // next_task and poll_task give nothing more: the process is about to end.
  virtual void stop_tasks() = 0;
  // For a process that runs several calls at once: asked, by the thread that submits or puts, for
  // the context of its call; null: what the process does outside of calls. From now on claimed
  // tasks have no context of their own here.
  virtual void set_context_source(core::ClientContext* (*source)()) = 0;
  virtual CallResult<Unit> add_result(const TaskCall& call, uint32_t index, const OutValue& value,
                                      std::unique_ptr<Room> room) = 0;
  // The next item of a task that streams; it is sent at once. Then waits while the consumer is
  // behind (docs/design/0007). False: the consumer has closed, the task is to end.
  virtual CallResult<bool> yield_item(const TaskCall& call, const OutValue& value,
                                      std::unique_ptr<Room> room, Yielder* yielder) = 0;
  // The same without waiting for the consumer. After kMustWait the call waits with watch_credit
  // before it yields again.
  virtual CallResult<StreamTurn> begin_yield(const TaskCall& call, const OutValue& value,
                                             std::unique_ptr<Room> room) = 0;
  // Whether the call may yield again.
  virtual CallResult<StreamTurn> stream_turn(const TaskCall& call) = 0;
  // Lets `token` come out of next_watched when the consumer took enough, or has closed; unwatch
  // undoes it.
  virtual CallResult<Unit> watch_credit(const TaskCall& call, uint64_t token) = 0;
  // How many items this call has yielded: the index of an error that ends it is one more.
  virtual uint32_t items_yielded(const TaskCall& call) = 0;
  // `exiting`: the actor asked for its own end, this was its last call.
  virtual CallResult<Unit> finish(const TaskCall& call, bool failed, bool retry, TimeNs started,
                                  TimeNs finished, bool exiting = false) = 0;

  // Whether somebody cancelled this task, which runs here.
  virtual bool is_cancelled(const TaskId& task) = 0;
  // Cancelling of running tasks arrives here, on the runtime thread; the task may have ended.
  virtual void on_cancel(
      std::function<void(const TaskId& task, model::CancelLevel level)> handler) = 0;

  // ---- questions
  virtual CallResult<std::string> query(model::Question question, std::string_view argument,
                                        Yielder* yielder) = 0;
  // Output and notices for this driver arrive here, on the runtime thread or a waiting thread.
  virtual void on_output(std::function<void(const model::Output&)> handler) = 0;
  virtual void on_notice(std::function<void(const model::Notice&)> handler) = 0;
  // Waits until the handlers were called for everything that arrived before, or the deadline
  // passed.
  virtual void wait_delivered(TimeNs deadline) = 0;
  // The atfork hooks. before_fork and after_fork_in_parent surround the fork in the parent: bytes
  // that are viewed now stay pinned until every child made then has ended. In the child:
  // this process is no client from now on; what it views stays readable, every call answers
  // kForkedChild, and the Runtime must not be destroyed there.
  virtual void before_fork() = 0;
  virtual void after_fork_in_parent() = 0;
  virtual void after_fork_in_child() = 0;
};

}  // namespace sundog::client
