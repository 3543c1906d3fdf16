// A task's arguments: what is accepted is written again to the same bytes' worth of arguments.
#include "fuzz.h"
#include "wire/arguments.h"

// Input: the number of references, then the arguments.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sundog;  // NOLINT
  if (size == 0) return 0;
  const size_t num_refs = data[0];
  const wire::Tight payload({reinterpret_cast<const std::byte*>(data + 1), size - 1});
  std::vector<wire::ParsedArgument> scratch;
  auto got = wire::parse_arguments(payload.view(), num_refs, &scratch);
  if (!got.ok() || payload.size == 0) return 0;
  std::vector<std::byte> again;
  wire::ArgumentWriter writer(&again);
  for (const wire::ParsedArgument& a : got->positional) {
    fuzz::require(!a.is_reference() || a.ref_index < num_refs, "a reference that is there");
    a.is_reference() ? writer.add_reference(a.ref_index) : writer.add_value(a.format, a.bytes);
  }
  for (const wire::ParsedArgument& a : got->keyword) {
    fuzz::require(!a.is_reference() || a.ref_index < num_refs, "a reference that is there");
    a.is_reference() ? writer.add_keyword_reference(a.name, a.ref_index)
                     : writer.add_keyword_value(a.name, a.format, a.bytes);
  }
  fuzz::require(writer.written().size() == payload.size, "of the same size again");
  return 0;
}
