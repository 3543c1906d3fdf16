#include "sundog/worker.h"

#include <cxxabi.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "api/session_core.h"
#include "os/clock.h"
#include "os/socket.h"
#include "wire/arguments.h"
#include "wire/error_layout.h"

namespace sundog {
namespace detail {
namespace {

// Filled before main by SUNDOG_REMOTE, only read afterwards.
std::map<std::string, Invoke, std::less<>>& registry() {
  static std::map<std::string, Invoke, std::less<>> functions;
  return functions;
}

struct AnswerContext {
  client::Runtime* runtime;
  const client::TaskCall* call;
};

void answer(void* context, const Value& result) {
  auto* to = static_cast<AnswerContext*>(context);
  Outgoing outgoing(result);
  client::OutValue value;
  auto room = place(to->runtime, &outgoing, &value);
  value_or_throw(to->runtime->add_result(*to->call, 0, value, std::move(room)));
}

std::string type_name(const std::exception& error) {
  int status = 0;
  char* name = abi::__cxa_demangle(typeid(error).name(), nullptr, nullptr, &status);
  std::string text = status == 0 ? name : typeid(error).name();
  std::free(name);
  return text;
}

void answer_error(client::Runtime* runtime, const client::TaskCall& call, std::string_view type,
                  std::string_view message) {
  wire::TaskError error;
  error.task = call.task;
  error.pid = static_cast<uint32_t>(getpid());
  error.exception_type = type;
  error.message = message;
  error.task_name = call.name;
  std::vector<std::byte> bytes;
  wire::encode_task_error(error, &bytes);
  for (uint32_t i = 0; i < call.num_results; ++i) {
    (void)runtime->add_result(call, i, {model::Format::kTaskError, bytes, {}}, nullptr);
  }
}

void run(Session* session, client::Runtime* runtime, const client::TaskCall& call) {
  auto function = registry().find(call.name);
  if (function == registry().end()) {
    throw Error("this worker has no function \"" + std::string(call.name) +
                "\": register it with SUNDOG_REMOTE");
  }
  std::vector<wire::ParsedArgument> scratch;
  auto parsed = wire::parse_arguments(call.arguments, call.refs.size(), &scratch);
  if (!parsed) throw TypeError(parsed.error());
  if (!parsed->keyword.empty()) {
    throw TypeError("C++ functions take no keyword arguments, got \"" +
                    std::string(parsed->keyword[0].name) + "\"");
  }
  std::vector<Value> arguments;
  for (const wire::ParsedArgument& argument : parsed->positional) {
    if (argument.is_reference()) {
      const client::Fetched& fetched = call.refs[argument.ref_index];
      if (fetched.data == nullptr) throw Error("an argument's bytes could not be mapped");
      arguments.push_back(incoming(fetched.format, fetched.data->bytes(), fetched.data));
    } else {
      arguments.push_back(incoming(argument.format, argument.bytes, nullptr));
    }
  }
  AnswerContext context{runtime, &call};
  function->second(*session, arguments, answer, &context);
}

void serve(Session* session, client::Runtime* runtime) {
  while (auto call = runtime->next_task(nullptr)) {
    TimeNs started = os::now();
    bool failed = true;
    try {
      run(session, runtime, *call);
      failed = false;
    } catch (const std::exception& error) {
      answer_error(runtime, *call, type_name(error), error.what());
    } catch (...) {
      answer_error(runtime, *call, "unknown", "not a std::exception");
    }
    bool retry = failed && call->retry_exceptions;
    (void)runtime->finish(*call, failed, retry, started, os::now());
  }
}

const char* address_in(int argc, char** argv) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], "--address") == 0) return argv[i + 1];
  }
  return nullptr;
}

}  // namespace

Registration::Registration(const char* name, Invoke invoke) { registry()[name] = invoke; }

void throw_argument_count(size_t given, size_t wanted) {
  throw TypeError("the function takes " + std::to_string(wanted) + " arguments, got " +
                  std::to_string(given));
}

}  // namespace detail

int worker_main(int argc, char** argv) {
  const char* address = detail::address_in(argc, argv);
  if (address == nullptr) {
    std::fprintf(stderr, "usage: %s --address SOCKET, the socket of a running session\n", argv[0]);
    return 2;
  }
  auto control = os::connect_unix(address);
  if (!control) {
    std::fprintf(stderr, "%s: %s\n", argv[0], control.error().c_str());
    return 1;
  }
  auto runtime =
      client::Runtime::connect_worker(control->release(), JobId{}, model::Language::kCpp, 0, 0);
  if (!runtime) {
    std::fprintf(stderr, "%s: %s\n", argv[0], runtime.error().text.c_str());
    return 1;
  }
  client::Runtime* serving = runtime->get();
  Session session(std::make_shared<detail::SessionCore>(*std::move(runtime), address,
                                                        std::vector<detail::WorkerProcess>()));
  detail::serve(&session, serving);
  return 0;
}

}  // namespace sundog
