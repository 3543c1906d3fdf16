// Values that other processes wrote: pickles, tensors, errors. Every byte of what is handed out is
// read; parts lie inside.
#include "fuzz.h"
#include "wire/error_layout.h"
#include "wire/pickle_layout.h"
#include "wire/tensor_layout.h"

namespace sundog::fuzz {
namespace {

void check_pickle(Bytes value) {
  auto got = wire::parse_pickle(value);
  if (!got.ok()) return;
  touch(got->stream);
  uint64_t inside = got->stream.size();
  for (const auto& buffer : got->buffers) {
    touch(buffer.bytes);
    inside += buffer.bytes.size();
  }
  require(inside <= value.size(), "without overlap");
}

void check_tensor(Bytes value) {
  auto got = wire::parse_tensor(value);
  if (!got.ok()) return;
  touch(got->data);
  auto plan = wire::plan_tensor(got->dtype, got->shape, got->strides);
  require(plan.ok(), "a tensor that could be sent");
  require(plan->data_bytes == got->data.size(), "as long as its shape says");
}

void check_errors(Bytes value) {
  if (auto got = wire::parse_task_error(value); got.ok()) {
    touch(as_bytes(got->message));
    touch(as_bytes(got->traceback));
    touch(got->exception);
    touch(got->cause);
  }
  if (auto got = wire::parse_system_error(value); got.ok()) {
    touch(as_bytes(got->task_name));
    touch(as_bytes(got->sentence));
  }
}

}  // namespace
}  // namespace sundog::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sundog;  // NOLINT
  const wire::Tight value({reinterpret_cast<const std::byte*>(data), size});
  fuzz::check_pickle(value.view());
  fuzz::check_tensor(value.view());
  fuzz::check_errors(value.view());
  return 0;
}
