// NodeCore: actors and their names.
#include "core/node_core.h"

namespace sundog::core {

void NodeCore::on_message(Client& c, const model::KillActor&) {
  violation(c, "it kills an actor, and this node has none");
}

void NodeCore::on_message(Client& c, const model::ClaimName& m) {
  send(c.id, model::NameReply{m.request, model::NameStatus::kUnknown, {}, {}});
}

void NodeCore::on_message(Client& c, const model::BindName&) {
  violation(c, "it binds a name that it did not reserve");
}

void NodeCore::on_message(Client& c, const model::FindName& m) {
  send(c.id, model::NameReply{m.request, model::NameStatus::kUnknown, {}, {}});
}

}  // namespace sundog::core
