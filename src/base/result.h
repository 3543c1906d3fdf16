// Result<T, E>: expected failures as values. E is a small enum or a string with the sentence.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace sundog {

template <typename E>
struct Failure {
  E error;
};
template <typename E>
Failure(E) -> Failure<E>;

template <typename T, typename E = std::string>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  template <typename F>
  Result(Failure<F> failure) : state_(std::in_place_index<1>, std::move(failure.error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & {
    SUNDOG_CHECK(ok());
    return std::get<0>(state_);
  }
  const T& value() const& {
    SUNDOG_CHECK(ok());
    return std::get<0>(state_);
  }
  T&& value() && {
    SUNDOG_CHECK(ok());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const E& error() const {
    SUNDOG_CHECK(!ok());
    return std::get<1>(state_);
  }

 private:
  std::variant<T, E> state_;
};

struct Unit {};
// An operation that yields nothing but may fail with a sentence.
using Status = Result<Unit, std::string>;
inline Status ok_status() { return Unit{}; }

}  // namespace sundog
