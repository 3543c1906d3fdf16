// Submitting calls (sundog/calls.h). Any thread.
#include "sundog/calls.h"

#include <memory>

#include "api/session_core.h"

namespace sundog::detail {
namespace {

// A number or reference as an argument that views the value itself; false for all others.
bool take_plain(const Value& value, client::Argument* argument) {
  auto view = [argument](model::Format format, const auto& content) {
    *argument = {format, {reinterpret_cast<const std::byte*>(&content), sizeof content}, nullptr};
    return true;
  };
  if (const auto* whole = std::get_if<int64_t>(&value.content)) {
    return view(model::Format::kInt64, *whole);
  }
  if (const auto* real = std::get_if<double>(&value.content)) {
    return view(model::Format::kFloat64, *real);
  }
  if (const auto* flag = std::get_if<bool>(&value.content)) {
    return view(model::Format::kBool, *flag);
  }
  const auto* reference = std::get_if<ReferencePtr>(&value.content);
  if (reference == nullptr) return false;
  if (*reference == nullptr) throw TypeError("an empty ObjectRef refers to nothing");
  *argument = {model::Format::kRef, {}, reference->get()};
  return true;
}

// The arguments of one call as the Runtime takes them, and what they view. A few numbers and
// references by position, which is what most calls are, need no memory.
class CallArguments {
 public:
  CallArguments(SessionCore* core, const Arguments& given)
      : count_(given.values.size() - given.names.size()) {
    if (given.values.size() > kFew) {
      more_.emplace().arguments.resize(given.values.size());
      first_ = more_->arguments.data();
    }
    client::Argument* next = first_;
    for (const Value& value : given.values) {
      std::construct_at(next);
      if (!take_plain(value, next)) take(core, value, next);
      ++next;
    }
    if (given.names.empty()) return;
    next = first_ + count_;
    for (std::string_view name : given.names) more().named.emplace_back(name, *next++);
  }
  void put_into(client::CallSpec* call) const {
    call->positional = {first_, count_};
    if (!more_) return;
    call->keyword = more_->named;
    call->contained = more_->contained;
  }

 private:
  static constexpr size_t kFew = 4;
  struct More {
    std::vector<client::Argument> arguments;
    std::vector<std::pair<std::string_view, client::Argument>> named;
    std::vector<std::unique_ptr<Outgoing>> small;
    std::vector<ReferencePtr> held;
    std::vector<ObjectId> contained;
  };
  More& more() { return more_ ? *more_ : more_.emplace(); }

  void take(SessionCore* core, const Value& value, client::Argument* argument) {
    auto outgoing = std::make_unique<Outgoing>(value);
    if (outgoing->is_inline()) {
      *argument = {outgoing->format(), outgoing->in_one_piece(), nullptr};
      auto& contained = more().contained;
      contained.insert(contained.end(), outgoing->contained().begin(), outgoing->contained().end());
      more().small.push_back(std::move(outgoing));
    } else {  // an object that lives until the task has ended
      more().held.push_back(put(core, value));
      *argument = {model::Format::kRef, {}, more().held.back().get()};
    }
  }

  static_assert(std::is_trivially_destructible_v<client::Argument>);

  size_t count_;  // by position
  // Memory of a few, of which only those given are made.
  alignas(client::Argument) std::byte few_[kFew * sizeof(client::Argument)];
  client::Argument* first_ = reinterpret_cast<client::Argument*>(few_);
  std::optional<More> more_;
};

// Its memory is kept, never what is in it.
std::vector<client::RefHandle>& submit_for(SessionCore* core, uint32_t number,
                                           const Arguments& arguments, Reference* actor,
                                           uint32_t count) {
  thread_local std::vector<client::RefHandle> results;
  results.clear();
  CallArguments sent(core, arguments);
  client::CallSpec call;
  call.template_id = number;
  call.num_results = count;
  call.actor = actor;
  sent.put_into(&call);
  value_or_throw(core->runtime().submit(call, &results));
  return results;
}

}  // namespace

ReferencePtr submit(SessionCore* core, uint32_t number, const Arguments& arguments,
                    Reference* actor) {
  auto& results = submit_for(core, number, arguments, actor, 1);
  auto reference = reference_of(std::move(results.at(0)));
  results.clear();
  return reference;
}

std::vector<ReferencePtr> submit_several(SessionCore* core, uint32_t number,
                                         const Arguments& arguments, Reference* actor,
                                         uint32_t count) {
  auto& results = submit_for(core, number, arguments, actor, count);
  std::vector<ReferencePtr> references;
  references.reserve(results.size());
  for (client::RefHandle& result : results) {
    references.push_back(reference_of(std::move(result)));
  }
  results.clear();
  return references;
}

uint32_t checked_count(size_t count) {
  if (count == 1) {
    throw TypeError(
        "num_returns(1) is the vector as a whole, not its one element: call without num_returns");
  }
  if (count <= model::kResultsMax) return static_cast<uint32_t>(count);
  throw TypeError("num_returns is at most " + std::to_string(model::kResultsMax) + ", got " +
                  std::to_string(count) + ": let a generator yield them");
}

void throw_named_in_cpp(const std::string& function) {
  throw TypeError(function +
                  " is in C++, where parameters have no names: give its arguments by position");
}

}  // namespace sundog::detail
