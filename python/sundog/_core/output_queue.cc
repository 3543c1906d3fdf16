#include "output_queue.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace sundog::python {
namespace {

// Text that waits for a printer that does not get on; more is dropped and counted.
constexpr size_t kWaitingBytesMax = 8 << 20;

struct Line {
  long number = 0;  // output: the worker's pid; notice: its severity
  bool is_notice = false;
  bool is_stderr = false;
  std::string task_name, text;
};

class OutputQueue {
 public:
  void add(Line line) {
    std::lock_guard lock(mutex_);
    if (bytes_ + line.text.size() > kWaitingBytesMax) {
      ++dropped_;
      return;
    }
    bytes_ += line.text.size();
    lines_.push_back(std::move(line));
    changed_.notify_one();
  }

  // Waits for a line; false after end() when all lines were taken. *dropped: lines lost before it.
  bool take(Line* line, uint64_t* dropped) {
    std::unique_lock lock(mutex_);
    showing_ = false;
    if (lines_.empty()) shown_.notify_all();
    changed_.wait(lock, [this] { return !lines_.empty() || ended_; });
    *dropped = std::exchange(dropped_, 0);
    if (lines_.empty()) return false;
    *line = std::move(lines_.front());
    lines_.pop_front();
    bytes_ -= line->text.size();
    showing_ = true;
    return true;
  }

  // Waits until the printer is done with everything that is here, or `limit` passed.
  void wait_shown(std::chrono::duration<double> limit) {
    std::unique_lock lock(mutex_);
    shown_.wait_for(lock, limit, [this] { return (lines_.empty() && !showing_) || ended_; });
  }

  void end() {
    std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  void begin() {
    std::lock_guard lock(mutex_);
    ended_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_, shown_;
  std::deque<Line> lines_;
  size_t bytes_ = 0;
  uint64_t dropped_ = 0;
  bool ended_ = false;
  bool showing_ = false;  // a line was taken, and the printer has not come back for the next
};

// One for the process: the printer outlives sessions, and handlers may come late. Replaced in a
// forked child, where a lock may have been held by a thread that does not exist there.
OutputQueue* queue = new OutputQueue;

PyObject* next_line(PyObject*, PyObject*) {
  Line line;
  uint64_t dropped = 0;
  PyThreadState* state = PyEval_SaveThread();
  const bool got = queue->take(&line, &dropped);
  PyEval_RestoreThread(state);
  if (!got) Py_RETURN_NONE;
  Object name = text(line.task_name), content = text(line.text);
  return Py_BuildValue("(OlOOOK)", line.is_notice ? Py_True : Py_False, line.number,
                       line.is_stderr ? Py_True : Py_False, name.ptr(), content.ptr(),
                       static_cast<unsigned long long>(dropped));
}

PyObject* wait_shown(PyObject*, PyObject* seconds) {
  const double limit = PyFloat_AsDouble(seconds);
  if (limit == -1.0 && PyErr_Occurred() != nullptr) return nullptr;
  PyThreadState* state = PyEval_SaveThread();
  queue->wait_shown(std::chrono::duration<double>(limit));
  PyEval_RestoreThread(state);
  Py_RETURN_NONE;
}

PyObject* end_output(PyObject*, PyObject*) {
  queue->end();
  Py_RETURN_NONE;
}

PyObject* begin_output(PyObject*, PyObject*) {
  queue->begin();
  Py_RETURN_NONE;
}

PyObject* forget_output(PyObject*, PyObject*) {
  queue = new OutputQueue;
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"next_line", next_line, METH_NOARGS,
     "next_line()\n--\n\nWaits for output: (is_notice, pid or severity, is_stderr, task name, "
     "text, lines dropped before); None after end_output."},
    {"wait_shown", wait_shown, METH_O,
     "wait_shown(seconds)\n--\n\nWaits until the printer has shown all that is in its queue."},
    {"end_output", end_output, METH_NOARGS, "end_output()\n--\n\nLets next_line return None."},
    {"begin_output", begin_output, METH_NOARGS, "begin_output()\n--\n\nUndoes end_output."},
    {"forget_output", forget_output, METH_NOARGS,
     "forget_output()\n--\n\nIn a forked child: leaves the parent's queue alone."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void collect_output(client::Runtime* runtime) {
  runtime->on_output([](const model::Output& output) {
    queue->add({static_cast<long>(output.pid), false, output.is_stderr,
                std::string(output.task_name), std::string(output.text)});
  });
  runtime->on_notice([](const model::Notice& notice) {
    queue->add({notice.severity, true, true, {}, std::string(notice.text)});
  });
}

void add_output_queue(nb::module_& module) {
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
