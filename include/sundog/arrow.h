// Data of Apache Arrow, viewed where it lies: pyarrow and C++ read the same buffers in shared
// memory. No Arrow library is needed; one that is there can take the buffers, which are laid out as
// Arrow's columnar format says (https://arrow.apache.org/docs/format/Columnar.html).
//
//   double mean(const sundog::ArrowTable& table) { for (double x : table.values<double>("x")) ... }
//   ArrowTable table;   table.add("x", ArrowArray::of<double>(span));   session.put(table)
//
// In Python a table is a pyarrow.Table (a RecordBatch is taken too), an array a pyarrow.Array.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sundog/value.h"

namespace sundog {

// Values of one type, some of which may be missing. A copy is another view of the same buffers.
class ArrowArray {
 public:
  ArrowArray();  // of the type null, with no values

  // A view of the program's numbers. `valid`, if it is not empty, says for each whether it is
  // there.
  template <Element T>
    requires(!std::is_same_v<T, bool>)
  static ArrowArray of(std::span<const T> values, const std::vector<bool>& valid = {}) {
    return of_numbers(dtype_of<T>(), std::as_bytes(values), values.size(), valid, nullptr);
  }
  // The same, and the array keeps them.
  template <Element T>
    requires(!std::is_same_v<T, bool>)
  static ArrowArray owning(std::vector<T> values, const std::vector<bool>& valid = {}) {
    auto kept = std::make_shared<const std::vector<T>>(std::move(values));
    const std::span<const T> view(*kept);
    return of_numbers(dtype_of<T>(), std::as_bytes(view), view.size(), valid, std::move(kept));
  }
  // A copy: Arrow keeps text in one piece, and a bit for a truth.
  static ArrowArray of(const std::vector<std::string>& values, const std::vector<bool>& valid = {});
  static ArrowArray of(const std::vector<bool>& values, const std::vector<bool>& valid = {});

  // As pyarrow names it: "int64", "double", "string", "bool", "timestamp(us)", "list_(...)".
  const std::string& type() const;
  int64_t size() const;  // in values
  int64_t null_count() const;
  bool is_valid(int64_t i) const;  // of a value from 0 to size() - 1, which is not checked

  // Numbers, dates (int32_t or int64_t), times and timestamps (int64_t). A missing one is any
  // number. Throws TypeError if they are of another type.
  template <Element T>
    requires(!std::is_same_v<T, bool>)
  std::span<const T> values() const {
    return {reinterpret_cast<const T*>(numbers(dtype_of<T>())), static_cast<size_t>(size())};
  }
  // Of types string, binary, large_string and large_binary. Throws TypeError for another type.
  std::string_view text(int64_t i) const;
  bool flag(int64_t i) const;  // of the type bool. Throws TypeError for another one.

  // What is below, as Arrow lays it out: of a list its values, of a struct its fields, of a
  // dictionary-encoded array the dictionary behind them.
  std::vector<ArrowArray> children() const;
  // The array's buffers, the validity bitmap first; empty where there is none. Value 0 is at
  // `offset()`.
  std::span<const std::byte> buffer(size_t i) const;
  size_t num_buffers() const;
  int64_t offset() const;

  struct Data;  // of the library
  explicit ArrowArray(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  const Data& data() const { return *data_; }

 private:
  static ArrowArray of_numbers(DType dtype, std::span<const std::byte> bytes, size_t count,
                               const std::vector<bool>& valid, std::shared_ptr<const void> kept);
  const std::byte* numbers(DType dtype) const;

  std::shared_ptr<const Data> data_;
};

struct ArrowColumn {
  std::string name;
  std::vector<ArrowArray> chunks;  // one after the other
};

class ArrowTable {
 public:
  ArrowTable() = default;
  // Throws TypeError if the columns have different numbers of rows.
  explicit ArrowTable(std::vector<ArrowColumn> columns);

  int64_t num_rows() const { return num_rows_; }
  const std::vector<ArrowColumn>& columns() const { return columns_; }
  // Throws TypeError if there is none of this name.
  const ArrowColumn& column(std::string_view name) const;
  // The numbers of a column that is in one piece. Throws TypeError if it is not, or of another
  // type.
  template <Element T>
    requires(!std::is_same_v<T, bool>)
  std::span<const T> values(std::string_view name) const {
    return in_one_piece(name).template values<T>();
  }
  // Throws TypeError if there are more or fewer rows than in the other columns.
  void add(std::string name, ArrowArray array);

 private:
  const ArrowArray& in_one_piece(std::string_view name) const;

  std::vector<ArrowColumn> columns_;
  int64_t num_rows_ = 0;
};

namespace detail {
Value arrow_value(const ArrowArray& array);
Value arrow_value(const ArrowTable& table);
ArrowArray arrow_array(const Value& value);
ArrowTable arrow_table(const Value& value);
}  // namespace detail

template <>
struct Convert<ArrowArray> {
  static detail::Value to(const ArrowArray& v) { return detail::arrow_value(v); }
  static ArrowArray from(const detail::Value& v) { return detail::arrow_array(v); }
};
template <>
struct Convert<ArrowTable> {
  static detail::Value to(const ArrowTable& v) { return detail::arrow_value(v); }
  static ArrowTable from(const detail::Value& v) { return detail::arrow_table(v); }
};

}  // namespace sundog
