#include "api/pickle_reader.h"

#include <bit>
#include <cstring>
#include <deque>
#include <unordered_map>

#include "api/foreign_arrays.h"
#include "api/foreign_call.h"
#include "base/bytes.h"

namespace sundog::detail {
namespace {

constexpr size_t kDepthMax = 256;
constexpr size_t kLongBytesMax = 8;

// What the stream made. All live as long as the reader, so that a stream may tie them as it likes.
struct Object {
  enum class Kind : uint8_t {
    kMark,
    kValue,
    kItems,
    kGlobal,
    kBuffer,
    kDType,
    kPendingArray,
    kCall
  };
  Kind kind = Kind::kValue;
  Value value;  // kValue; of kItems and kCall once it was converted
  Items::Kind items_kind = Items::Kind::kList;
  std::vector<Object*> items;     // of kCall its arguments
  std::string_view module, name;  // kGlobal, kCall
  Bytes bytes;                    // kBuffer, and the storage below a torch tensor
  DType dtype = DType::kFloat64;  // kDType
  bool is_readable = true;        // kDType
  bool is_converted = false;
};
using Kind = Object::Kind;

class PickleReader {
 public:
  PickleReader(const wire::PickleView& pickle, const std::shared_ptr<const void>& owner,
               const MakeReference& make_reference)
      : pickle_(pickle), owner_(owner), make_reference_(make_reference), left_(pickle.stream) {}

  Value read() {
    while (step()) {
    }
    if (stack_.size() != 1) torn();
    Value result = convert(stack_[0], 0);
    result.owner = owner_;
    return result;
  }

 private:
  [[noreturn]] static void torn() {
    throw TypeError("a pickled value is torn: it was not written by Python's pickle");
  }

  // ---- the stream
  template <typename T>
  T number() {
    T value{};
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  Bytes take(uint64_t size) {
    if (size > left_.size()) torn();
    Bytes taken = left_.first(size);
    left_ = left_.subspan(size);
    return taken;
  }
  std::string_view line() {
    std::string_view text = as_text(left_);
    size_t end = text.find('\n');
    if (end == std::string_view::npos) torn();
    take(end + 1);
    return text.substr(0, end);
  }

  // ---- the stack
  Object* make(Kind kind) {
    objects_.emplace_back();
    objects_.back().kind = kind;
    return &objects_.back();
  }
  void push(Object* object) { stack_.push_back(object); }
  template <typename T>
  void push_value(T content) {
    Object* object = make(Kind::kValue);
    object->value.content = std::move(content);
    push(object);
  }
  Object* pop() {
    if (stack_.empty() || stack_.back()->kind == Kind::kMark) torn();
    Object* top = stack_.back();
    stack_.pop_back();
    return top;
  }
  Object* top() {
    if (stack_.empty() || stack_.back()->kind == Kind::kMark) torn();
    return stack_.back();
  }
  std::vector<Object*> pop_to_mark() {
    size_t at = stack_.size();
    while (at > 0 && stack_[at - 1]->kind != Kind::kMark) --at;
    if (at == 0) torn();
    std::vector<Object*> items(stack_.begin() + static_cast<ptrdiff_t>(at), stack_.end());
    stack_.resize(at - 1);
    return items;
  }
  void push_items(Items::Kind kind, std::vector<Object*> items) {
    if (kind == Items::Kind::kDict && items.size() % 2 != 0) torn();
    Object* object = make(Kind::kItems);
    object->items_kind = kind;
    object->items = std::move(items);
    push(object);
  }
  void push_tuple(size_t size) {
    std::vector<Object*> items(size);
    for (size_t i = size; i-- > 0;) items[i] = pop();
    push_items(Items::Kind::kTuple, std::move(items));
  }
  // Into the container on top; what is no container of ours swallows it.
  void extend(std::span<Object* const> items) {
    Object* to = top();
    if (to->kind == Kind::kItems) to->items.insert(to->items.end(), items.begin(), items.end());
    if (to->items_kind == Items::Kind::kDict && to->items.size() % 2 != 0) torn();
  }
  void recall(uint64_t index) {
    auto known = memo_.find(index);
    if (known == memo_.end()) torn();
    push(known->second);
  }

  // One opcode; the letters are those of Python's pickletools. False at the end.
  bool step() {
    switch (const auto op = static_cast<char>(take(1)[0])) {
      case '.':
        return false;
      case '\x80':  // protocol
        take(1);
        return true;
      case '\x95':  // frame
        take(8);
        return true;
      case '\x94':
        memo_[memo_.size()] = top();
        return true;
      case 'q':
        memo_[number<uint8_t>()] = top();
        return true;
      case 'r':
        memo_[number<uint32_t>()] = top();
        return true;
      case 'h':
        recall(number<uint8_t>());
        return true;
      case 'j':
        recall(number<uint32_t>());
        return true;
      case '(':
        push(make(Kind::kMark));
        return true;
      case '0':
        pop();
        return true;
      default:
        if (!scalar(op) && !container(op) && !object(op)) torn();
        return true;
    }
  }

  bool scalar(char op) {
    switch (op) {
      case 'N':
        push_value(std::monostate());
        return true;
      case '\x88':
        push_value(true);
        return true;
      case '\x89':
        push_value(false);
        return true;
      case 'K':
        push_value(int64_t{number<uint8_t>()});
        return true;
      case 'M':
        push_value(int64_t{number<uint16_t>()});
        return true;
      case 'J':
        push_value(int64_t{number<int32_t>()});
        return true;
      case '\x8a':
        long_number(take(number<uint8_t>()));
        return true;
      case '\x8b':
        long_number(take(number<uint32_t>()));
        return true;
      case 'G':
        push_value(std::bit_cast<double>(__builtin_bswap64(number<uint64_t>())));
        return true;
      case '\x8c':
        push_value(as_text(take(number<uint8_t>())));
        return true;
      case 'X':
        push_value(as_text(take(number<uint32_t>())));
        return true;
      case '\x8d':
        push_value(as_text(take(number<uint64_t>())));
        return true;
      case 'C':
        push_value(Raw{as_text(take(number<uint8_t>()))});
        return true;
      case 'B':
        push_value(Raw{as_text(take(number<uint32_t>()))});
        return true;
      case '\x8e':
      case '\x96':  // a bytearray
        push_value(Raw{as_text(take(number<uint64_t>()))});
        return true;
      default:
        return false;
    }
  }

  void long_number(Bytes bytes) {
    if (bytes.size() > kLongBytesMax) {
      return push_value(Unreadable{"an integer of more than 64 bits"});
    }
    const bool is_negative = !bytes.empty() && (static_cast<uint8_t>(bytes.back()) & 0x80) != 0;
    int64_t value = is_negative ? -1 : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    push_value(value);
  }

  bool container(char op) {
    switch (op) {
      case ']':
        push_items(Items::Kind::kList, {});
        return true;
      case '}':
        push_items(Items::Kind::kDict, {});
        return true;
      case '\x8f':
        push_items(Items::Kind::kSet, {});
        return true;
      case ')':
        push_items(Items::Kind::kTuple, {});
        return true;
      case 'l':
        push_items(Items::Kind::kList, pop_to_mark());
        return true;
      case 'd':
        push_items(Items::Kind::kDict, pop_to_mark());
        return true;
      case 't':
        push_items(Items::Kind::kTuple, pop_to_mark());
        return true;
      case '\x91':
        push_items(Items::Kind::kSet, pop_to_mark());
        return true;
      case '\x85':
      case '\x86':
      case '\x87':
        push_tuple(static_cast<size_t>(static_cast<uint8_t>(op)) - 0x84);
        return true;
      case 'a': {
        Object* item = pop();
        extend({&item, 1});
        return true;
      }
      case 's': {
        Object* value = pop();
        Object* pair[] = {pop(), value};
        extend(pair);
        return true;
      }
      case 'e':
      case 'u':
      case '\x90':
        extend(pop_to_mark());
        return true;
      default:
        return false;
    }
  }

  bool object(char op) {
    switch (op) {
      case 'c': {
        Object* global = make(Kind::kGlobal);
        global->module = line();
        global->name = line();
        push(global);
        return true;
      }
      case '\x93': {
        Object* name = pop();
        Object* module = pop();
        Object* global = make(Kind::kGlobal);
        global->module = text(module);
        global->name = text(name);
        push(global);
        return true;
      }
      case 'R':
      case '\x81': {  // a call of a function, or of a class's __new__
        Object* arguments = pop();
        Object* callee = pop();
        if (arguments->kind != Kind::kItems) torn();
        push(call(callee, arguments->items));
        return true;
      }
      case 'b': {
        Object* state = pop();
        build(top(), state);
        return true;
      }
      case '\x97': {
        if (next_buffer_ >= pickle_.buffers.size()) torn();
        Object* buffer = make(Kind::kBuffer);
        buffer->bytes = pickle_.buffers[next_buffer_++].bytes;
        push(buffer);
        return true;
      }
      case '\x98':  // read-only: here everything is
        return true;
      default:
        return false;
    }
  }

  // ---- objects of Python that we know
  static std::string_view text(const Object* object) {
    const auto* text = std::get_if<std::string_view>(&object->value.content);
    if (object->kind != Kind::kValue || text == nullptr) torn();
    return *text;
  }
  static int64_t integer(const Object* object) {
    const auto* whole = std::get_if<int64_t>(&object->value.content);
    if (object->kind != Kind::kValue || whole == nullptr) torn();
    return *whole;
  }
  static Bytes bytes_of(const Object* object) {
    if (object->kind == Kind::kBuffer) return object->bytes;
    const auto* raw = std::get_if<Raw>(&object->value.content);
    if (object->kind != Kind::kValue || raw == nullptr) torn();
    return as_bytes(raw->bytes);
  }
  static std::vector<int64_t> integers(const Object* object) {
    if (object->kind != Kind::kItems) torn();
    std::vector<int64_t> all;
    for (const Object* item : object->items) all.push_back(integer(item));
    return all;
  }
  Object* unreadable(std::string what) {
    Object* object = make(Kind::kValue);
    object->value.content = Unreadable{std::move(what)};
    return object;
  }
  Object* array(AnyTensor tensor) {
    Object* object = make(Kind::kValue);
    object->value.content = std::move(tensor);
    return object;
  }

  Object* call(Object* callee, std::span<Object* const> arguments) {
    if (callee->kind != Kind::kGlobal) return unreadable("an object of Python");
    const std::string_view module = callee->module, name = callee->name;
    const size_t count = arguments.size();
    if (module.starts_with("numpy")) {
      if (name == "dtype" && count >= 1) return make_dtype(text(arguments[0]));
      if (name == "_frombuffer" && count == 4) return from_buffer(arguments);
      if (name == "_reconstruct") return make(Kind::kPendingArray);
      if (name == "scalar" && count == 2) return numpy_scalar(arguments);
    } else if (module == "sundog._cpp" && name == "array" && count == 3) {
      const int64_t dtype = integer(arguments[1]);
      if (dtype < 1 || dtype > static_cast<int64_t>(DType::kComplex128)) torn();
      return array(contiguous(static_cast<DType>(dtype), integers(arguments[2]), false,
                              bytes_of(arguments[0]), owner_));
    } else if (module == "sundog._core" && name == "ref_from_binary" && count == 1) {
      return reference(bytes_of(arguments[0]));
    } else if (module == "sundog._actor" && name == "rebuild_handle" && count == 3) {
      return handle(arguments);
    } else if (module == "sundog._generator" && name == "DynamicObjectRefGenerator" && count == 1) {
      return arguments[0];  // the list of its references
    } else if (module == "sundog._torch" && count == 8) {
      if (name == "rebuild_tensor" || name == "rebuild_view") return torch_tensor(arguments);
    } else if (module == "pyarrow.lib") {
      Object* call = make(Kind::kCall);
      call->module = module;
      call->name = name;
      call->items.assign(arguments.begin(), arguments.end());
      return call;
    } else if (module == "collections" && (name == "OrderedDict" || name == "defaultdict")) {
      Object* dict = make(Kind::kItems);
      dict->items_kind = Items::Kind::kDict;
      return dict;
    }
    return unreadable("a " + std::string(module) + "." + std::string(name) + " of Python");
  }

  void build(Object* object, const Object* state) {
    if (object->kind == Kind::kDType) {
      if (state->kind != Kind::kItems || state->items.size() < 2) torn();
      object->is_readable = object->is_readable && text(state->items[1]) != ">";
    } else if (object->kind == Kind::kPendingArray) {  // what is not contiguous travels like this
      if (state->kind != Kind::kItems || state->items.size() != 5) torn();
      const Object* dtype = state->items[2];
      const Object* data = state->items[4];
      object->kind = Kind::kValue;
      if (dtype->kind != Kind::kDType || !dtype->is_readable || data->kind != Kind::kValue) {
        object->value.content = Unreadable{"an array of Python objects"};
        return;
      }
      const auto* fortran = std::get_if<bool>(&state->items[3]->value.content);
      object->value.content =
          copied(contiguous(dtype->dtype, integers(state->items[1]), fortran != nullptr && *fortran,
                            bytes_of(data), owner_));
    }
  }

  Object* make_dtype(std::string_view code) {
    Object* object = make(Kind::kDType);
    auto dtype = numpy_dtype(code);
    object->is_readable = dtype.has_value();
    if (dtype) object->dtype = *dtype;
    return object;
  }
  Object* from_buffer(std::span<Object* const> arguments) {
    const Object* dtype = arguments[1];
    if (dtype->kind != Kind::kDType || !dtype->is_readable) {
      return unreadable("an array of a dtype that C++ has not");
    }
    return array(contiguous(dtype->dtype, integers(arguments[2]), text(arguments[3]) == "F",
                            bytes_of(arguments[0]), owner_));
  }
  Object* numpy_scalar(std::span<Object* const> arguments) {
    const Object* dtype = arguments[0];
    if (dtype->kind != Kind::kDType || !dtype->is_readable) {
      return unreadable("a number of a dtype that C++ has not");
    }
    Object* object = make(Kind::kValue);
    object->value = number_of(dtype->dtype, bytes_of(arguments[1]));
    return object;
  }
  Object* torch_tensor(std::span<Object* const> arguments) {
    TorchTensor tensor;
    const Object* first = arguments[0];
    tensor.storage = first->bytes;  // the buffer itself, or below the first tensor on it
    if (arguments[1]->kind == Kind::kBuffer) tensor.start = arguments[1]->bytes;
    if (arguments[2]->kind != Kind::kGlobal) torn();
    tensor.dtype = arguments[2]->name;
    tensor.offset = integer(arguments[3]);
    tensor.shape = integers(arguments[4]);
    tensor.strides = integers(arguments[5]);
    Object* object = array(view_of_torch(tensor, owner_));
    object->bytes = tensor.storage;
    return object;
  }
  Object* reference(Bytes binary) {
    ObjectId id;
    if (binary.size() != sizeof id) torn();
    std::memcpy(&id, binary.data(), sizeof id);
    Object* object = make(Kind::kValue);
    object->value.content = make_reference_(id);
    return object;
  }
  Object* handle(std::span<Object* const> arguments) {
    const auto* actor = std::get_if<ReferencePtr>(&arguments[0]->value.content);
    if (actor == nullptr) torn();
    Object* object = make(Kind::kValue);
    const std::vector<int64_t> defaults = integers(arguments[2]);
    if (defaults.empty()) torn();
    object->value.content = std::make_shared<const Handle>(
        Handle{*actor, std::string(as_text(bytes_of(arguments[1]))), defaults[0]});
    return object;
  }

  // ---- what was made, as a value
  Value convert(Object* object, size_t depth) {
    if (depth > kDepthMax) {
      throw TypeError("a value is nested deeper than " + std::to_string(kDepthMax) +
                      " levels, or contains itself");
    }
    switch (object->kind) {
      case Kind::kMark:
        torn();
      case Kind::kValue:
        return object->value;
      case Kind::kBuffer:
        return {Raw{as_text(object->bytes)}, nullptr};
      case Kind::kGlobal:
        return {Unreadable{std::string(object->module) + "." + std::string(object->name) +
                           " of Python"},
                nullptr};
      case Kind::kDType:
      case Kind::kPendingArray:
        return {Unreadable{"an object of numpy"}, nullptr};
      case Kind::kItems:
      case Kind::kCall:
        break;
    }
    if (object->is_converted) return object->value;
    std::vector<Value> values;
    values.reserve(object->items.size());
    for (Object* item : object->items) values.push_back(convert(item, depth + 1));
    if (object->kind == Kind::kCall) {
      object->value.content = std::make_shared<const ForeignCall>(ForeignCall{
          std::string(object->module), std::string(object->name), std::move(values), owner_});
    } else {
      object->value.content =
          std::make_shared<const Items>(Items{object->items_kind, std::move(values)});
    }
    object->is_converted = true;
    return object->value;
  }

  const wire::PickleView& pickle_;
  const std::shared_ptr<const void>& owner_;
  const MakeReference& make_reference_;
  Bytes left_;
  size_t next_buffer_ = 0;
  std::deque<Object> objects_;
  std::vector<Object*> stack_;
  std::unordered_map<uint64_t, Object*> memo_;
};

}  // namespace

Value unpickle(const wire::PickleView& pickle, const std::shared_ptr<const void>& owner,
               const MakeReference& make_reference) {
  return PickleReader(pickle, owner, make_reference).read();
}

}  // namespace sundog::detail
