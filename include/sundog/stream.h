// Stream<T>: what the call of a generator gives back, in C++ or Python: references to its values,
// in order, each as soon as it is yielded.
//
//   for (sundog::Ref<int64_t> number : session.task(countdown).remote(3)) {
//     std::cout << session.get(number);
//   }
//   while (auto number = co_await stream) std::cout << co_await *number;   // sundog/async.h
//   std::vector<size_t> ready = session.wait({first_stream, second_stream, ref});
//
// What the generator throws is the value of one more reference, the last: get throws it. A stream
// that is dropped or closed early ends its generator at its next yield.
#pragma once

#include <iterator>

#include "sundog/calls.h"
#include "sundog/generator.h"
#include "sundog/until.h"

namespace sundog {

namespace detail {

// The next item of the task that makes `completed`; null at the end.
ReferencePtr next_item(SessionCore* core, Reference* completed, const Until& until);
// What is ready when next_item would not wait; null when the stream is over.
ReferencePtr coming_item(SessionCore* core, Reference* completed);
void close_stream(SessionCore* core, Reference* completed);

}  // namespace detail

// Moved, not copied: each item is taken once. References that were taken are like any other. Any
// thread, one at a time.
template <typename T>
class Stream {
 public:
  Stream(std::shared_ptr<detail::SessionCore> core, detail::ReferencePtr completed)
      : core_(std::move(core)), completed_(std::move(completed)) {}
  Stream(Stream&& other) noexcept = default;
  Stream& operator=(Stream other) noexcept {
    std::swap(core_, other.core_);
    std::swap(completed_, other.completed_);
    return *this;
  }
  ~Stream() { close(); }

  // Waits for the next one; nothing at the end. Throws as Session::get does when the wait ends.
  std::optional<ObjectRef<T>> next(const Until& until = {}) {
    if (completed_ == nullptr) return std::nullopt;
    auto item = detail::next_item(core_.get(), completed_.get(), until);
    if (item == nullptr) return std::nullopt;
    return ObjectRef<T>(std::move(item));
  }
  // For what waits for several: session.wait and co_await.
  const detail::ReferencePtr& reference() const { return completed_; }
  // Ready when the generator has ended, with what ended it; cancelling it cancels the generator.
  ObjectRef<void> completed() const { return ObjectRef<void>(completed_); }
  // Nobody wants more. Never waits.
  void close() {
    if (core_ != nullptr && completed_ != nullptr)
      detail::close_stream(core_.get(), completed_.get());
  }

  class Iterator {
   public:
    using value_type = ObjectRef<T>;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(Stream* stream) : stream_(stream) { ++*this; }
    const ObjectRef<T>& operator*() const { return *item_; }
    Iterator& operator++() {
      item_ = stream_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !item_; }

   private:
    Stream* stream_;
    std::optional<ObjectRef<T>> item_;
  };
  Iterator begin() { return Iterator(this); }
  std::default_sentinel_t end() { return {}; }

 private:
  std::shared_ptr<detail::SessionCore> core_;
  detail::ReferencePtr completed_;
};

namespace detail {

template <typename T>
struct Outcome<Generator<T>> {
  using Type = Stream<T>;
  static Type submit(const std::shared_ptr<SessionCore>& core, uint32_t number,
                     const Arguments& arguments, uint32_t /*count*/, Reference* actor = nullptr) {
    return Type(core, detail::submit(core.get(), number, arguments, actor));
  }
};

}  // namespace detail
}  // namespace sundog
