// Serves a model that is written in Python (python_model.py, beside this file) to a C++ program.
// The model lives in an actor; requests and answers are arrays in shared memory. model_server
// PYTHON FOLDER-OF-python_model.py
#include <sundog/sundog.h>

#include <cstdlib>
#include <iostream>

int main(int argc, char** argv) try {
  if (argc < 3) throw std::runtime_error("usage: model_server PYTHON FOLDER");
  const char* path = std::getenv("PYTHONPATH");
  setenv("PYTHONPATH", (std::string(argv[2]) + (path ? std::string(":") + path : "")).c_str(), 1);
  sundog::InitOptions options;
  options.python = argv[1];
  auto session = sundog::init(options);

  auto model = session.python_actor("python_model:Model").remote(3);
  std::vector<float> pixels(4 * 3, 0.5f);  // four requests of three features
  sundog::TensorView<float> batch(pixels, {4, 3});
  auto answer = session.get(model.call<sundog::TensorView<float>>("predict").remote(batch));
  std::cout << "answers of shape " << answer.shape()[0] << " x " << answer.shape()[1] << ": ";
  for (float each : answer) std::cout << each << " ";
  auto about = session.get(model.call<std::map<std::string, std::string>>("describe").remote());
  std::cout << "\nby " << about.at("name") << "\n";
  try {
    session.get(model.call<void>("predict").remote("no array"));
  } catch (const sundog::TaskError& error) {
    std::cout << error.type() << " of Python arrives here\n";
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
