// Submitting calls (sundog/calls.h). Any thread.
#include "sundog/calls.h"

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
  const auto* reference = std::get_if<std::shared_ptr<Reference>>(&value.content);
  if (reference == nullptr) return false;
  if (*reference == nullptr) throw TypeError("an empty ObjectRef refers to nothing");
  *argument = {model::Format::kRef, {}, (*reference)->entry()};
  return true;
}

// The arguments of one call as the Runtime takes them, on the stack if they are few; what they view
// lives as long.
class CallArguments {
 public:
  CallArguments(SessionCore* core, const Arguments& given)
      : count_(given.values.size() - given.names.size()) {
    if (given.values.size() > kFew) {
      many_.resize(given.values.size());
      first_ = many_.data();
    }
    client::Argument* next = first_;
    for (const Value& value : given.values) take(core, value, next++);
    next = first_ + count_;
    for (std::string_view name : given.names) named_.emplace_back(name, *next++);
  }
  void put_into(client::CallSpec* call) const {
    call->positional = {first_, count_};
    call->keyword = named_;
    call->contained = contained_;
  }

 private:
  static constexpr size_t kFew = 8;

  void take(SessionCore* core, const Value& value, client::Argument* argument) {
    if (take_plain(value, argument)) return;
    auto outgoing = std::make_unique<Outgoing>(value);
    if (outgoing->is_inline()) {
      *argument = {outgoing->format(), outgoing->in_one_piece(), nullptr};
      const auto contained = outgoing->contained();
      contained_.insert(contained_.end(), contained.begin(), contained.end());
      small_.push_back(std::move(outgoing));
    } else {  // an object that lives until the task has ended
      held_.push_back(put(core, value));
      *argument = {model::Format::kRef, {}, held_.back()->entry()};
    }
  }

  size_t count_;  // by position
  client::Argument few_[kFew];
  std::vector<client::Argument> many_;
  client::Argument* first_ = few_;
  std::vector<std::pair<std::string_view, client::Argument>> named_;
  std::vector<std::unique_ptr<Outgoing>> small_;
  std::vector<std::shared_ptr<Reference>> held_;
  std::vector<ObjectId> contained_;
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
  call.actor = actor == nullptr ? nullptr : actor->entry();
  sent.put_into(&call);
  value_or_throw(core->runtime().submit(call, &results));
  return results;
}

}  // namespace

std::shared_ptr<Reference> submit(SessionCore* core, uint32_t number, const Arguments& arguments,
                                  Reference* actor) {
  auto& results = submit_for(core, number, arguments, actor, 1);
  auto reference = std::make_shared<Reference>(std::move(results.at(0)));
  results.clear();
  return reference;
}

std::vector<std::shared_ptr<Reference>> submit_several(SessionCore* core, uint32_t number,
                                                       const Arguments& arguments, Reference* actor,
                                                       uint32_t count) {
  auto& results = submit_for(core, number, arguments, actor, count);
  std::vector<std::shared_ptr<Reference>> references;
  references.reserve(results.size());
  for (client::RefHandle& result : results) {
    references.push_back(std::make_shared<Reference>(std::move(result)));
  }
  results.clear();
  return references;
}

void throw_named_in_cpp(const std::string& function) {
  throw TypeError(function +
                  " is in C++, where parameters have no names: give its arguments by position");
}

}  // namespace sundog::detail
