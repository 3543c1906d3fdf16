#include "core/sched/environments.h"

#include <gtest/gtest.h>

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
  std::optional<Kind> tick(TimeNs now) {
    if (state == State::kPreparing && patience > 0 && now >= since + patience) {
      fail(now);
      return Kind::kAbort;
    }
    if (state == State::kFailed && wanted && now >= since + pause()) return prepare(now);
    if (state == State::kReady && workers == 0 && now >= used + 60 * kSecond) {
      state = State::kAbsent;
      return Kind::kEnd;
    }
    return std::nullopt;
  }
  std::optional<Kind> want(TimeNs now) {
    used = now;
    if (state == State::kAbsent) return prepare(now);
    if (state != State::kFailed) return std::nullopt;
    wanted = true;
    return now >= since + pause() ? std::optional(prepare(now)) : std::nullopt;
  }
  Kind prepare(TimeNs now) {
    state = State::kPreparing;
    since = now;
    wanted = false;
    ++attempt;
    return Kind::kPrepare;
  }
  void fail(TimeNs now) {
    state = State::kFailed;
    since = now;
    wanted = false;
    ++failures;
  }
};

TEST(Environments, random_histories_are_those_of_the_naive_model) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    Environments e;
    Model models[3];
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
        "environments.idle_one_ended", "environments.wanted_after_its_pause"})
    EXPECT_GT(probe_hits(probe), 0u) << probe;
}

}  // namespace
}  // namespace sundog::core
