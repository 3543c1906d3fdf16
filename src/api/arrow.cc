// Arrow data as pyarrow pickles it: calls of functions of pyarrow.lib, with buffers beside the
// stream. An array is _restore_array((type, length, nulls, offset, buffers, children, dictionary)).
#include "sundog/arrow.h"

#include <bit>
#include <cstring>

#include "api/foreign_call.h"
#include "base/bytes.h"

namespace sundog {

using detail::ForeignCall;
using detail::Items;
using detail::Value;

struct ArrowArray::Data {
  std::string type;
  Value described_type;  // the call that makes it in Python
  int64_t length = 0, nulls = 0, offset = 0;
  std::vector<Bytes> buffers;
  std::vector<ArrowArray> children;
  std::shared_ptr<const void> owner;  // of the buffers; null: the program's own memory
};

namespace {

constexpr size_t kPartsOfArray = 7;
constexpr int64_t kUnknown = -1;

Value text(std::string_view text) { return {text, nullptr}; }
Value whole(int64_t number) { return {number, nullptr}; }
Value sequence(Items::Kind kind, std::vector<Value> values) {
  return {std::make_shared<const Items>(Items{kind, std::move(values)}), nullptr};
}
Value list(std::vector<Value> values) { return sequence(Items::Kind::kList, std::move(values)); }
Value call(std::string_view function, std::vector<Value> arguments) {
  return {std::make_shared<const ForeignCall>(
              ForeignCall{"pyarrow.lib", std::string(function), std::move(arguments), nullptr}),
          nullptr};
}

[[noreturn]] void torn(const char* what) {
  throw TypeError(std::string("Arrow data is torn: ") + what);
}

// The call of this function; nullptr for anything else.
const ForeignCall* call_of(const Value& value, std::string_view function = {}) {
  const auto* call = std::get_if<std::shared_ptr<const ForeignCall>>(&value.content);
  if (call == nullptr || (*call)->module != "pyarrow.lib") return nullptr;
  return function.empty() || (*call)->function == function ? call->get() : nullptr;
}
const std::vector<Value>& items_of(const Value& value) {
  const auto* items = std::get_if<std::shared_ptr<const Items>>(&value.content);
  if (items == nullptr) torn("a list is missing");
  return (*items)->values;
}
int64_t integer_of(const Value& value) {
  const auto* number = std::get_if<int64_t>(&value.content);
  if (number == nullptr) torn("a number is missing");
  return *number;
}

std::string shown(const Value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value.content)) return std::string(*text);
  if (const auto* number = std::get_if<int64_t>(&value.content)) return std::to_string(*number);
  if (const auto* flag = std::get_if<bool>(&value.content)) return *flag ? "true" : "false";
  std::string all;
  const ForeignCall* call = call_of(value);
  if (call != nullptr) {
    if (call->function == "type_for_alias" && !call->arguments.empty()) {
      return shown(call->arguments[0]);
    }
    for (const Value& argument : call->arguments) {
      const std::string one = shown(argument);
      all += all.empty() || one.empty() ? one : ", " + one;
    }
    return call->function + "(" + all + ")";
  }
  if (std::holds_alternative<std::shared_ptr<const Items>>(value.content)) {
    for (const Value& item : items_of(value)) all += (all.empty() ? "" : ", ") + shown(item);
  }
  return all;
}

Bytes buffer_of(const Value& value) {
  if (std::holds_alternative<std::monostate>(value.content)) return {};
  const ForeignCall* call = call_of(value, "py_buffer");
  const detail::Raw* raw = call != nullptr && call->arguments.size() == 1
                               ? std::get_if<detail::Raw>(&call->arguments[0].content)
                               : nullptr;
  if (raw == nullptr) torn("a buffer is missing");
  return as_bytes(raw->bytes);
}

// The parts that _restore_array has, in one tuple; those of children come without the call.
ArrowArray array_of(const Value& parts, const std::shared_ptr<const void>& owner) {
  const std::vector<Value>& all = items_of(parts);
  if (all.size() != kPartsOfArray) torn("an array has seven parts");
  auto data = std::make_shared<ArrowArray::Data>();
  data->type = shown(all[0]);
  data->described_type = all[0];
  data->length = integer_of(all[1]);
  data->nulls = integer_of(all[2]);
  data->offset = integer_of(all[3]);
  if (data->length < 0 || data->offset < 0 || data->length > INT64_MAX / 16 - data->offset) {
    torn("an array's length is wrong");
  }
  for (const Value& buffer : items_of(all[4])) data->buffers.push_back(buffer_of(buffer));
  for (const Value& child : items_of(all[5])) data->children.push_back(array_of(child, owner));
  if (!std::holds_alternative<std::monostate>(all[6].content)) {
    data->children.push_back(array_of(all[6], owner));
  }
  data->owner = owner;
  const uint64_t bits = static_cast<uint64_t>(data->offset + data->length);
  if (!data->buffers.empty() && !data->buffers[0].empty() &&
      data->buffers[0].size() < (bits + 7) / 8) {
    torn("a validity bitmap is too short");
  }
  return ArrowArray(std::move(data));
}

ArrowArray array_of_call(const ForeignCall& call, const std::shared_ptr<const void>& owner) {
  if (call.function != "_restore_array" || call.arguments.size() != 1) torn("an array is missing");
  return array_of(call.arguments[0], owner);
}

// The chunks of a table's column, or the one array of a record batch's.
std::vector<ArrowArray> chunks_of(const Value& value, const std::shared_ptr<const void>& owner) {
  const ForeignCall* call = call_of(value);
  std::vector<ArrowArray> chunks;
  if (call != nullptr && call->function == "chunked_array" && !call->arguments.empty()) {
    for (const Value& chunk : items_of(call->arguments[0])) {
      const ForeignCall* array = call_of(chunk);
      if (array == nullptr) torn("a chunk is missing");
      chunks.push_back(array_of_call(*array, owner));
    }
  } else if (call != nullptr) {
    chunks.push_back(array_of_call(*call, owner));
  } else {
    torn("a column is missing");
  }
  return chunks;
}

Value parts_of(const ArrowArray& array) {
  const ArrowArray::Data& data = array.data();
  const bool has_dictionary = data.type.starts_with("dictionary(");
  std::vector<Value> buffers, children;
  Value dictionary;
  for (size_t i = 0; i < data.buffers.size(); ++i) {
    const bool is_bitmap = i == 0;  // which may be left out
    const Bytes buffer = data.buffers[i];
    buffers.push_back(is_bitmap && buffer.empty()
                          ? Value()
                          : call("py_buffer", {{detail::Raw{as_text(buffer)}, nullptr}}));
  }
  for (size_t i = 0; i < data.children.size(); ++i) {
    if (has_dictionary && i + 1 == data.children.size()) {
      dictionary = parts_of(data.children[i]);
    } else {
      children.push_back(parts_of(data.children[i]));
    }
  }
  return sequence(Items::Kind::kTuple,
                  {data.described_type, whole(data.length), whole(data.nulls), whole(data.offset),
                   list(std::move(buffers)), list(std::move(children)), dictionary});
}

Value value_of(const ArrowArray& array) { return call("_restore_array", {parts_of(array)}); }

struct NumberType {
  const char* prefix;  // of the type's name, followed by its end or a bracket
  DType dtype;
};
constexpr NumberType kNumberTypes[] = {
    {"int8", DType::kInt8},      {"int16", DType::kInt16},   {"int32", DType::kInt32},
    {"int64", DType::kInt64},    {"uint8", DType::kUint8},   {"uint16", DType::kUint16},
    {"uint32", DType::kUint32},  {"uint64", DType::kUint64}, {"float", DType::kFloat32},
    {"double", DType::kFloat64}, {"date32", DType::kInt32},  {"time32", DType::kInt32},
    {"date64", DType::kInt64},   {"time64", DType::kInt64},  {"timestamp", DType::kInt64},
    {"duration", DType::kInt64},
};
size_t bytes_of(DType dtype) {
  switch (dtype) {
    case DType::kInt8:
    case DType::kUint8:
      return 1;
    case DType::kInt16:
    case DType::kUint16:
      return 2;
    case DType::kInt32:
    case DType::kUint32:
    case DType::kFloat32:
      return 4;
    default:
      return 8;
  }
}
bool has_prefix(std::string_view type, std::string_view prefix) {
  return type.starts_with(prefix) &&
         (type.size() == prefix.size() || type[prefix.size()] == '[' || type[prefix.size()] == '(');
}

bool bit(Bytes bitmap, int64_t at) {
  return (static_cast<uint8_t>(bitmap[static_cast<size_t>(at / 8)]) >> (at % 8) & 1) != 0;
}

// Memory that an array of the program owns.
struct Owned {
  std::vector<std::byte> validity, first, second;
  std::shared_ptr<const void> kept;
};
std::vector<std::byte> bits_of(const std::vector<bool>& flags) {
  std::vector<std::byte> bits((flags.size() + 7) / 8);
  for (size_t i = 0; i < flags.size(); ++i) {
    if (flags[i]) bits[i / 8] |= std::byte(1 << (i % 8));
  }
  return bits;
}
int64_t missing_of(const std::vector<bool>& valid) {
  int64_t missing = 0;
  for (bool there : valid) missing += there ? 0 : 1;
  return missing;
}

std::shared_ptr<ArrowArray::Data> data_of(const char* type, size_t count,
                                          const std::vector<bool>& valid, Owned* own) {
  if (!valid.empty() && valid.size() != count) {
    throw TypeError("an Arrow array of " + std::to_string(count) + " values was told of " +
                    std::to_string(valid.size()) + " whether they are there");
  }
  auto data = std::make_shared<ArrowArray::Data>();
  data->type = type;
  data->described_type = call("type_for_alias", {text(type)});
  data->length = static_cast<int64_t>(count);
  data->nulls = missing_of(valid);
  own->validity = bits_of(valid);
  data->buffers.push_back(valid.empty() ? Bytes() : Bytes(own->validity));
  return data;
}

}  // namespace

// ---------------------------------------------------------------- arrays

ArrowArray::ArrowArray() {
  Owned own;
  data_ = data_of("null", 0, {}, &own);
}

ArrowArray ArrowArray::of_numbers(DType dtype, std::span<const std::byte> bytes, size_t count,
                                  const std::vector<bool>& valid,
                                  std::shared_ptr<const void> kept) {
  for (const NumberType& known : kNumberTypes) {
    if (known.dtype != dtype) continue;
    auto own = std::make_shared<Owned>();
    own->kept = std::move(kept);
    auto data = data_of(known.prefix, count, valid, own.get());
    data->buffers.push_back(bytes);
    data->owner = own;
    return ArrowArray(std::move(data));
  }
  throw TypeError(std::string("Arrow has no numbers of the type ") + name_of(dtype));
}

ArrowArray ArrowArray::of(const std::vector<std::string>& values, const std::vector<bool>& valid) {
  auto own = std::make_shared<Owned>();
  auto data = data_of("large_string", values.size(), valid, own.get());
  std::vector<int64_t> offsets = {0};
  for (const std::string& value : values) {
    offsets.push_back(offsets.back() + static_cast<int64_t>(value.size()));
    const Bytes bytes = as_bytes(value);
    own->second.insert(own->second.end(), bytes.begin(), bytes.end());
  }
  own->first.resize(offsets.size() * sizeof offsets[0]);
  std::memcpy(own->first.data(), offsets.data(), own->first.size());
  data->buffers.insert(data->buffers.end(), {Bytes(own->first), Bytes(own->second)});
  data->owner = own;
  return ArrowArray(std::move(data));
}

ArrowArray ArrowArray::of(const std::vector<bool>& values, const std::vector<bool>& valid) {
  auto own = std::make_shared<Owned>();
  auto data = data_of("bool", values.size(), valid, own.get());
  own->first = bits_of(values);
  data->buffers.push_back(own->first);
  data->owner = own;
  return ArrowArray(std::move(data));
}

const std::string& ArrowArray::type() const { return data_->type; }
int64_t ArrowArray::size() const { return data_->length; }
int64_t ArrowArray::offset() const { return data_->offset; }
size_t ArrowArray::num_buffers() const { return data_->buffers.size(); }
std::vector<ArrowArray> ArrowArray::children() const { return data_->children; }
std::span<const std::byte> ArrowArray::buffer(size_t i) const {
  return i < data_->buffers.size() ? data_->buffers[i] : Bytes();
}

bool ArrowArray::is_valid(int64_t i) const {
  if (data_->type == "null") return false;
  const Bytes bitmap = buffer(0);
  return bitmap.empty() || bit(bitmap, data_->offset + i);
}

int64_t ArrowArray::null_count() const {
  if (data_->nulls != kUnknown) return data_->nulls;
  int64_t missing = 0;
  for (int64_t i = 0; i < data_->length; ++i) missing += is_valid(i) ? 0 : 1;
  return missing;
}

const std::byte* ArrowArray::numbers(DType dtype) const {
  for (const NumberType& known : kNumberTypes) {
    if (!has_prefix(data_->type, known.prefix)) continue;
    if (known.dtype != dtype) break;
    const size_t item = bytes_of(dtype);
    const Bytes bytes = buffer(1);
    if (bytes.size() / item < static_cast<size_t>(data_->offset + data_->length)) {
      torn("a buffer of numbers is too short");
    }
    return bytes.data() + static_cast<size_t>(data_->offset) * item;
  }
  throw TypeError("the Arrow array's values are " + data_->type + ", asked for were " +
                  name_of(dtype));
}

std::string_view ArrowArray::text(int64_t i) const {
  const bool is_large = data_->type == "large_string" || data_->type == "large_binary";
  if (!is_large && data_->type != "string" && data_->type != "binary") {
    throw TypeError("the Arrow array's values are " + data_->type + ", asked for was text");
  }
  const size_t item = is_large ? sizeof(int64_t) : sizeof(int32_t);
  const Bytes offsets = buffer(1), bytes = buffer(2);
  const auto at = static_cast<size_t>(data_->offset + i);
  if (offsets.size() / item < at + 2) torn("offsets of text are too few");
  auto offset = [&](size_t index) {
    int64_t wide = 0;
    int32_t narrow = 0;
    if (is_large) {
      std::memcpy(&wide, offsets.data() + index * item, item);
      return wide;
    }
    std::memcpy(&narrow, offsets.data() + index * item, item);
    return int64_t{narrow};
  };
  const int64_t begin = offset(at), end = offset(at + 1);
  if (begin < 0 || end < begin || end > static_cast<int64_t>(bytes.size())) {
    torn("text reaches outside of its buffer");
  }
  return as_text(bytes).substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
}

bool ArrowArray::flag(int64_t i) const {
  if (data_->type != "bool") {
    throw TypeError("the Arrow array's values are " + data_->type + ", asked for was bool");
  }
  const int64_t at = data_->offset + i;
  if (static_cast<int64_t>(buffer(1).size()) <= at / 8) torn("a buffer of bits is too short");
  return bit(buffer(1), at);
}

// ---------------------------------------------------------------- tables

ArrowTable::ArrowTable(std::vector<ArrowColumn> columns) {
  for (ArrowColumn& column : columns) {
    int64_t rows = 0;
    for (const ArrowArray& chunk : column.chunks) rows += chunk.size();
    if (!columns_.empty() && rows != num_rows_) {
      throw TypeError("the column '" + column.name + "' has " + std::to_string(rows) +
                      " rows, the others have " + std::to_string(num_rows_));
    }
    num_rows_ = rows;
    columns_.push_back(std::move(column));
  }
}

void ArrowTable::add(std::string name, ArrowArray array) {
  std::vector<ArrowColumn> columns = columns_;
  columns.push_back({std::move(name), {std::move(array)}});
  *this = ArrowTable(std::move(columns));
}

const ArrowColumn& ArrowTable::column(std::string_view name) const {
  for (const ArrowColumn& column : columns_) {
    if (column.name == name) return column;
  }
  throw TypeError("the table has no column '" + std::string(name) + "'");
}

const ArrowArray& ArrowTable::in_one_piece(std::string_view name) const {
  const ArrowColumn& found = column(name);
  if (found.chunks.size() == 1) return found.chunks[0];
  throw TypeError("the column '" + found.name + "' is in " + std::to_string(found.chunks.size()) +
                  " pieces: read column(name).chunks one after the other");
}

namespace detail {

Value arrow_value(const ArrowArray& array) { return value_of(array); }

Value arrow_value(const ArrowTable& table) {
  std::vector<Value> columns, fields;
  for (const ArrowColumn& column : table.columns()) {
    const ArrowArray empty;
    const ArrowArray& first = column.chunks.empty() ? empty : column.chunks[0];
    std::vector<Value> chunks;
    for (const ArrowArray& chunk : column.chunks) chunks.push_back(value_of(chunk));
    const Value& type = first.data().described_type;
    columns.push_back(call("chunked_array", {list(std::move(chunks)), type}));
    fields.push_back(call("field", {text(column.name), type, {true, nullptr}, {}}));
  }
  return call("_reconstruct_table",
              {list(std::move(columns)), call("schema", {list(std::move(fields)), {}})});
}

ArrowArray arrow_array(const Value& value) {
  const ForeignCall* call = call_of(value);
  if (call == nullptr) throw_type_mismatch(value, "an Arrow array");
  if (call->function != "_restore_array" && call->function != "chunked_array") {
    throw_type_mismatch(value, "an Arrow array");
  }
  std::vector<ArrowArray> chunks = chunks_of(value, call->owner);
  if (chunks.size() == 1) return chunks[0];
  throw TypeError("the Arrow array is in " + std::to_string(chunks.size()) + " pieces");
}

ArrowTable arrow_table(const Value& value) {
  const ForeignCall* made = call_of(value);
  if (made == nullptr || made->arguments.size() != 2 ||
      (made->function != "_reconstruct_table" && made->function != "_reconstruct_record_batch")) {
    throw_type_mismatch(value, "an Arrow table");
  }
  const std::vector<Value>& columns = items_of(made->arguments[0]);
  const ForeignCall* schema = call_of(made->arguments[1], "schema");
  if (schema == nullptr || schema->arguments.empty()) torn("a schema is missing");
  const std::vector<Value>& fields = items_of(schema->arguments[0]);
  if (fields.size() != columns.size()) torn("its schema has another number of columns");
  std::vector<ArrowColumn> all;
  for (size_t i = 0; i < columns.size(); ++i) {
    const ForeignCall* field = call_of(fields[i], "field");
    const auto* name = field == nullptr || field->arguments.empty()
                           ? nullptr
                           : std::get_if<std::string_view>(&field->arguments[0].content);
    if (name == nullptr) torn("a field has no name");
    all.push_back({std::string(*name), chunks_of(columns[i], made->owner)});
  }
  return ArrowTable(std::move(all));
}

}  // namespace detail
}  // namespace sundog
