#include "client/entry.h"

namespace sundog::client {

void RefHandle::use(Entry* entry) { entry->use(); }
void RefHandle::drop(Entry* entry) { entry->drop(); }
const ObjectId& RefHandle::id() const { return entry_->id; }

}  // namespace sundog::client
