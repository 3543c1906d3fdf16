// Reads pickles that hold plain data: numbers, texts, bytes, lists, tuples, sets, dicts, arrays of
// numpy, tensors of torch, references and handles of actors. Nothing of Python runs; anything else
// becomes an Unreadable that says what it is. Arrays are views of the bytes, nothing else of them
// is kept. The bytes are not trusted: what is torn or too deep is a TypeError. Any thread.
#pragma once

#include <functional>

#include "base/ids.h"
#include "sundog/value.h"
#include "wire/pickle_layout.h"

namespace sundog::detail {

// Makes the reference of an id that was inside a value.
using MakeReference = std::function<ReferencePtr(const ObjectId&)>;

// `owner` keeps the bytes. Throws TypeError.
Value unpickle(const wire::PickleView& pickle, const std::shared_ptr<const void>& owner,
               const MakeReference& make_reference);

}  // namespace sundog::detail
