// ActorTable against a naive model: for each actor one list of calls in the order of submission,
// looked through from the front whenever something changes.
#include "core/actors/actor_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/probe.h"
#include "base/random.h"

namespace sundog::core {
namespace {

class NaiveActor {
 public:
  void add(uint32_t call, uint32_t caller, bool ready) {
    waiting_.push_back({call, caller, ready});
    settle();
  }
  void arrived(uint32_t call) {
    for (Call& c : waiting_)
      if (c.call == call) c.ready = true;
    settle();
  }
  void remove(uint32_t call) {
    std::erase(startable, call);
    std::erase_if(waiting_, [&](const Call& c) { return c.call == call; });
    settle();
  }
  std::vector<uint32_t> unready() const {
    std::vector<uint32_t> calls;
    for (const Call& c : waiting_)
      if (!c.ready) calls.push_back(c.call);
    return calls;
  }
  std::vector<uint32_t> listed() const {
    std::vector<uint32_t> calls = startable;
    for (const Call& c : waiting_) calls.push_back(c.call);
    return calls;
  }
  std::vector<uint32_t> startable;

 private:
  struct Call {
    uint32_t call, caller;
    bool ready;
  };
  // A call may start if it is ready and nothing of its caller is before it.
  void settle() {
    for (bool again = true; again;) {
      again = false;
      std::map<uint32_t, bool> blocked;
      for (size_t i = 0; i < waiting_.size() && !again; ++i) {
        Call c = waiting_[i];
        if (c.ready && !blocked[c.caller]) {
          startable.push_back(c.call);
          waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i));
          again = true;
        }
        blocked[c.caller] = true;
      }
    }
  }
  std::vector<Call> waiting_;
};

class Bench {
 public:
  uint32_t add_actor() {
    uint32_t actor = actors.create({TaskId::make(JobId{1}, {}, 0, ++calls_), 0});
    actors[actor].worker = ClientId::make(1, 1);
    actors[actor].state = ActorState::kAlive;
    return actor;
  }
  uint32_t add_call(uint32_t actor, uint32_t caller, bool ready) {
    model::Submit submit;
    submit.task = TaskId::make(JobId{1}, {}, 0, ++calls_);
    uint32_t call = tasks.create(submit);
    tasks[call].kind = model::CallKind::kMethod;
    tasks[call].actor = actor;
    tasks[call].submitter = ClientId::make(caller, 1);
    tasks[call].state = ready ? TaskState::kAtActor : TaskState::kWaiting;
    actors.add_call(call);
    return call;
  }
  void arrive(uint32_t call) {
    tasks[call].state = TaskState::kAtActor;
    actors.arguments_came(call);
  }

  TaskTable tasks;
  ActorTable actors{&tasks};

 private:
  uint64_t calls_ = 0;
};

TEST(ActorTable, a_call_that_waits_holds_back_its_caller_only) {
  Bench b;
  uint32_t actor = b.add_actor();
  uint32_t first = b.add_call(actor, 1, false), second = b.add_call(actor, 1, true);
  uint32_t others = b.add_call(actor, 2, true);
  EXPECT_EQ(b.actors.take_next(actor), others);
  EXPECT_EQ(b.actors.take_next(actor), kNoIndex);
  b.arrive(first);
  EXPECT_EQ(b.actors.take_next(actor), first);
  EXPECT_EQ(b.actors.take_next(actor), second);
}

TEST(ActorTable, orphans_that_may_run_again_come_first_in_their_old_order) {
  Bench b;
  uint32_t actor = b.add_actor();
  std::vector<uint32_t> offered;
  for (int i = 0; i < 4; ++i) offered.push_back(b.add_call(actor, 1, true));
  for (int i = 0; i < 4; ++i) ASSERT_EQ(b.actors.take_next(actor), offered[i]);
  uint32_t later = b.add_call(actor, 1, true);
  b.actors.orphan(actor, offered);
  EXPECT_EQ(b.actors.waiting_calls(b.actors[actor]), 5u);
  EXPECT_FALSE(b.actors.orphan_answered(offered[3], true));
  EXPECT_FALSE(b.actors.orphan_answered(offered[0], true));
  EXPECT_FALSE(b.actors.orphan_answered(offered[1], false));
  EXPECT_TRUE(b.actors.orphan_answered(offered[2], true));
  for (uint32_t expected : {offered[0], offered[2], offered[3], later, kNoIndex})
    EXPECT_EQ(b.actors.take_next(actor), expected);
}

TEST(ActorTable, an_actor_is_named_once_for_all_that_it_has_to_start) {
  Bench b;
  uint32_t idle = b.add_actor(), busy = b.add_actor();
  b.add_call(busy, 1, true);
  b.add_call(busy, 2, true);
  b.add_call(idle, 1, false);
  EXPECT_EQ(b.actors.take_to_serve(), std::vector<uint32_t>{busy});
  EXPECT_FALSE(b.actors.has_to_serve());
}

TEST(ActorTable, random_calls_start_as_in_a_naive_model) {
  Random random(5);
  for (int round = 0; round < 40; ++round) {
    Bench b;
    std::map<uint32_t, NaiveActor> naive;
    std::map<uint32_t, uint32_t> actor_of;
    std::vector<uint32_t> actors;
    for (int i = 0; i < 3; ++i) actors.push_back(b.add_actor());
    for (int step = 0; step < 400; ++step) {
      uint32_t actor = actors[random.below(actors.size())];
      NaiveActor& model = naive[actor];
      uint64_t choice = random.below(12);
      if (choice < 5) {
        auto caller = static_cast<uint32_t>(1 + random.below(4));
        bool ready = !random.one_in(3);
        uint32_t call = b.add_call(actor, caller, ready);
        actor_of[call] = actor;
        model.add(call, caller, ready);
      } else if (choice < 7) {
        auto calls = model.unready();
        if (calls.empty()) continue;
        uint32_t call = calls[random.below(calls.size())];
        b.arrive(call);
        model.arrived(call);
      } else if (choice < 8) {
        auto calls = model.listed();
        if (calls.empty()) continue;
        uint32_t call = calls[random.below(calls.size())];
        b.actors.remove(call);
        b.tasks.release(call);
        model.remove(call);
      } else if (choice < 11) {
        uint32_t call = b.actors.take_next(actor);
        ASSERT_EQ(call, model.startable.empty() ? kNoIndex : model.startable.front());
        if (call == kNoIndex) continue;
        model.startable.erase(model.startable.begin());
        if (random.one_in(4)) {
          b.actors.push_front(call);
          model.startable.insert(model.startable.begin(), call);
        } else {
          b.tasks.release(call);
        }
      } else if (random.one_in(10)) {
        auto all = b.actors.take_all(actor), expected = model.listed();
        EXPECT_TRUE(std::equal(model.startable.begin(), model.startable.end(), all.begin()));
        std::sort(all.begin(), all.end());
        std::sort(expected.begin(), expected.end());
        ASSERT_EQ(all, expected);
        for (uint32_t call : all) b.tasks.release(call);
        model = NaiveActor{};
      }
      ASSERT_EQ(b.actors.validate(), "");
      ASSERT_EQ(b.actors.waiting_calls(b.actors[actor]), model.listed().size());
    }
  }
  EXPECT_GT(probe_hits("actors.call_behind_one_that_waits"), 0u);
}

}  // namespace
}  // namespace sundog::core
