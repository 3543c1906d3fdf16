#include "api/results.h"

#include <unistd.h>

#include <optional>

#include "api/waiting.h"
#include "sundog/containers.h"
#include "wire/error_layout.h"

namespace sundog::detail {
namespace {

template <typename... T, typename Take>
void with_elements(const AnyTensor& tensor, Types<T...>, const Take& take) {
  auto try_one = [&]<typename Each>(Types<Each>) {
    if (tensor.dtype == dtype_of<Each>()) take(tensor.as<Each>());
  };
  (try_one(Types<T>()), ...);
}

// The elements of a list, a tuple, or numbers in one row; nothing if it is anything else.
std::optional<std::vector<Value>> parts_of(const Value& returned) {
  if (const auto* items = std::get_if<std::shared_ptr<const Items>>(&returned.content)) {
    const Items::Kind kind = (*items)->kind;
    if (kind == Items::Kind::kList || kind == Items::Kind::kTuple) return (*items)->values;
  }
  std::vector<Value> parts;
  if (const auto* tensor = std::get_if<AnyTensor>(&returned.content);
      tensor != nullptr && tensor->shape.size() == 1) {
    auto take = [&parts](auto elements) {
      for (auto element : elements) parts.push_back(Convert<decltype(element)>::to(element));
    };
    with_elements(*tensor,
                  Types<bool, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t,
                        uint64_t, float, double>(),
                  take);
    return parts;
  }
  return std::nullopt;
}

}  // namespace

void Results::take(const Value& returned) {
  if (current_->end()) throw TaskCancelledError("it was cancelled, and ended as it was asked to");
  if (call_.num_results == 0) return;
  if (call_.returns == model::Returns::kDynamic) return add(0, stored());
  if (call_.num_results == 1 && call_.returns != model::Returns::kParts) return add(0, returned);
  const auto parts = parts_of(returned);
  if (!parts || parts->size() != call_.num_results) {
    throw TypeError(
        std::string(call_.name) + " has num_returns=" + std::to_string(call_.num_results) +
        ", but it returned " +
        (!parts || parts->size() == 1 ? "one value" : std::to_string(parts->size()) + " values") +
        ": return a tuple of " + std::to_string(call_.num_results));
  }
  for (uint32_t i = 0; i < call_.num_results; ++i) add(i, parts->at(i));
}

bool Results::yield(const Value& item) {
  if (current_->is_cancelled()) throw TaskCancelledError("it was cancelled between two items");
  if (call_.returns == model::Returns::kDynamic) {
    stored_.push_back(put(core_, item));
    return true;
  }
  Outgoing outgoing(item);
  client::OutValue out;
  auto room = place(runtime_, &outgoing, &out);
  Waiting waiting(core_);
  return waiting.value_or_throw(
      runtime_->yield_item(call_, out, std::move(room), waiting.yielder()));
}

void Results::add(uint32_t index, const Value& value) {
  Outgoing outgoing(value);
  client::OutValue out;
  auto room = place(runtime_, &outgoing, &out);
  value_or_throw(runtime_->add_result(call_, index, out, std::move(room)));
}

void Results::take_nothing() {
  for (uint32_t i = 0; i < call_.num_results; ++i) {
    (void)runtime_->add_result(call_, i, {model::Format::kNone, {}, {}}, nullptr);
  }
}

// What a "dynamic" call brings.
Value Results::stored() const {
  std::vector<Value> references;
  for (const ReferencePtr& each : stored_) references.push_back({each, nullptr});
  return items(Items::Kind::kGenerated, std::move(references));
}

bool Results::take_error(std::string_view type, std::string_view message) {
  const std::string constructor = std::string(call_.name) + "'s constructor";
  wire::TaskError error;
  error.task = call_.task;
  error.pid = static_cast<uint32_t>(getpid());
  error.exception_type = type;
  error.message = message;
  error.task_name = call_.kind == model::CallKind::kCreateActor ? constructor : call_.name;
  std::vector<std::byte> bytes;
  wire::encode_task_error(error, &bytes);
  const client::OutValue thrown{model::Format::kTaskError, bytes, {}};
  if (call_.returns == model::Returns::kDynamic && generates_ && !current_->is_cancelled()) {
    if (auto last = runtime_->put(thrown, nullptr)) {
      stored_.push_back(reference_of(*std::move(last)));
      add(0, stored());
      return true;
    }
  }
  for (uint32_t i = 0; i < call_.num_results; ++i) {
    (void)runtime_->add_result(call_, i, thrown, nullptr);
  }
  if (call_.returns == model::Returns::kStream) {
    const uint32_t last = runtime_->items_yielded(call_) + 1;
    (void)runtime_->add_result(call_, last, thrown, nullptr);
  }
  return false;
}

}  // namespace sundog::detail
