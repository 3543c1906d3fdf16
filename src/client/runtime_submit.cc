// Templates and submitting. See runtime_impl.h.
#include <algorithm>
#include <cstring>

#include "client/runtime_impl.h"
#include "wire/arguments.h"

namespace sundog::client {
namespace {

constexpr size_t kFewArguments = 8;

}  // namespace

CallResult<uint32_t> RuntimeImpl::define_template(const TaskOptions& options, ObjectId function) {
  if (auto error = unusable()) return Failure{*error};
  std::vector<model::NamedAmount> resources, lifetime;
  for (const auto& [name, amount] : options.resources) resources.push_back({name, amount});
  for (const auto& [name, amount] : options.lifetime) lifetime.push_back({name, amount});
  Operation operation(this);
  model::DefineTemplate definition;
  definition.template_id = core_.next_template_id();
  definition.language = options.language;
  definition.function = function;
  definition.name = options.name;
  definition.source = options.source;
  definition.resources = resources;
  definition.max_retries = options.max_retries;
  definition.retry_exceptions = options.retry_exceptions;
  definition.priority = options.priority;
  definition.runtime_env = options.runtime_env;
  definition.kind = options.kind;
  definition.method = options.method;
  definition.lifetime = lifetime;
  definition.max_restarts = options.max_restarts;
  definition.detached = options.detached;
  std::vector<model::NamedAmount> groups;
  for (const auto& [name, limit] : options.groups) groups.push_back({name, limit});
  definition.max_concurrency = options.max_concurrency;
  definition.groups = groups;
  definition.out_of_order = options.out_of_order;
  definition.group = options.group;
  definition.returns = options.returns;
  definition.stream_items = options.stream_items;
  definition.timeout_ns = options.timeout_ns;
  definition.max_calls = options.max_calls;
  definition.placement_group = options.placement_group;
  definition.bundle = options.bundle;
  definition.capture_children = options.capture_children;
  definition.outside_groups = options.outside_groups;
  definition.unrecorded = options.unrecorded;
  core_.define_template(definition);
  return definition.template_id;
}

CallResult<Unit> RuntimeImpl::define_environment(uint64_t hash, std::string_view description,
                                                 DurationNs patience, uint32_t prestart) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  core_.define_environment({hash, patience, prestart, description});
  return Unit{};
}

// Arguments by position that are one word each, as most are; nothing if one is not.
inline Bytes RuntimeImpl::encode_words(std::span<const Argument> positional) {
  struct Word {
    wire::ArgumentEntry entry;
    uint64_t bytes;
  };
  constexpr size_t kRoom = sizeof(wire::ArgumentCounts) + kFewArguments * sizeof(Word);
  if (arguments_.size() < kRoom) [[unlikely]]
    arguments_.resize(kRoom);
  std::byte* const begin = arguments_.data();
  std::byte* at = begin + sizeof(wire::ArgumentCounts);
  for (const Argument& argument : positional) {
    if (argument.ref != nullptr || argument.bytes.size() != sizeof Word::bytes) return {};
    Word word{{static_cast<uint16_t>(argument.format), 0, sizeof Word::bytes}, 0};
    std::memcpy(&word.bytes, argument.bytes.data(), sizeof word.bytes);
    std::memcpy(at, &word, sizeof word);
    at += sizeof word;
  }
  const wire::ArgumentCounts counts{static_cast<uint32_t>(positional.size()), 0};
  std::memcpy(begin, &counts, sizeof counts);
  return {begin, static_cast<size_t>(at - begin)};
}

Bytes RuntimeImpl::encode_arguments(
    std::span<const Argument> positional,
    std::span<const std::pair<std::string_view, Argument>> keyword) {
  argument_refs_.clear();
  if (positional.empty() && keyword.empty()) return {};
  if (keyword.empty() && positional.size() <= kFewArguments) {
    const Bytes few = encode_words(positional);
    if (!few.empty()) [[likely]]
      return few;
  }
  wire::ArgumentWriter writer(&arguments_);
  auto next_ref = [this](const Argument& argument) {
    argument_refs_.push_back(argument.ref->id);
    return static_cast<uint32_t>(argument_refs_.size() - 1);
  };
  for (const Argument& argument : positional) {
    if (argument.ref != nullptr) {
      writer.add_reference(next_ref(argument));
    } else {
      writer.add_value(argument.format, argument.bytes);
    }
  }
  for (const auto& [name, argument] : keyword) {
    if (argument.ref != nullptr) {
      writer.add_keyword_reference(name, next_ref(argument));
    } else {
      writer.add_keyword_value(name, argument.format, argument.bytes);
    }
  }
  return writer.written();
}

// Arguments by value beyond what a message carries become objects that live until the task ends.
CallResult<Unit> RuntimeImpl::put_large_arguments(
    std::vector<Argument>* positional, std::vector<std::pair<std::string_view, Argument>>* keyword,
    std::vector<RefHandle>* hidden) {
  std::vector<Argument*> by_value;
  for (Argument& argument : *positional) by_value.push_back(&argument);
  for (auto& [name, argument] : *keyword) by_value.push_back(&argument);
  std::erase_if(by_value, [](const Argument* a) { return a->ref != nullptr; });
  std::sort(by_value.begin(), by_value.end(),
            [](auto* a, auto* b) { return a->bytes.size() > b->bytes.size(); });
  size_t total = 0;
  for (const Argument* argument : by_value) total += argument->bytes.size();
  for (Argument* argument : by_value) {
    if (argument->bytes.size() <= model::kInlineValueBytesMax &&
        total <= model::kInlineArgumentsBytesMax) {
      break;
    }
    total -= argument->bytes.size();
    auto handle = put({argument->format, argument->bytes, {}}, nullptr);
    if (!handle) return Failure{handle.error()};
    argument->ref = handle->get();
    hidden->push_back(*std::move(handle));
  }
  return Unit{};
}

template <typename Send>
inline bool RuntimeImpl::submit_small(const CallSpec& spec, CallError* error, Send&& send) {
  core::ClientContext* context = own_context();
  Operation operation(this);
  const core::DropList* ours = core_.drops();
  auto is_foreign = [ours](const Entry* entry) {
    return entry != nullptr && !entry->belongs_to(ours);
  };
  Entry* foreign = nullptr;
  for (const Argument& argument : spec.positional) {
    if (is_foreign(argument.ref)) foreign = argument.ref;
  }
  for (const auto& [name, argument] : spec.keyword) {
    if (is_foreign(argument.ref)) foreign = argument.ref;
  }
  if (is_foreign(spec.actor)) foreign = spec.actor;
  if (foreign != nullptr) [[unlikely]] {
    *error = *check_entries(std::span(&foreign, 1));
    return false;
  }
  model::Submit call;
  call.arguments = encode_arguments(spec.positional, spec.keyword);
  if (spec.actor != nullptr) call.actor = spec.actor->id;
  call.template_id = spec.template_id;
  call.num_results = spec.num_results;
  call.refs = argument_refs_;
  call.contained = spec.contained;
  core_.use(context);
  send(&call);
  return true;
}

template <typename Send>
inline bool RuntimeImpl::submit_with(const CallSpec& spec, CallError* error, Send&& send) {
  if (state_.load(std::memory_order_acquire) != State::kLive) [[unlikely]] {
    *error = over_error();
    return false;
  }
  size_t by_value = 0;
  for (const Argument& argument : spec.positional) by_value += argument.bytes.size();
  for (const auto& [name, argument] : spec.keyword) by_value += argument.bytes.size();
  if (by_value <= model::kInlineValueBytesMax) [[likely]]
    return submit_small(spec, error, send);
  std::vector<Argument> positional(spec.positional.begin(), spec.positional.end());
  std::vector<std::pair<std::string_view, Argument>> keyword(spec.keyword.begin(),
                                                             spec.keyword.end());
  std::vector<RefHandle> hidden;  // dropped after the task holds them
  auto put = put_large_arguments(&positional, &keyword, &hidden);
  if (!put) {
    *error = put.error();
    return false;
  }
  CallSpec small = spec;
  small.positional = positional;
  small.keyword = keyword;
  return submit_small(small, error, send);
}

CallResult<Unit> RuntimeImpl::submit(const CallSpec& spec, std::vector<RefHandle>* results) {
  CallError error;
  const bool sent = submit_with(spec, &error, [this, results](model::Submit* call) {
    submitted_.clear();
    core_.submit(*call, &submitted_);
    for (Entry* entry : submitted_) results->emplace_back(entry);
  });
  if (!sent) return Failure{std::move(error)};
  return Unit{};
}

RefHandle RuntimeImpl::submit_one(const CallSpec& spec, CallError* error) {
  Entry* result = nullptr;
  submit_with(spec, error,
              [this, &result](model::Submit* call) { result = core_.submit_one(call); });
  return RefHandle(result);
}

}  // namespace sundog::client
