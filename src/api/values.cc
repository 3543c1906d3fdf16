#include "api/values.h"

#include <cstring>

#include "api/foreign_arrays.h"
#include "api/pickle_reader.h"
#include "client/copy.h"
#include "sundog/containers.h"
#include "wire/error_layout.h"
#include "wire/tensor_layout.h"

namespace sundog::detail {
namespace {

using model::Format;

[[noreturn]] void throw_task_error(Bytes bytes) {
  auto parsed = wire::parse_task_error(bytes);
  if (!parsed) throw Error("a task failed, and its error cannot be read: " + parsed.error());
  std::string what = std::string(parsed->task_name) + " (task " + parsed->task.hex().substr(8, 8) +
                     ", pid " + std::to_string(parsed->pid) + ") raised " +
                     std::string(parsed->exception_type) + ": " + std::string(parsed->message);
  throw TaskError(what, std::string(parsed->exception_type), std::string(parsed->message),
                  std::string(parsed->traceback));
}

// What an actor's constructor threw; empty if that is not why.
std::string cause_of(const model::SystemError& error) {
  if (error.cause_format != Format::kTaskError) return {};
  auto cause = wire::parse_task_error(error.cause);
  if (!cause) return {};
  return "; the cause: " + std::string(cause->exception_type) + ": " + std::string(cause->message);
}

[[noreturn]] void throw_system_error(Bytes bytes) {
  auto parsed = wire::parse_system_error(bytes);
  if (!parsed) throw Error("a value is lost, and the reason cannot be read: " + parsed.error());
  std::string sentence(parsed->sentence);
  switch (parsed->kind) {
    case model::ErrorKind::kOutOfMemory:
      throw OutOfMemoryError(sentence);
    case model::ErrorKind::kWorkerCrashed:
    case model::ErrorKind::kWorkerStartFailed:
      throw WorkerCrashedError(sentence);
    case model::ErrorKind::kRuntimeEnvSetup:
      throw RuntimeEnvSetupError(sentence);
    case model::ErrorKind::kNodeDied:
      throw NodeDiedError(sentence);
    case model::ErrorKind::kObjectLost:
      throw ObjectLostError(sentence);
    case model::ErrorKind::kStoreFull:
      throw StoreFullError(sentence);
    case model::ErrorKind::kTaskUnschedulable:
      throw UnschedulableError(sentence);
    case model::ErrorKind::kTimeout:
      throw GetTimeoutError(sentence);
    case model::ErrorKind::kTaskCancelled:
    case model::ErrorKind::kTaskKilled:
    case model::ErrorKind::kTaskTimeout:
    case model::ErrorKind::kTaskGroupRemoved:
      throw TaskCancelledError(sentence);
    case model::ErrorKind::kActorDied:
    case model::ErrorKind::kActorGroupRemoved:
      throw ActorDiedError(sentence + cause_of(*parsed));
    default:
      throw Error(sentence);
  }
}

AnyTensor incoming_tensor(Bytes bytes, const std::shared_ptr<const void>& owner) {
  auto parsed = wire::parse_tensor(bytes);
  if (!parsed) throw TypeError(parsed.error());
  const auto dtype = static_cast<DType>(parsed->dtype);
  if (!parsed->strides.empty()) {
    return strided(dtype, std::move(parsed->shape), parsed->strides, parsed->data, owner);
  }
  return {dtype, std::move(parsed->shape), parsed->data.data(), parsed->data.size(), owner};
}

std::string description_of(const Value& value) {
  static constexpr const char* kNames[] = {"nothing",     "a bool",   "an integer", "a number",
                                           "a string",    "bytes",    "a tensor",   "a reference",
                                           "a container", "an actor", "Arrow data"};
  static constexpr const char* kItems[] = {"a list", "a tuple", "a set", "a dict",
                                           "references that a call yielded"};
  if (const auto* what = std::get_if<Unreadable>(&value.content)) {
    return what->what + ", which C++ cannot read";
  }
  if (const auto* items = std::get_if<std::shared_ptr<const Items>>(&value.content)) {
    return kItems[static_cast<size_t>((*items)->kind)];
  }
  return kNames[value.content.index()];
}

const Items& items_of(const Value& value, const char* wanted) {
  return *content_of<std::shared_ptr<const Items>>(value, wanted);
}

// How many bytes a UTF-8 sequence with this first byte has; 0: none begins so.
size_t sequence_bytes(uint8_t first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return 2;
  if (first >= 0xE0 && first < 0xF0) return 3;
  return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

}  // namespace

void use(Reference* reference) noexcept { reference->use(); }
void drop(Reference* reference) noexcept { reference->drop(); }

void throw_type_mismatch(const Value& value, const char* wanted) {
  throw TypeError("the value is " + description_of(value) + ", asked for was " + wanted);
}

const std::vector<Value>& elements_of(const Value& value, const char* wanted) {
  const Items& items = items_of(value, wanted);
  if (items.kind == Items::Kind::kDict) throw_type_mismatch(value, wanted);
  return items.values;
}

const std::vector<Value>& pairs_of(const Value& value, const char* wanted) {
  const Items& items = items_of(value, wanted);
  if (items.kind != Items::Kind::kDict) throw_type_mismatch(value, wanted);
  return items.values;
}

const Value& field_of(const Value& dict, std::string_view field) {
  const std::vector<Value>& pairs = pairs_of(dict, "a dict with a struct's fields");
  for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
    const auto* key = std::get_if<std::string_view>(&pairs[i].content);
    if (key != nullptr && *key == field) return pairs[i + 1];
  }
  throw TypeError("the dict has no '" + std::string(field) + "', which the struct needs");
}

void throw_wrong_length(size_t given, size_t wanted) {
  throw TypeError("the value has " + std::to_string(given) + " elements, asked for were " +
                  std::to_string(wanted));
}

void throw_wrong_shape(uint64_t needed_bytes, uint64_t bytes) {
  throw TypeError("the tensor's shape needs " + std::to_string(needed_bytes) + " bytes, it has " +
                  std::to_string(bytes));
}

bool is_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const uint8_t*>(text.data());
  const uint8_t* end = at + text.size();
  while (at != end) {
    const size_t size = sequence_bytes(*at);
    if (size == 0 || static_cast<size_t>(end - at) < size) return false;
    for (size_t i = 1; i < size; ++i) {
      if ((at[i] & 0xC0) != 0x80) return false;
    }
    const bool is_overlong = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xF0 && at[1] < 0x90);
    const bool is_surrogate = at[0] == 0xED && at[1] >= 0xA0;
    const bool is_too_large = at[0] == 0xF4 && at[1] >= 0x90;
    if (size > 1 && (is_overlong || is_surrogate || is_too_large)) return false;
    at += size;
  }
  return true;
}

// ---------------------------------------------------------------- out

Outgoing::Outgoing(const Value& value) {
  if (const auto* whole = std::get_if<int64_t>(&value.content)) {
    take_scalar(Format::kInt64, whole, sizeof *whole);
  } else if (const auto* real = std::get_if<double>(&value.content)) {
    take_scalar(Format::kFloat64, real, sizeof *real);
  } else if (const auto* flag = std::get_if<bool>(&value.content)) {
    take_scalar(Format::kBool, flag, sizeof *flag);
  } else if (const auto* text = std::get_if<std::string_view>(&value.content)) {
    format_ = is_utf8(*text) ? Format::kText : Format::kRaw;
    flat_ = as_bytes(*text);
    size_ = text->size();
  } else if (const auto* raw = std::get_if<Raw>(&value.content)) {
    format_ = Format::kRaw;
    flat_ = as_bytes(raw->bytes);
    size_ = raw->bytes.size();
  } else if (const auto* tensor = std::get_if<AnyTensor>(&value.content)) {
    take_tensor(*tensor);
  } else if (const auto* ref = std::get_if<ReferencePtr>(&value.content)) {
    take_reference(*ref);
  } else if (!std::holds_alternative<std::monostate>(value.content)) {
    take_pickle(value);
  }
}

void Outgoing::take_scalar(Format format, const void* data, size_t size) {
  format_ = format;
  size_ = size;
  std::memcpy(scalar_, data, size);
}

void Outgoing::take_tensor(const AnyTensor& tensor) {
  auto plan = wire::plan_tensor(static_cast<wire::DType>(tensor.dtype), tensor.shape, {});
  if (!plan) throw TypeError(plan.error());
  if (plan->data_bytes != tensor.bytes) throw_wrong_shape(plan->data_bytes, tensor.bytes);
  format_ = Format::kTensor;
  tensor_ = &tensor;
  size_ = plan->total;
  frame_.resize(plan->total - plan->data_bytes);
  wire::write_tensor_frame(*plan, frame_.data());
}

void Outgoing::take_reference(const ReferencePtr& reference) {
  if (reference == nullptr) throw TypeError("an empty ObjectRef refers to nothing");
  const ObjectId& id = reference->id;
  take_scalar(Format::kRef, &id, sizeof id);
  contained_ = {&id, 1};
}

void Outgoing::take_pickle(const Value& value) {
  pickled_ = std::make_unique<Pickled>(pickle(value));
  std::vector<wire::PickleBufferSpec> specs;
  for (Bytes buffer : pickled_->buffers) specs.push_back({buffer.size(), true});
  plan_ = wire::plan_pickle(pickled_->stream.size(), specs);
  format_ = Format::kPickle;
  size_ = plan_.total;
}

void Outgoing::write(std::byte* to) const {
  if (flat_) {
    client::copy_bytes(to, *flat_);
  } else if (tensor_ != nullptr) {
    std::memcpy(to, frame_.data(), frame_.size());
    client::copy_bytes(to + frame_.size(), {tensor_->data, tensor_->bytes});
  } else if (pickled_) {
    wire::write_pickle_frame(plan_, to);
    std::vector<client::Copy> parts = {{to + plan_.stream_offset, as_bytes(pickled_->stream)}};
    for (size_t i = 0; i < plan_.buffers.size(); ++i) {
      parts.push_back({to + plan_.buffers[i].offset, pickled_->buffers[i]});
    }
    client::copy_parts(parts);
  } else {
    std::memcpy(to, scalar_, size_);
  }
}

Bytes Outgoing::in_one_piece() {
  if (flat_) return *flat_;
  if (tensor_ == nullptr && !pickled_) return {scalar_, size_};
  whole_.resize(size_);
  write(whole_.data());
  return whole_;
}

// ---------------------------------------------------------------- in

Value incoming(client::Runtime* runtime, Format format, Bytes bytes,
               std::shared_ptr<const void> owner) {
  auto make_reference = [runtime](const ObjectId& id) {
    return reference_of(runtime->ref_from_id(id));
  };
  switch (format) {
    case Format::kNone:
      return {};
    case Format::kBool:
      return {scalar<uint8_t>(bytes) != 0, nullptr};
    case Format::kInt64:
      return {scalar<int64_t>(bytes), nullptr};
    case Format::kFloat64:
      return {scalar<double>(bytes), nullptr};
    case Format::kText:
      return {as_text(bytes), std::move(owner)};
    case Format::kRaw:
      return {Raw{as_text(bytes)}, std::move(owner)};
    case Format::kTensor:
      return {incoming_tensor(bytes, owner), owner};
    case Format::kRef:
      return {make_reference(scalar<ObjectId>(bytes)), nullptr};
    case Format::kPickle: {
      auto parsed = wire::parse_pickle(bytes);
      if (!parsed) throw TypeError(parsed.error());
      return unpickle(*parsed, owner, make_reference);
    }
    case Format::kTaskError:
      throw_task_error(bytes);
    case Format::kSystemError:
      throw_system_error(bytes);
    default:
      throw TypeError("a value of format " + std::to_string(static_cast<int>(format)) +
                      " cannot be read from C++");
  }
}

void throw_call_error(const client::CallError& error) {
  switch (error.status) {
    case client::CallStatus::kTimeout:
      throw GetTimeoutError(error.text);
    case client::CallStatus::kNodeDied:
      throw NodeDiedError(error.text);
    case client::CallStatus::kStoreFull:
      throw StoreFullError(error.text);
    case client::CallStatus::kNotConnected:
    case client::CallStatus::kForkedChild:
      throw NotConnectedError(error.text);
    default:
      throw Error(error.text);
  }
}

}  // namespace sundog::detail
