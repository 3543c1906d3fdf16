// How this process reads values: inline bytes, copies of small extents, and one private mapping for
// each large object, shared by all who view it (DESIGN section 6).
//
// A view is a Pinned; its end drops a use of the core's export, without lock, ring or GIL. Any
// thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/runtime.h"
#include "core/client_core.h"
#include "os/fd.h"
#include "os/memory.h"

namespace sundog::client {

// Values in extents under this size are copied out: a mapping costs more.
constexpr uint64_t kMapBytesMin = 32 * 1024;

// Bytes of our own, 64-byte aligned if large: what came inside a message, or a copy.
class OwnBytes final : public Pinned {
 public:
  explicit OwnBytes(size_t size);
  explicit OwnBytes(Bytes bytes);
  Bytes bytes() const override { return {data_, size_}; }
  std::byte* writable_bytes() override { return data_; }
  Result<std::shared_ptr<Pinned>> own() const override {
    return std::shared_ptr<Pinned>(std::make_shared<OwnBytes>(bytes()));
  }

 private:
  static constexpr size_t kSmall = 32;
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  alignas(16) std::byte small_[kSmall];
  std::unique_ptr<std::byte, Free> large_;
  std::byte* data_;
  size_t size_;
};

// What the core keeps for inline values.
std::shared_ptr<void> keep_inline(Bytes bytes);

class ArenaViews {
 public:
  // Read-only descriptors of the arenas and their sizes.
  ArenaViews(std::vector<os::Fd> arenas, std::vector<uint64_t> arena_bytes);

  // Takes one use of `exported` over, in success and in failure. Shares one mapping among all views
  // of the export; `writable`: a mapping of its own.
  Result<std::shared_ptr<Pinned>> view(core::ClientExport* exported, bool writable) const;
  // What a writer's mapping of the extent turns into when the extent becomes an object; `mapping`
  // is taken over unless that fails.
  Result<std::shared_ptr<void>> make_private(const model::Extent& extent,
                                             os::Mapping* mapping) const;

 private:
  Result<std::shared_ptr<Pinned>> copy(const model::Extent& extent) const;
  Result<os::Mapping> map(const model::Extent& extent) const;
  Status check(const model::Extent& extent) const;

  std::vector<os::Fd> arenas_;
  std::vector<uint64_t> arena_bytes_;
  uint64_t mappings_max_;
};

}  // namespace sundog::client
