#include "core/sched/environments.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "base/probe.h"
#include "base/random.h"

namespace sundog::core {
namespace {

using State = Environments::State;
using Kind = EnvironmentOrder::Kind;

struct Bench {
  Environments e;
  EnvironmentOrders orders;

  std::vector<Kind> taken() {
    std::vector<Kind> kinds;
    for (const EnvironmentOrder& o : std::exchange(orders, {})) kinds.push_back(o.kind);
    return kinds;
  }
};

TEST(Environments, many_askers_are_one_preparation) {
  Bench b;
  ASSERT_TRUE(b.e.define(5, "{}", 0));
  for (int i = 0; i < 3; ++i) b.e.want(5, kSecond, &b.orders);
  ASSERT_EQ(b.taken(), std::vector{Kind::kPrepare});
  EXPECT_TRUE(b.e.prepared(5, 1, 2 * kSecond));
  b.e.want(5, 3 * kSecond, &b.orders);
  EXPECT_TRUE(b.taken().empty());
}

TEST(Environments, a_hash_that_is_taken_is_refused) {
  Environments e;
  EXPECT_TRUE(e.define(5, "{}", 0));
  EXPECT_TRUE(e.define(5, "{}", 0));
  EXPECT_FALSE(e.define(5, "{\"pip\":[]}", 0));
  EXPECT_FALSE(e.define(0, "{}", 0));
}

TEST(Environments, what_failed_is_tried_again_after_a_pause_that_grows) {
  Bench b;
  b.e.define(5, "{}", 0);
  TimeNs now = kSecond;
  for (DurationNs pause : {1, 2, 4, 8, 16, 30, 30}) {
    b.e.want(5, now, &b.orders);
    b.e.tick(now, &b.orders);
    ASSERT_EQ(b.taken(), std::vector{Kind::kPrepare});
    ASSERT_TRUE(b.e.failed(5, b.e.find(5)->attempt, now));
    EXPECT_EQ(b.e.next(), kNever);  // nobody wants it
    b.e.want(5, now, &b.orders);
    EXPECT_TRUE(b.taken().empty());
    EXPECT_EQ(b.e.next(), now + pause * kSecond);
    b.e.tick(now + pause * kSecond - 1, &b.orders);
    EXPECT_TRUE(b.taken().empty());
    now += pause * kSecond;
  }
}

TEST(Environments, one_that_takes_too_long_has_failed_and_its_answer_comes_late) {
  Bench b;
  b.e.define(5, "{}", 10 * kSecond);
  b.e.want(5, kSecond, &b.orders);
  EXPECT_EQ(b.e.next(), 11 * kSecond);
  b.taken();
  b.e.tick(11 * kSecond, &b.orders);
  EXPECT_EQ(b.taken(), std::vector{Kind::kAbort});
  EXPECT_EQ(b.e.find(5)->state, State::kFailed);
  EXPECT_FALSE(b.e.prepared(5, 1, 12 * kSecond));
}

TEST(Environments, an_idle_one_ends_but_not_under_its_workers) {
  Bench b;
  b.e.define(5, "{}", 0);
  b.e.want(5, 0, &b.orders);
  b.e.prepared(5, 1, kSecond);
  b.e.worker_came(5);
  EXPECT_EQ(b.e.next(), kNever);
  b.e.worker_left(5, 100 * kSecond);
  EXPECT_EQ(b.e.next(), 100 * kSecond + Environments::kIdleKept);
  b.taken();
  b.e.tick(b.e.next(), &b.orders);
  EXPECT_EQ(b.taken(), std::vector{Kind::kEnd});
  EXPECT_FALSE(b.e.is_ready(5));
}

TEST(Environments, a_crowd_is_prepared_a_few_at_a_time_in_its_order) {
  Bench b;
  const uint64_t crowd = 3 * Environments::kPreparingMax;
  for (uint64_t hash = crowd; hash > 0; --hash) {
    b.e.define(hash, "{}", 10 * kSecond);
    b.e.want(hash, kSecond, &b.orders);
  }
  ASSERT_EQ(b.taken().size(), Environments::kPreparingMax);
  EXPECT_EQ(b.e.find(1)->state, State::kQueued);
  EXPECT_EQ(b.e.validate(), "");
  EXPECT_TRUE(b.e.prepared(crowd, 1, 2 * kSecond));
  EXPECT_LE(b.e.next(), 2 * kSecond) << "a turn is free";
  b.e.tick(2 * kSecond, &b.orders);
  ASSERT_EQ(b.orders.size(), 1u);
  EXPECT_EQ(b.orders[0].hash, crowd - Environments::kPreparingMax);
  b.taken();
  b.e.tick(11 * kSecond, &b.orders);  // those that began first took too long: others begin
  EXPECT_EQ(b.taken().size(), 2 * (Environments::kPreparingMax - 1));
  EXPECT_EQ(b.e.find(1)->state, State::kQueued) << "waiting for its turn is not preparing";
}

// The naive model: one environment, each rule written out anew.
struct Model {
  State state = State::kAbsent;
  bool wanted = false;
  uint32_t attempt = 0, failures = 0, workers = 0;
  TimeNs since = 0, used = 0;
  DurationNs patience = 0;

  DurationNs pause() const {
    DurationNs p = kSecond;
    for (uint32_t i = 1; i < failures; ++i) p = std::min(p * 2, 30 * kSecond);
    return p;
  }
  // Abort, prepare (if there is room) or end.
  std::optional<Kind> tick(TimeNs now) {
    if (state == State::kPreparing && patience > 0 && now >= since + patience) {
      fail(now);
      return Kind::kAbort;
    }
    if (state == State::kFailed && wanted && now >= since + pause()) return Kind::kPrepare;
    if (state == State::kReady && workers == 0 && now >= used + 60 * kSecond) {
      state = State::kAbsent;
      return Kind::kEnd;
    }
    return std::nullopt;
  }
  std::optional<Kind> want(TimeNs now) {
    used = now;
    if (state == State::kAbsent) return Kind::kPrepare;
    if (state != State::kFailed) return std::nullopt;
    wanted = true;
    return now >= since + pause() ? std::optional(Kind::kPrepare) : std::nullopt;
  }
  void fail(TimeNs now) {
    state = State::kFailed;
    since = now;
    wanted = false;
    ++failures;
  }
};

// Three of them, and room for a few that are prepared.
struct Models {
  Model of[3];
  size_t room = 0;
  std::vector<uint64_t> queue;  // hashes

  bool has_room() const {
    return std::ranges::count(of, State::kPreparing, &Model::state) < static_cast<int>(room);
  }
  // What is ordered when this one is to be prepared.
  std::optional<Kind> prepare(uint64_t hash, TimeNs now) {
    Model& m = of[hash - 1];
    m.wanted = false;
    m.since = now;
    m.state = State::kQueued;
    if (!queue.empty() || !has_room()) {
      queue.push_back(hash);
      return std::nullopt;
    }
    m.state = State::kPreparing;
    ++m.attempt;
    return Kind::kPrepare;
  }
  // The next whose turn it is; 0: none.
  uint64_t take_turn(TimeNs now) {
    if (queue.empty() || !has_room()) return 0;
    const uint64_t hash = queue.front();
    queue.erase(queue.begin());
    of[hash - 1].state = State::kPreparing;
    of[hash - 1].since = now;
    ++of[hash - 1].attempt;
    return hash;
  }
};

TEST(Environments, random_histories_are_those_of_the_naive_model) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    Models all;
    all.room = 1 + random.below(3);
    Environments e(all.room);
    Model(&models)[3] = all.of;
    for (uint64_t i = 0; i < 3; ++i) {
      models[i].patience = random.one_in(2) ? 0 : 20 * kSecond;
      ASSERT_TRUE(e.define(i + 1, std::to_string(i), models[i].patience));
    }
    TimeNs now = kSecond;
    for (int step = 0; step < 200; ++step) {
      const uint64_t hash = 1 + random.below(3);
      Model& m = models[hash - 1];
      EnvironmentOrders orders, expected;
      auto expect = [&](uint64_t of, std::optional<Kind> kind) {
        if (kind == Kind::kPrepare) kind = all.prepare(of, now);
        if (kind) expected.push_back({*kind, of, models[of - 1].attempt});
      };
      const uint32_t attempt = random.one_in(5) ? m.attempt + 1 : m.attempt;
      switch (random.below(7)) {
        case 0:
        case 1:
          e.want(hash, now, &orders);
          expect(hash, m.want(now));
          break;
        case 2: {
          const bool counts = m.state == State::kPreparing && attempt == m.attempt;
          ASSERT_EQ(e.prepared(hash, attempt, now), counts);
          if (!counts) break;
          m.state = State::kReady;
          m.since = m.used = now;
          m.failures = 0;
          break;
        }
        case 3: {
          const bool counts =
              (m.state == State::kPreparing || m.state == State::kReady) && attempt == m.attempt;
          ASSERT_EQ(e.failed(hash, attempt, now), counts);
          if (counts) m.fail(now);
          break;
        }
        case 4:
          e.worker_came(hash);
          ++m.workers;
          break;
        case 5:
          if (m.workers == 0) break;
          e.worker_left(hash, now);
          --m.workers;
          m.used = now;
          break;
        default:
          now = random.one_in(3) && e.next() != kNever
                    ? std::max(now, e.next())
                    : now + static_cast<DurationNs>(random.below(15)) * kSecond;
          e.tick(now, &orders);
          for (uint64_t i = 1; i <= 3; ++i) expect(i, models[i - 1].tick(now));
          while (uint64_t next = all.take_turn(now))
            expected.push_back({Kind::kPrepare, next, models[next - 1].attempt});
      }
      ASSERT_EQ(orders.size(), expected.size()) << "seed " << seed << " step " << step;
      for (size_t i = 0; i < orders.size(); ++i) {
        ASSERT_EQ(orders[i].kind, expected[i].kind) << "seed " << seed << " step " << step;
        ASSERT_EQ(orders[i].hash, expected[i].hash);
        ASSERT_EQ(orders[i].attempt, expected[i].attempt);
      }
      for (uint64_t i = 1; i <= 3; ++i) {
        ASSERT_EQ(e.find(i)->state, models[i - 1].state) << "seed " << seed << " step " << step;
        ASSERT_EQ(e.find(i)->wanted, models[i - 1].wanted);
      }
      ASSERT_EQ(e.validate(), "");
    }
  }
  for (const char* probe :
       {"environments.late_answer", "environments.took_too_long", "environments.tried_again",
        "environments.idle_one_ended", "environments.wanted_after_its_pause",
        "environments.waits_for_its_turn"})
    EXPECT_GT(probe_hits(probe), 0u) << probe;
}

}  // namespace
}  // namespace sundog::core
