// Values of include/sundog as they travel: bytes with a format, made in place where they are large.
// Plain functions; any thread.
#pragma once

#include <optional>
#include <vector>

#include "api/pickle_writer.h"
#include "client/entry.h"
#include "client/views.h"
#include "model/limits.h"
#include "sundog/value.h"

namespace sundog::detail {

inline ReferencePtr reference_of(client::RefHandle handle) {
  return ReferencePtr(handle.release());
}

// What a value needs on the wire: size bytes, written by write(). Views the value, which outlives
// it. Throws TypeError for what cannot be sent.
class Outgoing {
 public:
  explicit Outgoing(const Value& value);
  model::Format format() const { return format_; }
  uint64_t size() const { return size_; }
  // References inside the value.
  std::span<const ObjectId> contained() const {
    return pickled_ ? std::span<const ObjectId>(pickled_->contained) : contained_;
  }
  void write(std::byte* to) const;
  bool is_inline() const { return size_ <= model::kInlineValueBytesMax; }
  // For values that travel inside messages; lives as long as this, at its address.
  Bytes in_one_piece();

 private:
  void take_scalar(model::Format format, const void* data, size_t size);
  void take_tensor(const AnyTensor& tensor);
  void take_reference(const ReferencePtr& reference);
  void take_pickle(const Value& value);

  model::Format format_ = model::Format::kNone;
  uint64_t size_ = 0;
  alignas(8) std::byte scalar_[24] = {};
  std::optional<Bytes> flat_;  // in the value itself
  const AnyTensor* tensor_ = nullptr;
  std::vector<std::byte> frame_;  // of a tensor: all before its elements
  std::unique_ptr<Pickled> pickled_;
  wire::PicklePlan plan_;
  std::span<const ObjectId> contained_;
  std::vector<std::byte> whole_;
};

bool is_utf8(std::string_view text);
[[noreturn]] void throw_wrong_shape(uint64_t needed_bytes, uint64_t bytes);

// The number that a value is.
template <typename T>
T scalar(Bytes bytes) {
  T value{};
  if (bytes.size() < sizeof value) throw TypeError("a value is shorter than its type");
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// A received value; throws the exception that it is, or TypeError for what C++ cannot read.
// References inside become those of `runtime`.
Value incoming(client::Runtime* runtime, model::Format format, Bytes bytes,
               std::shared_ptr<const void> owner);

// Throws what the error stands for.
[[noreturn]] void throw_call_error(const client::CallError& error);
template <typename T>
T value_or_throw(client::CallResult<T> result) {
  if (!result) throw_call_error(result.error());
  return std::move(result).value();
}

}  // namespace sundog::detail
