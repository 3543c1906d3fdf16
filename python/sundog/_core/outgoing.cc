#include "outgoing.h"

#include <algorithm>
#include <utility>

#include "buffers.h"
#include "client/copy.h"
#include "model/limits.h"
#include "room_buffer.h"

namespace sundog::python {
namespace {

using model::Format;

// A copy of this size gives up the GIL.
constexpr uint64_t kCopyWithoutGilBytes = 256 * 1024;
// Picklers write this name for what another process would look up in its own __main__.
constexpr std::string_view kMainModule = "__main__";

// What the stdlib's pickler is called with; made once.
struct Pickler {
  Object dumps, keywords, protocol;
};

const Pickler* stdlib_pickler() {
  static Pickler* pickler = nullptr;  // lives as long as the interpreter
  if (pickler != nullptr) [[likely]]
    return pickler;
  Object module = steal(PyImport_ImportModule("_pickle"));
  if (!module.is_valid()) return nullptr;
  auto made = std::make_unique<Pickler>();
  made->dumps = steal(PyObject_GetAttrString(module.ptr(), "dumps"));
  made->keywords = steal(Py_BuildValue("(s)", "buffer_callback"));
  made->protocol = steal(PyLong_FromLong(5));
  if (!made->dumps.is_valid() || !made->keywords.is_valid()) return nullptr;
  return pickler = made.release();
}

// The pickle stream of `value`, or null with an exception; buffers are appended to `buffers`.
Object pickle_by_reference(PyObject* value, PyObject* buffers) {
  const Pickler* pickler = stdlib_pickler();
  if (pickler == nullptr) return {};
  Object append = steal(PyObject_GetAttrString(buffers, "append"));
  PyObject* arguments[] = {value, pickler->protocol.ptr(), append.ptr()};
  return steal(PyObject_Vectorcall(pickler->dumps.ptr(), arguments, 2, pickler->keywords.ptr()));
}

Bytes view_of_bytes(PyObject* bytes) {
  return {reinterpret_cast<const std::byte*>(PyBytes_AS_STRING(bytes)),
          static_cast<size_t>(PyBytes_GET_SIZE(bytes))};
}

Bytes bytes_of(const Py_buffer& buffer) {
  return {static_cast<const std::byte*>(buffer.buf), static_cast<size_t>(buffer.len)};
}

}  // namespace

Outgoing::~Outgoing() {
  for (Py_buffer& buffer : buffers_) PyBuffer_Release(&buffer);
  Py_XDECREF(owner_);
}

Outgoing::Outgoing(Outgoing&& other) noexcept
    : format_(other.format_),
      size_(other.size_),
      scalar_(other.scalar_),
      owner_(std::exchange(other.owner_, nullptr)),
      room_(other.room_),
      flat_(other.flat_),
      buffers_(std::exchange(other.buffers_, {})),
      plan_(std::move(other.plan_)),
      tensor_(std::move(other.tensor_)),
      contained_(std::move(other.contained_)),
      piece_(std::move(other.piece_)) {
  // A scalar's bytes lie in the object itself.
  if (flat_.data() == other.scalar_.data()) flat_ = {scalar_.data(), flat_.size()};
}

bool Outgoing::take(PyObject* value) {
  if (is_object_ref(value) && !belongs_to(as_object_ref(value), current_session())) return false;
  return take_scalar(value) || take_array(value) || take_pickle(value);
}

bool Outgoing::take_scalar(PyObject* value) {
  auto from_scalar = [this](Format format, const void* data, size_t size) {
    std::memcpy(scalar_.data(), data, size);
    format_ = format;
    flat_ = {scalar_.data(), size};
    size_ = size;
    return true;
  };
  auto from_object = [this, value](Format format, const void* data, Py_ssize_t size) {
    owner_ = Py_NewRef(value);
    format_ = format;
    flat_ = {static_cast<const std::byte*>(data), static_cast<size_t>(size)};
    size_ = static_cast<uint64_t>(size);
    return true;
  };
  PyTypeObject* type = Py_TYPE(value);
  if (type == &PyLong_Type) {
    int overflow = 0;
    const int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
    return overflow == 0 && from_scalar(Format::kInt64, &number, sizeof number);
  }
  if (type == &PyUnicode_Type) {
    Py_ssize_t size = 0;
    const char* data = PyUnicode_AsUTF8AndSize(value, &size);
    if (data != nullptr) return from_object(Format::kText, data, size);
    PyErr_Clear();  // lone surrogates: pickle keeps them
    return false;
  }
  if (type == &PyFloat_Type) {
    const double number = PyFloat_AS_DOUBLE(value);
    return from_scalar(Format::kFloat64, &number, sizeof number);
  }
  if (is_object_ref(value)) {
    const ObjectId& id = as_object_ref(value)->id;
    contained_.push_back(id);
    return from_scalar(Format::kRef, &id, sizeof id);
  }
  if (value == Py_None) return from_scalar(Format::kNone, "", 0);
  if (type == &PyBool_Type) {
    const uint8_t flag = value == Py_True ? 1 : 0;
    return from_scalar(Format::kBool, &flag, 1);
  }
  if (type == &PyBytes_Type) {
    return from_object(Format::kRaw, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
  }
  return false;
}

bool Outgoing::take_array(PyObject* value) {
  Py_buffer buffer;
  if (!plan_array(value, &tensor_, &buffer)) return false;
  buffers_.push_back(buffer);
  format_ = Format::kTensor;
  size_ = tensor_.total;
  if (size_ > model::kInlineValueBytesMax) {
    room_ = room_below(value, buffer.buf, tensor_, current_session());
  }
  return true;
}

bool Outgoing::take_pickle(PyObject* value) {
  ContainedRefs noted;
  Object buffers = steal(PyList_New(0));
  if (!buffers.is_valid()) return false;
  Object stream = torch_is_imported()
                      ? call_package("_torch", "by_reference", {value, buffers.ptr()})
                      : pickle_by_reference(value, buffers.ptr());
  if (!stream.is_valid() && !PyErr_ExceptionMatches(PyExc_Exception)) return false;
  if (!stream.is_valid() ||
      as_text(view_of_bytes(stream.ptr())).find(kMainModule) != std::string_view::npos) {
    PyErr_Clear();
    noted.ids.clear();
    if (PyList_SetSlice(buffers.ptr(), 0, PY_SSIZE_T_MAX, nullptr) != 0) return false;
    stream = call_package("_pickling", "by_value", {value, buffers.ptr()});
    if (!stream.is_valid()) return false;
  }
  if (!hold_buffers(buffers.ptr())) return false;
  owner_ = stream.release().ptr();
  flat_ = view_of_bytes(owner_);
  std::vector<wire::PickleBufferSpec> specs;
  for (const Py_buffer& b : buffers_) {
    specs.push_back({static_cast<uint64_t>(b.len), b.readonly != 0});
  }
  plan_ = wire::plan_pickle(flat_.size(), specs);
  format_ = Format::kPickle;
  size_ = plan_.total;
  contained_ = std::move(noted.ids);
  return true;
}

bool Outgoing::hold_buffers(PyObject* list) {
  const Py_ssize_t count = PyList_GET_SIZE(list);
  buffers_.reserve(static_cast<size_t>(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    // Any contiguous layout will do: the pickle stream says whether it is C or Fortran order.
    Object raw_view = steal(PyObject_CallMethod(PyList_GET_ITEM(list, i), "raw", nullptr));
    if (!raw_view.is_valid()) return false;
    Py_buffer buffer;
    if (PyObject_GetBuffer(raw_view.ptr(), &buffer, PyBUF_SIMPLE) != 0) return false;
    buffers_.push_back(buffer);
  }
  return true;
}

void Outgoing::copy_parts(std::byte* out) const {
  if (format_ == Format::kTensor) {
    wire::write_tensor_frame(tensor_, out);
    client::copy_bytes(out + tensor_.data_offset, bytes_of(buffers_[0]).first(tensor_.data_bytes));
    return;
  }
  if (format_ != Format::kPickle) {
    client::copy_bytes(out, flat_);
    return;
  }
  wire::write_pickle_frame(plan_, out);
  std::vector<client::Copy> parts = {{out + plan_.stream_offset, flat_}};
  parts.reserve(1 + buffers_.size());
  for (size_t i = 0; i < buffers_.size(); ++i) {
    parts.push_back({out + plan_.buffers[i].offset, bytes_of(buffers_[i])});
  }
  client::copy_parts(parts);
}

void Outgoing::write_to(std::byte* out) {
  if (size_ < kCopyWithoutGilBytes) {
    copy_parts(out);
    return;
  }
  PyThreadState* state = PyEval_SaveThread();
  copy_parts(out);
  PyEval_RestoreThread(state);
}

Bytes Outgoing::in_one_piece() {
  if (format_ != Format::kPickle && format_ != Format::kTensor) return flat_;
  if (piece_.empty()) {
    piece_.resize(size_);
    copy_parts(piece_.data());
  }
  return piece_;
}

std::unique_ptr<client::Room> fill_room(Session* session, Outgoing& value) {
  GilYielder yielder;
  auto room = session->runtime->allocate(value.size(), &yielder);
  if (yielder.raised()) return nullptr;
  if (!room.ok()) {
    raise_call_error(room.error());
    return nullptr;
  }
  value.write_to((*room)->data());
  return std::move(*room);
}

bool put_value(Session* session, Outgoing& value, client::RefHandle* out) {
  if (value.size() <= model::kInlineValueBytesMax) {
    GilYielder yielder;
    auto handle = session->runtime->put(value.inline_value(), &yielder);
    if (yielder.raised()) return false;
    if (handle.ok()) {
      *out = std::move(*handle);
      return true;
    }
    raise_call_error(handle.error());
    return false;
  }
  if (value.room() != nullptr) return put_room_buffer(value.room(), value.tensor(), out);
  std::unique_ptr<client::Room> room = fill_room(session, value);
  if (room == nullptr) return false;
  auto handle = session->runtime->put_room(std::move(room), value.format(), value.contained());
  if (handle.ok()) {
    *out = std::move(*handle);
    return true;
  }
  raise_call_error(handle.error());
  return false;
}

}  // namespace sundog::python
