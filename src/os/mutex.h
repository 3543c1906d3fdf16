// Mutex and MutexLock: std::mutex with clang's thread-safety attributes, which the standard
// library's own lacks, so that `make lint` refuses an access without the lock.
//
//   os::Mutex mutex_;
//   std::vector<int> queue_ SUNDOG_GUARDED_BY(mutex_);
//   void drain() SUNDOG_REQUIRES(mutex_);
//
// A mutex is a leaf: whoever holds one takes no other, does not sleep and calls nobody.
#pragma once

#include <mutex>

#if defined(__clang__)
#define SUNDOG_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define SUNDOG_THREAD_ATTRIBUTE(x)
#endif
#define SUNDOG_GUARDED_BY(mutex) SUNDOG_THREAD_ATTRIBUTE(guarded_by(mutex))
#define SUNDOG_REQUIRES(...) SUNDOG_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define SUNDOG_EXCLUDES(...) SUNDOG_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))

namespace sundog::os {

class SUNDOG_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  void lock() SUNDOG_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  void unlock() SUNDOG_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

// Holds the mutex while it lives; unlock() and lock() leave and take it in between.
class SUNDOG_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) SUNDOG_THREAD_ATTRIBUTE(acquire_capability(mutex))
      : mutex_(mutex) {
    mutex_->lock();
  }
  ~MutexLock() SUNDOG_THREAD_ATTRIBUTE(release_capability()) {
    if (held_) mutex_->unlock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void unlock() SUNDOG_THREAD_ATTRIBUTE(release_capability()) {
    mutex_->unlock();
    held_ = false;
  }
  void lock() SUNDOG_THREAD_ATTRIBUTE(acquire_capability()) {
    mutex_->lock();
    held_ = true;
  }

 private:
  Mutex* mutex_;
  bool held_ = true;
};

}  // namespace sundog::os
