// How many threads the numeric libraries that this process has loaded may use. They read their
// environment variables only when they are loaded; afterwards only a call changes it.
//
// Any thread may call; OpenMP keeps its number for each thread, so it is the calling one's. Loads
// no library.
#pragma once

namespace sundog::os {

// For each family a number of threads; 0 leaves it as it is.
struct NumericThreads {
  int openmp = 0;
  int openblas = 0;
  int mkl = 0;
  int blis = 0;
};
void set_numeric_threads(const NumericThreads& threads);

}  // namespace sundog::os
