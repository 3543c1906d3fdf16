#include "os/numeric_threads.h"

#include <dlfcn.h>
#include <link.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace sundog::os {
namespace {

// A function `void f(int)`, and a part of the names of the libraries that may have it.
struct Setter {
  std::string_view library;
  const char* function;
  int NumericThreads::*number;
};
constexpr std::array kSetters = {
    Setter{"gomp", "omp_set_num_threads", &NumericThreads::openmp},
    Setter{"omp", "omp_set_num_threads", &NumericThreads::openmp},  // libomp, libiomp5
    Setter{"blas", "openblas_set_num_threads", &NumericThreads::openblas},
    Setter{"blas", "openblas_set_num_threads64_", &NumericThreads::openblas},
    Setter{"blas", "scipy_openblas_set_num_threads", &NumericThreads::openblas},
    Setter{"blas", "scipy_openblas_set_num_threads64_", &NumericThreads::openblas},
    Setter{"mkl_rt", "MKL_Set_Num_Threads", &NumericThreads::mkl},
    Setter{"blis", "bli_thread_set_num_threads", &NumericThreads::blis},
};

bool may_have(std::string_view path, const Setter& setter) {
  std::string_view name = path.substr(path.rfind('/') + 1);
  return name.find(setter.library) != std::string_view::npos;
}

// Paths of the loaded libraries that may have one of the functions. Nothing is called meanwhile:
// the loader holds its lock.
std::vector<std::string> numeric_libraries() {
  std::vector<std::string> paths;
  auto look = [](dl_phdr_info* info, size_t, void* found) {
    std::string_view path = info->dlpi_name;
    for (const Setter& setter : kSetters) {
      if (!may_have(path, setter)) continue;
      static_cast<std::vector<std::string>*>(found)->emplace_back(path);
      break;
    }
    return 0;
  };
  dl_iterate_phdr(look, &paths);
  return paths;
}

}  // namespace

void set_numeric_threads(const NumericThreads& threads) {
  for (const std::string& path : numeric_libraries()) {
    void* library = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (library == nullptr) continue;
    for (const Setter& setter : kSetters) {
      int number = threads.*setter.number;
      if (number <= 0 || !may_have(path, setter)) continue;
      void* function = dlsym(library, setter.function);
      if (function != nullptr) reinterpret_cast<void (*)(int)>(function)(number);
    }
    dlclose(library);
  }
}

}  // namespace sundog::os
