#include "api/values.h"

#include <cstring>

#include "client/writers.h"
#include "wire/error_layout.h"
#include "wire/tensor_layout.h"

namespace sundog::detail {
namespace {

using model::Format;

template <typename T>
T scalar(Bytes bytes) {
  T value{};
  if (bytes.size() < sizeof value) throw TypeError("a value is shorter than its type");
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

[[noreturn]] void throw_task_error(Bytes bytes) {
  auto parsed = wire::parse_task_error(bytes);
  if (!parsed) throw Error("a task failed, and its error cannot be read: " + parsed.error());
  std::string what = std::string(parsed->task_name) + " (task " + parsed->task.hex().substr(8, 8) +
                     ", pid " + std::to_string(parsed->pid) + ") raised " +
                     std::string(parsed->exception_type) + ": " + std::string(parsed->message);
  throw TaskError(what, std::string(parsed->exception_type), std::string(parsed->message),
                  std::string(parsed->traceback));
}

[[noreturn]] void throw_system_error(Bytes bytes) {
  auto parsed = wire::parse_system_error(bytes);
  if (!parsed) throw Error("a value is lost, and the reason cannot be read: " + parsed.error());
  std::string sentence(parsed->sentence);
  switch (parsed->kind) {
    case model::ErrorKind::kWorkerCrashed:
    case model::ErrorKind::kOutOfMemory:
    case model::ErrorKind::kWorkerStartFailed:
      throw WorkerCrashedError(sentence);
    case model::ErrorKind::kNodeDied:
      throw NodeDiedError(sentence);
    case model::ErrorKind::kObjectLost:
      throw ObjectLostError(sentence);
    case model::ErrorKind::kStoreFull:
      throw StoreFullError(sentence);
    case model::ErrorKind::kTaskUnschedulable:
      throw UnschedulableError(sentence);
    case model::ErrorKind::kTimeout:
      throw TimeoutError(sentence);
    default:
      throw Error(sentence);
  }
}

TensorView incoming_tensor(Bytes bytes, std::shared_ptr<const void> owner) {
  auto parsed = wire::parse_tensor(bytes);
  if (!parsed) throw TypeError(parsed.error());
  if (!parsed->strides.empty()) {
    throw TypeError("the tensor is not C-contiguous: make it so before it is sent");
  }
  TensorView view;
  view.dtype = static_cast<DType>(parsed->dtype);
  view.shape = std::move(parsed->shape);
  view.data = parsed->data.data();
  view.bytes = parsed->data.size();
  view.owner = std::move(owner);
  return view;
}

const char* name_of(const Value& value) {
  static constexpr const char* kNames[] = {"nothing",  "a bool",   "an integer", "a number",
                                           "a string", "a tensor", "a reference"};
  return kNames[value.content.index()];
}

}  // namespace

void throw_type_mismatch(const Value& value, const char* wanted) {
  throw TypeError(std::string("the value is ") + name_of(value) + ", asked for was " + wanted);
}

Outgoing::Outgoing(const Value& value) : value_(value) {
  auto take_scalar = [this](Format format, const auto& v) {
    format_ = format;
    size_ = sizeof v;
    std::memcpy(scalar_, &v, sizeof v);
  };
  if (const auto* flag = std::get_if<bool>(&value.content)) take_scalar(Format::kBool, *flag);
  if (const auto* whole = std::get_if<int64_t>(&value.content)) {
    take_scalar(Format::kInt64, *whole);
  }
  if (const auto* real = std::get_if<double>(&value.content)) take_scalar(Format::kFloat64, *real);
  if (const auto* text = std::get_if<std::string_view>(&value.content)) {
    format_ = Format::kText;
    size_ = text->size();
  }
  if (const auto* tensor = std::get_if<TensorView>(&value.content)) {
    auto plan = wire::plan_tensor(static_cast<wire::DType>(tensor->dtype), tensor->shape, {});
    if (!plan) throw TypeError(plan.error());
    if (plan->data_bytes != tensor->bytes) {
      throw TypeError("the tensor's shape needs " + std::to_string(plan->data_bytes) +
                      " bytes, it has " + std::to_string(tensor->bytes));
    }
    format_ = Format::kTensor;
    size_ = plan->total;
    frame_.resize(plan->total - plan->data_bytes);
    wire::write_tensor_frame(*plan, frame_.data());
  }
}

void Outgoing::write(std::byte* to) const {
  if (const auto* tensor = std::get_if<TensorView>(&value_.content)) {
    std::memcpy(to, frame_.data(), frame_.size());
    client::copy_bytes(to + frame_.size(), {tensor->data, tensor->bytes});
  } else if (const auto* text = std::get_if<std::string_view>(&value_.content)) {
    client::copy_bytes(to, as_bytes(*text));
  } else {
    std::memcpy(to, scalar_, size_);
  }
}

Bytes Outgoing::small_bytes() {
  whole_.resize(size_);
  write(whole_.data());
  return whole_;
}

Value incoming(Format format, Bytes bytes, std::shared_ptr<const void> owner) {
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
    case Format::kRaw:
      return {as_text(bytes), std::move(owner)};
    case Format::kTensor:
      return {incoming_tensor(bytes, owner), owner};
    case Format::kTaskError:
      throw_task_error(bytes);
    case Format::kSystemError:
      throw_system_error(bytes);
    default:
      throw TypeError("a value of format " + std::to_string(static_cast<int>(format)) +
                      " cannot be read from C++: return a number, a string or an array");
  }
}

void throw_call_error(const client::CallError& error) {
  switch (error.status) {
    case client::CallStatus::kTimeout:
      throw TimeoutError(error.text);
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
