// A session: tasks and objects from C++. Any thread may call; get, wait and put of large values
// block. Errors are thrown as in sundog/errors.h.
//
//   sundog::InitOptions options;
//   options.workers = {"./worker", "./worker"};
//   auto session = sundog::init(options);
//   auto sum = session.task<int64_t>("add").remote(1, 2);
//   std::cout << session.get(sum);
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sundog/value.h"

namespace sundog {

struct InitOptions {
  std::string address;               // socket of a running session; empty: start one
  double num_cpus = 0;               // 0: what the machine has
  uint64_t store_bytes = 0;          // 0: a share of the memory
  std::vector<std::string> workers;  // programs that end in worker_main, one process each
  std::string python;                // interpreter with the sundog package: for python_task
  std::string daemon;                // sundogd; empty: beside this program, else in PATH
};

using Seconds = std::chrono::duration<double>;
constexpr Seconds kForever = Seconds::max();

// A reference to a value that a task makes or that was put. Copies count; dropping is cheap.
template <typename T>
class ObjectRef {
 public:
  ObjectRef() = default;
  explicit ObjectRef(std::shared_ptr<detail::Reference> reference)
      : reference_(std::move(reference)) {}
  const std::shared_ptr<detail::Reference>& reference() const { return reference_; }

 private:
  std::shared_ptr<detail::Reference> reference_;
};

namespace detail {

class SessionCore;  // src/api

struct TaskKind {
  std::string name;
  bool python = false;
  std::map<std::string, double> resources;
  int max_retries = 3;
  auto operator<=>(const TaskKind&) const = default;
};

std::shared_ptr<Reference> submit(SessionCore* core, const TaskKind& kind,
                                  std::span<const Value> arguments);
std::shared_ptr<Reference> put(SessionCore* core, const Value& value);
std::vector<Value> get(SessionCore* core, std::span<const std::shared_ptr<Reference>> references,
                       Seconds timeout);
std::vector<bool> wait(SessionCore* core, std::span<const std::shared_ptr<Reference>> references,
                       size_t num_ready, Seconds timeout);

}  // namespace detail

// A remote function and how to run it.
template <typename Result>
class Task {
 public:
  Task(std::shared_ptr<detail::SessionCore> core, detail::TaskKind kind)
      : core_(std::move(core)), kind_(std::move(kind)) {}
  Task& num_cpus(double amount) { return resource("CPU", amount); }
  Task& resource(const std::string& name, double amount) {
    kind_.resources[name] = amount;
    return *this;
  }
  // Of a task whose worker died.
  Task& max_retries(int count) {
    kind_.max_retries = count;
    return *this;
  }
  // Arguments by value, or references to values that are waited for and delivered.
  template <typename... Args>
  ObjectRef<Result> remote(const Args&... args) const {
    std::vector<detail::Value> values{Convert<std::decay_t<const Args>>::to(args)...};
    return ObjectRef<Result>(detail::submit(core_.get(), kind_, values));
  }

 private:
  std::shared_ptr<detail::SessionCore> core_;
  detail::TaskKind kind_;
};

class Session {
 public:
  explicit Session(std::shared_ptr<detail::SessionCore> core) : core_(std::move(core)) {}

  // A function that a C++ worker registered with SUNDOG_REMOTE.
  template <typename Result>
  Task<Result> task(std::string name) {
    return {core_, {std::move(name), false, {{"CPU", 1}}, 3}};
  }
  // A Python function: "package.module:function".
  template <typename Result>
  Task<Result> python_task(std::string name) {
    return {core_, {std::move(name), true, {{"CPU", 1}}, 3}};
  }
  template <typename T>
  ObjectRef<T> put(const T& value) {
    return ObjectRef<T>(detail::put(core_.get(), Convert<T>::to(value)));
  }
  template <typename T>
  T get(const ObjectRef<T>& ref, Seconds timeout = kForever) {
    auto values = detail::get(core_.get(), {&ref.reference(), 1}, timeout);
    if constexpr (!std::is_void_v<T>) return Convert<T>::from(values.at(0));
  }
  template <typename T>
  std::vector<T> get(const std::vector<ObjectRef<T>>& refs, Seconds timeout = kForever) {
    std::vector<T> results;
    for (const detail::Value& value : detail::get(core_.get(), references_of(refs), timeout)) {
      results.push_back(Convert<T>::from(value));
    }
    return results;
  }
  // {ready, not ready}, each in the input's order; of more than `num_ready` the earliest completed.
  template <typename T>
  std::pair<std::vector<ObjectRef<T>>, std::vector<ObjectRef<T>>> wait(
      const std::vector<ObjectRef<T>>& refs, size_t num_ready = 1, Seconds timeout = kForever) {
    std::vector<bool> ready = detail::wait(core_.get(), references_of(refs), num_ready, timeout);
    std::pair<std::vector<ObjectRef<T>>, std::vector<ObjectRef<T>>> lists;
    for (size_t i = 0; i < refs.size(); ++i) {
      (ready[i] ? lists.first : lists.second).push_back(refs[i]);
    }
    return lists;
  }
  // Where others join: InitOptions::address, or a worker's --address.
  const std::string& address() const;
  // Ends the session if init started it. Values that were got stay readable.
  void shutdown();

 private:
  template <typename T>
  static std::vector<std::shared_ptr<detail::Reference>> references_of(
      const std::vector<ObjectRef<T>>& refs) {
    std::vector<std::shared_ptr<detail::Reference>> references;
    for (const ObjectRef<T>& ref : refs) references.push_back(ref.reference());
    return references;
  }

  std::shared_ptr<detail::SessionCore> core_;
};

// Starts a session, or joins the one at options.address. Throws NotConnectedError.
Session init(const InitOptions& options = {});

}  // namespace sundog
