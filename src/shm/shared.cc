#include "shm/shared.h"

#include <bit>
#include <new>
#include <string>

#include "base/check.h"

namespace sundog::shm {
namespace {

bool is_ring_size(uint64_t bytes) {
  return std::has_single_bit(bytes) && bytes >= kRingBytesMin && bytes <= kRingBytesMax;
}

}  // namespace

Status Channel::check(const Layout& layout, uint64_t memory_bytes) {
  auto fits = [&](uint64_t offset, uint64_t bytes) {
    return is_ring_size(bytes) && offset % kCacheLine == 0 && offset >= sizeof(ChannelHeader) &&
           bytes <= memory_bytes && offset <= memory_bytes - bytes;
  };
  if (!fits(layout.to_node_offset, layout.to_node_bytes) ||
      !fits(layout.to_client_offset, layout.to_client_bytes)) {
    return Failure{std::string("channel refused: a ring does not lie inside its shared memory")};
  }
  if (layout.to_node_offset < layout.to_client_offset + layout.to_client_bytes &&
      layout.to_client_offset < layout.to_node_offset + layout.to_node_bytes) {
    return Failure{std::string("channel refused: its two rings overlap")};
  }
  return ok_status();
}

Result<Channel> Channel::create(const ChannelSizes& sizes, os::Fd* memory) {
  SUNDOG_CHECK(is_ring_size(sizes.to_node_bytes) && is_ring_size(sizes.to_client_bytes));
  Layout layout;
  layout.to_node_offset = round_up(sizeof(ChannelHeader), model::kPageBytes);
  layout.to_node_bytes = sizes.to_node_bytes;
  layout.to_client_offset = layout.to_node_offset + layout.to_node_bytes;
  layout.to_client_bytes = sizes.to_client_bytes;
  uint64_t total = layout.to_client_offset + layout.to_client_bytes;
  auto fd = os::create_sealed_memory("sundog-channel", total);
  if (!fd) return Failure{fd.error()};
  auto mapping =
      os::Mapping::map(fd->get(), 0, total, os::Access::kReadWrite, os::Sharing::kShared);
  if (!mapping) return Failure{mapping.error()};
  mapping->keep_from_children();
  auto* header = new (mapping->data()) ChannelHeader;  // no parentheses: claim_words stay untouched
  header->to_node_offset = layout.to_node_offset;
  header->to_node_bytes = layout.to_node_bytes;
  header->to_client_offset = layout.to_client_offset;
  header->to_client_bytes = layout.to_client_bytes;
  *memory = std::move(*fd);
  return Channel(std::move(*mapping), layout);
}

Result<Channel> Channel::attach(int memory) {
  auto total = os::memory_size(memory);
  if (!total) return Failure{total.error()};
  if (*total < sizeof(ChannelHeader) || *total > 4 * kRingBytesMax) {
    return Failure{"channel refused: its shared memory has " + std::to_string(*total) + " bytes"};
  }
  auto mapping = os::Mapping::map(memory, 0, *total, os::Access::kReadWrite, os::Sharing::kShared);
  if (!mapping) return Failure{mapping.error()};
  mapping->keep_from_children();
  const auto* header = reinterpret_cast<volatile const ChannelHeader*>(mapping->data());
  if (uint32_t magic = header->magic; magic != kChannelMagic) {
    return Failure{std::string("channel refused: it does not start with a channel's magic number")};
  }
  if (uint32_t protocol = header->protocol; protocol != model::kProtocolVersion) {
    return Failure{"channel refused: it speaks protocol " + std::to_string(protocol) +
                   ", this process " + std::to_string(model::kProtocolVersion) +
                   "; use one version of sundog for all processes of a session"};
  }
  Layout layout{header->to_node_offset, header->to_node_bytes, header->to_client_offset,
                header->to_client_bytes};
  if (auto status = check(layout, *total); !status) return Failure{status.error()};
  return Channel(std::move(*mapping), layout);
}

RingWriter Channel::to_node_writer() const {
  return {&header()->to_node, mapping_.data() + layout_.to_node_offset, layout_.to_node_bytes};
}
RingReader Channel::to_node_reader() const {
  return {&header()->to_node, mapping_.data() + layout_.to_node_offset, layout_.to_node_bytes};
}
RingWriter Channel::to_client_writer() const {
  return {&header()->to_client, mapping_.data() + layout_.to_client_offset,
          layout_.to_client_bytes};
}
RingReader Channel::to_client_reader() const {
  return {&header()->to_client, mapping_.data() + layout_.to_client_offset,
          layout_.to_client_bytes};
}

Result<Doorbell> Doorbell::create(os::Fd* memory) {
  uint64_t size = round_up(sizeof(DoorbellMap), model::kPageBytes);
  auto fd = os::create_sealed_memory("sundog-doorbell", size);
  if (!fd) return Failure{fd.error()};
  auto mapping = os::Mapping::map(fd->get(), 0, size, os::Access::kReadWrite, os::Sharing::kShared);
  if (!mapping) return Failure{mapping.error()};
  mapping->keep_from_children();
  new (mapping->data()) DoorbellMap();
  *memory = std::move(*fd);
  return Doorbell(std::move(*mapping));
}

Result<Doorbell> Doorbell::attach(int memory) {
  auto size = os::memory_size(memory);
  if (!size) return Failure{size.error()};
  if (*size < sizeof(DoorbellMap)) {
    return Failure{"doorbell refused: its shared memory has only " + std::to_string(*size) +
                   " bytes"};
  }
  auto mapping = os::Mapping::map(memory, 0, sizeof(DoorbellMap), os::Access::kReadWrite,
                                  os::Sharing::kShared);
  if (!mapping) return Failure{mapping.error()};
  mapping->keep_from_children();
  return Doorbell(std::move(*mapping));
}

}  // namespace sundog::shm
