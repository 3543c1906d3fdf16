// Arrow data of the public C++ API: as pyarrow writes it, and as C++ does.
#include "sundog/arrow.h"

#include <gtest/gtest.h>

#include <random>

#include "api/pickle_reader.h"
#include "api/pickle_writer.h"
#include "api/values.h"

namespace sundog {
namespace {

detail::Value of_pickle(std::string_view stream, const std::vector<Bytes>& buffers,
                        const std::shared_ptr<const void>& owner = nullptr) {
  std::vector<wire::PickleView::Buffer> views;
  for (Bytes buffer : buffers) views.push_back({buffer, true});
  return detail::unpickle(
      {as_bytes(stream), std::move(views)}, owner,
      [](const ObjectId&) -> detail::ReferencePtr { throw Error("no references here"); });
}

template <typename T>
T through_pickle(const T& value) {
  detail::Value out = Convert<T>::to(value);
  detail::Outgoing outgoing(out);
  auto bytes = std::make_shared<client::OwnBytes>(outgoing.size());
  outgoing.write(bytes->writable_bytes());
  return Convert<T>::from(detail::incoming(nullptr, outgoing.format(), bytes->bytes(), bytes));
}

ArrowTable example() {
  ArrowTable table;
  table.add("x", ArrowArray::owning<double>({0.5, 1.5, 2.5}));
  table.add("n", ArrowArray::owning<int32_t>({1, 2, 3}, {true, false, true}));
  table.add("word",
            ArrowArray::of(std::vector<std::string>{"a", "", "three"}, {true, true, false}));
  table.add("odd", ArrowArray::of(std::vector<bool>{true, false, true}));
  return table;
}

// pickle.dumps(pa.array([1, None, 3], pa.int32()).slice(1), 5, buffer_callback=...)
TEST(Arrow, an_array_of_pyarrow_is_a_view_of_its_buffers) {
  using namespace std::string_literals;
  const std::string stream =
      "\x80\x05\x8c\x0bpyarrow.lib\x94\x8c\x0e_restore_array\x94\x93\x94(h\x00\x8c\x0e"
      "type_for_alias\x94\x93\x94\x8c\x05int32\x94\x85\x94R\x94K\x02J\xff\xff\xff\xffK\x01]\x94("
      "h\x00"
      "\x8c\tpy_buffer\x94\x93\x94\x97\x85\x94R\x94h\x0a\x97\x85\x94R\x94"
      "e]\x94Nt\x94\x85\x94R\x94."s;
  const std::vector<int32_t> numbers = {1, 0, 3};
  const std::byte bitmap[] = {std::byte{0b101}};
  const auto array = Convert<ArrowArray>::from(
      of_pickle(stream, {Bytes(bitmap), std::as_bytes(std::span(numbers))}));
  EXPECT_EQ(array.type(), "int32");
  EXPECT_EQ(array.size(), 2);
  EXPECT_EQ(array.null_count(), 1);
  EXPECT_EQ(array.values<int32_t>().data(), numbers.data() + 1) << "where they lie";
  EXPECT_FALSE(array.is_valid(0));
  EXPECT_TRUE(array.is_valid(1));
  EXPECT_THROW(array.values<float>(), TypeError);
  EXPECT_THROW((void)array.text(0), TypeError);
}

TEST(Arrow, tables_come_back_as_they_were) {
  const ArrowTable table = through_pickle(example());
  EXPECT_EQ(table.num_rows(), 3);
  EXPECT_EQ(table.values<double>("x")[2], 2.5);
  const ArrowArray& numbers = table.column("n").chunks[0];
  EXPECT_EQ(numbers.values<int32_t>()[2], 3);
  EXPECT_FALSE(numbers.is_valid(1));
  EXPECT_EQ(numbers.null_count(), 1);
  const ArrowArray& words = table.column("word").chunks[0];
  EXPECT_EQ(words.type(), "large_string");
  EXPECT_EQ(words.text(0), "a");
  EXPECT_EQ(words.text(1), "");
  EXPECT_FALSE(words.is_valid(2));
  EXPECT_TRUE(table.column("odd").chunks[0].flag(2));
  EXPECT_FALSE(table.column("odd").chunks[0].flag(1));
  const ArrowTable again = through_pickle(table);
  EXPECT_EQ(again.column("word").chunks[0].text(0), "a");
  EXPECT_EQ(through_pickle(ArrowTable()).num_rows(), 0);
  EXPECT_EQ(through_pickle(ArrowArray()).type(), "null");
  EXPECT_EQ(through_pickle(ArrowArray::of(std::vector<std::string>())).size(), 0);
}

TEST(Arrow, mistakes_are_named) {
  ArrowTable table = example();
  EXPECT_THROW(table.add("short", ArrowArray::owning<double>({1})), TypeError);
  EXPECT_THROW(table.values<double>("y"), TypeError);
  EXPECT_THROW(table.values<float>("x"), TypeError);
  EXPECT_THROW(ArrowArray::owning<double>({1}, {true, false}), TypeError);
  EXPECT_THROW(Convert<ArrowTable>::from(Convert<double>::to(1)), TypeError);
  EXPECT_THROW(Convert<double>::from(Convert<ArrowTable>::to(table)), TypeError);
  EXPECT_THROW(Convert<ArrowArray>::from(Convert<ArrowTable>::to(table)), TypeError);
}

// Bytes that no pyarrow wrote: an exception or a value, never anything else (run under sanitizers).
TEST(Arrow, torn_data_is_refused) {
  const ArrowTable table = example();
  detail::Value out = Convert<ArrowTable>::to(table);
  const detail::Pickled pickled = detail::pickle(out);
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string stream = pickled.stream;
    for (uint32_t n = 1 + random() % 3; n > 0; --n) {
      stream[random() % stream.size()] = static_cast<char>(random());
    }
    std::vector<Bytes> buffers = pickled.buffers;
    Bytes& cut = buffers[random() % buffers.size()];
    cut = cut.first(random() % (cut.size() + 1));
    try {
      const ArrowTable read = Convert<ArrowTable>::from(of_pickle(stream, buffers));
      for (const ArrowColumn& column : read.columns()) {
        for (const ArrowArray& chunk : column.chunks) {
          for (int64_t row = 0; row < std::min<int64_t>(chunk.size(), 10); ++row) {
            (void)chunk.is_valid(row);
            if (chunk.type() == "large_string") (void)chunk.text(row);
            if (chunk.type() == "bool") (void)chunk.flag(row);
            if (chunk.type() == "double") (void)chunk.values<double>()[static_cast<size_t>(row)];
          }
        }
      }
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 5000);
}

}  // namespace
}  // namespace sundog
