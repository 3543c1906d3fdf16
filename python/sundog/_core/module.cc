// sundog._core: what the package needs of client::Runtime, and nothing else.
#include "actors.h"
#include "awaiting.h"
#include "buffers.h"
#include "calls.h"
#include "cancelling.h"
#include "concurrent_calls.h"
#include "forking.h"
#include "groups.h"
#include "model/limits.h"
#include "object_ref.h"
#include "output_queue.h"
#include "public_function.h"
#include "remote_function.h"
#include "room_buffer.h"
#include "session.h"
#include "streams.h"
#include "task_error.h"
#include "tensor_memory.h"
#include "worker_loop.h"

NB_MODULE(_core, module) {
  using namespace sundog::python;
  module.doc() = "The C++ part of Sundog; use the names of the package `sundog`.";
  module.attr("PROTOCOL") = sundog::model::kProtocolVersion;
  add_session(module);
  add_object_ref(module);
  add_buffers(module);
  add_tensor_memory(module);
  add_room_buffer(module);
  add_calls(module);
  add_remote_function(module);
  add_streams(module);
  add_public_function(module);
  add_actors(module);
  add_groups(module);
  add_awaiting(module);
  add_cancelling(module);
  add_output_queue(module);
  add_task_error(module);
  add_concurrent_calls(module);
  add_worker_loop(module);
  add_forking(module);
}
