#include "sundog/worker.h"

#include <cxxabi.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "api/registry.h"
#include "api/results.h"
#include "api/session_core.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/memory.h"
#include "os/socket.h"
#include "wire/arguments.h"

namespace sundog {
namespace detail {
namespace {

// What the daemon starts a worker with: "DESCRIPTOR:TOKEN" of the socket made for it; or, by other
// programs, the path of the session's socket.
constexpr const char* kWorkerFlag = "--sundog-worker";
constexpr const char* kAddressFlag = "--address";

struct ActorExit {};  // what exit_actor() throws
bool is_actor = false;

void answer(void* context, const Value& result) { static_cast<Results*>(context)->take(result); }

bool yield(void* context, const Value& item) { return static_cast<Results*>(context)->yield(item); }
void begin(void* context) { static_cast<Results*>(context)->begin(); }

std::string type_name(const std::exception& error) {
  int status = 0;
  char* name = abi::__cxa_demangle(typeid(error).name(), nullptr, nullptr, &status);
  std::string text = status == 0 ? name : typeid(error).name();
  std::free(name);
  return text;
}

// The process's one task after the other, and the actor that it may become.
class WorkerLoop {
 public:
  WorkerLoop(Session* session, client::Runtime* runtime)
      : session_(session), runtime_(runtime), current_(session->core()->current_call()) {}
  ~WorkerLoop() {
    if (object_ != nullptr) type_.destroy(object_);
  }

  void run() {
    while (auto call = runtime_->next_task(nullptr)) run_one(*call);
  }

 private:
  void run_one(const client::TaskCall& call) {
    TimeNs started = os::now();
    bool failed = true, exiting = false;
    Results results(session_->core().get(), call);
    current_->begin(call);
    try {
      perform(call, &results);
      failed = false;
    } catch (const ActorExit&) {
      failed = false;
      exiting = true;
      results.take_nothing();
    } catch (const std::exception& error) {
      failed = !results.take_error(type_name(error), error.what());
    } catch (...) {
      failed = !results.take_error("unknown", "not a std::exception");
    }
    current_->end();
    std::fflush(stdout);
    bool retry = failed && call.retry_exceptions;
    (void)runtime_->finish(call, failed, retry, started, os::now(), exiting);
  }

  void perform(const client::TaskCall& call, Results* results) {
    std::vector<Value> arguments = arguments_of(call);
    Call made{*session_, arguments, answer, results};
    if (call.returns == model::Returns::kStream || call.returns == model::Returns::kDynamic) {
      made.yield = yield;
      made.begin = begin;
    }
    const std::string_view registered = call.method.empty() ? call.name : call.method;
    if (call.kind == model::CallKind::kTask) {
      function_named(registered)(made);
    } else if (call.kind == model::CallKind::kCreateActor) {
      class_name_ = registered;
      type_ = actor_named(class_name_);
      object_ = type_.make(made);
      is_actor = true;
      results->take(Value{});
    } else if (call.method == "__ray_ready__" || call.method == "__sundog_ready__") {
      results->take(Value{true, nullptr});
    } else if (call.method == "__ray_terminate__") {
      throw ActorExit();
    } else {
      method_named(class_name_, call.method)(object_, made);
    }
  }

  std::vector<Value> arguments_of(const client::TaskCall& call) {
    auto parsed = wire::parse_arguments(call.arguments, call.refs.size(), &scratch_);
    if (!parsed) throw TypeError(parsed.error());
    if (!parsed->keyword.empty()) {
      throw TypeError("C++ functions take no keyword arguments, got \"" +
                      std::string(parsed->keyword[0].name) + "\"");
    }
    std::vector<Value> arguments;
    arguments.reserve(parsed->positional.size());
    for (const wire::ParsedArgument& argument : parsed->positional) {
      if (argument.is_reference()) {
        const client::Fetched& fetched = call.refs[argument.ref_index];
        if (fetched.data == nullptr) throw Error("an argument's bytes could not be mapped");
        arguments.push_back(
            incoming(runtime_, fetched.format, fetched.data->bytes(), fetched.data));
      } else {
        arguments.push_back(inline_argument(argument));
      }
    }
    return arguments;
  }

  // An array may be kept longer than the call's own bytes: it gets bytes of its own.
  Value inline_argument(const wire::ParsedArgument& argument) {
    if (argument.format != model::Format::kTensor && argument.format != model::Format::kPickle) {
      return incoming(runtime_, argument.format, argument.bytes, nullptr);
    }
    auto own = std::make_shared<client::OwnBytes>(argument.bytes);
    const Bytes bytes = own->bytes();
    return incoming(runtime_, argument.format, bytes, std::move(own));
  }

  Session* session_;
  client::Runtime* runtime_;
  CurrentCall* current_;
  std::vector<wire::ParsedArgument> scratch_;
  std::string class_name_;
  ActorType type_;
  void* object_ = nullptr;  // owned; of type_
};

const char* value_of(const char* flag, int argc, char** argv) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], flag) == 0) return argv[i + 1];
  }
  return nullptr;
}

int fail(const char* program, const std::string& why) {
  std::fprintf(stderr, "%s: %s\n", program, why.c_str());
  return 1;
}

// Where the daemon wrote what the environment of this process has.
constexpr int kEnvironmentDescriptor = 4;

struct StartedIn {
  uint64_t hash = 0;  // 0: no environment of its own
  Environment environment;
};
StartedIn started_in() {
  const char* hash = std::getenv("SUNDOG_CPP_ENVIRONMENT");
  if (hash == nullptr) return {};
  StartedIn result;
  std::from_chars(hash, hash + std::strlen(hash), result.hash);
  unsetenv("SUNDOG_CPP_ENVIRONMENT");  // it is this process's, and no child's
  const os::Fd memory(kEnvironmentDescriptor);
  if (auto size = os::memory_size(memory.get())) {
    std::string text(*size, '\0');
    const auto bytes = std::as_writable_bytes(std::span(text));
    if (os::read_memory(memory.get(), 0, bytes)) {
      result.environment = Environment::of_cpp_text(text);
    }
  }
  return result;
}

int serve(const char* program, int control, uint64_t token, StartedIn started) {
  auto runtime = client::Runtime::connect_worker(control, JobId{}, model::Language::kCpp,
                                                 started.hash, token, own_program());
  if (!runtime) return fail(program, runtime.error().text);
  client::Runtime* serving = runtime->get();
  const char* address = std::getenv("SUNDOG_ADDRESS");
  Session session(std::make_shared<SessionCore>(*std::move(runtime), address ? address : "",
                                                std::vector<WorkerProcess>()));
  session.core()->become_worker(std::move(started.environment), started.hash);
  WorkerLoop(&session, serving).run();
  return 0;
}

std::vector<std::string_view> parts_of(std::string_view list) {
  std::vector<std::string_view> parts;
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    parts.push_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return parts;
}

// Shows this process those of the driver's GPUs that it was given, by the driver's names for them.
void show_gpus(std::string_view numbers) {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  const auto names = parts_of(visible == nullptr ? "" : visible);
  std::string shown;
  for (std::string_view number : parts_of(numbers)) {
    size_t at = names.size();
    std::from_chars(number.data(), number.data() + number.size(), at);
    if (!shown.empty()) shown += ',';
    shown += at < names.size() ? names[at] : number;
  }
  setenv("CUDA_VISIBLE_DEVICES", shown.c_str(), 1);
}

// By the daemon, which is our parent: its end is ours.
int serve_daemon(const char* program, std::string_view where) {
  int control = -1;
  uint64_t token = 0;
  auto [colon, first] = std::from_chars(where.data(), where.data() + where.size(), control);
  if (first != std::errc() || colon == where.data() + where.size() || *colon != ':' ||
      std::from_chars(colon + 1, where.data() + where.size(), token).ec != std::errc()) {
    return fail(program,
                std::string(kWorkerFlag) + " is for the daemon, got " + std::string(where));
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (const char* gpus = std::getenv("SUNDOG_GPUS")) show_gpus(gpus);
  return serve(program, control, token, started_in());
}

int serve_address(const char* program, const char* address) {
  setenv("SUNDOG_ADDRESS", address, 1);
  auto control = os::connect_unix(address);
  if (!control) return fail(program, control.error());
  return serve(program, control->release(), 0, {});
}

}  // namespace
}  // namespace detail

void exit_actor() {
  if (!detail::is_actor) throw Error("exit_actor() is for actors: this process is none");
  throw detail::ActorExit();
}

int worker_main(int argc, char** argv) {
  if (const char* where = detail::value_of(detail::kWorkerFlag, argc, argv)) {
    return where[0] == '/' ? detail::serve_address(argv[0], where)
                           : detail::serve_daemon(argv[0], where);
  }
  if (const char* address = detail::value_of(detail::kAddressFlag, argc, argv)) {
    return detail::serve_address(argv[0], address);
  }
  std::fprintf(stderr, "usage: %s --address SOCKET, the socket of a running session\n", argv[0]);
  return 2;
}

Session init(int argc, char** argv, InitOptions options) {
  if (detail::value_of(detail::kWorkerFlag, argc, argv) != nullptr) {
    std::exit(worker_main(argc, argv));
  }
  if (options.worker.empty()) options.worker = detail::own_program();
  return init(options);
}

}  // namespace sundog
