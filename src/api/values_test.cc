// Conversions of the public C++ API, and pickles as Python writes them.
#include "api/values.h"

#include <gtest/gtest.h>

#include <random>

#include "api/pickle_reader.h"
#include "sundog/sundog.h"

namespace sundog {
namespace {

template <typename T>
T round_trip(const T& value) {
  detail::Value out = Convert<T>::to(value);
  detail::Outgoing outgoing(out);
  auto bytes = std::make_shared<client::OwnBytes>(outgoing.size());
  outgoing.write(bytes->writable_bytes());
  EXPECT_EQ(as_text(outgoing.in_one_piece()), as_text(bytes->bytes()));
  return Convert<T>::from(detail::incoming(nullptr, outgoing.format(), bytes->bytes(), bytes));
}

detail::Value of_pickle(std::string_view stream,
                        std::vector<wire::PickleView::Buffer> buffers = {}) {
  return detail::unpickle(
      {as_bytes(stream), std::move(buffers)}, nullptr,
      [](const ObjectId&) -> detail::ReferencePtr { throw Error("no references here"); });
}

struct Inner {
  std::string name;
  std::optional<double> weight;
};
SUNDOG_FIELDS(Inner, name, weight)
struct Outer {
  int32_t id = 0;
  std::vector<Inner> parts;
  std::array<bool, 2> flags{};
  std::vector<float> numbers;
};
SUNDOG_FIELDS(Outer, id, parts, flags, numbers)

TEST(Values, come_back_as_they_were) {
  EXPECT_EQ(round_trip<int64_t>(-5), -5);
  EXPECT_EQ(round_trip<uint8_t>(200), 200);
  EXPECT_EQ(round_trip(true), true);
  EXPECT_EQ(round_trip(0.25), 0.25);
  EXPECT_EQ(round_trip(std::string("gr\0ße", 6)), std::string("gr\0ße", 6));
  EXPECT_EQ(round_trip(std::string()), "");
  std::vector<float> numbers = {1, 2.5f, -3};
  EXPECT_EQ(round_trip(numbers), numbers);
  EXPECT_EQ(round_trip(std::vector<int64_t>()), std::vector<int64_t>());
}

TEST(Values, containers_come_back_as_they_were) {
  const std::vector<std::string> words = {"", "a", std::string(300, 'x')};
  EXPECT_EQ(round_trip(words), words);
  const std::map<int64_t, std::vector<bool>> map = {{-1, {true, false}}, {int64_t{1} << 40, {}}};
  EXPECT_EQ(round_trip(map), map);
  const std::tuple<double, std::optional<std::string>, std::pair<int64_t, int64_t>> tuple = {
      -0.5, std::nullopt, {INT64_MIN, INT64_MAX}};
  EXPECT_EQ(round_trip(tuple), tuple);
  const std::vector<std::byte> bytes = {std::byte{0}, std::byte{255}};
  EXPECT_EQ(round_trip(bytes), bytes);
  const std::vector<std::vector<double>> rows = {{1, 2}, {}, {3}};
  EXPECT_EQ(round_trip(rows), rows);
}

TEST(Values, structs_are_their_fields) {
  const Outer outer = {7, {{"a", 0.5}, {"b", {}}}, {true, false}, {1, 2}};
  const Outer back = round_trip(outer);
  EXPECT_EQ(back.id, 7);
  ASSERT_EQ(back.parts.size(), 2u);
  EXPECT_EQ(back.parts[0].weight, 0.5);
  EXPECT_EQ(back.parts[1].name, "b");
  EXPECT_EQ(back.flags, outer.flags);
  EXPECT_EQ(back.numbers, outer.numbers);
  EXPECT_THROW(Convert<Inner>::from(Convert<Outer>::to(outer)), TypeError);
}

TEST(Values, tensors_keep_shape_and_type) {
  std::vector<int32_t> elements = {1, 2, 3, 4, 5, 6};
  TensorView<int32_t> view(elements, {2, 3});
  EXPECT_EQ(view(1, 0), 4);
  TensorView<int32_t> back = round_trip(view);
  EXPECT_EQ(back.shape(), (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(back(1, 2), 6);
  EXPECT_THROW(back.any().as<float>(), TypeError);
  EXPECT_THROW(TensorView<int32_t>(elements, {4}), TypeError);
}

TEST(Values, other_types_are_refused_by_name) {
  detail::Value text = Convert<std::string_view>::to("seven");
  EXPECT_THROW(Convert<int64_t>::from(text), TypeError);
  EXPECT_THROW(Convert<int8_t>::from(Convert<int64_t>::to(1000)), TypeError);
  EXPECT_THROW(Convert<uint64_t>::to(UINT64_MAX), TypeError);
  EXPECT_THROW((Convert<std::map<std::string, int64_t>>::from(text)), TypeError);
  AnyTensor wrong = AnyTensor::of(std::span<const double>(), {3});
  detail::Value tensor = Convert<AnyTensor>::to(wrong);
  EXPECT_THROW(detail::Outgoing{tensor}, TypeError);
}

TEST(Values, text_that_is_no_utf8_is_bytes) {
  EXPECT_TRUE(
      detail::is_utf8("gr\xC3\xB6\xC3\x9F"
                      "e \xE2\x82\xAC \xF0\x9F\x90\x95"));
  for (std::string_view wrong : {"\xFF", "\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80"}) {
    EXPECT_FALSE(detail::is_utf8(wrong));
    detail::Value value = Convert<std::string_view>::to(wrong);
    EXPECT_EQ(detail::Outgoing(value).format(), model::Format::kRaw);
    EXPECT_EQ(round_trip(std::string(wrong)), wrong);
  }
}

// pickle.dumps([1, {"a": (None, 2.5)}, [1, 2]], 5), shared list and memo included.
TEST(Pickles, of_python_are_read) {
  using namespace std::string_literals;
  const std::string stream =
      "\x80\x05]\x94(K\x01}\x94\x8c\x01"
      "a\x94NG@\x04\0\0\0\0\0\0\x86\x94s]\x94(K\x01K\x02"
      "eh\x04"
      "e."s;
  detail::Value value = of_pickle(stream);
  const auto& items = detail::elements_of(value, "a list");
  ASSERT_EQ(items.size(), 4u);
  auto dict =
      Convert<std::map<std::string, std::tuple<std::optional<int64_t>, double>>>::from(items[1]);
  EXPECT_EQ(std::get<1>(dict.at("a")), 2.5);
  EXPECT_EQ(Convert<std::vector<int64_t>>::from(items[3]), (std::vector<int64_t>{1, 2}));
}

TEST(Pickles, numpy_arrays_are_views_of_their_buffer) {
  using namespace std::string_literals;
  const std::vector<double> elements = {0, 1, 2, 3, 4, 5};
  const Bytes bytes = std::as_bytes(std::span(elements));
  auto array = [&](std::string order) {
    std::string stream =
        "\x80\x05\x8c\x13numpy._core.numeric\x8c\x0b_frombuffer\x93(\x97\x8c\x05numpy\x8c\x05"
        "dtype"
        "\x93\x8c\x02"
        "f8\x89\x88\x87R(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
        "K\x02K\x03\x86\x8c\x01"s +
        order + "tR.";
    return Convert<TensorView<double>>::from(of_pickle(stream, {{bytes, true}}));
  };
  EXPECT_EQ(array("C").data(), elements.data());
  EXPECT_EQ(array("C")(1, 0), 3);
  EXPECT_EQ(array("F")(1, 0), 1);
  EXPECT_EQ(array("F")(0, 1), 2);
}

// As sundog._torch writes them: the second tensor is the first one's transpose.
TEST(Pickles, torch_tensors_are_views_of_their_storage) {
  using namespace std::string_literals;
  const std::vector<float> elements = {0, 1, 2, 3, 4, 5};
  const Bytes bytes = std::as_bytes(std::span(elements));
  auto tensor = [](std::string function, std::string first, std::string shape,
                   std::string strides) {
    return "csundog._torch\n" + function + "\n(" + first + "Nctorch\nfloat32\nK\0"s + shape +
           strides + "\x89\x89tR";
  };
  const std::string stream =
      "\x80\x05(" + tensor("rebuild_tensor", "\x97", "K\x02K\x03\x86", "K\x03K\x01\x86") + "\x94" +
      tensor("rebuild_view", "h\0"s, "K\x03K\x02\x86", "K\x01K\x03\x86") + "l.";
  const detail::Value both = of_pickle(stream, {{bytes, true}});
  const auto views = Convert<std::vector<TensorView<float>>>::from(both);
  ASSERT_EQ(views.size(), 2u);
  EXPECT_EQ(views[0].data(), elements.data());
  EXPECT_EQ(views[0](1, 2), 5);
  EXPECT_EQ(views[1](2, 1), 5);
  EXPECT_EQ(views[1](0, 1), 3);
}

TEST(Pickles, what_cpp_cannot_read_is_named) {
  using namespace std::string_literals;
  detail::Value value = of_pickle(
      "\x80\x05\x8c\x08"
      "builtins\x8c\x05range\x93K\x00K\x03K\x01\x87R."s);
  try {
    Convert<int64_t>::from(value);
    FAIL() << "nothing was thrown";
  } catch (const TypeError& error) {
    EXPECT_NE(std::string(error.what()).find("builtins.range"), std::string::npos) << error.what();
  }
}

TEST(Pickles, that_contain_themselves_are_refused) {
  EXPECT_THROW(of_pickle("\x80\x05]\x94h\x00"
                         "a."),
               TypeError);
}

// Bytes that no pickler wrote: an exception or a value, never anything else (run under sanitizers).
TEST(Pickles, torn_ones_are_refused) {
  const Outer outer = {7, {{"a", 0.5}, {"b", {}}}, {true, false}, {1, 2, 3}};
  detail::Value out = Convert<Outer>::to(outer);
  detail::Pickled pickled = detail::pickle(out);
  std::vector<wire::PickleView::Buffer> buffers;
  for (Bytes buffer : pickled.buffers) buffers.push_back({buffer, true});
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string stream = pickled.stream.substr(
        0, random() % 4 == 0 ? random() % pickled.stream.size() : std::string::npos);
    for (uint32_t n = random() % 4; n > 0 && !stream.empty(); --n) {
      stream[random() % stream.size()] = static_cast<char>(random());
    }
    try {
      (void)Convert<Outer>::from(of_pickle(stream, buffers));
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace sundog
