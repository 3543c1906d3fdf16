// Outgoing: one Python value on its way into a message or into shared memory.
//
// Scalars, strings, bytes and arrays of exact type never enter a pickler. Everything else goes
// through the C pickler, protocol 5 with out-of-band buffers; what that cannot take by reference
// (functions and classes of __main__, closures, lambdas) through cloudpickle. Where torch is
// imported, both know its tensors. Buffers are copied once, from where they lie to where they are
// read. Needs the GIL but inside write_to's copy.
#pragma once

#include <array>
#include <vector>

#include "object_ref.h"
#include "tensors.h"
#include "wire/pickle_layout.h"

namespace sundog::python {

class Outgoing {
 public:
  Outgoing() = default;
  ~Outgoing();
  Outgoing(Outgoing&& other) noexcept;
  Outgoing(const Outgoing&) = delete;
  Outgoing& operator=(const Outgoing&) = delete;

  // False with the pickler's exception pending; say_unpicklable makes a sentence of it.
  bool take(PyObject* value);
  model::Format format() const { return format_; }
  uint64_t size() const { return size_; }
  std::span<const ObjectId> contained() const { return contained_; }
  // All bytes in one piece; they live as long as this.
  Bytes in_one_piece();
  // Fills `size()` bytes; gives up the GIL when they are many.
  void write_to(std::byte* out);
  // The room below an array of sundog.empty, or null: its put needs no copy. Borrowed.
  PyObject* room() const { return room_; }
  const wire::TensorPlan& tensor() const { return tensor_; }
  // Describes itself without the bytes of a room.
  client::OutValue inline_value() { return {format_, in_one_piece(), contained_}; }

 private:
  bool take_scalar(PyObject* value);
  bool take_array(PyObject* value);
  bool take_pickle(PyObject* value);
  bool hold_buffers(PyObject* list);
  void copy_parts(std::byte* out) const;

  model::Format format_ = model::Format::kInvalid;
  uint64_t size_ = 0;
  std::array<std::byte, sizeof(ObjectId)> scalar_{};
  PyObject* owner_ = nullptr;       // of flat_
  PyObject* room_ = nullptr;        // kept by the array, which buffers_ keeps
  Bytes flat_;                      // a value of one piece, or the pickle stream
  std::vector<Py_buffer> buffers_;  // out of band, in order
  wire::PicklePlan plan_;           // of a pickle
  wire::TensorPlan tensor_;         // of an array
  std::vector<ObjectId> contained_;
  std::vector<std::byte> piece_;  // what in_one_piece built
};

// Puts the value as an object: inside the message if small, else written once into shared memory.
// False with an exception set.
bool put_value(Session* session, Outgoing& value, client::RefHandle* out);
// Room for a value that is too large for a message, filled. Null with an exception set.
std::unique_ptr<client::Room> fill_room(Session* session, Outgoing& value);

}  // namespace sundog::python
