// Writes the first inputs of each fuzz target into FOLDER/<target>/: one valid example of every
// record, packet and layout. Deterministic; run again when a layout changes.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "shm/channel.h"
#include "wire/arguments.h"
#include "wire/codec.h"
#include "wire/error_layout.h"
#include "wire/hello.h"
#include "wire/message_cases.h"
#include "wire/pickle_layout.h"
#include "wire/tensor_layout.h"

namespace sundog::fuzz {
namespace {

class Corpus {
 public:
  explicit Corpus(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void add(const std::string& target, const std::string& name, Bytes bytes) {
    std::filesystem::create_directories(folder_ / target);
    std::ofstream file(folder_ / target / name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) failed_ = true;
  }
  bool failed() const { return failed_; }

 private:
  std::filesystem::path folder_;
  bool failed_ = false;
};

std::vector<std::byte> with_first(uint8_t first, Bytes rest) {
  std::vector<std::byte> out{std::byte{first}};
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

void add_records(Corpus* corpus, wire::MessageCases* cases) {
  std::vector<std::byte> payload;
  auto add = [&](const auto& message) {
    const auto type = static_cast<uint16_t>(wire::encode(message, &payload));
    corpus->add("records", "type-" + std::to_string(type),
                with_first(static_cast<uint8_t>(type), payload));
  };
  for (size_t kind = 0; kind < std::variant_size_v<model::ClientMessage>; ++kind)
    add(cases->client_message(kind));
  for (size_t kind = 0; kind < std::variant_size_v<model::NodeMessage>; ++kind)
    add(cases->node_message(kind));
}

template <typename T>
void add_packet(Corpus* corpus, const std::string& name, const T& packet) {
  corpus->add("control", name, {reinterpret_cast<const std::byte*>(&packet), sizeof(packet)});
}
void add_packets(Corpus* corpus) {
  wire::Hello hello;
  hello.role = 1;
  hello.language = 1;
  add_packet(corpus, "hello", hello);
  add_packet(corpus, "welcome", wire::Welcome{});
  add_packet(corpus, "goodbye", wire::Goodbye{});
  add_packet(corpus, "want-writable", wire::WantWritable{});
  add_packet(corpus, "descriptor", wire::Descriptor{});
}

void add_arguments(Corpus* corpus) {
  std::vector<std::byte> bytes;
  wire::ArgumentWriter writer(&bytes);
  writer.add_value(model::Format::kText, as_bytes("sundog"));
  writer.add_reference(1);
  writer.add_keyword_value("factor", model::Format::kInt64, as_bytes("12345678"));
  writer.add_keyword_reference("model", 0);
  corpus->add("arguments", "positional-and-keyword", with_first(2, writer.written()));
}

void add_values(Corpus* corpus) {
  const std::vector<wire::PickleBufferSpec> specs = {{5, true}, {0, false}, {100, false}};
  const wire::PicklePlan pickle = wire::plan_pickle(11, specs);
  std::vector<std::byte> value(pickle.total);
  wire::write_pickle_frame(pickle, value.data());
  corpus->add("values", "pickle", value);

  const int64_t shape[] = {2, 3}, strides[] = {4, 8};
  for (const bool strided : {false, true}) {
    const auto plan =
        wire::plan_tensor(wire::DType::kFloat32, shape,
                          strided ? std::span<const int64_t>(strides) : std::span<const int64_t>());
    if (!plan.ok()) continue;
    value.assign(plan.value().total, std::byte{0});
    wire::write_tensor_frame(plan.value(), value.data());
    corpus->add("values", strided ? "tensor-strided" : "tensor", value);
  }

  wire::TaskError error;
  error.exception_type = "ZeroDivisionError";
  error.message = "division by zero";
  error.task_name = "divide";
  error.exception = as_bytes("pickled");
  wire::encode_task_error(error, &value);
  corpus->add("values", "task-error", value);
  model::SystemError system;
  system.sentence = "its worker was killed";
  wire::encode_system_error(system, &value);
  corpus->add("values", "system-error", value);
}

// A script of tests/fuzz/ring_fuzz.cc that lies nowhere: two records, then the true tail.
void add_rings(Corpus* corpus, wire::MessageCases* cases) {
  shm::RingHeader header;
  std::vector<uint64_t> memory(512 / 8);
  auto* data = reinterpret_cast<std::byte*>(memory.data());
  shm::RingWriter writer(&header, data, 512);
  std::vector<std::byte> payload;
  const auto type = wire::encode(cases->client_message(5), &payload);
  writer.try_write(static_cast<uint16_t>(type), payload);
  writer.try_write(2, as_bytes(std::string(200, 'x')));  // in fragments
  writer.publish();
  const uint64_t used = header.tail.load();
  std::vector<std::byte> script{std::byte{0}};
  for (uint64_t at = 0; at < used; at += 128) {  // case 4: bytes at a place; then no release
    const uint64_t part = std::min<uint64_t>(128, used - at);
    for (const uint64_t b : {uint64_t{4}, at / 8, part}) script.push_back(std::byte(b));
    script.insert(script.end(), data + at, data + at + part);
    script.push_back(std::byte{1});
  }
  for (const uint64_t b : {uint64_t{2}, used / 8, uint64_t{0}}) script.push_back(std::byte(b));
  corpus->add("ring", "reader-of-two-records", script);
  script.assign(64, std::byte{7});
  corpus->add("ring", "writer", script);
}

}  // namespace
}  // namespace sundog::fuzz

int main(int argc, char** argv) {
  using namespace sundog;  // NOLINT
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  fuzz::Corpus corpus(argv[1]);
  wire::MessageCases cases(1);
  fuzz::add_records(&corpus, &cases);
  fuzz::add_packets(&corpus);
  fuzz::add_arguments(&corpus);
  fuzz::add_values(&corpus);
  fuzz::add_rings(&corpus, &cases);
  if (corpus.failed()) std::fprintf(stderr, "cannot write to %s\n", argv[1]);
  return corpus.failed() ? 1 : 0;
}
