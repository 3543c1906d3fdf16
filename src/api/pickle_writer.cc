#include "api/pickle_writer.h"

#include <bit>
#include <cstring>

#include "api/foreign_call.h"
#include "api/values.h"
#include "wire/tensor_layout.h"

namespace sundog::detail {
namespace {

// One opcode a letter, as in Python's pickletools.
constexpr char kProtocol[] = {'\x80', 5};
constexpr char kStop = '.', kNone = 'N', kTrue = '\x88', kFalse = '\x89';
constexpr char kInt4 = 'J', kLong1 = '\x8a', kFloat = 'G';
constexpr char kText = 'X', kText8 = '\x8d', kBytes = 'B', kBytes8 = '\x8e';
constexpr char kMark = '(', kList = 'l', kTuple = 't', kDict = 'd', kFrozenSet = '\x91';
constexpr char kGlobal = 'c', kCall = 'R', kNextBuffer = '\x97';

class PickleWriter {
 public:
  explicit PickleWriter(Pickled* out) : out_(out) { out_->stream.assign(kProtocol, 2); }
  void write(const Value& value) {
    std::visit([this](const auto& content) { add(content); }, value.content);
  }
  void stop() { op(kStop); }

 private:
  void op(char code) { out_->stream += code; }
  template <typename T>
  void number(T value) {
    static_assert(std::endian::native == std::endian::little);
    out_->stream.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void sized(char small, char large, std::string_view bytes) {
    if (bytes.size() <= UINT32_MAX) {
      op(small);
      number(static_cast<uint32_t>(bytes.size()));
    } else {
      op(large);
      number(static_cast<uint64_t>(bytes.size()));
    }
    out_->stream.append(bytes);
  }
  void global(std::string_view module, std::string_view name) {
    op(kGlobal);
    out_->stream.append(module) += '\n';
    out_->stream.append(name) += '\n';
  }

  void add(std::monostate) { op(kNone); }
  void add(bool flag) { op(flag ? kTrue : kFalse); }
  void add(int64_t whole) {
    if (whole == static_cast<int32_t>(whole)) {
      op(kInt4);
      number(static_cast<int32_t>(whole));
    } else {
      op(kLong1);
      op(sizeof whole);
      number(whole);
    }
  }
  void add(double real) {
    op(kFloat);  // big-endian
    number(__builtin_bswap64(std::bit_cast<uint64_t>(real)));
  }
  void add(std::string_view text) {
    if (is_utf8(text)) return sized(kText, kText8, text);
    add(Raw{text});
  }
  void add(const Raw& raw) { sized(kBytes, kBytes8, raw.bytes); }
  void add(const AnyTensor& tensor) {
    auto plan = wire::plan_tensor(static_cast<wire::DType>(tensor.dtype), tensor.shape, {});
    if (!plan) throw TypeError(plan.error());
    if (plan->data_bytes != tensor.bytes) throw_wrong_shape(plan->data_bytes, tensor.bytes);
    global("sundog._cpp", "array");
    op(kMark);
    op(kNextBuffer);
    out_->buffers.push_back({tensor.data, tensor.bytes});
    add(static_cast<int64_t>(tensor.dtype));
    op(kMark);
    for (int64_t dimension : tensor.shape) add(dimension);
    op(kTuple);
    op(kTuple);
    op(kCall);
  }
  void add(const ReferencePtr& reference) {
    if (reference == nullptr) throw TypeError("an empty ObjectRef refers to nothing");
    const ObjectId& id = reference->id;
    out_->contained.push_back(id);
    global("sundog._core", "ref_from_binary");
    op(kMark);
    add(Raw{{reinterpret_cast<const char*>(&id), sizeof id}});
    op(kTuple);
    op(kCall);
  }
  void add(const std::shared_ptr<const Items>& items) {
    if (items->kind == Items::Kind::kGenerated) {
      global("sundog._generator", "DynamicObjectRefGenerator");
      op(kMark);
    }
    op(kMark);
    for (const Value& value : items->values) write(value);
    switch (items->kind) {
      case Items::Kind::kList:
        return op(kList);
      case Items::Kind::kTuple:
        return op(kTuple);
      case Items::Kind::kSet:
        return op(kFrozenSet);
      case Items::Kind::kDict:
        return op(kDict);
      case Items::Kind::kGenerated:
        op(kList);
        op(kTuple);
        return op(kCall);
    }
  }
  void add(const std::shared_ptr<const Handle>& handle) {
    if (handle == nullptr) throw TypeError("an empty ActorHandle refers to no actor");
    global("sundog._actor", "rebuild_handle");
    op(kMark);
    add(handle->actor);
    add(Raw{handle->description});
    op(kMark);  // what Python's handles call with: max_task_retries, max_pending_calls
    add(handle->max_task_retries);
    add(int64_t{-1});
    op(kTuple);
    op(kTuple);
    op(kCall);
  }
  void add(const std::shared_ptr<const ForeignCall>& call) {
    global(call->module, call->function);
    op(kMark);
    for (const Value& argument : call->arguments) {
      const auto* raw = std::get_if<Raw>(&argument.content);
      if (raw != nullptr && call->function == "py_buffer") {
        op(kNextBuffer);
        out_->buffers.push_back(as_bytes(raw->bytes));
      } else {
        write(argument);
      }
    }
    op(kTuple);
    op(kCall);
  }
  void add(const Unreadable& unreadable) {
    throw TypeError("C++ cannot pass on " + unreadable.what + ", which it cannot read");
  }

  Pickled* out_;
};

}  // namespace

Pickled pickle(const Value& value) {
  Pickled out;
  PickleWriter writer(&out);
  writer.write(value);
  writer.stop();
  return out;
}

}  // namespace sundog::detail
