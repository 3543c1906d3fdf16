#include "wire/arguments.h"

#include <algorithm>

#include "wire/layout.h"

namespace sundog::wire {
namespace {

struct Name {
  uint32_t name_bytes, pad;
};

ParsedArgument read_argument(std::string_view name, size_t num_refs, Reader* reader) {
  const auto entry = reader->header<ArgumentEntry>();
  ParsedArgument argument;
  argument.name = name;
  argument.format = static_cast<model::Format>(entry.format);
  if (argument.format == model::Format::kRef) {
    reader->require(entry.size < num_refs, "an argument is a reference that is not there");
    argument.ref_index = entry.size;
    return argument;
  }
  reader->require(is_known(argument.format), "an argument has an unknown format");
  reader->require(size_fits(argument.format, entry.size), "an argument has the wrong size");
  argument.bytes = reader->bytes(entry.size, "argument");
  return argument;
}

}  // namespace

void ArgumentWriter::add_keyword_value(std::string_view name, model::Format format, Bytes bytes) {
  SUNDOG_CHECK(format != model::Format::kRef && bytes.size() <= UINT32_MAX);
  append_name(name);
  append_entry(format, static_cast<uint32_t>(bytes.size()), bytes);
}
void ArgumentWriter::add_keyword_reference(std::string_view name, uint32_t index_in_refs) {
  append_name(name);
  append_entry(model::Format::kRef, index_in_refs, {});
}

void ArgumentWriter::make_room(size_t bytes) {
  const auto size = static_cast<size_t>(at_ - out_->data());
  out_->resize(std::max(size + bytes, 2 * out_->size()));
  at_ = out_->data() + size;
  end_ = out_->data() + out_->size();
}

void ArgumentWriter::append_name(std::string_view name) {
  SUNDOG_CHECK(!name.empty() && name.size() <= UINT32_MAX);
  ++num_keyword_;
  Writer writer(grow(sizeof(Name) + padded(name.size())));
  writer.header(Name{static_cast<uint32_t>(name.size()), 0});
  writer.text(name);
}

Result<ParsedArguments> parse_arguments(Bytes bytes, size_t num_refs,
                                        std::vector<ParsedArgument>* scratch) {
  SUNDOG_CHECK(reinterpret_cast<uintptr_t>(bytes.data()) % 8 == 0);
  scratch->clear();
  if (bytes.empty()) return ParsedArguments{};
  Reader reader(bytes);
  const auto counts = reader.header<ArgumentCounts>();
  const uint64_t total = uint64_t{counts.num_positional} + counts.num_keyword;
  if (reader.can_hold(total, sizeof(ArgumentEntry), "arguments")) {
    for (uint32_t i = 0; i < counts.num_positional && reader.ok(); ++i)
      scratch->push_back(read_argument({}, num_refs, &reader));
    for (uint32_t i = 0; i < counts.num_keyword && reader.ok(); ++i) {
      const std::string_view name =
          reader.text(reader.header<Name>().name_bytes, "name of an argument");
      reader.require(!name.empty(), "a keyword argument has no name");
      scratch->push_back(read_argument(name, num_refs, &reader));
    }
  }
  if (!reader.finished()) return Failure{reader.sentence("Arguments", bytes.size())};
  const std::span<const ParsedArgument> all(*scratch);
  return ParsedArguments{all.first(counts.num_positional), all.subspan(counts.num_positional)};
}

}  // namespace sundog::wire
