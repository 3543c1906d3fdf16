// Waiting without blocking: std::future of a reference, and coroutines that co_await references.
//
//   std::future<int64_t> later = sundog::future_of(session, ref);
//
//   while (auto item = co_await stream) sum += co_await *item;   // of a sundog::Stream<int64_t>&
//
//   sundog::Async<int64_t> double_of(sundog::Session session, int64_t x) {
//     auto sum = session.task(add).remote(x, x);
//     int64_t value = co_await sum;      // others run meanwhile; throws what the task threw
//     co_return value;
//   }
//   int64_t six = sundog::run(session, double_of(session, 3));
//   std::vector<int64_t> all = sundog::run(session, many);   // of several coroutines, all at once
//
// Coroutines run on the thread that called run(), one at a time: what they share needs no lock. GCC
// 12 miscompiles an expression with both a capturing lambda and co_await: give the lambda a name.
#pragma once

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <mutex>

#include "sundog/session.h"

namespace sundog {

namespace detail {

// Calls `done` when the value is here, or the error in its place, or the session is over: from a
// thread of the session's own, or from this one.
void when_ready(SessionCore* core, const ReferencePtr& reference, std::function<void()> done);

// The same for the next item of a stream, which `done` gets; null at its end.
void when_next(SessionCore* core, const ReferencePtr& completed,
               std::function<void(ReferencePtr)> done);

// The coroutines of one run(): those that can go on wait in a queue for its thread.
class Executor {
 public:
  explicit Executor(SessionCore* core) : core_(core) {}
  SessionCore* core() const { return core_; }
  void post(std::coroutine_handle<> ready) {
    std::lock_guard lock(mutex_);
    ready_.push_back(ready);
    wake_.notify_one();
  }
  // Lets them run until `is_over` says so.
  template <typename IsOver>
  void run(IsOver is_over) {
    while (!is_over()) next().resume();
  }

 private:
  std::coroutine_handle<> next() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return !ready_.empty(); });
    std::coroutine_handle<> first = ready_.front();
    ready_.pop_front();
    return first;
  }

  SessionCore* core_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::coroutine_handle<>> ready_;
};

template <typename T>
struct RefAwaiter {
  Executor* executor;
  ObjectRef<T> ref;
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> waiting) const {
    Executor* to = executor;
    auto go_on = [to, waiting] { to->post(waiting); };
    when_ready(executor->core(), ref.reference(), std::move(go_on));
  }
  T await_resume() const {
    return result_of<T>(get_one(executor->core(), ref.reference(), kForever));
  }
};

// A Stream's next item; nothing at its end.
template <typename T>
struct StreamAwaiter {
  Executor* executor;
  ReferencePtr completed;
  ReferencePtr item = nullptr;
  bool await_ready() const { return completed == nullptr; }
  void await_suspend(std::coroutine_handle<> waiting) {
    auto take = [this, waiting](ReferencePtr next) {
      item = std::move(next);
      executor->post(waiting);
    };
    when_next(executor->core(), completed, std::move(take));
  }
  std::optional<ObjectRef<T>> await_resume() {
    if (completed == nullptr) return std::nullopt;
    // The stream is over; or the session is, which this throws.
    if (item == nullptr) item = next_item(executor->core(), completed.get(), Seconds(0));
    if (item == nullptr) return std::nullopt;
    return ObjectRef<T>(std::move(item));
  }
};

struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
    std::coroutine_handle<> next = ended.promise().awaited_by;
    return next ? next : std::noop_coroutine();
  }
  void await_resume() const noexcept {}
};

}  // namespace detail

// A coroutine that awaits references, or others like it. It starts when it is awaited or run.
template <typename T = void>
class [[nodiscard]] Async {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

 private:
  struct PromiseBase {
    detail::Executor* executor = nullptr;
    std::coroutine_handle<> awaited_by;
    std::exception_ptr error;
    std::suspend_always initial_suspend() { return {}; }
    detail::FinalAwaiter final_suspend() noexcept { return {}; }
    void unhandled_exception() { error = std::current_exception(); }
    template <typename R>
    detail::RefAwaiter<R> await_transform(const ObjectRef<R>& ref) {
      return {executor, ref};
    }
    template <typename R>
    detail::StreamAwaiter<R> await_transform(const Stream<R>& stream) {
      return {executor, stream.reference()};
    }
    template <typename R>
    auto await_transform(Async<R> other) {
      return typename Async<R>::Awaiter{executor, std::move(other)};
    }
  };
  struct ValuePromise : PromiseBase {
    std::optional<T> value;
    template <typename U>
    void return_value(U&& result) {
      value.emplace(std::forward<U>(result));
    }
  };
  struct VoidPromise : PromiseBase {
    void return_void() {}
  };

 public:
  struct promise_type : std::conditional_t<std::is_void_v<T>, VoidPromise, ValuePromise> {
    Async get_return_object() { return Async(Handle::from_promise(*this)); }
  };
  struct Awaiter {
    detail::Executor* executor;
    Async other;
    bool await_ready() const { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiting) {
      other.handle_.promise().executor = executor;
      other.handle_.promise().awaited_by = waiting;
      return other.handle_;
    }
    T await_resume() { return other.take(); }
  };

  Async(Async&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Async& operator=(Async other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Async() {
    if (handle_) handle_.destroy();
  }

  // For run().
  void start_on(detail::Executor* executor) {
    handle_.promise().executor = executor;
    executor->post(handle_);
  }
  bool is_done() const { return handle_.done(); }
  T take() {
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
    if constexpr (!std::is_void_v<T>) return std::move(*handle_.promise().value);
  }

 private:
  explicit Async(Handle handle) : handle_(handle) {}
  Handle handle_;
};

// Runs a coroutine to its end on this thread; its result, or what it threw.
template <typename T>
T run(const Session& session, Async<T> coroutine) {
  detail::Executor executor(session.core().get());
  coroutine.start_on(&executor);
  executor.run([&] { return coroutine.is_done(); });
  return coroutine.take();
}
// Runs all of them to their ends, each whenever it can go on; their results in order.
template <typename T>
  requires(!std::is_void_v<T>)
std::vector<T> run(const Session& session, std::vector<Async<T>> coroutines) {
  detail::Executor executor(session.core().get());
  for (Async<T>& each : coroutines) each.start_on(&executor);
  size_t done = 0;
  executor.run([&] {
    while (done < coroutines.size() && coroutines[done].is_done()) ++done;
    return done == coroutines.size();
  });
  std::vector<T> results;
  for (Async<T>& each : coroutines) results.push_back(each.take());
  return results;
}

// A future of the value, or of what its task threw. `session` outlives the wait.
template <typename T>
std::future<T> future_of(const Session& session, const ObjectRef<T>& ref) {
  auto promise = std::make_shared<std::promise<T>>();
  detail::SessionCore* core = session.core().get();
  auto fulfil = [promise, core, ref] {
    try {
      if constexpr (std::is_void_v<T>) {
        detail::get_one(core, ref.reference(), kForever);
        promise->set_value();
      } else {
        promise->set_value(detail::result_of<T>(detail::get_one(core, ref.reference(), kForever)));
      }
    } catch (...) {
      promise->set_exception(std::current_exception());
    }
  };
  detail::when_ready(core, ref.reference(), std::move(fulfil));
  return promise->get_future();
}

}  // namespace sundog
