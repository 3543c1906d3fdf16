// How messages about actors and their names lie in records. Private to src/wire; included by both
// codec files, each of which uses its half.
#pragma once

#include "model/limits.h"
#include "model/messages.h"
#include "wire/codec.h"
#include "wire/codec_visit.h"
#include "wire/layout.h"

namespace sundog::wire {

template <>
struct Codec<model::KillActor> {
  static constexpr RecordType kType = RecordType::kKillActor;
  static constexpr const char* kName = "KillActor record";
  struct Fixed {
    ObjectId actor;
    uint8_t no_restart, pad[3];
  };
  static_assert(sizeof(Fixed) == 24);

  static uint64_t size(const model::KillActor&) { return sizeof(Fixed); }
  static void write(const model::KillActor& m, Writer* w) {
    w->header(Fixed{m.actor, m.no_restart, {}});
  }
  static model::KillActor read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    return {f.actor, r->flag(f.no_restart, "its no_restart is neither 0 nor 1")};
  }
};

// The two texts of a name, bounded: the directory keeps them.
template <typename M>
void read_name(uint32_t name_space_bytes, uint32_t name_bytes, M* m, Reader* r) {
  r->require(name_space_bytes <= model::kNameSpaceBytesMax, "its namespace is too long");
  r->require(name_bytes <= model::kActorNameBytesMax, "its name is too long");
  m->name_space = r->text(name_space_bytes, "namespace");
  m->name = r->text(name_bytes, "name");
}

// ClaimName and FindName.
template <typename M>
struct NameRequestCodec {
  struct Fixed {
    uint32_t request, name_space_bytes, name_bytes, pad;
  };
  static uint64_t size(const M& m) {
    return sizeof(Fixed) + padded(m.name_space.size()) + padded(m.name.size());
  }
  static void write(const M& m, Writer* w) {
    w->header(Fixed{m.request, static_cast<uint32_t>(m.name_space.size()),
                    static_cast<uint32_t>(m.name.size()), 0});
    w->text(m.name_space);
    w->text(m.name);
  }
  static M read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    M m;
    m.request = f.request;
    read_name(f.name_space_bytes, f.name_bytes, &m, r);
    return m;
  }
};

template <>
struct Codec<model::ClaimName> : NameRequestCodec<model::ClaimName> {
  static constexpr RecordType kType = RecordType::kClaimName;
  static constexpr const char* kName = "ClaimName record";
};
template <>
struct Codec<model::FindName> : NameRequestCodec<model::FindName> {
  static constexpr RecordType kType = RecordType::kFindName;
  static constexpr const char* kName = "FindName record";
};

template <>
struct Codec<model::BindName> {
  static constexpr RecordType kType = RecordType::kBindName;
  static constexpr const char* kName = "BindName record";
  struct Fixed {
    ObjectId actor, descriptor;
    uint32_t name_space_bytes, name_bytes;
  };
  static_assert(sizeof(Fixed) == 48);

  static uint64_t size(const model::BindName& m) {
    return sizeof(Fixed) + padded(m.name_space.size()) + padded(m.name.size());
  }
  static void write(const model::BindName& m, Writer* w) {
    w->header(Fixed{m.actor, m.descriptor, static_cast<uint32_t>(m.name_space.size()),
                    static_cast<uint32_t>(m.name.size())});
    w->text(m.name_space);
    w->text(m.name);
  }
  static model::BindName read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    model::BindName m;
    read_name(f.name_space_bytes, f.name_bytes, &m, r);
    m.actor = f.actor;
    m.descriptor = f.descriptor;
    return m;
  }
};

template <>
struct Codec<model::NameReply> {
  static constexpr RecordType kType = RecordType::kNameReply;
  static constexpr const char* kName = "NameReply record";
  struct Fixed {
    uint32_t request;
    uint8_t status, pad[3];
    ObjectId actor, descriptor;
  };
  static_assert(sizeof(Fixed) == 48);

  static uint64_t size(const model::NameReply&) { return sizeof(Fixed); }
  static void write(const model::NameReply& m, Writer* w) {
    w->header(Fixed{m.request, static_cast<uint8_t>(m.status), {}, m.actor, m.descriptor});
  }
  static model::NameReply read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    r->require(f.status >= 1 && f.status <= static_cast<uint8_t>(model::NameStatus::kUnknown),
               "its status is unknown");
    return {f.request, static_cast<model::NameStatus>(f.status), f.actor, f.descriptor};
  }
};

}  // namespace sundog::wire
