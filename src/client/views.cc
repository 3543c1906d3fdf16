#include "client/views.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "model/limits.h"

namespace sundog::client {
namespace {

// Mappings that views of this process hold; the kernel's limit is for all of its mappings.
std::atomic<uint64_t> live_mappings{0};

struct CountedMapping {
  explicit CountedMapping(os::Mapping m) : mapping(std::move(m)) {
    live_mappings.fetch_add(1, std::memory_order_relaxed);
  }
  ~CountedMapping() { live_mappings.fetch_sub(1, std::memory_order_relaxed); }
  os::Mapping mapping;
};

// The mapping that all views of an export share.
struct SharedMapping final : core::Attachment, CountedMapping {
  using CountedMapping::CountedMapping;
};

class ExportView final : public Pinned {
 public:
  ExportView(const ArenaViews* views, core::ClientExport* exported)
      : views_(views), exported_(exported) {}
  ~ExportView() override { exported_->drop(); }
  Bytes bytes() const override { return {mapping().data(), exported_->extent.size}; }
  std::byte* writable_bytes() override { return mapping().data(); }
  Result<std::shared_ptr<Pinned>> own() const override {
    exported_->use();
    return views_->view(exported_, true);
  }

 private:
  const os::Mapping& mapping() const {
    return static_cast<SharedMapping*>(exported_->view.load(std::memory_order_acquire))->mapping;
  }
  const ArenaViews* const views_;  // of the Runtime, which outlives what it handed out
  core::ClientExport* const exported_;
};

// A mapping of its own; the export is used only for its pin.
class OwnMappingView final : public Pinned {
 public:
  OwnMappingView(const ArenaViews* views, os::Mapping mapping, core::ClientExport* exported)
      : counted_(std::move(mapping)), views_(views), exported_(exported) {}
  ~OwnMappingView() override { exported_->drop(); }
  Bytes bytes() const override { return {counted_.mapping.data(), exported_->extent.size}; }
  std::byte* writable_bytes() override { return counted_.mapping.data(); }
  // As the object is, without what was written here.
  Result<std::shared_ptr<Pinned>> own() const override {
    exported_->use();
    return views_->view(exported_, true);
  }

 private:
  CountedMapping counted_;
  const ArenaViews* const views_;
  core::ClientExport* const exported_;
};

uint64_t read_mappings_max() {
  uint64_t limit = 65'530;  // the kernel's default
  std::ifstream("/proc/sys/vm/max_map_count") >> limit;
  return limit / 4 * 3;  // the rest is for the program itself
}

}  // namespace

OwnBytes::OwnBytes(size_t size) : data_(small_), size_(size) {
  if (size <= kSmall) return;
  void* memory = size < 1024 ? std::malloc(size) : std::aligned_alloc(64, round_up(size, 64));
  if (memory == nullptr) throw std::bad_alloc();
  large_.reset(static_cast<std::byte*>(memory));
  data_ = large_.get();
}

OwnBytes::OwnBytes(Bytes bytes) : OwnBytes(bytes.size()) {
  if (!bytes.empty()) std::memcpy(data_, bytes.data(), bytes.size());
}

std::shared_ptr<void> keep_inline(Bytes bytes) { return std::make_shared<OwnBytes>(bytes); }

ArenaViews::ArenaViews(std::vector<os::Fd> arenas, std::vector<uint64_t> arena_bytes)
    : arenas_(std::move(arenas)),
      arena_bytes_(std::move(arena_bytes)),
      mappings_max_(read_mappings_max()) {}

Status ArenaViews::check(const model::Extent& extent) const {
  bool fits = extent.arena < arenas_.size() && extent.offset % model::kPageBytes == 0 &&
              extent.size <= arena_bytes_[extent.arena] &&
              extent.offset <= arena_bytes_[extent.arena] - extent.size;
  if (fits) return ok_status();
  return Failure{"cannot read a value: the node described bytes [" + std::to_string(extent.offset) +
                 ", +" + std::to_string(extent.size) + ") of arena " +
                 std::to_string(extent.arena) + ", which are not in any arena"};
}

Result<os::Mapping> ArenaViews::map(const model::Extent& extent) const {
  return os::Mapping::map(arenas_[extent.arena].get(), extent.offset, extent.size,
                          os::Access::kReadWrite, os::Sharing::kPrivate);
}

Result<std::shared_ptr<void>> ArenaViews::make_private(const model::Extent& extent,
                                                       os::Mapping* mapping) const {
  if (Status fits = check(extent); !fits) return Failure{fits.error()};
  if (Status made = mapping->become_private(arenas_[extent.arena].get(), extent.offset); !made) {
    return Failure{made.error()};
  }
  return std::shared_ptr<void>(std::make_shared<CountedMapping>(std::move(*mapping)));
}

Result<std::shared_ptr<Pinned>> ArenaViews::copy(const model::Extent& extent) const {
  auto own = std::make_shared<OwnBytes>(extent.size);
  Status read = os::read_memory(arenas_[extent.arena].get(), extent.offset,
                                {own->writable_bytes(), extent.size});
  if (!read) return Failure{read.error()};
  return std::shared_ptr<Pinned>(std::move(own));
}

Result<std::shared_ptr<Pinned>> ArenaViews::view(core::ClientExport* exported,
                                                 bool writable) const {
  const model::Extent extent = exported->extent;
  auto fail = [exported](std::string why) {
    exported->drop();
    return Failure{std::move(why)};
  };
  if (Status fits = check(extent); !fits) return fail(fits.error());
  if (!writable && exported->view.load(std::memory_order_acquire) != nullptr) {
    return std::shared_ptr<Pinned>(std::make_shared<ExportView>(this, exported));
  }
  bool too_many = live_mappings.load(std::memory_order_relaxed) >= mappings_max_;
  if (extent.size >= kMapBytesMin && !too_many) {
    if (auto mapping = map(extent)) {
      if (writable) {
        return std::shared_ptr<Pinned>(
            std::make_shared<OwnMappingView>(this, std::move(*mapping), exported));
      }
      auto* shared = new SharedMapping(std::move(*mapping));
      core::Attachment* none = nullptr;
      if (!exported->view.compare_exchange_strong(none, shared, std::memory_order_acq_rel)) {
        delete shared;  // another thread was faster
      }
      return std::shared_ptr<Pinned>(std::make_shared<ExportView>(this, exported));
    }
  }
  auto copied = copy(extent);
  if (!copied) return fail(copied.error());
  exported->drop();
  return copied;
}

}  // namespace sundog::client
