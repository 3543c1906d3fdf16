#include "client/entry.h"

namespace sundog::client {

RefHandle::RefHandle(const RefHandle& other) : entry_(other.entry_) {
  if (entry_ != nullptr) entry_->use();
}
RefHandle::~RefHandle() {
  if (entry_ != nullptr) entry_->drop();
}
const ObjectId& RefHandle::id() const { return entry_->id; }

}  // namespace sundog::client
