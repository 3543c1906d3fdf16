// Cancelling, as Python asks for it and as a worker's main thread gets to know of it.
//
// The runtime thread hears of a cancelled task and signals the main thread; the handler in Python
// asks take_interrupt() whether the signal is meant for what runs there, and raises. So a signal
// that comes late, or from elsewhere, does nothing.
#pragma once

#include "session.h"

namespace sundog::python {

// ---- of a worker, on its main thread
// From here on cancelling is heard; once a process.
void listen_for_cancels(client::Runtime* runtime);
// The own code of a task, or of a call of an actor, begins: until end_interruptible() the task may
// be interrupted.
void begin_interruptible(const TaskId& task, bool is_call);
// Its code ended. True: it knew that it is cancelled, so its result is nobody's.
bool end_interruptible();
// Whether the call of an actor whose code runs in this thread or context is cancelled. It is never
// interrupted, for the actor lives on: it hears of it where it waits. From then on it knows.
bool runs_cancelled_call();
// An interrupt left this process in a state that no other task shall find.
bool ends_after_task();

void add_cancelling(nb::module_& module);

}  // namespace sundog::python
