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
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/value.h"
#include "wire/layout.h"

namespace sundog::wire {

struct ArgumentCounts {
  uint32_t num_positional, num_keyword;
};
struct ArgumentEntry {
  uint16_t format, pad;
  uint32_t size;
};

// Writes arguments into `out`, from its start and reusing its memory: what was written is the first
// part of it. Positional arguments come first. A single argument is under 4 GiB: large ones are put
// and passed by reference.
class ArgumentWriter {
 public:
  explicit ArgumentWriter(std::vector<std::byte>* out) : out_(out) {
    if (out_->size() < kRoomMin) [[unlikely]]
      out_->resize(kRoomMin);
    at_ = out_->data() + sizeof(ArgumentCounts);
    end_ = out_->data() + out_->size();
  }
  Bytes written() const {
    const ArgumentCounts counts{num_positional_, num_keyword_};
    std::memcpy(out_->data(), &counts, sizeof counts);
    return {out_->data(), static_cast<size_t>(at_ - out_->data())};
  }
  void add_value(model::Format format, Bytes bytes) {
    SUNDOG_CHECK(format != model::Format::kRef && bytes.size() <= UINT32_MAX);
    count_positional();
    append_entry(format, static_cast<uint32_t>(bytes.size()), bytes);
  }
  void add_reference(uint32_t index_in_refs) {
    count_positional();
    append_entry(model::Format::kRef, index_in_refs, {});
  }
  void add_keyword_value(std::string_view name, model::Format format, Bytes bytes);
  void add_keyword_reference(std::string_view name, uint32_t index_in_refs);

 private:
  static constexpr size_t kRoomMin = 256;

  // Room behind what was written.
  std::byte* grow(size_t bytes) {
    if (static_cast<size_t>(end_ - at_) < bytes) [[unlikely]]
      make_room(bytes);
    return std::exchange(at_, at_ + bytes);
  }
  void make_room(size_t bytes);
  void append_entry(model::Format format, uint32_t size, Bytes bytes) {
    Writer writer(grow(sizeof(ArgumentEntry) + padded(bytes.size())));
    writer.header(ArgumentEntry{static_cast<uint16_t>(format), 0, size});
    writer.bytes(bytes);
  }
  void append_name(std::string_view name);
  void count_positional() {
    SUNDOG_CHECK(num_keyword_ == 0);
    ++num_positional_;
  }

  std::vector<std::byte>* out_;
  std::byte* at_;   // in it: the end of what was written
  std::byte* end_;  // and of its memory
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
