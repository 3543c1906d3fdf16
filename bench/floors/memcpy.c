// The floor under put: how fast this machine copies BYTES in this minute.
//   warm    plain memcpy into pages that exist and are mapped, best of one and two threads
//   fresh   memcpy by two threads into pages of a memfd that are made at that moment: the better
//           of 4 KB pages and 2 MB pages (one page of each 2 MB touched, then MADV_COLLAPSE, just
//           ahead of the copy). Of either the median of several copies, the first left out, each as
//           long after the end of the one before as the first puts of put_large.py lie behind the
//           end of a session: what was given back a moment ago is still warm, what was given back
//           some seconds ago the host of a virtual machine may have taken
//
// Usage: memcpy BYTES. Prints JSON lines for the harness.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define HUGE_PAGE (2ul << 20)
#define STEP (16ul << 20)
#define WARM_ROUNDS 7
#define FRESH_ROUNDS 4
#define FRESH_PAUSE_MS 700

struct part {
  char* to;
  const char* from;
  size_t size;
  int collapse;
};

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void* copy_part(void* argument) {
  const struct part* part = argument;
  for (size_t done = 0; done < part->size; done += STEP) {
    size_t size = part->size - done < STEP ? part->size - done : STEP;
    if (part->collapse) {
      for (size_t page = 0; page < size; page += HUGE_PAGE) part->to[done + page] = 1;
      madvise(part->to + done, size / HUGE_PAGE * HUGE_PAGE, MADV_COLLAPSE);
    }
    memcpy(part->to + done, part->from + done, size);
  }
  return NULL;
}

// Seconds for one copy of `size` bytes by `threads` threads (1 or 2).
static double copy(char* to, const char* from, size_t size, int threads, int collapse) {
  size_t half = size / 2 / HUGE_PAGE * HUGE_PAGE;
  struct part whole = {to, from, size, collapse};
  struct part parts[2] = {{to, from, half, collapse},
                          {to + half, from + half, size - half, collapse}};
  pthread_t other;
  double begin = now_s();
  if (threads == 1) {
    copy_part(&whole);
  } else {
    if (pthread_create(&other, NULL, copy_part, &parts[1]) != 0) exit(2);
    copy_part(&parts[0]);
    pthread_join(other, NULL);
  }
  return now_s() - begin;
}

static char* map_shared(size_t size) {
  int fd = memfd_create("floor", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, (off_t)size) != 0) exit(2);
  // Aligned to a huge page, as an arena is: reserve more, then map at the aligned address.
  char* room = mmap(NULL, size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) exit(2);
  char* aligned = (char*)(((unsigned long)room + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
  char* mapped = mmap(aligned, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
  if (mapped == MAP_FAILED) exit(2);
  close(fd);
  return mapped;
}

static int by_size(const void* a, const void* b) {
  double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

// Seconds for a copy into pages of one kind, as said above.
static double copy_fresh(const char* from, size_t size, int collapse) {
  double took[FRESH_ROUNDS];
  for (int round = 0; round < FRESH_ROUNDS; round++) {
    struct timespec pause = {0, FRESH_PAUSE_MS * 1000000l};
    nanosleep(&pause, NULL);
    char* to = map_shared(size);
    took[round] = copy(to, from, size, 2, collapse);
    munmap(to, size);
  }
  qsort(took + 1, FRESH_ROUNDS - 1, sizeof *took, by_size);
  return took[1 + (FRESH_ROUNDS - 1) / 2];
}

static void report(const char* metric, size_t size, double best) {
  printf("{\"metric\": \"%s\", \"unit\": \"GB/s\", \"value\": %.3f}\n", metric,
         (double)size / best / 1e9);
  printf("{\"metric\": \"%s, time\", \"unit\": \"ms\", \"value\": %.3f}\n", metric, best * 1e3);
}

int main(int argc, char** argv) {
  size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
  if (size < 2 * HUGE_PAGE) return 2;
  char* from = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (from == MAP_FAILED) return 2;
  memset(from, 7, size);
  double fresh = 1e9, warm = 1e9;
  for (int collapse = 0; collapse <= 1; collapse++) {
    double took = copy_fresh(from, size, collapse);
    if (took < fresh) fresh = took;
  }
  char* to = map_shared(size);
  copy(to, from, size, 2, 0);
  for (int round = 0; round < WARM_ROUNDS; round++)
    for (int threads = 1; threads <= 2; threads++) {
      memset(from, round, 4096);
      double took = copy(to, from, size, threads, 0);
      if (took < warm) warm = took;
    }
  report("memcpy, warm pages", size, warm);
  report("memcpy, fresh pages", size, fresh);
  return to[0] == WARM_ROUNDS - 1 ? 0 : 2;
}
