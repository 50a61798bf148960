/* A wrong wall clock, for programs of `codepretrain launch`: preloaded, adds CLOCK_SKEW_S seconds.

   Only the calls that Python's time.time() makes. Monotonic clocks, sleeps and the times of files are
   those of the machine, as on a host whose clock is wrong. Workers are left alone: XLA waits for
   absolute times by the kernel's own clock.

       cc -shared -fPIC -o skewed_clock.so skewed_clock.c -ldl
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long skew_s = 0;

__attribute__((constructor)) static void read_skew(void) {
  char line[4096];
  FILE *file = fopen("/proc/self/cmdline", "r");
  if (!file) return;
  size_t size = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[size] = 0;
  const char *given = getenv("CLOCK_SKEW_S");
  for (size_t i = 0; given && i < size; i += strlen(line + i) + 1)
    if (!strcmp(line + i, "launch")) skew_s = atol(given);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  if (!result && clock == CLOCK_REALTIME) now->tv_sec += skew_s;
  return result;
}

time_t time(time_t *where) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (where) *where = now.tv_sec;
  return now.tv_sec;
}
