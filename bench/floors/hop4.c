// The floor under one task: four hops, client -> daemon -> worker -> daemon -> client, over one
// shared page. The daemon sleeps in epoll on one eventfd, the two peers on futexes; whoever
// publishes wakes only a sleeper. Nothing is encoded, decided or run: a runtime of this shape
// cannot be faster on this machine in this minute.
//
// Usage: hop4 [SECONDS]. Prints one JSON line for the harness.
#define _GNU_SOURCE
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_SAMPLES 2000000
#define WARM_UP 1000

// One direction: the number of messages sent so far and the receiver's sleep word.
struct mailbox {
  _Alignas(64) atomic_uint sent;
  _Alignas(64) atomic_uint asleep;
};
struct shared {
  struct mailbox to_worker, to_client;      // receivers sleep on a futex
  struct mailbox from_client, from_worker;  // the daemon sleeps in epoll, see daemon_asleep
  _Alignas(64) atomic_uint daemon_asleep;
};

static struct shared *shared;
static int bell;

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void send_to_peer(struct mailbox *box) {
  atomic_fetch_add(&box->sent, 1);
  if (atomic_exchange(&box->asleep, 0) != 0)
    syscall(SYS_futex, &box->asleep, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void send_to_daemon(struct mailbox *box) {
  uint64_t one = 1;
  atomic_fetch_add(&box->sent, 1);
  if (atomic_exchange(&shared->daemon_asleep, 0) != 0 && write(bell, &one, sizeof one) < 0) _exit(2);
}

static void await_as_peer(struct mailbox *box, unsigned seen) {
  while (atomic_load(&box->sent) == seen) {
    atomic_store(&box->asleep, 1);
    if (atomic_load(&box->sent) != seen) break;
    syscall(SYS_futex, &box->asleep, FUTEX_WAIT, 1, NULL, NULL, 0);
  }
  atomic_store(&box->asleep, 0);
}

static void run_worker(void) {
  for (unsigned seen = 0;; seen++) {
    await_as_peer(&shared->to_worker, seen);
    send_to_daemon(&shared->from_worker);
  }
}

static void run_daemon(void) {
  int poll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  unsigned from_client = 0, from_worker = 0;
  uint64_t count;
  if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, bell, &event) != 0) _exit(2);
  for (;;) {
    unsigned client = atomic_load(&shared->from_client.sent);
    unsigned worker = atomic_load(&shared->from_worker.sent);
    if (client != from_client) {
      from_client++;
      send_to_peer(&shared->to_worker);
      continue;
    }
    if (worker != from_worker) {
      from_worker++;
      send_to_peer(&shared->to_client);
      continue;
    }
    atomic_store(&shared->daemon_asleep, 1);
    if (atomic_load(&shared->from_client.sent) == from_client &&
        atomic_load(&shared->from_worker.sent) == from_worker) {
      if (epoll_wait(poll, &event, 1, -1) == 1 && read(bell, &count, sizeof count) < 0) _exit(2);
    }
    atomic_store(&shared->daemon_asleep, 0);
  }
}

static pid_t start(void (*run)(void)) {
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run();
    _exit(0);
  }
  return pid;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  double seconds = argc > 1 ? atof(argv[1]) : 1.0;
  double *samples = malloc(sizeof *samples * MAX_SAMPLES);
  size_t taken = 0;
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  bell = eventfd(0, EFD_CLOEXEC);
  if (samples == NULL || shared == MAP_FAILED || bell < 0) return 2;
  pid_t daemon = start(run_daemon), worker = start(run_worker);
  if (daemon < 0 || worker < 0) return 2;
  double begin = 0, end = 0;
  for (unsigned i = 0; end < begin + seconds && taken < MAX_SAMPLES; i++) {
    double sent = now_s();
    send_to_daemon(&shared->from_client);
    await_as_peer(&shared->to_client, i);
    end = now_s();
    if (i == WARM_UP) begin = end;
    if (i > WARM_UP) samples[taken++] = end - sent;
    if (i <= WARM_UP) begin = end;
  }
  kill(daemon, SIGKILL);
  kill(worker, SIGKILL);
  while (wait(NULL) > 0) {
  }
  qsort(samples, taken, sizeof *samples, by_value);
  printf("{\"metric\": \"4 hops\", \"unit\": \"/s\", \"value\": %.1f, \"p50\": %.9f, \"p99\": %.9f}\n",
         (double)taken / (end - begin), samples[taken / 2], samples[taken * 99 / 100]);
  return 0;
}
