#include "node/output_log.h"

#include <algorithm>

#include "os/files.h"

namespace sundog::node {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr int kReadsPerEvent = 16;  // then others have their turn

}  // namespace

// One pipe and its file.
class OutputLog::Stream final : public loop::Watcher {
 public:
  Stream(OutputLog* log, uint32_t pid, JobId job, bool is_stderr, os::Fd pipe,
         std::shared_ptr<TaskLabel> label)
      : log_(log),
        pid_(pid),
        job_(job),
        is_stderr_(is_stderr),
        pipe_(std::move(pipe)),
        label_(std::move(label)) {
    std::string name = "/worker-" + std::to_string(pid) + (is_stderr ? ".err" : ".out");
    auto file = OutputFile::open(log->folder_ + name);
    if (file) file_ = std::make_unique<OutputFile>(*std::move(file));
    if (!os::set_nonblocking(pipe_.get(), true) || !log_->thread_.loop().watch(pipe_.get(), this)) {
      close();
    }
  }
  ~Stream() { close(); }

  void on_ready(const os::Readiness&) override {
    read(kReadsPerEvent);
    uint32_t pid = pid_;
    OutputLog* log = log_;
    log->forward_stream(this);
    log->drop_if_done(pid);  // may end this object
  }

  // Reads until the pipe is empty, at most `reads` times.
  void read(int reads) {
    std::vector<std::byte> buffer(kReadBytes);
    while (pipe_ && reads-- > 0) {
      size_t n = os::read_some(pipe_.get(), buffer);
      if (n == os::kWouldBlock) return;
      if (n == 0) {
        close();
        return;
      }
      if (file_) file_->append(Bytes(buffer).first(n), label_->name.load());
    }
  }
  void close() {
    if (!pipe_) return;
    log_->thread_.loop().unwatch(pipe_.get());
    pipe_.reset();
    if (file_) file_->finish();
  }

  bool open() const { return static_cast<bool>(pipe_); }
  OutputFile* file() { return file_.get(); }
  uint32_t pid() const { return pid_; }
  JobId job() const { return job_; }
  bool is_stderr() const { return is_stderr_; }

 private:
  OutputLog* log_;
  uint32_t pid_;
  JobId job_;
  bool is_stderr_;
  os::Fd pipe_;
  std::shared_ptr<TaskLabel> label_;
  std::unique_ptr<OutputFile> file_;  // null: no file could be made; output is dropped
};

OutputLog::OutputLog(loop::EventLoop* loop, std::string folder, Deliver deliver)
    : loop_(loop), folder_(std::move(folder)), deliver_(std::move(deliver)) {}

OutputLog::~OutputLog() { stop(); }

Status OutputLog::start() {
  Status status = thread_.start();
  started_ = status.ok();
  return status;
}

void OutputLog::stop() {
  if (!started_) return;
  started_ = false;
  thread_.loop().post([this] {
    for (auto& [pid, worker] : workers_) {
      worker.out->read(kReadsPerEvent);
      worker.err->read(kReadsPerEvent);
    }
    workers_.clear();
  });
  thread_.stop();
}

void OutputLog::add_worker(uint32_t pid, JobId job, os::Fd out, os::Fd err,
                           std::shared_ptr<TaskLabel> label) {
  // Descriptors travel as numbers: a std::function is copyable, an Fd is not.
  thread_.loop().post(
      [this, pid, job, out_fd = out.release(), err_fd = err.release(), label = std::move(label)] {
        on_add(pid, job, os::Fd(out_fd), os::Fd(err_fd), label);
      });
}

void OutputLog::worker_ended(uint32_t pid, Tail tail) {
  thread_.loop().post([this, pid, tail = std::move(tail)] { on_ended(pid, tail); });
}

void OutputLog::passed_on(JobId job, uint64_t bytes) {
  thread_.loop().post([this, job, bytes] {
    Job& j = jobs_[job];
    j.in_flight -= std::min(j.in_flight, bytes);
    forward(job);
  });
}

void OutputLog::job_ended(JobId job) {
  thread_.loop().post([this, job] {
    jobs_[job].ended = true;
    std::vector<uint32_t> pids;
    for (auto& [pid, worker] : workers_) pids.push_back(pid);
    for (uint32_t pid : pids) drop_if_done(pid);
  });
}

// ---------------------------------------------------------------- on the log thread

void OutputLog::on_add(uint32_t pid, JobId job, os::Fd out, os::Fd err,
                       std::shared_ptr<TaskLabel> label) {
  Worker& worker = workers_[pid];
  worker.out = std::make_unique<Stream>(this, pid, job, false, std::move(out), label);
  worker.err = std::make_unique<Stream>(this, pid, job, true, std::move(err), label);
}

void OutputLog::on_ended(uint32_t pid, const Tail& tail) {
  std::string text;
  auto it = workers_.find(pid);
  if (it != workers_.end()) {
    Worker& worker = it->second;
    worker.ended = true;
    // A pipe holds at most 1 MB; a grandchild that still writes must not keep us here.
    worker.out->read(kReadsPerEvent);
    worker.err->read(kReadsPerEvent);
    if (worker.err->file() != nullptr) text = worker.err->file()->tail();
    forward_stream(worker.out.get());
    forward_stream(worker.err.get());
    drop_if_done(pid);
  }
  loop_->post([tail, text = std::move(text)] { tail(text); });
}

void OutputLog::mark(JobId job, uint32_t request) {
  thread_.loop().post([this, job, request] {
    for (auto& [pid, worker] : workers_) {
      if (worker.out->job() != job && worker.out->job() != JobId{}) continue;
      for (Stream* stream : {worker.out.get(), worker.err.get()}) {
        stream->read(kReadsPerEvent);
        if (stream->file() != nullptr) stream->file()->tell_gap();
      }
    }
    forward(JobId{});  // C++ workers serve all jobs
    jobs_[job].marks.push_back(request);
    forward(job);
  });
}

void OutputLog::forward(JobId job) {
  std::vector<uint32_t> pids;
  for (auto& [pid, worker] : workers_) {
    if (worker.out->job() != job) continue;
    forward_stream(worker.out.get());
    forward_stream(worker.err.get());
    pids.push_back(pid);
  }
  for (uint32_t pid : pids) drop_if_done(pid);
  Job& j = jobs_[job];
  if (j.in_flight >= kOutputInFlightBytesMax) return;  // there may be more; the next passing tells
  for (uint32_t request : j.marks) {
    OutputBatch mark;
    mark.job = job;
    mark.is_mark = true;
    mark.request = request;
    loop_->post([this, mark] { deliver_(mark); });
  }
  j.marks.clear();
}

void OutputLog::forward_stream(Stream* stream) {
  Job& job = jobs_[stream->job()];
  OutputFile::Batch batch;
  while (!job.ended && stream->file() != nullptr && job.in_flight < kOutputInFlightBytesMax &&
         stream->file()->read_lines(&batch)) {
    OutputBatch output{stream->job(), stream->pid(), stream->is_stderr(), batch.task,
                       std::move(batch.text)};
    job.in_flight += output.text.size();
    loop_->post([this, output = std::move(output)] { deliver_(output); });
  }
}

void OutputLog::drop_if_done(uint32_t pid) {
  auto it = workers_.find(pid);
  if (it == workers_.end() || !it->second.ended) return;
  for (Stream* s : {it->second.out.get(), it->second.err.get()}) {
    if (s->open()) return;
    if (s->file() != nullptr && !s->file()->all_read() && !jobs_[s->job()].ended) return;
  }
  workers_.erase(it);
}

}  // namespace sundog::node
