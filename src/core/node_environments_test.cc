#include "core/environment_text.h"
#include "core/node_for_test.h"

namespace sundog::core {
namespace {

constexpr uint64_t kEnvironment = 77;

// A driver with two templates: 1 has an environment, and a GPU; 2 has none. It keeps the effects of
// the last step.
struct Bench {
  Bench()
      : core(
            {.node = {},
             .session = "test",
             .resources = {{"CPU", model::kResourceUnit}, {"GPU", model::kResourceUnit}},
             .store_bytes = 64 << 20,
             .encode_error = [](const model::SystemError& e) { return std::string(e.sentence); }}) {
    event(ClientConnected{driver, model::Role::kDriver, model::Language::kPython, kJob, 0, 100, 0});
    say(model::DefineEnvironment{kEnvironment, 0, 0, "{}"});
    define(1, kEnvironment, model::kResourceUnit);
    define(2, 0, 0);
  }
  void event(const Event& e) {
    effects.clear();
    core.step(now, random, e, &effects);
    ASSERT_EQ(core.validate(), "");
  }
  void say(const model::ClientMessage& m) { event(FromClient{driver, m}); }
  void define(uint32_t number, uint64_t environment, int64_t gpu) {
    model::NamedAmount needs[] = {{"CPU", model::kResourceUnit}, {"GPU", gpu}};
    model::DefineTemplate t;
    t.template_id = number;
    t.name = "f";
    t.resources = needs;
    t.runtime_env = environment;
    say(t);
  }
  void submit(uint32_t number) {
    model::Submit s;
    s.task = TaskId::make(kJob, TaskId::root_of(kJob), 0, ++calls);
    s.template_id = number;
    say(s);
  }
  template <typename E>
  int count() const {
    return static_cast<int>(std::ranges::count_if(
        effects, [](const Effect& e) { return std::holds_alternative<E>(e); }));
  }

  // Of the only worker that was asked for in the last step.
  uint64_t spawn_token() const {
    for (const Effect& e : effects)
      if (const auto* spawn = std::get_if<SpawnWorker>(&e)) return spawn->token;
    return 0;
  }

  const ClientId driver = ClientId::make(1, 1);
  TimeNs now = kSecond;
  NodeCore core;
  Random random{1};
  Effects effects;
  uint64_t calls = 0;
};

TEST(NodeEnvironments, a_task_holds_nothing_while_its_environment_is_prepared) {
  Bench n;
  n.submit(1);
  EXPECT_EQ(n.count<PrepareEnvironment>(), 1);
  EXPECT_EQ(n.count<SpawnWorker>(), 0);
  EXPECT_EQ(n.core.scheduler().available().get(model::kGpu), model::kResourceUnit);
  n.submit(2);
  EXPECT_EQ(n.count<SpawnWorker>(), 1);  // for the other one
  EXPECT_EQ(n.count<PrepareEnvironment>(), 0);
  n.event(EnvironmentReady{kEnvironment, 1});
  EXPECT_EQ(n.count<SpawnWorker>(), 1);
}

TEST(NodeEnvironments, one_whose_worker_takes_long_to_start_is_in_use) {
  Bench n;
  n.submit(1);
  n.event(EnvironmentReady{kEnvironment, 1});
  const uint64_t token = n.spawn_token();
  ASSERT_NE(token, 0u);
  n.now += 2 * Environments::kIdleKept;
  n.event(Tick{});
  EXPECT_EQ(n.count<EndEnvironment>(), 0) << "its zygote would end while it forks";
  const ClientId worker = ClientId::make(2, 1);
  n.event(ClientConnected{worker, model::Role::kWorker, model::Language::kPython, kJob,
                          kEnvironment, 101, token});
  EXPECT_EQ(n.core.environments().find(kEnvironment)->workers, 1u);
  n.event(ClientGone{worker, {}});
  n.event(SpawnFailed{n.spawn_token(), "it ended"});
  EXPECT_EQ(n.core.environments().find(kEnvironment)->workers, 0u);
}

TEST(NodeEnvironments, a_failure_is_that_of_the_tasks_that_wait_for_it) {
  Bench n;
  n.submit(1);
  n.submit(2);
  n.event(EnvironmentFailed{kEnvironment, 1, "no such package"});
  EXPECT_EQ(n.core.tasks().live(), 1u);        // the one without an environment
  n.event(EnvironmentReady{kEnvironment, 1});  // late
  EXPECT_FALSE(n.core.environments().is_ready(kEnvironment));
}

TEST(NodeEnvironments, workers_of_one_language_have_no_environment_of_another) {
  constexpr uint64_t kOther = 78;
  for (const bool for_cpp : {true, false}) {
    Bench n;
    model::DefineTemplate t;
    t.template_id = 3;
    t.name = "f";
    t.language = model::Language::kCpp;
    t.runtime_env = kEnvironment;
    if (for_cpp) {
      t.runtime_env = kOther;
      n.say(model::DefineEnvironment{kOther, 0, 0, std::string(kCppEnvironment) + "/tmp"});
    }
    n.say(t);
    EXPECT_EQ(n.count<KillClient>(), for_cpp ? 0 : 1);
    if (!for_cpp) continue;
    t.template_id = 4;
    t.language = model::Language::kPython;
    n.say(t);
    EXPECT_EQ(n.count<KillClient>(), 1);
  }
}

TEST(NodeEnvironments, a_template_of_an_unknown_environment_breaks_the_protocol) {
  Bench n;
  model::DefineTemplate other;
  other.template_id = 3;
  other.name = "other";
  other.runtime_env = kEnvironment + 1;
  n.say(other);
  EXPECT_EQ(n.count<KillClient>(), 1);
}

}  // namespace
}  // namespace sundog::core
