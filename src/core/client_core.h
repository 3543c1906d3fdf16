// ClientCore: what a client process knows and decides (DESIGN sections 2, 4 and 6).
//
// The table of objects that this process refers to, the references and pins that the node counts
// for it, ids of what it submits and puts, credit for pushed values, and open requests. Messages in
// (on_*), messages out through the Outbox; no I/O, no clock, no thread of its own. src/client wraps
// it for real processes, src/sim uses it as its model client.
//
// Rules kept here, so that no caller can break them:
//  - One reference a process and object: AddRefs when an entry is made for an id from outside,
//    DropRefs when the entry is freed.
//  - AddRefs wait until another message is sent and go before it, so an increment is in the ring
//    before whatever could end the life it came from. Only decrements are collected: see flush().
//  - An item of a stream that this process consumes was counted by the node: it is adopted once.
//  - One Export an object and process: it counts the pins the node counts for us and gives them
//    back together.
//
// One caller at a time (the Runtime's lock); only Counted::use and drop may be called by anyone.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/tables.h"
#include "base/task_family.h"
#include "core/client_drops.h"
#include "core/entry_table.h"
#include "model/limits.h"
#include "model/messages.h"

namespace sundog::core {

class ClientOutbox {
 public:
  virtual ~ClientOutbox() = default;
  // Views inside `message` end with the call.
  virtual void send(const model::ClientMessage& message) = 0;
  // The message that most are.
  virtual void send_submit(const model::Submit& message) { send(message); }
};

// Whatever the shell keeps with an export: its mapping or copy.
struct Attachment {
  virtual ~Attachment() = default;
};

// Bytes of an object in shared memory, pinned for this process while it is used.
struct ClientExport final : Counted {
  ClientExport(DropList* drops, const ObjectId& object, model::Format f, const model::Extent& e)
      : Counted(drops, Kind::kExport), id(object), format(f), extent(e) {}
  ~ClientExport() override { delete view.load(std::memory_order_acquire); }

  const ObjectId id;
  const model::Format format;
  const model::Extent extent;
  uint32_t pins = 0;                       // the core's: what the node counts for us
  std::atomic<Attachment*> view{nullptr};  // the shell's: made at first use, owned
};

// What an entry is of a placement group that this process made.
enum class GroupEntry : uint8_t { kNone, kLives, kRemoved };

// An object that this process refers to.
struct ClientEntry final : Counted {
  ClientEntry(DropList* drops, const ObjectId& object) : Counted(drops, Kind::kEntry), id(object) {}
  ~ClientEntry() override {
    if (arrived != nullptr) arrived->drop();
  }
  bool is_ready() const { return ready_order != 0; }
  // Its bytes are here, in one of the two places; they never change.
  bool has_bytes() const { return is_small() || value != nullptr; }
  bool is_small() const { return small_bytes != kNotSmall; }
  Bytes small_value() const { return {small.data(), small_bytes}; }

  static constexpr size_t kSmallMax = 16;
  static constexpr uint8_t kNotSmall = 255;

  const ObjectId id;
  model::Format format = model::Format::kInvalid;  // of the value
  bool in_extent = false;                          // its value lies in shared memory
  GroupEntry group = GroupEntry::kNone;
  uint8_t small_bytes = kNotSmall;  // in use of `small`
  uint32_t asked_by = 0;            // the last request that named it
  uint64_t ready_order = 0;         // the node's; 0: not known to be ready; smaller is earlier
  std::shared_ptr<void> value;      // inline bytes as the shell keeps them, null if not here
  ClientExport* arrived = nullptr;  // asked for, not taken yet; holds a use
  ClientEntry* next_of_bucket = nullptr;              // the table's
  alignas(8) std::array<std::byte, kSmallMax> small;  // inline bytes, if they are so few
};

// A value that is here: in one of the three.
struct TakenValue {
  model::Format format = model::Format::kInvalid;
  Bytes small;  // of the entry, while that is used
  std::shared_ptr<void> value;
  ClientExport* exported = nullptr;  // with one use for the taker
  bool here() const { return format != model::Format::kInvalid; }
};

// What is submitted and put belongs to: a task, or what a process does outside of tasks. A process
// that runs several calls at once has one for each.
struct ClientContext {
  TaskId task;
  uint32_t attempt = 0;
  uint64_t calls = 0;
  TaskId put_space;
  uint32_t puts = 0;
  std::optional<TaskFamily> family = {};  // of its task and attempt, once it has been asked for
};

class ClientCore {
 public:
  // Makes what the shell keeps for inline bytes that are more than an entry has room for.
  using KeepInline = std::shared_ptr<void> (*)(Bytes bytes);

  // `root` stands for what this process does outside of tasks; no other process has it. `drops` is
  // owned from here on: see DropList::close.
  ClientCore(JobId job, const TaskId& root, ClientOutbox* outbox, KeepInline keep_inline,
             DropList* drops);
  ~ClientCore();
  ClientCore(const ClientCore&) = delete;
  ClientCore& operator=(const ClientCore&) = delete;

  // ---- identity: what is submitted and put from now on belongs to this task
  void begin_task(const TaskId& task, uint32_t attempt);
  void end_task();  // back to the process's own root
  const TaskId& current_task() const { return current_->task; }
  // Until the next call of it: the caller's own context, or (null) that of begin_task.
  void use(ClientContext* context) { current_ = context != nullptr ? context : &context_; }
  JobId job() const { return job_; }

  // ---- sending
  void define_template(const model::DefineTemplate& definition);
  uint32_t next_template_id() { return ++last_template_; }
  void define_environment(const model::DefineEnvironment& definition);
  // Submits and appends one entry for each result to *results, each with one use for the caller.
  // Of `asked` are used: template_id, actor, num_results, refs, contained, arguments.
  TaskId submit(const model::Submit& asked, std::vector<ClientEntry*>* results);
  // The same for a call of one result, without a copy of it: `call` is completed. Its entry.
  ClientEntry* submit_one(model::Submit* call);
  // The same for a placement group, whose id is next_group_id(): the entry of its object.
  TaskId next_group_id();
  ClientEntry* create_group(model::CreatePlacementGroup group);
  void remove_group(const TaskId& group);
  // Whether the group is ready; nothing if only the node knows: it is another process's, or its
  // value did not come with the news.
  std::optional<bool> group_is_ready(const TaskId& group) const;
  ObjectId next_put_id();
  // The value under a fresh id, or a function's under its content's. One use for the caller.
  ClientEntry* put(const ObjectId& id, const model::ValueView& value,
                   std::span<const ObjectId> contained, bool hold_for_job);
  uint32_t next_request() { return ++last_request_; }
  // Asks for what is not here (values: all of it, whatever num_ready says) or not known to be ready
  // (until num_ready more are); 0 if there is nothing to ask for. Otherwise the number of the
  // request that Waited will answer.
  uint32_t begin_get(std::span<ClientEntry* const> entries, uint32_t num_ready, bool values,
                     bool blocking);
  // A request that is answered as soon as everything sent before it was looked at.
  uint32_t begin_barrier();
  // Gives up a request that was not answered; nothing happens for one that was.
  void end_get(uint32_t request);
  bool is_open(uint32_t request) const { return open_gets_.contains(request); }
  // Any other message, in order with ours.
  void send(const model::ClientMessage& message) { emit(message); }

  // ---- references
  // The entry of an id, made and announced if new; one use for the caller.
  ClientEntry* ref(const ObjectId& id);
  // The entry of an id for which the node has counted one reference to us by itself; one use for
  // the caller. What was counted twice goes back.
  ClientEntry* adopt(const ObjectId& id);
  ClientEntry* find(const ObjectId& id) const;
  // Its value comes soon: what on_value() will touch is fetched meanwhile. Only a hint.
  void expect(const ObjectId& id) const { entries_.prefetch(id); }
  TakenValue take(ClientEntry* entry);
  // Whether its value can be taken.
  bool is_here(const ClientEntry* entry) const {
    return entry->has_bytes() || entry->arrived != nullptr ||
           (entry->in_extent && exports_.contains(entry->id));
  }

  // ---- streams (client_streams.cc): what calls of a template that streams yield to us
  // The entry of the next item, of the end mark behind the last one, or null if the stream is over
  // for us; one use for the caller. Its format is known once its value came.
  ClientEntry* next_item(const TaskId& task);
  // The program gets `entry`, which next_item gave; false if that is the end mark, which closes the
  // stream, or if somebody else took it meanwhile (it is no longer the next).
  bool take_item(const TaskId& task, ClientEntry* entry);
  // Lets the node know what was taken, if it does not: before this process waits for more.
  void tell_taken(const TaskId& task);
  // No more is wanted. Nothing happens for a stream that is over.
  void close_stream(const TaskId& task);
  // Asks for credit; the number of the request that Waited will answer.
  uint32_t begin_stream_wait(const TaskId& task, uint32_t attempt, uint32_t produced,
                             bool blocking);

  // ---- messages from the node
  void on_value(const model::Value& message);
  void on_ready(const model::Ready& message);
  void on_group_removed(const model::GroupRemoved& message);
  // False for a request that is not open (given up meanwhile).
  bool on_waited(const model::Waited& message);
  // An argument of a task that this process claimed; its export, with one use for the caller, if it
  // lies in an extent.
  ClientExport* on_argument(const model::ArgumentView& argument);

  // ---- decrements
  // Sends what was dropped since: DropRefs, Unpin, Credit. The exports that nobody uses are
  // appended to *dead, for the caller to delete outside its lock.
  void flush(std::vector<ClientExport*>* dead);
  // The same, but references to small values that came are kept until there are several of them:
  // each message costs the node a step, and nobody waits for this one. Whoever calls it calls
  // flush() too, before long.
  void flush_what_matters(std::vector<ClientExport*>* dead) {
    if (!drops_->empty() || has_collected()) flush_some(dead);
  }
  bool has_drops() const { return !drops_->empty(); }
  DropList* drops() const { return drops_; }
  // The node is gone: entries and exports that are used stay readable and free themselves.
  void close();

  // By id.
  std::vector<ClientExport*> exports() const;
  size_t entry_count() const { return entries_.size(); }
  size_t export_count() const { return exports_.size(); }
  // The empty string, or the invariant that does not hold.
  std::string validate() const;

 private:
  // A stream that we consume: what the program has not taken yet, from item `next` on. An item
  // that did not come by itself and was not looked for has no entry.
  struct Stream {
    uint32_t next = 0;
    uint32_t told = 0;          // as taken
    uint64_t window_items = 0;  // 0: no limit
    std::deque<ClientEntry*> ahead;
  };
  void pushed_item(const ObjectId& id);

  static constexpr size_t kDropsTogether = 32;
  static constexpr uint64_t kCreditStep = model::kPushCreditBytes / 4;

  void emit(const model::ClientMessage& message);
  void emit_submit(const model::Submit& call);
  void send_adds();
  TaskId next_task();
  void begin_submit(model::Submit* call);
  ClientEntry* add_entry(const ObjectId& id);
  void free_entry(ClientEntry* entry);
  void keep_value(ClientEntry* entry, Bytes bytes);
  ClientExport* pin(const ObjectId& id, const model::ValueView& value);
  void mark_ready(ClientEntry* entry, uint64_t order);
  void settle(Counted* list, std::vector<ClientExport*>* dead);
  bool drops_are_due() const {
    return drop_matters_ || !removed_pins_.empty() || removed_refs_.size() >= kDropsTogether;
  }
  bool has_collected() const { return drops_are_due() || credit_ >= kCreditStep; }
  // The empty string, or what validate() finds.
  std::string wrong_with(const ClientEntry* entry) const;
  void flush_some(std::vector<ClientExport*>* dead);
  void send_collected();

  const JobId job_;
  ClientOutbox* const outbox_;
  const KeepInline keep_inline_;
  DropList* drops_;
  ClientContext root_, context_;
  ClientContext* current_ = &context_;
  uint32_t last_template_ = 0;
  uint32_t last_request_ = 0;
  uint64_t credit_ = 0;
  EntryTable<ClientEntry> entries_;
  // Memory of entries that were freed, for the next ones: the first words lead from one to the
  // next.
  struct Spare {
    Spare* next;
  };
  Spare* spare_entries_ = nullptr;
  size_t num_spare_entries_ = 0;
  IdMap<ObjectId, ClientExport*> exports_;
  boost::unordered_flat_set<uint32_t> open_gets_;
  std::vector<model::RefCount> adds_, removed_refs_, removed_pins_;
  bool drop_matters_ = false;  // one of removed_refs_ may be the last of more than a small value
  IdMap<TaskId, Stream> streams_;
  boost::unordered_flat_map<uint32_t, uint64_t> streaming_templates_;  // number -> window's items
  size_t live_exports_ = 0;      // in exports_, or replaced there and still used
  std::vector<ObjectId> asked_;  // scratch of begin_get
};

}  // namespace sundog::core
