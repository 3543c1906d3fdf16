// ClientCore against a naive model of a node that counts references and pins per object.
#include "core/client_core.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "base/probe.h"
#include "base/random.h"
#include "model/limits.h"

namespace sundog::core {
namespace {

std::shared_ptr<void> keep_inline(Bytes bytes) {
  return std::make_shared<std::string>(to_string(bytes));
}
std::string text_of(const std::shared_ptr<void>& value) {
  return *static_cast<std::string*>(value.get());
}
void ignore_poke(void*) {}

constexpr JobId kJob{7};

// What a node would count for this one client, and nothing else.
class CountingNode : public ClientOutbox {
 public:
  void send(const model::ClientMessage& message) override {
    ++messages;
    std::visit([this](const auto& m) { on(m); }, message);
  }
  template <typename M>
  void on(const M&) {}
  void on(const model::Submit& m) {
    submits.push_back(m.task);
    for (uint32_t i = 0; i < m.num_results; ++i) ++refs[ObjectId{m.task, i}];
    for (const ObjectId& id : m.refs) expect_alive(id);
  }
  void on(const model::Put& m) {
    ++refs[m.id];
    for (const ObjectId& id : m.contained) {
      expect_alive(id);
      contained[m.id].push_back(id);
    }
  }
  void on(const model::CreatePlacementGroup& m) { ++refs[ObjectId{m.group, 0}]; }
  void on(const model::AddRefs& m) {
    for (const auto& r : m.refs) {
      expect_alive(r.id);
      refs[r.id] += r.count;
    }
  }
  void on(const model::DropRefs& m) {
    for (const auto& r : m.refs) {
      ASSERT_GE(refs[r.id], r.count) << "dropped more than counted";
      refs[r.id] -= r.count;
      if (refs[r.id] == 0) refs.erase(r.id);
    }
  }
  void on(const model::Unpin& m) {
    for (const auto& r : m.pins) {
      ASSERT_GE(pins[r.id], r.count) << "unpinned more than pinned";
      pins[r.id] -= r.count;
      if (pins[r.id] == 0) pins.erase(r.id);
    }
  }
  void on(const model::Get& m) {
    last_get = m.request;
    asked.assign(m.ids.begin(), m.ids.end());
    if (m.values)
      for (const ObjectId& id : m.ids) expect_alive(id);
  }
  void on(const model::EndGet& m) { ended.insert(m.request); }
  void on(const model::Credit& m) { credit += m.bytes; }

  // Somebody keeps it: this client, or a container that this client keeps.
  bool alive(const ObjectId& id) const {
    if (refs.contains(id) || outside.contains(id)) return true;
    for (const auto& [container, inside] : contained) {
      if (refs.contains(container) && std::count(inside.begin(), inside.end(), id)) return true;
    }
    return false;
  }
  void expect_alive(const ObjectId& id) { EXPECT_TRUE(alive(id)) << "a dead object is named"; }

  std::map<ObjectId, uint64_t> refs, pins;
  std::map<ObjectId, std::vector<ObjectId>> contained;
  std::set<ObjectId> outside;  // kept by others
  std::vector<TaskId> submits;
  std::vector<ObjectId> asked;
  std::set<uint32_t> ended;
  uint32_t last_get = 0;
  uint64_t credit = 0;
  uint64_t messages = 0;
};

class ClientCoreTest : public ::testing::Test {
 protected:
  ClientEntry* submit_one() {
    std::vector<ClientEntry*> results;
    core.submit(model::Submit{.template_id = 1, .num_results = 1}, &results);
    return results[0];
  }
  void flush() {
    std::vector<ClientExport*> dead;
    core.flush(&dead);
    for (ClientExport* e : dead) delete e;
    ASSERT_EQ(core.validate(), "");
  }
  static model::ValueView inline_value(std::string_view text) {
    return {model::Format::kText, {}, as_bytes(text)};
  }
  static model::ValueView extent_value(uint64_t offset) {
    return {model::Format::kRaw, {0, 0, offset, 100'000}, {}};
  }

  uint64_t order_ = 0;
  CountingNode node;
  DropList* drops = new DropList(ignore_poke, nullptr);
  ClientCore core{kJob, TaskId::root_of(kJob), &node, keep_inline, drops};
};

TEST_F(ClientCoreTest, dropped_result_is_given_back_once_flushed) {
  ClientEntry* result = submit_one();
  EXPECT_EQ(node.refs.size(), 1u);
  result->drop();
  EXPECT_EQ(node.refs.size(), 1u) << "a drop sends nothing by itself";
  flush();
  EXPECT_TRUE(node.refs.empty());
  EXPECT_EQ(core.entry_count(), 0u);
}

TEST_F(ClientCoreTest, drops_of_small_values_gather_but_not_those_that_may_free_more) {
  auto flush_what_matters = [this] {
    std::vector<ClientExport*> dead;
    core.flush_what_matters(&dead);
    for (ClientExport* e : dead) delete e;
  };
  auto result = [this] {
    ClientEntry* entry = submit_one();
    core.on_value({entry->id, true, ++order_, inline_value("small")});
    return entry;
  };
  result()->drop();
  flush_what_matters();
  EXPECT_EQ(node.refs.size(), 1u) << "nobody waits for it";
  EXPECT_EQ(core.entry_count(), 0u);
  flush();
  EXPECT_TRUE(node.refs.empty()) << "the whole flush sends it";
  for (int i = 0; i < 31; ++i) result()->drop();
  flush_what_matters();
  EXPECT_EQ(node.refs.size(), 31u);
  result()->drop();
  flush_what_matters();
  EXPECT_TRUE(node.refs.empty()) << "there are enough for a message";
  result()->drop();
  submit_one()->drop();  // its value is not here: its task, or bytes in the store, may hang on it
  flush_what_matters();
  EXPECT_TRUE(node.refs.empty()) << "and takes the others along";
}

TEST_F(ClientCoreTest, entry_found_again_before_the_flush_lives_on) {
  ClientEntry* result = submit_one();
  ObjectId id = result->id;
  result->drop();
  ClientEntry* again = core.ref(id);
  EXPECT_EQ(again, result);
  flush();
  EXPECT_EQ(node.refs.size(), 1u);
  again->drop();
  again = core.ref(id);
  again->drop();
  flush();
  EXPECT_TRUE(node.refs.empty());
}

TEST_F(ClientCoreTest, reference_from_inside_a_container_goes_before_the_containers_drop) {
  ClientEntry* inner = submit_one();
  ObjectId inside = inner->id;
  ClientEntry* outer =
      core.put(core.next_put_id(), inline_value("list"), std::span(&inside, 1), false);
  inner->drop();
  flush();
  EXPECT_FALSE(node.refs.contains(inside));
  ClientEntry* copy = core.ref(inside);
  outer->drop();
  flush();  // AddRefs(inside) must precede DropRefs(outer); the node checks it
  EXPECT_TRUE(node.refs.contains(inside));
  copy->drop();
  flush();
  EXPECT_TRUE(node.refs.empty());
}

TEST_F(ClientCoreTest, adopted_reference_is_counted_once_and_given_back_once) {
  const ObjectId id{TaskId::make(kJob, TaskId::root_of(kJob), 0, 77), 0};
  node.refs[id] = 1;  // as the answer to FindName counts it
  ClientEntry* first = core.adopt(id);
  ++node.refs[id];
  ClientEntry* again = core.adopt(id);
  EXPECT_EQ(first, again);
  flush();
  EXPECT_EQ(node.refs[id], 1u) << "one reference a process and object";
  first->drop();
  flush();
  EXPECT_EQ(node.refs[id], 1u);
  again->drop();
  ++node.refs[id];
  core.adopt(id)->drop();  // found again before the flush
  flush();
  EXPECT_TRUE(node.refs.empty());
}

TEST_F(ClientCoreTest, get_asks_only_for_what_is_not_here) {
  ClientEntry *a = submit_one(), *b = submit_one();
  core.on_value({a->id, true, 1, inline_value("one")});
  ClientEntry* both[] = {a, b, b};
  uint32_t request = core.begin_get(both, 3, true, false);
  ASSERT_NE(request, 0u);
  EXPECT_EQ(node.asked, std::vector<ObjectId>{b->id});
  core.on_value({b->id, false, 1, inline_value("two of more bytes than an entry has room for")});
  EXPECT_TRUE(core.on_waited({request}));
  EXPECT_EQ(core.begin_get(both, 3, true, false), 0u);
  EXPECT_EQ(to_string(core.take(a).small), "one");
  EXPECT_EQ(text_of(core.take(b).value), "two of more bytes than an entry has room for");
  a->drop();
  b->drop();
}

TEST_F(ClientCoreTest, given_up_request_is_ended_once_and_its_answer_ignored) {
  ClientEntry* a = submit_one();
  uint32_t request = core.begin_get(std::span(&a, 1), 1, true, true);
  core.end_get(request);
  EXPECT_TRUE(node.ended.contains(request));
  EXPECT_FALSE(core.on_waited({request}));
  uint32_t second = core.begin_get(std::span(&a, 1), 1, true, true);
  EXPECT_TRUE(core.on_waited({second}));
  core.end_get(second);
  EXPECT_FALSE(node.ended.contains(second));
  a->drop();
}

TEST_F(ClientCoreTest, one_export_gives_all_pins_back_together) {
  ClientEntry* a = submit_one();
  ObjectId id = a->id;
  node.pins[id] = 3;
  core.on_value({id, false, 1, extent_value(4096)});
  core.on_value({id, false, 1, extent_value(4096)});
  ClientExport* argument = core.on_argument({id, extent_value(4096)});
  ClientExport* first = core.take(a).exported;
  ClientExport* second = core.take(a).exported;
  EXPECT_EQ(first, argument);
  EXPECT_EQ(first, second);
  first->drop();
  argument->drop();
  flush();
  EXPECT_EQ(node.pins[id], 3u) << "still used";
  second->drop();
  flush();
  EXPECT_TRUE(node.pins.empty());
  EXPECT_FALSE(core.take(a).here()) << "must be asked for again";
  a->drop();
}

TEST_F(ClientCoreTest, value_for_a_dropped_entry_is_unpinned_and_credited) {
  ClientEntry* a = submit_one();
  ObjectId id = a->id;
  a->drop();
  flush();
  node.pins[id] = 1;
  core.on_value({id, false, 1, extent_value(0)});
  flush();
  EXPECT_TRUE(node.pins.empty());
  std::string big(1000, 'x');
  for (int i = 0; i < 2000; ++i) core.on_value({id, true, 1, inline_value(big)});
  flush();
  EXPECT_EQ(node.credit, 2000 * (1000 + model::kPushOverheadBytes)) << "what the node counted";
}

TEST_F(ClientCoreTest, ids_of_tasks_and_puts_never_repeat) {
  std::set<ObjectId> seen;
  auto some = [&] {
    for (int i = 0; i < 50; ++i) {
      ClientEntry* e = submit_one();
      EXPECT_TRUE(seen.insert(e->id).second);
      EXPECT_EQ(e->id.task.job(), kJob);
      e->drop();
      EXPECT_TRUE(seen.insert(core.next_put_id()).second);
    }
  };
  some();
  TaskId task = TaskId::make(kJob, TaskId::root_of(kJob), 0, 999);
  core.begin_task(task, 0);
  some();
  core.begin_task(task, 1);
  some();
  core.end_task();
  some();
}

// The first value of an object counts, at the largest size of a small one and at the smallest of
// the others; an empty value is one, too.
TEST_F(ClientCoreTest, values_of_every_small_size_come_back) {
  for (size_t size : {size_t{0}, size_t{1}, ClientEntry::kSmallMax, ClientEntry::kSmallMax + 1}) {
    ClientEntry* a = submit_one();
    const std::string text(size, 'x');
    EXPECT_FALSE(core.take(a).here());
    core.on_value({a->id, false, 1, inline_value(text)});
    core.on_value({a->id, false, 1, inline_value("another")});
    TakenValue taken = core.take(a);
    ASSERT_TRUE(taken.here());
    EXPECT_EQ(taken.value == nullptr ? to_string(taken.small) : text_of(taken.value), text);
    EXPECT_EQ(taken.value == nullptr, size <= ClientEntry::kSmallMax);
    EXPECT_EQ(core.validate(), "");
    a->drop();
  }
}

TEST_F(ClientCoreTest, a_group_that_was_made_here_is_known_until_somebody_removes_it) {
  auto make = [&] {
    model::CreatePlacementGroup m;
    m.group = core.next_group_id();
    return core.create_group(m);
  };
  ClientEntry *first = make(), *second = make(), *third = make();
  EXPECT_EQ(core.group_is_ready(first->id.task), false);
  core.on_value({first->id, true, 1, inline_value("ready")});
  EXPECT_EQ(core.group_is_ready(first->id.task), true);
  core.on_group_removed({first->id.task});
  EXPECT_EQ(core.group_is_ready(first->id.task), false);
  core.on_ready({second->id, 2});
  EXPECT_EQ(core.group_is_ready(second->id.task), std::nullopt) << "an error is ready, too";
  core.remove_group(second->id.task);
  EXPECT_EQ(core.group_is_ready(second->id.task), false) << "before the node has heard of it";
  model::ValueView error = inline_value("its name is another one's");
  error.format = model::Format::kSystemError;
  core.on_value({third->id, true, 3, error});
  EXPECT_EQ(core.group_is_ready(third->id.task), false);
  for (ClientEntry* entry : {first, second, third}) entry->drop();
  flush();
  EXPECT_EQ(core.group_is_ready(TaskId::root_of(kJob)), std::nullopt);
}

TEST_F(ClientCoreTest, entries_and_exports_outlive_the_table) {
  ClientEntry *a = submit_one(), *b = submit_one(), *queued = submit_one();
  core.on_value({a->id, false, 1, inline_value("kept, and more than sixteen bytes")});
  core.on_value({b->id, false, 1, extent_value(0)});
  queued->drop();
  core.close();
  EXPECT_EQ(text_of(a->value), "kept, and more than sixteen bytes");
  a->drop();
  b->drop();  // its arrived export goes with it; a leak shows under ASan
}

// Random programs: everything counted is given back, nothing named is dead.
TEST(ClientCoreRandom, counts_agree_with_a_naive_node) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    CountingNode node;
    auto* drops = new DropList(ignore_poke, nullptr);
    ClientCore core(kJob, TaskId::root_of(kJob), &node, keep_inline, drops);
    std::vector<ClientEntry*> held;
    std::vector<ClientExport*> views;
    std::vector<ClientExport*> dead;
    auto any = [&]() -> ClientEntry*& { return held[random.below(held.size())]; };
    auto forget = [](auto& list, size_t i) {
      list[i]->drop();
      list[i] = list.back();
      list.pop_back();
    };
    for (int step = 0; step < 400; ++step) {
      switch (held.empty() ? random.below(2) : random.below(10)) {
        case 0:
          core.submit(model::Submit{.num_results = static_cast<uint32_t>(1 + random.below(3))},
                      &held);
          break;
        case 1: {
          std::vector<ObjectId> inside;
          if (!held.empty()) inside.push_back(any()->id);
          held.push_back(core.put(core.next_put_id(),
                                  {model::Format::kText, {}, as_bytes("container")}, inside,
                                  false));
          break;
        }
        case 2: {  // a reference found in a container that is held
          auto it = node.contained.find(any()->id);
          if (it != node.contained.end()) held.push_back(core.ref(it->second[0]));
          break;
        }
        case 3:
        case 4:
          forget(held, random.below(held.size()));
          break;
        case 5:
          held.push_back(any());
          held.back()->use();
          break;
        case 6: {  // a large value arrives, wanted or not
          ObjectId id = any()->id;
          ++node.pins[id];
          core.on_value({id, false, 1, {model::Format::kRaw, {0, 0, 4096, 99'999}, {}}});
          break;
        }
        case 7:
          if (TakenValue taken = core.take(any()); taken.exported != nullptr) {
            views.push_back(taken.exported);
          }
          break;
        case 8:
          if (!views.empty()) forget(views, random.below(views.size()));
          break;
        default: {
          uint32_t request = core.begin_get(std::span(&any(), 1), 1, random.one_in(2), false);
          if (request == 0) break;
          if (random.one_in(2)) {
            core.end_get(request);
          } else {
            EXPECT_TRUE(core.on_waited({request}));
          }
        }
      }
      if (random.one_in(3)) core.flush(&dead);
      ASSERT_EQ(core.validate(), "") << "seed " << seed;
    }
    while (!held.empty()) forget(held, 0);
    while (!views.empty()) forget(views, 0);
    core.flush(&dead);
    for (ClientExport* e : dead) delete e;
    EXPECT_TRUE(node.refs.empty()) << "seed " << seed;
    EXPECT_TRUE(node.pins.empty()) << "seed " << seed;
    EXPECT_EQ(core.entry_count() + core.export_count(), 0u);
  }
  EXPECT_GT(probe_hits("client.entry_used_again"), 0u);
  EXPECT_GT(probe_hits("client.export_used_again"), 0u);
  EXPECT_GT(probe_hits("client.value_for_nobody"), 0u);
}

TEST(DropList, threads_that_use_and_drop_free_each_thing_once) {
  static std::atomic<int> alive{0};
  struct Thing : Counted {
    explicit Thing(DropList* list) : Counted(list, Kind::kEntry) { ++alive; }
    ~Thing() override { --alive; }
  };
  auto* list = new DropList(ignore_poke, nullptr);
  constexpr int kThreads = 3, kThings = 20'000;
  std::vector<Thing*> things;
  for (int i = 0; i < kThings; ++i) {
    things.push_back(new Thing(list));
    for (int t = 1; t < kThreads; ++t) things.back()->use();
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (Thing* thing : things) {
        thing->use();
        thing->drop();
        thing->drop();
      }
    });
  }
  auto dead_of = [](Counted* popped) {
    std::vector<Counted*> dead;
    while (popped != nullptr) {
      Counted* thing = std::exchange(popped, DropList::next_of(popped));
      if (DropList::settle(thing)) dead.push_back(thing);
    }
    return dead;
  };
  int64_t freed = 0;
  while (freed < kThings / 2) {
    for (Counted* thing : dead_of(list->pop_all())) {
      delete thing;
      ++freed;
    }
  }
  std::vector<Counted*> last = dead_of(list->stop_collecting());
  list->close(kThings - freed);  // what drops from here on is freed by its dropper
  for (Counted* thing : last) list->free_dead(thing);
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(alive, 0);
}

TEST(DropList, an_idle_list_is_emptied_after_one_poke_for_whatever_is_dropped) {
  struct Thing : Counted {
    explicit Thing(DropList* list) : Counted(list, Kind::kEntry) {}
  };
  static std::atomic<int> pokes;
  pokes = 0;
  auto* list = new DropList(
      [](void*) {
        ++pokes;
        pokes.notify_one();
      },
      nullptr);
  constexpr int kThreads = 3, kThings = 5'000;
  std::vector<std::thread> threads;
  ASSERT_TRUE(list->go_idle());
  EXPECT_TRUE(list->go_idle()) << "it is already";
  EXPECT_TRUE(list->empty());
  EXPECT_EQ(list->pop_all(), nullptr);
  ASSERT_TRUE(list->go_idle());
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([list] {
      for (int i = 0; i < kThings; ++i) (new Thing(list))->drop();
    });
  }
  int64_t freed = 0;
  int times_idle = 1;
  while (freed < int64_t{kThreads} * kThings) {
    pokes.wait(times_idle - 1);
    EXPECT_EQ(pokes, times_idle);
    while (!list->go_idle()) {
      for (Counted* thing = list->pop_all(); thing != nullptr;) {
        Counted* dead = std::exchange(thing, DropList::next_of(thing));
        EXPECT_TRUE(DropList::settle(dead));
        delete dead;
        ++freed;
      }
    }
    ++times_idle;
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(pokes, times_idle - 1);
  EXPECT_EQ(list->stop_collecting(), nullptr);
  list->close(0);
}

}  // namespace
}  // namespace sundog::core
