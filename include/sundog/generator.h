// Generator<T>: a coroutine that yields values one after the other. A registered function or method
// that returns one streams: its caller has a reference to each value as soon as it is yielded
// (sundog/stream.h), and a generator whose consumer is behind waits at its co_yield.
//
//   sundog::Generator<int64_t> countdown(int64_t from) {
//     for (int64_t i = from; i > 0; --i) co_yield i;
//   }
//   SUNDOG_REMOTE(countdown);
//
// When nobody wants more, it is destroyed where it yielded: destructors run, nothing is thrown. Its
// arguments live as long as it does. In a program of its own, for (T& value : countdown(3)).
#pragma once

#include <coroutine>
#include <exception>
#include <iterator>
#include <optional>
#include <utility>

namespace sundog {

// Moved, not copied; runs on the thread that asks for the next value.
template <typename T>
class [[nodiscard]] Generator {
 public:
  using Type = T;
  struct promise_type {
    std::optional<T> value;
    std::exception_ptr error;
    Generator get_return_object() { return Generator(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(T next) {
      value.emplace(std::move(next));
      return {};
    }
    void return_void() {}
    void unhandled_exception() { error = std::current_exception(); }
    void await_transform() = delete;  // it waits by Session::get
  };
  using Handle = std::coroutine_handle<promise_type>;

  Generator(Generator&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Generator& operator=(Generator other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Generator() {
    if (handle_) handle_.destroy();
  }

  // Runs to the next value; false at the end. Throws what the coroutine threw.
  bool next() {
    handle_.resume();
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
    return !handle_.done();
  }
  // What was yielded last.
  T& value() { return *handle_.promise().value; }

  class Iterator {
   public:
    explicit Iterator(Generator* generator) : generator_(generator) { ++*this; }
    T& operator*() const { return generator_->value(); }
    Iterator& operator++() {
      if (!generator_->next()) generator_ = nullptr;
      return *this;
    }
    bool operator==(std::default_sentinel_t) const { return generator_ == nullptr; }

   private:
    Generator* generator_;
  };
  Iterator begin() { return Iterator(this); }
  std::default_sentinel_t end() { return {}; }

 private:
  explicit Generator(Handle handle) : handle_(handle) {}
  Handle handle_;
};

namespace detail {

template <typename T>
constexpr bool kIsGenerator = false;
template <typename T>
constexpr bool kIsGenerator<Generator<T>> = true;

}  // namespace detail
}  // namespace sundog
