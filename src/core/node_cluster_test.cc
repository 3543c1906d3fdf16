// NodeCluster through its events and effects: one node, its peer played by the test.
#include "core/node_cluster.h"

#include <gtest/gtest.h>

#include "core/node_core.h"

namespace sundog::core {
namespace {

using model::Member;

constexpr JobId kJob{7};

Member member(uint8_t n) {
  Member m;
  m.node.bytes[0] = n;
  m.epoch = n;
  return m;
}

class NodeClusters : public testing::Test {
 protected:
  NodeClusters()
      : core_(
            {.node = member(1).node,
             .session = "test",
             .resources = {{"CPU", 2 * model::kResourceUnit}},
             .store_bytes = 1 << 20,
             .encode_error = [](const model::SystemError& e) { return std::string(e.sentence); }}) {
    core_.join_cluster({.node = member(1).node, .boot = 5, .pulls = {}});
    peer_event(FromController{model::Welcome{5, self, kSecond, {2, 2, {self, other}}}});
  }

  void event(const Event& e) {
    effects_.clear();
    core_.step(now_, random_, e, &effects_);
    after();
  }
  void peer_event(const PeerEvent& e) {
    effects_.clear();
    core_.step_peer(now_, random_, e, &effects_);
    after();
  }
  void hear(model::PeerMessage message) { peer_event(FromPeer{other, self, std::move(message)}); }
  void after() {
    ASSERT_EQ(core_.validate(), "");
    for (auto& effect : core_.take_peer_effects()) {
      if (auto* to = std::get_if<ToPeer>(&effect)) sent_.push_back(std::move(to->message));
      if (auto* to = std::get_if<ToController>(&effect)) sent_.push_back(std::move(to->message));
    }
  }
  // The newest message of this kind since the last call; null if there is none.
  template <typename T>
  const T* sent() {
    for (size_t i = sent_.size(); i-- > 0;)
      if (auto* found = std::get_if<T>(&sent_[i])) return found;
    return nullptr;
  }

  const Member self = member(1), other = member(2);
  const ClientId worker = ClientId::make(3, 1), driver = ClientId::make(4, 1);
  TimeNs now_ = kSecond;
  Random random_{1};
  NodeCore core_;
  Effects effects_;
  std::vector<model::PeerMessage> sent_;
};

TEST_F(NodeClusters, owner_hears_of_the_end_only_when_refs_that_stay_are_confirmed) {
  ObjectId inside{TaskId::make(kJob, {}, 0, 1), ObjectId::kPutBit};
  model::RemoteSubmit submit;
  submit.sequence = submit.closed_below = 1;
  submit.task = TaskId::make(kJob, {}, 0, 2);
  submit.language = model::Language::kCpp;
  submit.resources = {{"CPU", model::kResourceUnit}};
  submit.contained = {{inside, other}};
  hear(submit);
  ASSERT_NE(sent<model::Accepted>(), nullptr);
  const auto* borrow = sent<model::BorrowUpdate>();
  ASSERT_NE(borrow, nullptr);
  model::BorrowConfirm confirm{inside, borrow->version, true};

  event(ClientConnected{worker, model::Role::kWorker, model::Language::kCpp, kJob, 0, 9, 0});
  model::RefCount kept{inside, 1};
  event(FromClient{worker, model::AddRefs{{&kept, 1}}});
  model::ResultView result;
  result.value.format = model::Format::kNone;
  model::Done done;
  done.task = submit.task;
  done.results = {&result, 1};
  event(FromClient{worker, done});
  ASSERT_EQ(core_.tasks().live(), 0u);
  EXPECT_EQ(sent<model::RemoteDone>(), nullptr) << "the worker's ref would be nobody's";
  hear(confirm);
  EXPECT_NE(sent<model::RemoteDone>(), nullptr);
}

TEST_F(NodeClusters, end_of_an_old_attempt_changes_nothing) {
  event(ClientConnected{driver, model::Role::kDriver, model::Language::kCpp, kJob, 0, 8, 0});
  model::NamedAmount needs[] = {{"GPU", model::kResourceUnit}};
  model::DefineTemplate define;
  define.language = model::Language::kCpp;
  define.resources = needs;
  event(FromClient{driver, define});
  model::Submit submit;
  submit.task = TaskId::make(kJob, {}, 0, 3);
  event(FromClient{driver, submit});
  auto place = [&] {
    const auto* request = sent<model::PlaceRequest>();
    ASSERT_NE(request, nullptr);
    peer_event(FromController{model::PlaceReply{request->request, other, false, ""}});
  };
  place();
  model::RemoteDone crashed;
  crashed.task = submit.task;
  crashed.crashed = true;
  hear(crashed);
  place();
  ASSERT_EQ(sent<model::RemoteSubmit>()->attempt, 1u);
  sent_.clear();
  hear(crashed);
  EXPECT_NE(sent<model::DoneHeld>(), nullptr) << "it is answered, so that it is not repeated";
  EXPECT_EQ(sent<model::PlaceRequest>(), nullptr) << "attempt 1 still runs";
}

TEST_F(NodeClusters, copy_of_a_submission_after_its_end_does_not_run) {
  model::RemoteSubmit submit;
  submit.sequence = submit.closed_below = 1;
  submit.task = TaskId::make(kJob, {}, 0, 2);
  submit.language = model::Language::kCpp;
  hear(submit);
  event(ClientConnected{worker, model::Role::kWorker, model::Language::kCpp, kJob, 0, 9, 0});
  model::ResultView result;
  result.value.format = model::Format::kNone;
  model::Done done;
  done.task = submit.task;
  done.results = {&result, 1};
  event(FromClient{worker, done});
  ASSERT_NE(sent<model::RemoteDone>(), nullptr);
  hear(model::DoneHeld{submit.task, 0, {}});
  EXPECT_EQ(core_.cluster()->leftovers(), "");
  hear(submit);
  EXPECT_EQ(core_.tasks().live(), 0u);
}

}  // namespace
}  // namespace sundog::core
