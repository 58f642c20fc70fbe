/*
 * Another machine, for programs that are started with this library in LD_PRELOAD: what the system tells of the machine's parts is
 * read below the folder that SLK_MACHINE names, and nowhere else.
 *
 * Linux only.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const told[] = {
    "/etc/machine-id", "/var/lib/dbus/machine-id", "/sys/class/", "/sys/block", "/sys/firmware/", "/proc/cpuinfo",
};

static const char *of_machine(const char *path, char *space)
{
    const char *machine = getenv("SLK_MACHINE");
    size_t place;
    for (place = 0; machine != NULL && place < sizeof told / sizeof *told; place++)
        if (strncmp(path, told[place], strlen(told[place])) == 0) {
            int length = snprintf(space, PATH_MAX, "%s%s", machine, path);
            return length < PATH_MAX ? space : "";
        }
    return path;
}

static int open_there(const char *path, int flags, mode_t mode)
{
    char space[PATH_MAX];
    return (int)syscall(SYS_openat, AT_FDCWD, of_machine(path, space), flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    return open_there(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    return open_there(path, flags | O_LARGEFILE, mode);
}

DIR *opendir(const char *path)
{
    int fd = open_there(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    return fd < 0 ? NULL : fdopendir(fd);
}
