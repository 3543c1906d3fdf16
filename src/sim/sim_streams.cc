// What model processes do with streams: they call generators, take items as they come, lose
// interest; as producers they obey their credit.
//
// A consumer does nothing else until it is done with its stream: of two that waited for each other
// while untaken items fill the store, neither would go on.
#include <algorithm>
#include <cstring>

#include "base/probe.h"
#include "sim/sim_node.h"
#include "sim/sim_process.h"

namespace sundog::sim {

using model::Format;

namespace {

constexpr int64_t kOne = model::kResourceUnit;
constexpr uint32_t kFirstStream = 300;
constexpr uint32_t kDepthOfLeaves = 4;
constexpr uint64_t kPage = model::kPageBytes;

struct SimStreamTemplate {
  const char* name;
  uint64_t items;  // of its window; 0: no limit
  int32_t max_retries;
  bool retry_exceptions;
};
constexpr SimStreamTemplate kStreams[] = {{"stream", 0, 3, false},
                                          {"narrow", 1, 3, false},
                                          {"wide", 4, 1, false},
                                          {"stubborn_stream", 2, 2, true}};
constexpr model::NamedAmount kOneCpu[] = {{"CPU", kOne}};

model::DefineTemplate define_stream(uint32_t number, const ObjectId& function) {
  const SimStreamTemplate& t = kStreams[number];
  model::DefineTemplate define;
  define.template_id = kFirstStream + number;
  define.function = function;
  define.name = t.name;
  define.resources = kOneCpu;
  define.max_retries = t.max_retries;
  define.retry_exceptions = t.retry_exceptions;
  define.returns = model::Returns::kStream;
  define.stream_items = t.items;
  return define;
}

}  // namespace

void SimProcess::define_stream_templates() {
  for (uint32_t number = 0; number < std::size(kStreams); ++number)
    send(define_stream(number, function_id(0)));
}

// ---------------------------------------------------------------- the consumer

Co<bool> SimProcess::stream_step(std::vector<ObjectId>* own, TaskId group) {
  SimWorld& world = node_->world();
  if (world.oracle.num_tasks() >= world.config.tasks_max) co_return true;
  if (!functions_put_) put_functions();
  auto number = static_cast<uint32_t>(random_.below(std::size(kStreams)));
  auto refs = pick(*own, 1);
  auto contained = pick(*own, 2);
  model::Submit submit;
  submit.template_id = kFirstStream + number;
  submit.refs = refs;
  submit.contained = contained;
  TaskFacts facts;
  facts.seed = random_.next();
  facts.max_retries = kStreams[number].max_retries;
  facts.cpu = kOne;
  facts.items = static_cast<uint32_t>(facts.seed % 12);
  if (!group.is_nil())
    submit.template_id = define_in(group, define_stream(number, function_id(0)), &facts);
  TaskId task = send_submit(submit, std::move(facts), kDepthOfLeaves, own);
  auto consuming = consume(task, own);
  co_await consuming;
  co_return true;
}

void SimProcess::close_stream(const TaskId& task, uint32_t from) {
  // What has not begun by then fails; an attempt that died is not tried again.
  node_->world().oracle.excuse(task, "its consumer closed it");
  send(model::StreamTaken{task, from, true});
}

Co<bool> SimProcess::consume(TaskId task, std::vector<ObjectId>* own) {
  // Some lose interest early, before it began or in the middle.
  const uint64_t interest = random_.one_in(3) ? random_.below(6) : UINT64_MAX;
  bool failed = false;
  for (uint32_t item = 0;; ++item) {
    if (item == interest) {
      SUNDOG_PROBE("sim.stream_closed_early");
      close_stream(task, item);
      co_return true;
    }
    const ObjectId id{task, item + 1};
    adopt(id);
    std::vector<ObjectId> one{id};
    DurationNs patience =
        random_.one_in(8) ? node_->world().delay(10 * kMicrosecond, 5 * kMillisecond) : kNever;
    auto waiting = get(one, 1, true, patience);
    bool came = co_await waiting;
    if (!came) {
      SUNDOG_PROBE("sim.stream_closed_while_it_waits");
      let_go(id);
      close_stream(task, item + 1);
      co_return true;
    }
    if (values_.at(id).is_end) {
      node_->world().oracle.check_end(task, item - failed, failed);
      let_go(id);
      close_stream(task, item + 1);
      co_return true;
    }
    if (failed) node_->world().oracle.fail("an item follows the error of a stream");
    failed = values_.at(id).is_error;
    if (!failed && random_.one_in(2)) open(id, own);
    if (random_.one_in(3)) {
      own->push_back(id);
    } else {
      let_go(id);
    }
    drop_some_views(true);
    flush();
    send(model::StreamTaken{task, item + 1, false});
    if (random_.one_in(3)) {
      auto pause = sleep(node_->world().delay(kMicrosecond, 400 * kMicrosecond));
      co_await pause;
    }
  }
}

// ---------------------------------------------------------------- the producer

Co<bool> SimProcess::await_credit(uint32_t produced) {
  uint32_t request = ++last_request_;
  SUNDOG_PROBE("sim.producer_waits");
  blocked_ = has_blocked_ = true;
  send(model::AwaitStream{request, running_->task, running_->attempt, produced, true});
  while (!waited_.contains(request)) co_await Suspend{this};
  waited_.erase(request);
  blocked_ = false;
  co_return true;
}

Co<bool> SimProcess::yield_items(std::vector<ObjectId> own) {
  const OwnedExecute e = *running_;
  const uint32_t items = node_->world().oracle.task(e.task)->items;
  while (yielded_ < items) {
    auto yielding = yield_item(yielded_, pick(own, 1));
    bool yielded = co_await yielding;
    if (!yielded) co_return false;
    ++yielded_;
    if (running_->credit.is_spent() && !running_->unwanted) {
      auto waiting = await_credit(yielded_);
      co_await waiting;
      if (running_->credit.is_spent() && !running_->unwanted)
        node_->world().oracle.fail("a producer was woken without credit");
    }
    if (running_->unwanted) {
      SUNDOG_PROBE("sim.generator_told_to_end");
      co_return true;
    }
    auto pause = sleep(node_->world().delay(kMicrosecond, 100 * kMicrosecond));
    co_await pause;
  }
  co_return true;
}

Co<bool> SimProcess::yield_item(uint32_t item, std::vector<ObjectId> contained) {
  const OwnedExecute e = *running_;
  Oracle& oracle = node_->world().oracle;
  uint64_t arguments = 0;
  for (const OwnedArgument& argument : running_->refs) {
    const Written* written = oracle.find(argument.content);
    arguments = mix(arguments, written == nullptr ? 0 : written->meaning);
  }
  const uint64_t shape = mix(e.seed, 500 + item);
  const uint64_t size = shape % 3 == 0 ? (3 + shape / 4 % 12) * kPage : 8 + shape / 4 % 2000;
  const ObjectId id{e.task, item + 1};
  const uint64_t meaning = mix(mix(e.seed, item + 1), arguments);
  model::ResultView result;
  result.index = item + 1;
  result.contained = contained;
  std::vector<std::byte> bytes;
  const uint64_t content = oracle.write({id, e.attempt, meaning, size, false, contained});
  if (size > model::kInlineValueBytesMax) {
    model::Extent extent;
    auto allocation = allocate(size, &extent);
    bool granted = co_await allocation;
    if (!granted) {
      SUNDOG_PROBE("sim.item_refused");
      oracle.excuse(e.task, "the store was full");
      co_return false;
    }
    auto writing = sleep(node_->world().delay(kMicrosecond, 200 * kMicrosecond));
    co_await writing;
    node_->write_arena(extent, content);
    result.value = {Format::kTensor, extent, {}};
    node_->sealed(extent);
    grants_.erase(extent.offset);
  } else {
    bytes.resize(size);
    std::memcpy(bytes.data(), &content, 8);
    result.value = {Format::kRaw, {}, bytes};
  }
  running_->credit.spend(size);
  send(model::Results{e.task, e.attempt, {&result, 1}});
  co_return true;
}

}  // namespace sundog::sim
