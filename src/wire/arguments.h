// The arguments of a task, the same for every language (Submit::arguments, Execute::arguments):
//
//   { u32 num_positional, u32 num_keyword }
//   num_positional times:  { u16 format, u16 0, u32 size }  bytes, padded to 8
//   num_keyword times:     { u32 name_bytes, u32 0 }  name, padded  then as a positional one
//
// Format kRef: `size` is an index into Submit::refs, whose value the worker gets, and no bytes
// follow. (A reference that is to arrive as a reference travels inside a pickled value.)
// No bytes at all: no arguments. Plain values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/value.h"

namespace sundog::wire {

// Writes arguments into `out`, from its start and reusing its memory: what was written is the first
// part of it. Positional arguments come first. A single argument is under 4 GiB: large ones are put
// and passed by reference.
class ArgumentWriter {
 public:
  explicit ArgumentWriter(std::vector<std::byte>* out);
  Bytes written() const { return {out_->data(), size_}; }
  void add_value(model::Format format, Bytes bytes);
  void add_reference(uint32_t index_in_refs);
  void add_keyword_value(std::string_view name, model::Format format, Bytes bytes);
  void add_keyword_reference(std::string_view name, uint32_t index_in_refs);

 private:
  std::byte* grow(size_t bytes);
  void append_entry(model::Format format, uint32_t size, Bytes bytes);
  void append_name(std::string_view name);
  void count_positional();

  std::vector<std::byte>* out_;
  size_t size_ = 0;
  uint32_t num_positional_ = 0;
  uint32_t num_keyword_ = 0;
};

// One argument; views of the bytes it was read from.
struct ParsedArgument {
  std::string_view name;  // empty: positional
  model::Format format = model::Format::kInvalid;
  uint32_t ref_index = 0;  // for kRef
  Bytes bytes;             // for every other format
  bool is_reference() const { return format == model::Format::kRef; }
};
struct ParsedArguments {
  std::span<const ParsedArgument> positional;
  std::span<const ParsedArgument> keyword;
};

// Checks everything and fills `scratch`, which the result views. `num_refs` is the number of
// references that came with the arguments. The bytes are private memory, aligned to 8.
Result<ParsedArguments> parse_arguments(Bytes bytes, size_t num_refs,
                                        std::vector<ParsedArgument>* scratch);

}  // namespace sundog::wire
