#include "wire/hello.h"

#include <cstring>
#include <string>
#include <type_traits>

namespace sundog::wire {
namespace {

// What every control packet begins with.
struct Prefix {
  uint32_t magic = 0;
  uint32_t type = 0;
};

template <typename T>
constexpr const char* kPacketName = nullptr;
template <>
constexpr const char* kPacketName<Hello> = "Hello";
template <>
constexpr const char* kPacketName<Welcome> = "Welcome";
template <>
constexpr const char* kPacketName<Goodbye> = "Goodbye";
template <>
constexpr const char* kPacketName<WantWritable> = "WantWritable";
template <>
constexpr const char* kPacketName<Descriptor> = "Descriptor";

template <typename T>
std::string refused(const std::string& why) {
  return std::string(kPacketName<T>) + " packet refused: " + why;
}

template <size_t kSize>
bool terminated(const char (&text)[kSize]) {
  return std::memchr(text, 0, kSize) != nullptr;
}
template <size_t kSize>
bool terminated(const uint8_t (&text)[kSize]) {
  return std::memchr(text, 0, kSize) != nullptr;
}

// The sentence for what is wrong with the contents, or null.
const char* find_fault(const Hello& p) {
  if (p.role < 1 || p.role > static_cast<uint8_t>(model::Role::kTool)) return "unknown role";
  if (p.language < 1 || p.language > static_cast<uint8_t>(model::Language::kCpp))
    return "unknown language";
  if (!terminated(p.entry_point)) return "its entry point has no end";
  if (!terminated(p.name_space)) return "its namespace has no end";
  return nullptr;
}
const char* find_fault(const Welcome& p) {
  if (p.num_arenas > std::size(p.arena_bytes)) return "it announces too many arenas";
  if (!terminated(p.session)) return "its session has no end";
  if (!terminated(p.session_dir)) return "its session directory has no end";
  if (!terminated(p.name_space)) return "its namespace has no end";
  return nullptr;
}
const char* find_fault(const Goodbye& p) {
  return terminated(p.reason) ? nullptr : "its reason has no end";
}
const char* find_fault(const WantWritable&) { return nullptr; }
const char* find_fault(const Descriptor&) { return nullptr; }

template <typename T>
constexpr ControlType type_of() {
  return static_cast<ControlType>(T{}.type);
}

}  // namespace

Result<ControlType> control_type(Bytes packet) {
  Prefix prefix;
  if (packet.size() < sizeof(prefix))
    return Failure{"control packet of " + std::to_string(packet.size()) +
                   " bytes refused: too short to say what it is"};
  std::memcpy(&prefix, packet.data(), sizeof(prefix));
  if (prefix.magic != kHelloMagic)
    return Failure{std::string("control packet refused: the peer does not speak this protocol")};
  if (prefix.type < static_cast<uint32_t>(ControlType::kHello) ||
      prefix.type > static_cast<uint32_t>(ControlType::kDescriptor))
    return Failure{"control packet refused: unknown type " + std::to_string(prefix.type)};
  return static_cast<ControlType>(prefix.type);
}

template <typename T>
Result<T> parse_control(Bytes packet) {
  static_assert(std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T>);
  Result<ControlType> type = control_type(packet);
  if (!type) return Failure{type.error()};
  if (*type != type_of<T>())
    return Failure{refused<T>("it is of type " + std::to_string(static_cast<uint32_t>(*type)))};
  // The version is asked before the size: another version may well have another size.
  if constexpr (requires(T t) { t.protocol; }) {
    uint32_t protocol = 0;
    if (packet.size() >= sizeof(Prefix) + sizeof(protocol))
      std::memcpy(&protocol, packet.data() + sizeof(Prefix), sizeof(protocol));
    if (protocol != model::kProtocolVersion)
      return Failure{refused<T>("the peer speaks protocol " + std::to_string(protocol) +
                                ", this process " + std::to_string(model::kProtocolVersion) +
                                "; use the same version of sundog on both sides")};
  }
  if (packet.size() != sizeof(T))
    return Failure{refused<T>("it has " + std::to_string(packet.size()) + " bytes instead of " +
                              std::to_string(sizeof(T)))};
  T value;
  std::memcpy(&value, packet.data(), sizeof(T));
  if (const char* fault = find_fault(value)) return Failure{refused<T>(fault)};
  return value;
}

template Result<Hello> parse_control<Hello>(Bytes packet);
template Result<Welcome> parse_control<Welcome>(Bytes packet);
template Result<Goodbye> parse_control<Goodbye>(Bytes packet);
template Result<WantWritable> parse_control<WantWritable>(Bytes packet);
template Result<Descriptor> parse_control<Descriptor>(Bytes packet);

}  // namespace sundog::wire
