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

// Memory of `count` things, of the stack if they are few. Whoever makes them need not end them.
template <typename T>
class Few {
 public:
  explicit Few(size_t count) {
    if (count <= kFew) return;
    more_ = std::make_unique<std::byte[]>(count * sizeof(T));
    first_ = more_.get();
  }
  T* data() { return reinterpret_cast<T*>(first_); }
  const T* data() const { return reinterpret_cast<const T*>(first_); }

 private:
  static_assert(std::is_trivially_destructible_v<T>);
  static constexpr size_t kFew = 4;

  alignas(T) std::byte few_[kFew * sizeof(T)];
  std::unique_ptr<std::byte[]> more_;
  std::byte* first_ = few_;
};

// The arguments of one call as the Runtime takes them, and what they view. A few numbers and
// references by position, which is what most calls are, need no memory.
class CallArguments {
 public:
  CallArguments(SessionCore* core, const Arguments& given)
      : count_(given.values.size() - given.names.size()), arguments_(given.values.size()) {
    client::Argument* next = arguments_.data();
    for (const Value& value : given.values) {
      std::construct_at(next);
      if (!take_plain(value, next)) take(core, value, next);
      ++next;
    }
    if (given.names.empty()) return;
    next = arguments_.data() + count_;
    for (std::string_view name : given.names) more().named.emplace_back(name, *next++);
  }
  void put_into(client::CallSpec* call) const {
    call->positional = {arguments_.data(), count_};
    if (!more_) return;
    call->keyword = more_->named;
    call->contained = more_->contained;
  }

 private:
  struct More {
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

  size_t count_;  // by position
  Few<client::Argument> arguments_;
  std::optional<More> more_;
};

client::CallSpec spec_of(uint32_t number, Reference* actor, uint32_t count) {
  client::CallSpec call;
  call.template_id = number;
  call.num_results = count;
  call.actor = actor;
  return call;
}

ReferencePtr submitted(SessionCore* core, const client::CallSpec& call) {
  client::CallError error;
  client::RefHandle result = core->runtime().submit_one(call, &error);
  if (!result) [[unlikely]]
    throw_call_error(error);
  return reference_of(std::move(result));
}

template <typename T>
Bytes bytes_of(const T& content) {
  return {reinterpret_cast<const std::byte*>(&content), sizeof content};
}

client::Argument sent_as(const PlainArgument& plain) {
  switch (plain.kind) {
    case PlainArgument::Kind::kBool:
      return {model::Format::kBool, bytes_of(plain.flag), nullptr};
    case PlainArgument::Kind::kInt64:
      return {model::Format::kInt64, bytes_of(plain.whole), nullptr};
    case PlainArgument::Kind::kFloat64:
      return {model::Format::kFloat64, bytes_of(plain.real), nullptr};
    default:
      if (plain.reference == nullptr) throw TypeError("an empty ObjectRef refers to nothing");
      return {model::Format::kRef, {}, plain.reference};
  }
}

}  // namespace

ReferencePtr submit(SessionCore* core, uint32_t number, const Arguments& arguments,
                    Reference* actor) {
  CallArguments sent(core, arguments);
  client::CallSpec call = spec_of(number, actor, 1);
  sent.put_into(&call);
  return submitted(core, call);
}

ReferencePtr submit_plain(SessionCore* core, uint32_t number,
                          std::span<const PlainArgument> arguments, Reference* actor) {
  client::CallSpec call = spec_of(number, actor, 1);
  Few<client::Argument> sent(arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::construct_at(sent.data() + i, sent_as(arguments[i]));
  }
  call.positional = {sent.data(), arguments.size()};
  return submitted(core, call);
}

std::vector<ReferencePtr> submit_several(SessionCore* core, uint32_t number,
                                         const Arguments& arguments, Reference* actor,
                                         uint32_t count) {
  CallArguments sent(core, arguments);
  client::CallSpec call = spec_of(number, actor, count);
  sent.put_into(&call);
  std::vector<client::RefHandle> results;
  value_or_throw(core->runtime().submit(call, &results));
  std::vector<ReferencePtr> references;
  references.reserve(results.size());
  for (client::RefHandle& result : results) {
    references.push_back(reference_of(std::move(result)));
  }
  return references;
}

uint32_t checked_count(size_t count) {
  if (count <= model::kResultsMax) return static_cast<uint32_t>(count);
  throw TypeError("num_returns is at most " + std::to_string(model::kResultsMax) + ", got " +
                  std::to_string(count) + ": let a generator yield them");
}

void throw_named_in_cpp(const std::string& function) {
  throw TypeError(function +
                  " is in C++, where parameters have no names: give its arguments by position");
}

}  // namespace sundog::detail
