/*
 * Clocks that a test moves, for programs that are started with this library in LD_PRELOAD.
 *
 * The file that SLK_SHIFTED_CLOCK names holds three numbers of 64 bits: nanoseconds to add to the wall clock, to the clock that
 * counts time awake, and to the one that counts time asleep too. It is mapped, so a change is seen by the next call.
 * Waits of the system are not moved: what waits for a moment looks at the clock again when its wait is over.
 *
 * Linux only.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WALL, AWAKE, BOOT, CLOCKS };
static const volatile int64_t *shift;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("SLK_SHIFTED_CLOCK");
    int fd;
    if (name == NULL)
        return;
    fd = open(name, O_RDONLY | O_CLOEXEC);
    shift = fd < 0 ? MAP_FAILED : mmap(NULL, CLOCKS * sizeof *shift, PROT_READ, MAP_SHARED, fd, 0);
    /* A program by the true clocks would make a test green: better no program at all. */
    if (shift == MAP_FAILED) {
        dprintf(2, "the clocks can't be moved: %s\n", name);
        abort();
    }
    close(fd);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    const int64_t second = 1000000000;
    int64_t nanoseconds;
    int outcome = (int)syscall(SYS_clock_gettime, id, now), place;
    if (outcome != 0 || shift == NULL)
        return outcome;
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        place = WALL;
        break;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
        place = AWAKE;
        break;
    case CLOCK_BOOTTIME:
        place = BOOT;
        break;
    default:
        return outcome;
    }
    nanoseconds = shift[place] % second + now->tv_nsec;
    now->tv_sec += shift[place] / second + nanoseconds / second;
    now->tv_nsec = nanoseconds % second;
    if (now->tv_nsec < 0) {
        now->tv_nsec += second;
        now->tv_sec -= 1;
    }
    return 0;
}
