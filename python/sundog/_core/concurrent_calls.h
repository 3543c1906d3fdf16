// Calls that run at the same time in one process: those of asynchronous actors, on an event loop,
// and of actors with several threads. What drives them is Python (sundog._async_actor,
// sundog._threaded_actor); each call is a RunningCall here.
//
// Which call some code belongs to is in a context variable, so that what a method starts, submits
// and puts counts as its own, in every thread and asyncio task that inherits the context.
//
// Everything here needs the GIL.
#pragma once

#include <string>

#include "base/ids.h"
#include "interop.h"

namespace sundog::python {

// Begins and ends single calls; the worker's loop is the one that does.
class CallRunner {
 public:
  virtual ~CallRunner() = default;
  virtual client::Runtime* runtime() = 0;
  // Decodes the arguments and calls. An invalid object means that an exception is set.
  virtual Object call(const client::TaskCall& call) = 0;
  // Hands the value over, or (invalid) the pending exception. False with an exception set that has
  // to end the process.
  virtual bool end(const client::TaskCall& call, TimeNs started, Object value) = 0;
};

// From now on take_call() gives this runner's calls, and the context variable says which runs.
void run_concurrently(CallRunner* runner);
// The call of the present context: {hex of the task, name, attempt}; false if there is none.
bool current_running_call(std::string* task, std::string* name, uint32_t* attempt);
// The method that it calls; None if there is no such call, or it has ended. A new reference.
PyObject* current_method();
bool runs_concurrently();
// The call of the present context while its own code runs, nil otherwise.
TaskId running_call_in_code();
// It was told that it is cancelled, if it is the present context's.
void note_running_call_knows(const TaskId& task);
// The code of the present context's call is over. True: it knew that it is cancelled.
bool end_code_of_running_call();

void add_concurrent_calls(nb::module_& module);

}  // namespace sundog::python
