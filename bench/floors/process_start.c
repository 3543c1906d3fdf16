// The floor under init: starting one small process, and forking this one.
// Usage: process_start. Prints JSON lines for the harness.
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 50

extern char **environ;

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void report(const char *metric, double *samples) {
  qsort(samples, ROUNDS, sizeof *samples, by_value);
  printf("{\"metric\": \"%s\", \"unit\": \"s\", \"value\": %.6f, \"p50\": %.6f, \"p99\": %.6f}\n",
         metric, samples[ROUNDS / 2], samples[ROUNDS / 2], samples[ROUNDS - 1]);
}

int main(void) {
  double spawned[ROUNDS], forked[ROUNDS];
  char *command[] = {"/bin/true", NULL};
  for (int i = 0; i < ROUNDS; i++) {
    pid_t pid;
    double begin = now_s();
    if (posix_spawn(&pid, command[0], NULL, NULL, command, environ) != 0) return 2;
    waitpid(pid, NULL, 0);
    spawned[i] = now_s() - begin;
    begin = now_s();
    pid = fork();
    if (pid == 0) _exit(0);
    waitpid(pid, NULL, 0);
    forked[i] = now_s() - begin;
  }
  report("process start and end", spawned);
  report("fork and end", forked);
  return 0;
}
