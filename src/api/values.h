// Values of include/sundog as they travel: bytes with a format, made in place where they are large.
// Plain functions; any thread.
#pragma once

#include <vector>

#include "client/entry.h"
#include "client/views.h"
#include "model/limits.h"
#include "sundog/value.h"

namespace sundog::detail {

// A counted reference of one session.
class Reference {
 public:
  explicit Reference(client::RefHandle handle) : handle_(std::move(handle)) {}
  client::Entry* entry() const { return handle_.get(); }

 private:
  client::RefHandle handle_;
};

// What a value needs on the wire: size bytes, written by write().
class Outgoing {
 public:
  explicit Outgoing(const Value& value);
  model::Format format() const { return format_; }
  uint64_t size() const { return size_; }
  void write(std::byte* to) const;
  bool is_inline() const { return size_ <= model::kInlineValueBytesMax; }
  // In memory of its own, for values that travel inside messages.
  Bytes small_bytes();

 private:
  const Value& value_;
  model::Format format_ = model::Format::kNone;
  uint64_t size_ = 0;
  std::byte scalar_[8] = {};
  std::vector<std::byte> frame_;  // of a tensor: all before its elements
  std::vector<std::byte> whole_;
};

// A received value; throws the exception that it is, or TypeError for what C++ cannot read.
Value incoming(model::Format format, Bytes bytes, std::shared_ptr<const void> owner);

// Throws what the error stands for.
[[noreturn]] void throw_call_error(const client::CallError& error);
template <typename T>
T value_or_throw(client::CallResult<T> result) {
  if (!result) throw_call_error(result.error());
  return std::move(result).value();
}

}  // namespace sundog::detail
