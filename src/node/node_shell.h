// NodeShell: the daemon of one node. It hosts a core::NodeCore, turns what happens into its events
// and performs its effects; it decides nothing itself (DESIGN section 3).
//
// One thread does all of it, the one that calls run(). A turn: take the doorbell's bits, read a
// bounded number of records of each ring that rang, step the core for each and perform the
// effects, then publish once to each client that got something and wake it at most once; sleep
// only when nobody rang meanwhile. Pages, output and its files have threads of their own.
//
// Implementation: node_shell.cc (start, turn, stop), node_effects.cc (effects), node_clients.cc
// (handshake and control sockets), node_workers.cc (forks and deaths).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "core/node_core.h"
#include "loop/loop.h"
#include "node/arena.h"
#include "node/batching.h"
#include "node/client_link.h"
#include "node/environment_host.h"
#include "node/job_list.h"
#include "node/options.h"
#include "node/output_log.h"
#include "node/past_tasks.h"
#include "node/session.h"
#include "node/zygote_link.h"
#include "obs/event_recorder.h"
#include "obs/log.h"
#include "os/fd.h"
#include "os/process.h"
#include "os/socket.h"
#include "shm/shared.h"
#include "wire/hello.h"

namespace sundog::node {

constexpr int kRecordsPerTurn = 256;    // of one client, then the others have their turn
constexpr int kTurnsBetweenPolls = 16;  // while rings keep us busy
constexpr DurationNs kLongTurn = 5 * kMillisecond;
constexpr DurationNs kHelloPatience = 10 * kSecond;
constexpr DurationNs kRetryMin = kMillisecond;  // for clients whose rings are full
constexpr DurationNs kRetryMax = 100 * kMillisecond;
constexpr DurationNs kWelcomePatience = 100 * kMillisecond;  // of a driver, for its first workers
constexpr DurationNs kExitPatience = kSecond;                // of a worker whose socket hung up
constexpr int kWarmStage = 2;  // of the zygote: numpy and what the driver asked for are imported
constexpr size_t kTimelineChunkBytes = 64 * 1024;

// For the log and for tests.
struct NodeCounters {
  uint64_t turns = 0;
  uint64_t long_turns = 0;
  DurationNs longest_turn = 0;
  uint64_t records = 0;
  uint64_t malformed = 0;
};

// "0,2" of {0, 2}.
std::string comma_separated(std::span<const uint32_t> numbers);

class NodeShell {
 public:
  static Result<std::unique_ptr<NodeShell>> create(NodeOptions options);
  ~NodeShell();

  // Until the last driver is gone, SIGTERM, or stop().
  void run();
  void stop(std::string reason);

  const NodeCounters& counters() const { return counters_; }

 private:
  // A socket whose Hello has not come yet.
  struct Newcomer {
    os::Fd socket;
    uint64_t spawn_token = 0;  // of the worker behind it; 0: came by path, or the first driver
    pid_t pid = 0;             // as the kernel says; 0: a socket pair
    std::unique_ptr<loop::FunctionWatcher> watcher;
    loop::TimerId deadline = 0;
  };
  // A fork that was asked for, until its worker said Hello.
  struct Spawn {
    uint64_t token = 0;
    JobId job;
    uint64_t runtime_env = 0;
    uint32_t pid = 0;  // 0: not forked yet
    os::Fd pidfd;
    os::Fd out, err;
    int socket = -1;  // of its Newcomer
    int stage = 0;    // of the zygote\'s warm-up when it was forked
    std::shared_ptr<TaskLabel> label;
    std::unique_ptr<loop::FunctionWatcher> end_watcher;
  };
  // A worker that is to be started: its connection and its output, both ends.
  struct WorkerPipes {
    os::SocketPair control;
    os::Pipe out, err;
  };
  // An event made while effects were performed; `text` is what its views view.
  struct Queued {
    core::Event event;
    std::string text;
  };

  explicit NodeShell(NodeOptions options);
  Status start();

  // ---- node_shell.cc
  bool turn();
  bool read_rung(uint32_t index);
  void read_all(ClientLink* client);
  bool read_record(ClientLink* client, const shm::Record& record);
  void tick();
  void publish_all();
  void retry_full();
  void serve_patient(ClientLink* client);
  void on_signal();
  void reap_strangers();
  void shut_down();
  void note_turn(TimeNs started, uint64_t records_before);

  // ---- node_effects.cc
  void decide(const core::Event& event);
  void queue_event(core::Event event, std::string text = {});
  void drain_queue();
  void step(const core::Event& event);
  void perform(const core::ToClient& e);
  void perform(const core::RevokeClaim& e);
  void perform(const core::SpawnWorker& e);
  void perform(const core::KillClient& e);
  void perform(const core::ExtentFreed& e);
  void perform(const core::SetTimer& e);
  void perform(const core::RecordTask& e);
  void perform(const core::AnswerTimeline& e);
  void perform(const core::JobSettled& e);
  void perform(const core::PrepareEnvironment& e) {
    if (!prepare_for_cpp(e)) environments_->prepare(e);
  }
  void perform(const core::AbortEnvironment& e) { environments_->abort(e); }
  void perform(const core::EndEnvironment& e) {
    cpp_environments_.erase(e.hash);
    environments_->end(e);
  }
  void send(ClientLink* client, const model::NodeMessage& message);
  void sent(ClientLink* client, bool written) {
    if (!written) return cut_off(client);
    if (!client->listed) mark_for_publishing(client);
  }
  void cut_off(ClientLink* client);
  void offer_claim(ClientLink* client, const model::Execute& message);
  void send_execute(ClientLink* client, const model::Execute& message);
  void send_grant(ClientLink* client, const model::Grant& message);
  void grant_failed(ClientId id, const model::Grant& grant, const std::string& reason);
  void deliver_output(OutputBatch batch);
  void write_output(ClientLink* client, const OutputBatch& batch);

  // ---- node_clients.cc
  void on_listener();
  void add_newcomer(os::Fd socket, uint64_t spawn_token, pid_t pid);
  void on_newcomer(int socket);
  void drop_newcomer(int socket);
  void stop_if_alone();
  void refuse(int socket, std::string_view reason);
  Status attach(Newcomer newcomer, const wire::Hello& hello);
  Result<std::unique_ptr<ClientLink>> make_link(const wire::Hello& hello);
  wire::Welcome make_welcome(const ClientLink& client) const;
  void adopt_fork(ClientLink* client, Spawn* spawn);
  void welcome(ClientId id);
  void welcome_driver_if_ready(JobId job);
  Status watch_client(ClientLink* client);
  void on_control(ClientId id, const os::Readiness& readiness);
  void on_want_writable(ClientLink* client, const wire::WantWritable& want);
  void disconnect(ClientLink* client, model::DeathCause::Kind kind, int32_t code,
                  std::string detail);
  ClientLink* link(ClientId id) {
    const uint32_t i = id.index();
    if (i >= clients_.size() || !clients_[i] || clients_[i]->id != id) return nullptr;
    return clients_[i].get();
  }
  ClientLink* driver_of(JobId job);
  uint32_t free_index();
  void drop_link(ClientId id);
  void driver_left(ClientLink* client);
  std::string described_in(JobId job) const;
  void keep_description(JobId job, uint32_t pid) const;
  void remove_descriptions() const;
  void mark_for_publishing(ClientLink* client);

  // ---- node_workers.cc
  void on_forked(uint64_t token, uint32_t pid, os::Fd pidfd);
  void on_fork_failed(uint64_t token, std::string reason);
  void on_spawn_ended(uint64_t token);
  void on_process_end(ClientId id);
  void on_worker_hang_up(ClientLink* client);
  void end_process(ClientLink* client);
  model::DeathCause::Kind cause_of(const os::ExitInfo& info, const ClientLink& client);
  std::vector<std::string> worker_environment() const;
  static Result<WorkerPipes> make_worker_pipes();
  // Waits for the worker of this spawn to connect and reads its output; their ends stay in `pipes`.
  void expect_worker(const core::SpawnWorker& e, WorkerPipes* pipes);
  // ---- node_cpp_workers.cc
  void use_cpp_worker(const std::string& program, bool start);
  void learn_cpp_worker(std::string_view program);
  Status start_cpp_worker(const core::SpawnWorker& e);
  // False if the environment is not one of C++ workers.
  bool prepare_for_cpp(const core::PrepareEnvironment& e);
  // ---- node_workers.cc
  void on_stage_done(int stage);
  void start_environments();
  ZygoteLink* zygote_for(uint64_t runtime_env);
  // Handles what the zygotes said and we have not heard yet.
  void catch_up_with_forks();
  void group_ended(uint32_t pid);

  NodeOptions options_;
  NodeId node_;
  obs::Log log_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<loop::EventLoop> loop_;
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<OutputLog> output_;
  std::unique_ptr<ZygoteLink> zygote_;
  std::unique_ptr<EnvironmentHost> environments_;  // with zygotes of their own
  struct CppEnvironment {
    std::string folder;                  // where its workers begin; empty: where we are
    std::vector<std::string> variables;  // NAME=VALUE
    std::string description;             // told to its workers, for what they call
  };
  std::map<uint64_t, CppEnvironment> cpp_environments_;  // by hash
  std::unique_ptr<core::NodeCore> core_;
  obs::EventRecorder recorder_;
  FailureNotes failures_;  // of what recorder_ has
  Random random_;

  os::Fd doorbell_memory_;
  shm::Doorbell doorbell_;
  os::Fd bell_;
  os::Fd listener_;
  os::Fd signals_;
  std::vector<std::unique_ptr<loop::FunctionWatcher>> own_watchers_;

  std::vector<std::unique_ptr<ClientLink>> clients_;  // by index
  std::vector<uint32_t> generations_;                 // by index
  std::map<JobId, ClientId> drivers_;
  std::map<JobId, std::string> name_spaces_;  // until the job is settled
  JobList jobs_;
  std::map<int, Newcomer> newcomers_;  // by socket
  std::map<uint64_t, Spawn> spawns_;   // by token
  std::set<std::string> task_names_;   // for labels; as many as templates
  uint32_t next_job_ = 1;
  int drivers_seen_ = 0;
  int64_t oom_kills_ = -1;
  int zygote_stage_ = 0;

  // ---- one turn
  TimeNs now_ = 0;
  TimeNs tick_at_ = kNever;
  core::Effects effects_;
  std::deque<Queued> queued_;
  bool deciding_ = false;
  std::vector<uint32_t> to_publish_;
  std::vector<uint32_t> rung_;
  std::vector<uint32_t> more_to_read_;
  std::vector<ClientId> full_;  // clients with overflow, output or a timeline
  loop::TimerId retry_timer_ = 0;
  DurationNs retry_after_ = kRetryMin;
  wire::DecodeScratch decode_scratch_;
  bool first_of_several_ = true;  // the message being read, of one client's in one turn
  core::Event incoming_ = core::FromClient{};  // the message being read; always a FromClient
  std::vector<std::byte> encode_scratch_;
  bool stopping_ = false;
  NodeCounters counters_;
  Batching batching_;
  bool gathers_ = false;  // after the turn: doze until somebody insists
};

}  // namespace sundog::node
