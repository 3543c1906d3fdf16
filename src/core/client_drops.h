// Counted things of a client process, and the lock-free list of those whose count fell to zero.
//
// A binding drops a reference wherever its language pleases: in a finalizer, under a lock, in the
// middle of a call. So a drop takes no lock and touches no ring: it is one compare-and-swap, of the
// count, or for the last use of the head of a Treiber stack (R. K. Treiber, 1986) that the owner of
// the table empties at its next occasion. A thing on the list may be found in the table and used
// again; the list then lets it go.
//
// The last use is not given up but handed to the list. Whoever reads a count of one holds that use,
// nobody else can, and only the owner could make another: so exactly one thread pushes, until the
// list has been emptied and has given its use up. A thing is never freed under its pusher, because
// only what was popped is.
//
// Any thread: use(), drop(). The owner, under its lock: pop_all(), settle(), close().
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace sundog::core {

class DropList;

class Counted {
 public:
  enum class Kind : uint8_t { kEntry, kExport };  // what it is, for whoever frees it
  Counted(DropList* drops, Kind what) : kind(what), drops_(drops) {}
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  virtual ~Counted() = default;

  // By whoever holds a use, or by the owner of the table under its lock.
  void use() { uses_.fetch_add(1, std::memory_order_relaxed); }
  inline void drop();
  // Things of an earlier session have another list.
  bool belongs_to(const DropList* drops) const { return drops_ == drops; }
  // The drop list's among them.
  uint32_t uses() const { return uses_.load(std::memory_order_relaxed); }

  const Kind kind;

 private:
  friend class DropList;

  std::atomic<uint32_t> uses_{1};
  DropList* drops_;
  Counted* next_ = nullptr;
};

class DropList {
 public:
  // `poke` is called by the first drop after the list was told to be idle: somebody should
  // empty it soon. It must be safe in any thread, without locks.
  using Poke = void (*)(void* context);
  DropList(Poke poke, void* context) : poke_(poke), context_(context) {}

  bool empty() const { return is_none(head_.load(std::memory_order_relaxed)); }
  // Everything pushed so far, linked through next_of().
  Counted* pop_all() {
    Counted* head = head_.exchange(nullptr, std::memory_order_acquire);
    return is_none(head) ? nullptr : head;
  }
  static Counted* next_of(const Counted* thing) { return thing->next_; }
  // For each popped thing, after next_of(): gives the list's use up. True if it is dead and the
  // caller frees it, false if it is used again.
  static bool settle(Counted* thing) {
    // Nobody but the caller could use it now.
    if (thing->uses_.load(std::memory_order_acquire) == 1) return true;
    return thing->uses_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
  // From now on a drop pokes once; true if the list is empty. False: empty it and try again.
  bool go_idle() {
    Counted* none = nullptr;
    return head_.compare_exchange_strong(none, idle(), std::memory_order_seq_cst) || none == idle();
  }
  // A forked child pokes nobody.
  void never_poke() {
    Counted* none = idle();
    head_.compare_exchange_strong(none, nullptr, std::memory_order_seq_cst);
  }

  // The end, in two steps. First: nothing is collected any more, nobody pokes after the return.
  // Gives what was pushed until now, to be settled as ever.
  Counted* stop_collecting() {
    Counted* last = head_.exchange(closed(), std::memory_order_seq_cst);
    if (is_none(last)) last = nullptr;
    while (poking_.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
    return last;
  }
  // Second: `alive` things are still used somewhere. Each is freed by its last drop, and the list
  // by the last of them, or here. The list must not be touched afterwards.
  // A dead thing that stop_collecting gave is counted as alive and passed to free_dead().
  void close(int64_t alive) {
    if (remaining_.fetch_sub(kOpen - alive, std::memory_order_acq_rel) == kOpen - alive)
      delete this;
  }

  // After close: frees a dead thing, and the list if it was the last.
  void free_dead(Counted* thing) {
    delete thing;
    if (remaining_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  friend class Counted;
  static constexpr int64_t kOpen = int64_t{1} << 62;

  ~DropList() = default;
  // What the head says besides where a thing lies; none has these addresses.
  Counted* closed() { return reinterpret_cast<Counted*>(this); }
  const Counted* idle() const { return reinterpret_cast<const Counted*>(&remaining_); }
  Counted* idle() { return reinterpret_cast<Counted*>(&remaining_); }
  bool is_none(const Counted* head) const { return head == nullptr || head == idle(); }

  // The list outlives this call only as long as `thing` is not on it: nothing is touched after.
  void push(Counted* thing) {
    Counted* head = head_.load(std::memory_order_acquire);
    while (true) {
      if (head == closed()) return free_dead(thing);
      if (head == idle()) [[unlikely]] {
        if (push_and_poke(thing)) return;
        head = head_.load(std::memory_order_acquire);
        continue;
      }
      thing->next_ = head;
      if (head_.compare_exchange_weak(head, thing, std::memory_order_acq_rel)) return;
    }
  }
  // False: the list is idle no more, and nothing was pushed.
  bool push_and_poke(Counted* thing) {
    poking_.fetch_add(1, std::memory_order_seq_cst);
    thing->next_ = nullptr;
    Counted* none = idle();
    const bool pushed = head_.compare_exchange_strong(none, thing, std::memory_order_seq_cst);
    if (pushed) poke_(context_);
    poking_.fetch_sub(1, std::memory_order_release);
    return pushed;
  }

  std::atomic<Counted*> head_{nullptr};
  std::atomic<uint32_t> poking_{0};  // threads inside push_and_poke()
  std::atomic<int64_t> remaining_{kOpen};
  Poke poke_;
  void* context_;
};

inline void Counted::drop() {
  // Acquired: on a list that is closed the last one frees it, behind all others.
  uint32_t uses = uses_.load(std::memory_order_acquire);
  while (uses != 1) {
    if (uses_.compare_exchange_weak(uses, uses - 1, std::memory_order_release,
                                    std::memory_order_acquire)) {
      return;
    }
  }
  drops_->push(this);
}

}  // namespace sundog::core
