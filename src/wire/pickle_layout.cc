#include "wire/pickle_layout.h"

#include "wire/layout.h"

namespace sundog::wire {
namespace {

constexpr uint32_t kPickleMagic = 0x31504453;  // "SDP1"
constexpr uint32_t kReadonlyFlag = 1;

struct Fixed {
  uint32_t magic, num_buffers;
  uint64_t stream_bytes, total_bytes;
};
struct TableEntry {
  uint64_t offset, size;
  uint32_t flags, pad;
};
static_assert(sizeof(Fixed) == 24 && sizeof(TableEntry) == 24);

// Sizes of real memory; this much room for sums keeps every 64-bit sum here from wrapping.
constexpr uint64_t kTotalMax = uint64_t{1} << 60;

}  // namespace

PicklePlan plan_pickle(uint64_t stream_bytes, std::span<const PickleBufferSpec> buffers) {
  SUNDOG_CHECK(stream_bytes < kTotalMax && buffers.size() <= UINT32_MAX);
  PicklePlan plan;
  plan.stream_offset = sizeof(Fixed) + buffers.size() * sizeof(TableEntry);
  plan.stream_bytes = stream_bytes;
  plan.total = plan.stream_offset + stream_bytes;
  plan.buffers.reserve(buffers.size());
  for (const PickleBufferSpec& buffer : buffers) {
    const uint64_t offset = round_up(plan.total, buffer_alignment(buffer.size));
    plan.buffers.push_back({offset, buffer.size, buffer.readonly});
    SUNDOG_CHECK(buffer.size < kTotalMax && offset < kTotalMax);
    plan.total = offset + buffer.size;
  }
  return plan;
}

void write_pickle_frame(const PicklePlan& plan, std::byte* at) {
  const Fixed fixed{kPickleMagic, static_cast<uint32_t>(plan.buffers.size()), plan.stream_bytes,
                    plan.total};
  std::memcpy(at, &fixed, sizeof(fixed));
  std::byte* table = at + sizeof(fixed);
  uint64_t end = plan.stream_offset + plan.stream_bytes;
  for (const PicklePlan::Slot& slot : plan.buffers) {
    const TableEntry entry{slot.offset, slot.size, slot.readonly ? kReadonlyFlag : 0, 0};
    std::memcpy(table, &entry, sizeof(entry));
    table += sizeof(entry);
    std::memset(at + end, 0, slot.offset - end);
    end = slot.offset + slot.size;
  }
}

void write_pickle(const PicklePlan& plan, Bytes stream, std::span<const Bytes> buffers,
                  std::byte* at) {
  SUNDOG_CHECK(stream.size() == plan.stream_bytes && buffers.size() == plan.buffers.size());
  write_pickle_frame(plan, at);
  if (!stream.empty()) std::memcpy(at + plan.stream_offset, stream.data(), stream.size());
  for (size_t i = 0; i < buffers.size(); ++i) {
    SUNDOG_CHECK(buffers[i].size() == plan.buffers[i].size);
    if (!buffers[i].empty())
      std::memcpy(at + plan.buffers[i].offset, buffers[i].data(), buffers[i].size());
  }
}

Result<PickleView> parse_pickle(Bytes bytes) {
  Reader reader(bytes);
  const auto fixed = reader.header_read_once<Fixed>();
  reader.require(fixed.magic == kPickleMagic, "it does not begin as a pickled value does");
  reader.require(fixed.total_bytes <= bytes.size(), "it says to be longer than it is");
  PickleView view;
  if (reader.can_hold(fixed.num_buffers, sizeof(TableEntry), "table of buffers")) {
    view.buffers.reserve(fixed.num_buffers);
    // From here on `end` is where what was read so far ends; it only grows, up to total_bytes.
    uint64_t end = sizeof(Fixed) + fixed.num_buffers * sizeof(TableEntry);
    reader.require(end <= fixed.total_bytes && fixed.stream_bytes <= fixed.total_bytes - end,
                   "its stream reaches past the end");
    if (reader.ok()) {
      view.stream = bytes.subspan(end, fixed.stream_bytes);
      end += fixed.stream_bytes;
    }
    for (uint32_t i = 0; i < fixed.num_buffers && reader.ok(); ++i) {
      const auto entry = reader.header_read_once<TableEntry>();
      if (entry.offset < end || entry.offset > fixed.total_bytes ||
          entry.size > fixed.total_bytes - entry.offset) {
        reader.fail("one of its buffers lies outside of it or over another part");
      } else if (entry.offset % buffer_alignment(entry.size) != 0) {
        reader.fail("one of its buffers is not aligned");
      } else {
        view.buffers.push_back(
            {bytes.subspan(entry.offset, entry.size), (entry.flags & kReadonlyFlag) != 0});
        end = entry.offset + entry.size;
      }
    }
    reader.require(!reader.ok() || end == fixed.total_bytes, "its length is not that of its parts");
  }
  if (!reader.ok()) return Failure{reader.sentence("Pickled value", bytes.size())};
  return view;
}

}  // namespace sundog::wire
