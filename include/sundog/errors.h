// What the C++ API throws. Every message says what happened, to what, why, and what to do.
#pragma once

#include <stdexcept>
#include <string>

namespace sundog {

class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The remote function threw. what() is the sentence for a person.
class TaskError : public Error {
 public:
  TaskError(const std::string& what, std::string type, std::string message, std::string traceback)
      : Error(what),
        type_(std::move(type)),
        message_(std::move(message)),
        traceback_(std::move(traceback)) {}
  const std::string& type() const { return type_; }            // "ZeroDivisionError"
  const std::string& message() const { return message_; }      // what it said
  const std::string& traceback() const { return traceback_; }  // where, empty from C++

 private:
  std::string type_, message_, traceback_;
};

// The worker's process ended while it ran the task: the sentence says how.
class WorkerCrashedError : public Error {
  using Error::Error;
};
// The call's runtime environment could not be set up: the sentence says why.
class RuntimeEnvSetupError : public WorkerCrashedError {
  using WorkerCrashedError::WorkerCrashedError;
};
class OutOfMemoryError : public WorkerCrashedError {
  using WorkerCrashedError::WorkerCrashedError;
};
// The actor is dead; the sentence says what ended it.
class ActorDiedError : public Error {
  using Error::Error;
};
// The task was cancelled, or ran longer than it may; in the task itself: what it waited for is
// waited for no longer.
class TaskCancelledError : public Error {
  using Error::Error;
};
// The std::stop_token of a wait was stopped. What was waited for goes on.
class StoppedError : public Error {
  using Error::Error;
};
class NodeDiedError : public Error {
  using Error::Error;
};
class ObjectLostError : public Error {
  using Error::Error;
};
class StoreFullError : public Error {
  using Error::Error;
};
class UnschedulableError : public Error {
  using Error::Error;
};
class GetTimeoutError : public Error {
  using Error::Error;
};
class NotConnectedError : public Error {
  using Error::Error;
};
// No actor has the name, or another one has it already.
class ActorNameError : public Error {
  using Error::Error;
};
// A value is of another type than asked for.
class TypeError : public Error {
  using Error::Error;
};

}  // namespace sundog
