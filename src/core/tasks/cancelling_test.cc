#include "core/tasks/cancelling.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "base/random.h"

namespace sundog::core {
namespace {

using model::CancelLevel;

constexpr DurationNs kMs = kMillisecond;

std::vector<CancelLevel> due_levels(Cancelling* c, TimeNs now) {
  std::vector<CancelLevel> levels;
  Cancelling::Due due;
  while (c->take_due(now, &due)) levels.push_back(due.level);
  return levels;
}

TEST(Cancelling, levels_come_one_after_the_other_from_the_moment_the_task_is_known_to_run) {
  Cancelling c;
  c.ask(1, {CancelLevel::kKill, 400 * kMs, CancelReason::kAsked});
  EXPECT_EQ(c.next(), kNever);
  c.begin(1, kSecond);
  EXPECT_EQ(due_levels(&c, kSecond), std::vector{CancelLevel::kCooperative});
  EXPECT_EQ(c.next(), kSecond + Cancelling::kInterruptAfter);
  EXPECT_TRUE(due_levels(&c, c.next() - 1).empty());
  EXPECT_EQ(due_levels(&c, c.next()), std::vector{CancelLevel::kInterrupt});
  EXPECT_EQ(c.next(), kSecond + 400 * kMs);
  EXPECT_EQ(due_levels(&c, c.next()), std::vector{CancelLevel::kKill});
  EXPECT_EQ(c.next(), kNever);
}

TEST(Cancelling, force_without_a_grace_skips_what_comes_before) {
  Cancelling c;
  c.ask(1, {CancelLevel::kKill, 0, CancelReason::kAsked});
  c.begin(1, kSecond);
  EXPECT_EQ(due_levels(&c, kSecond), std::vector{CancelLevel::kKill});
  EXPECT_EQ(c.next(), kNever);
}

TEST(Cancelling, a_deadline_of_an_attempt_that_ended_never_comes) {
  Cancelling c;
  c.set_deadline(4, kSecond);
  EXPECT_EQ(c.next(), kSecond);
  c.clear_deadline(4);
  EXPECT_EQ(c.next(), kNever);
  EXPECT_EQ(c.size(), 0u);
}

// The naive model: for each task and level the moment, found by looking at everything.
struct Model {
  struct Task {
    bool asked = false, begun = false;
    int reached = 0;
    std::map<int, DurationNs> wanted;
    std::map<int, TimeNs> at;
    std::optional<TimeNs> deadline;
  };
  std::map<uint32_t, Task> tasks;

  static void earlier(std::map<int, TimeNs>* moments, int level, TimeNs at) {
    auto [it, added] = moments->emplace(level, at);
    if (!added && at < it->second) it->second = at;
  }
  TimeNs next() const {
    TimeNs first = kNever;
    for (const auto& [id, t] : tasks) first = std::min(first, next_of(t));
    return first;
  }
  static TimeNs next_of(const Task& t) {
    TimeNs first = t.deadline.value_or(kNever);
    for (const auto& [level, at] : t.at)
      if (level > t.reached) first = std::min(first, at);
    return first;
  }
};

TEST(Cancelling, does_what_a_naive_model_does) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    Cancelling c;
    Model m;
    TimeNs now = kSecond;
    for (int i = 0; i < 120; ++i) {
      const auto task = static_cast<uint32_t>(random.below(5));
      switch (random.below(6)) {
        case 0: {
          CancelRequest r{static_cast<CancelLevel>(random.below(4)),
                          static_cast<DurationNs>(random.below(4)) * 40 * kMs,
                          CancelReason::kAsked};
          c.ask(task, r);
          Model::Task& t = m.tasks[task];
          t.asked = true;
          const int most = static_cast<int>(r.most);
          if (most >= 1) Model::earlier(&t.wanted, 1, 0);
          if (most >= 2) Model::earlier(&t.wanted, 2, Cancelling::kInterruptAfter);
          if (most >= 3) Model::earlier(&t.wanted, 3, r.grace);
          break;
        }
        case 1:
          if (!m.tasks.contains(task) || !m.tasks[task].asked) break;
          c.begin(task, now);
          for (const auto& [level, after] : m.tasks[task].wanted)
            Model::earlier(&m.tasks[task].at, level, now + after);
          m.tasks[task].wanted.clear();
          break;
        case 2: {
          const TimeNs at = now + static_cast<DurationNs>(random.below(200)) * kMs;
          c.set_deadline(task, at);
          m.tasks[task].deadline = at;
          break;
        }
        case 3:
          if (random.one_in(2)) {
            c.forget(task);
            m.tasks.erase(task);
          } else if (m.tasks.contains(task)) {
            c.clear_deadline(task);
            m.tasks[task].deadline.reset();
            if (!m.tasks[task].asked) m.tasks.erase(task);
          }
          break;
        default: {
          now += static_cast<DurationNs>(random.below(120)) * kMs;
          Cancelling::Due due;
          while (c.take_due(now, &due)) {
            ASSERT_TRUE(m.tasks.contains(due.task));
            Model::Task& t = m.tasks[due.task];
            ASSERT_EQ(Model::next_of(t), m.next()) << "the earliest comes first";
            if (t.deadline && *t.deadline <= now) {
              ASSERT_TRUE(due.is_deadline);
              t.deadline.reset();
              if (!t.asked) m.tasks.erase(due.task);
              continue;
            }
            int highest = 0;
            for (const auto& [level, at] : t.at)
              if (at <= now && level > t.reached) highest = level;
            ASSERT_FALSE(due.is_deadline);
            ASSERT_EQ(static_cast<int>(due.level), highest);
            t.reached = highest;
          }
          ASSERT_GT(m.next(), now) << "all that is due was taken";
        }
      }
      ASSERT_EQ(c.validate(), "");
      ASSERT_EQ(c.next(), m.next());
      ASSERT_EQ(c.size(), m.tasks.size());
      for (const auto& [id, t] : m.tasks) {
        ASSERT_EQ(c.asked(id), t.asked);
        ASSERT_EQ(static_cast<int>(c.reached(id)), t.reached);
      }
    }
  }
}

}  // namespace
}  // namespace sundog::core
