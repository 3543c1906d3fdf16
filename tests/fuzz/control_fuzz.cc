// Packets of the control socket: what is accepted has its exact size and texts that end.
#include <cstring>

#include "fuzz.h"
#include "wire/hello.h"

namespace sundog::fuzz {
namespace {

template <typename T>
void check(Bytes packet) {
  Result<T> got = wire::parse_control<T>(packet);
  if (!got.ok()) return;
  require(packet.size() == sizeof(T), "of the size of its struct");
  if constexpr (requires { got->entry_point; }) read_sum = read_sum + std::strlen(got->entry_point);
  if constexpr (requires { got->session_dir; }) {
    read_sum = read_sum + std::strlen(got->session_dir);
    require(got->num_arenas <= std::size(got->arena_bytes), "few arenas");
  }
  if constexpr (requires { got->reason; }) read_sum = read_sum + std::strlen(got->reason);
}

}  // namespace
}  // namespace sundog::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sundog;  // NOLINT
  const wire::Tight packet({reinterpret_cast<const std::byte*>(data), size});
  fuzz::check<wire::Hello>(packet.view());
  fuzz::check<wire::Welcome>(packet.view());
  fuzz::check<wire::Goodbye>(packet.view());
  fuzz::check<wire::WantWritable>(packet.view());
  fuzz::check<wire::Descriptor>(packet.view());
  return 0;
}
