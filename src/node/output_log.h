// OutputLog: workers' output, from their pipes into files and on to the driver of their job.
//
// Its thread owns pipes and files. The deciding thread adds workers, tells of their end, and takes
// batches of lines, of which only a bounded number of bytes is on its way for each job: a driver
// that is slow leaves the rest in the files and stalls nobody.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "loop/loop.h"
#include "loop/loop_thread.h"
#include "node/output_file.h"
#include "os/fd.h"

namespace sundog::node {

constexpr uint64_t kOutputInFlightBytesMax = 256 * 1024;  // for each job

// Lines of one stream, in its order.
struct OutputBatch {
  JobId job;
  uint32_t pid = 0;
  bool is_stderr = false;
  const std::string* task = nullptr;
  std::string text;
  bool is_mark = false;  // no lines: all before it was asked for under this number
  uint32_t request = 0;
};

class OutputLog {
 public:
  using Deliver = std::function<void(OutputBatch)>;  // on the deciding loop
  using Tail = std::function<void(std::string)>;     // on the deciding loop

  // `folder` is the session's logs folder.
  OutputLog(loop::EventLoop* loop, std::string folder, Deliver deliver);
  ~OutputLog();
  Status start();
  // Reads what is left in the pipes, then ends the thread.
  void stop();

  // ---- all of these return at once
  void add_worker(uint32_t pid, JobId job, os::Fd out, os::Fd err,
                  std::shared_ptr<TaskLabel> label);
  // The process is gone: `tail` gets the last lines of its stderr after its pipes were read dry.
  void worker_ended(uint32_t pid, Tail tail);
  // A batch of so many bytes was passed on.
  void passed_on(JobId job, uint64_t bytes);
  // Delivers a mark behind all lines that the job's workers wrote until now.
  void mark(JobId job, uint32_t request);
  // Other slow work on files that must not hold up the deciding thread.
  void run_on_disk_thread(std::function<void()> f) { thread_.loop().post(std::move(f)); }
  // Nobody will read this job's output any more.
  void job_ended(JobId job);

 private:
  class Stream;
  struct Worker {
    std::unique_ptr<Stream> out, err;
    bool ended = false;  // its last lines were asked for
  };
  struct Job {
    uint64_t in_flight = 0;
    bool ended = false;
    std::vector<uint32_t> marks;  // asked for and not yet delivered
  };

  // ---- on the log thread
  void on_add(uint32_t pid, JobId job, os::Fd out, os::Fd err, std::shared_ptr<TaskLabel> label);
  void on_ended(uint32_t pid, const Tail& tail);
  void forward(JobId job);
  void forward_stream(Stream* stream);
  void drop_if_done(uint32_t pid);

  loop::EventLoop* loop_;  // the deciding one
  std::string folder_;
  Deliver deliver_;
  loop::LoopThread thread_{"sundog-output"};
  bool started_ = false;
  std::map<uint32_t, Worker> workers_;  // by pid
  std::map<JobId, Job> jobs_;
};

}  // namespace sundog::node
