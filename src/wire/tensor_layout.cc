#include "wire/tensor_layout.h"

#include "wire/layout.h"
#include "wire/pickle_layout.h"

namespace sundog::wire {
namespace {

constexpr uint32_t kTensorMagic = 0x31544453;  // "SDT1"
constexpr uint8_t kStridesFlag = 1;
constexpr uint64_t kDataBytesMax = uint64_t{1} << 60;

struct TensorHead {
  uint32_t magic;
  uint8_t dtype, ndim, flags, pad;
  uint64_t data_offset, data_bytes;
};
static_assert(sizeof(TensorHead) == 24);

// Bytes that the array's elements reach over, from the first; or the reason why there is no such
// number. The one rule for writer and reader.
struct Reach {
  uint64_t bytes = 0;
  const char* fault = nullptr;
};
Reach fault(const char* why) { return {0, why}; }

Reach reach_of(DType dtype, std::span<const int64_t> shape, std::span<const int64_t> strides) {
  const uint64_t element = element_bytes(dtype);
  if (element == 0) return fault("its dtype is unknown");
  if (shape.size() > kTensorDimsMax) return fault("it has more than 64 dimensions");
  if (!strides.empty() && strides.size() != shape.size())
    return fault("it has not one stride a dimension");
  bool has_elements = true;
  for (const int64_t n : shape) {
    if (n < 0) return fault("one of its dimensions is negative");
    has_elements &= n != 0;
  }
  for (const int64_t stride : strides)
    if (stride < 0 || static_cast<uint64_t>(stride) % element != 0)
      return fault("one of its strides is negative or no multiple of its element's size");
  if (!has_elements) return {};
  uint64_t bytes = element;
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto n = static_cast<uint64_t>(shape[i]);
    uint64_t next = 0;
    const bool wrapped =
        strides.empty() ? __builtin_mul_overflow(bytes, n, &next)
                        : __builtin_mul_overflow(n - 1, static_cast<uint64_t>(strides[i]), &next) ||
                              __builtin_add_overflow(next, bytes, &next);
    if (wrapped || next > kDataBytesMax) return fault("it is larger than 2^60 bytes");
    bytes = next;
  }
  return {bytes, nullptr};
}

}  // namespace

Result<TensorPlan> plan_tensor(DType dtype, std::span<const int64_t> shape,
                               std::span<const int64_t> strides) {
  const Reach reach = reach_of(dtype, shape, strides);
  if (reach.fault != nullptr)
    return Failure{std::string("a tensor cannot be sent as it is: ") + reach.fault};
  TensorPlan plan;
  plan.dtype = dtype;
  plan.shape.assign(shape.begin(), shape.end());
  plan.strides.assign(strides.begin(), strides.end());
  plan.data_offset = round_up(sizeof(TensorHead) + shape.size_bytes() + strides.size_bytes(),
                              buffer_alignment(reach.bytes));
  plan.data_bytes = reach.bytes;
  plan.total = plan.data_offset + plan.data_bytes;
  return plan;
}

void write_tensor_frame(const TensorPlan& plan, std::byte* at) {
  Writer writer(at);
  writer.header(TensorHead{
      kTensorMagic, static_cast<uint8_t>(plan.dtype), static_cast<uint8_t>(plan.shape.size()),
      plan.strides.empty() ? uint8_t{0} : kStridesFlag, 0, plan.data_offset, plan.data_bytes});
  writer.array(std::span<const int64_t>(plan.shape));
  writer.array(std::span<const int64_t>(plan.strides));
  std::memset(writer.at(), 0, static_cast<size_t>(at + plan.data_offset - writer.at()));
}

Result<TensorView> parse_tensor(Bytes bytes) {
  Reader reader(bytes);
  const auto fixed = reader.header_read_once<TensorHead>();
  reader.require(fixed.magic == kTensorMagic, "it does not begin as a tensor does");
  reader.require(fixed.ndim <= kTensorDimsMax, "it has more than 64 dimensions");
  TensorView view;
  view.dtype = static_cast<DType>(fixed.dtype);
  auto read_numbers = [&](std::vector<int64_t>* out, const char* what) {
    const Bytes part = reader.bytes(uint64_t{fixed.ndim} * sizeof(int64_t), what);
    out->resize(part.size() / sizeof(int64_t));
    if (!part.empty()) std::memcpy(out->data(), part.data(), part.size());
  };
  read_numbers(&view.shape, "shape");
  if ((fixed.flags & kStridesFlag) != 0) read_numbers(&view.strides, "strides");
  if (reader.ok()) {
    const Reach reach = reach_of(view.dtype, view.shape, view.strides);
    const uint64_t frame = bytes.size() - reader.left();
    if (reach.fault != nullptr) {
      reader.fail(reach.fault);
    } else if (reach.bytes != fixed.data_bytes) {
      reader.fail("its data are not as long as its shape says");
    } else if (fixed.data_offset < frame || fixed.data_offset > bytes.size() ||
               fixed.data_bytes > bytes.size() - fixed.data_offset) {
      reader.fail("its data lie outside of it");
    } else if (fixed.data_offset % buffer_alignment(fixed.data_bytes) != 0) {
      reader.fail("its data are not aligned");
    } else {
      view.data = bytes.subspan(fixed.data_offset, fixed.data_bytes);
    }
  }
  if (!reader.ok()) return Failure{reader.sentence("Tensor", bytes.size())};
  return view;
}

}  // namespace sundog::wire
