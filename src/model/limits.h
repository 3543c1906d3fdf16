// Named limits of the protocol; a limit on everything.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sundog::model {

constexpr uint32_t kProtocolVersion = 1;

// Values up to this many bytes travel inside messages, larger ones through an arena.
constexpr size_t kInlineValueBytesMax = 8 * 1024;
// Results up to this many bytes are pushed to the submitter without being asked for.
constexpr size_t kPushValueBytesMax = 1024;
// Arguments of one task that travel inside its message, all together; a larger argument is put.
constexpr size_t kInlineArgumentsBytesMax = 16 * 1024;
// One logical message after reassembly of its fragments.
constexpr size_t kMessageBytesMax = 64ull << 20;
// References named by one task's arguments.
constexpr size_t kTaskReferencesMax = 1'000'000;
// Names of actors and their namespaces; the latter travel in a Hello, too.
constexpr size_t kActorNameBytesMax = 255;
constexpr size_t kNameSpaceBytesMax = 127;
// A job's weight beside others, in 1/1000.
constexpr uint32_t kJobWeightUnit = 1000;
constexpr uint32_t kJobWeightMin = 10, kJobWeightMax = 100'000;
// Of one placement group.
constexpr size_t kBundlesMax = 10'000;
constexpr size_t kGroupNameBytesMax = 255;
// Templates of one process: remote functions times sets of options.
constexpr uint32_t kTemplatesMax = 1'000'000;
constexpr uint32_t kResultsMax = 100'000;
// Claim words of one worker: tasks offered to it and not yet done. Only those that are used cost
// memory.
constexpr uint32_t kClaimSlots = 16'384;
// Calls of one actor that may run at once, and the named groups they are counted in.
constexpr uint32_t kConcurrencyMax = 10'000;
constexpr uint32_t kConcurrencyGroupsMax = 64;
// Items of one stream; the indexes of its objects stay under those of puts.
constexpr uint32_t kStreamItemsMax = (1u << 31) - 2;
// What an item counts against its stream's window beside its own bytes.
constexpr uint64_t kStreamItemOverheadBytes = 256;
// The bytes of a lone stream's window: this part of the store; of all windows, twice as much.
constexpr uint64_t kStreamStoreShare = 4;
// Objects are placed at multiples of a page; those of this size and more at multiples of a huge
// page.
constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kHugePageBytes = 2ull << 20;
// Retries of a task whose worker died, unless its options say otherwise.
constexpr int32_t kTaskRetriesDefault = 3;
// Bytes pushed unasked that a client has not yet acknowledged.
constexpr uint64_t kPushCreditBytes = 4ull << 20;
// What a pushed value counts against the credit beside its own bytes (record and table entry).
constexpr uint64_t kPushOverheadBytes = 64;

}  // namespace sundog::model
