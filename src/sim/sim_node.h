// SimNode: the shell of one NodeCore in the simulator. It turns ring records, deaths, claims and
// timers into events, performs the effects, and checks after every step what only a shell can
// see: memory handed out twice, bytes freed under a view, more tasks running than resources.
//
// Owned by SimCluster; single-threaded under virtual time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/node_core.h"
#include "sim/sim_network.h"
#include "sim/sim_process.h"
#include "sim/sim_world.h"

namespace sundog::sim {

class SimNode {
 public:
  // Without a network the node is a session of its own.
  SimNode(SimWorld* world, uint32_t index, SimNetwork* network);

  // ---- for SimCluster
  void start_driver(JobId job);
  // A tool ends the detached actors.
  void end_detached();
  void kill_random_worker();
  void kill_random_driver();
  bool has_drivers() const;
  bool is_up() const { return core_ != nullptr; }
  // The machine stops: all its processes and what they and the core had are gone.
  void crash();
  void boot();
  // Leaves the network quietly; called when all is over, so that the run can end.
  void retire() { retired_ = true; }
  // After the last driver: everything must be zero.
  void check_empty();
  bool is_empty() const;
  void deliver(const core::PeerEvent& event) { step_peer(event); }
  void trace_state() const;

  // ---- for SimProcess
  SimWorld& world() { return *world_; }
  TimeNs now() const { return world_->queue.now(); }
  void to_core(SimProcess* from, wire::RecordType type, std::vector<std::byte> payload);
  void process_finished(SimProcess* process, int32_t exit_code);
  void write_arena(const model::Extent& extent, uint64_t content);
  // 0 unless every page holds the same content.
  uint64_t read_arena(const model::Extent& extent) const;
  void check_running();  // a task just began
  // ---- placement groups (sim_groups.cc)
  void check_group_of(const TaskId& task, uint32_t attempt);  // it just began
  SimProcess* driver_of(JobId job);                           // null: it is gone
  void sealed(const model::Extent& extent);
  uint32_t index() const { return index_; }
  uint32_t gpus() const { return gpus_; }
  std::string name() const { return "node " + std::to_string(index_); }
  const core::NodeCore& core() const { return *core_; }

 private:
  struct Attached {
    std::unique_ptr<SimProcess> process;
    TimeNs to_core_free = 0;  // the ring to the daemon is a FIFO: nothing arrives before this
    TimeNs to_process_free = 0;
    bool gone = false;  // the core was told
  };
  enum class Use : uint8_t { kGranted, kSealed };

  void step(const core::Event& event);
  void step_peer(const core::PeerEvent& event);
  void after_step(const core::Effects& effects);
  // Runs `what` unless the machine crashed meanwhile.
  void at(TimeNs when, std::function<void()> what);
  void perform(const core::Effect& effect);
  void hears_of(const model::CancelTask& cancel);
  // The core is about to remove it, or all of the job.
  void group_ends(const TaskId& id);
  void groups_end_with(JobId job);
  void check_bundles();
  void check_waiting_groups();
  uint32_t groups_left() const;
  void on_effect(const core::ToClient& e);
  void on_effect(const core::RevokeClaim& e);
  void on_effect(const core::SpawnWorker& e);
  void on_effect(const core::KillClient& e);
  void on_effect(const core::ExtentFreed& e);
  void on_effect(const core::SetTimer& e);
  void on_effect(const core::RecordTask& e);
  void on_effect(const core::AnswerTimeline& e);
  void on_effect(const core::JobSettled& e);
  void on_effect(const core::PrepareEnvironment& e);
  void on_effect(const core::AbortEnvironment& e);
  void on_effect(const core::EndEnvironment& e);
  void on_effect(const core::ToPeer& e);
  void on_effect(const core::ToController& e);
  void on_effect(const core::FetchStarted& e);
  void on_effect(const core::StoreChunk& e);
  void on_effect(const core::PeerTimer& e);
  void on_effect(const core::EndSession& e);
  SimProcess* attach(core::ClientConnected who);
  void kill(ClientId id, model::DeathCause cause);
  void announce_gone(ClientId id, model::DeathCause cause);
  Attached* find(ClientId id);
  ClientId new_client_id();

  SimWorld* world_;
  uint32_t index_;
  SimNetwork* network_;
  uint32_t cpus_, gpus_;
  uint64_t life_ = 0;
  uint32_t failed_starts_ = 0;  // in a row
  bool is_warm_ = false;        // workers that are started have imported everything
  bool retired_ = false;
  std::unique_ptr<core::NodeCore> core_;
  Random core_random_;
  std::map<ClientId, Attached> processes_;    // dead ones stay: their claim words are still read
  std::map<uint32_t, uint32_t> generations_;  // client index -> last generation
  std::vector<uint64_t> arena_;               // a word for each page
  struct Lent {
    uint64_t size = 0;
    Use use = Use::kGranted;
  };
  std::map<uint64_t, Lent> extents_;
  std::set<JobId> settled_;
  uint64_t timer_number_ = 0;
  uint64_t peer_timer_number_ = 0;
  std::vector<std::unique_ptr<SimProcess>>
      graveyard_;  // of earlier lives; their timers still run out
  uint32_t last_pid_ = 100;
  std::vector<std::byte> encode_buffer_;
  wire::DecodeScratch scratch_;
};

}  // namespace sundog::sim
