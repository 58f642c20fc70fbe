/*
 * A file layer that loses what was not synced, for programs that are started with it in LD_PRELOAD.
 *
 * Before the ledger's file or its journal is changed, what the change destroys is appended to an undo file in the folder that
 * SLK_UNDO_FOLDER names; a sync that succeeds empties it. After a kill, the undo file applied backwards gives the file as it
 * was at its last sync. Names are not covered: making, renaming and removing a file count as durable at once.
 *
 * SLK_UNDO_FORGETS names one of the files whose syncs shall not count: with it a test of durability must fail.
 * While the file that SLK_UNDO_REFUSES names exists, the file system is read-only for both files.
 *
 * Linux only. Everything goes to the kernel directly, so that nothing here can meet itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES = 2 };
static const char *const names[FILES] = {"ledger.db", "ledger.db-wal"};
static int undo[FILES] = {-1, -1};
static const char *folder;
static const char *forgets;
static const char *refuses;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What stands before the old bytes in an undo file; `losses.rs` reads it. */
struct record {
    int64_t offset;
    int64_t size;
    int64_t length;
};

__attribute__((constructor)) static void begin(void)
{
    folder = getenv("SLK_UNDO_FOLDER");
    forgets = getenv("SLK_UNDO_FORGETS");
    refuses = getenv("SLK_UNDO_REFUSES");
}

/* A layer that misses a change would make a test green: better no program at all. */
static void give_up(const char *what)
{
    dprintf(2, "the file layer failed: %s: %s\n", what, strerror(errno));
    abort();
}

/* Number of the file that a descriptor is open for, -1 for all that are none of ours. */
static int file_of(int fd)
{
    char link[40], path[PATH_MAX];
    int saved = errno, found = -1;
    if (folder == NULL)
        return -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size > 0) {
        path[size] = '\0';
        const char *name = strrchr(path, '/');
        for (int file = 0; name != NULL && file < FILES; file++)
            if (strcmp(name + 1, names[file]) == 0)
                found = file;
    }
    errno = saved;
    return found;
}

static int is_refused(void)
{
    int saved = errno;
    int there = refuses != NULL && syscall(SYS_faccessat, AT_FDCWD, refuses, F_OK) == 0;
    errno = there ? EROFS : saved;
    return there;
}

static int undo_of(int file)
{
    if (undo[file] < 0) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s.undo", folder, names[file]);
        undo[file] = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (undo[file] < 0)
            give_up(path);
    }
    return undo[file];
}

/* The old bytes. A second descriptor is opened only for who can't read his own: closing one drops his locks. */
static ssize_t old_bytes(int fd, char *bytes, size_t size, off_t offset)
{
    ssize_t got = syscall(SYS_pread64, fd, bytes, size, offset);
    if (got >= 0 || errno != EBADF)
        return got;
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int readable = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    if (readable < 0)
        return -1;
    got = syscall(SYS_pread64, readable, bytes, size, offset);
    syscall(SYS_close, readable);
    return got;
}

/* Notes what a change of `size` bytes at `offset` destroys. The lock is held. */
static void note(int file, int fd, off_t offset, size_t size)
{
    int saved = errno;
    struct stat now;
    if (fstat(fd, &now) != 0)
        give_up("fstat");
    size_t there = offset < now.st_size ? (size_t)(now.st_size - offset) : 0;
    size_t kept = size < there ? size : there;
    char *bytes = malloc(kept + 1);
    if (bytes == NULL)
        give_up("malloc");
    if (kept > 0 && old_bytes(fd, bytes, kept, offset) != (ssize_t)kept)
        give_up("pread");
    struct record record = {offset, (int64_t)kept, now.st_size};
    struct iovec parts[2] = {{&record, sizeof record}, {bytes, kept}};
    if (syscall(SYS_writev, undo_of(file), parts, 2) != (ssize_t)(sizeof record + kept))
        give_up("writev");
    free(bytes);
    errno = saved;
}

static off_t place(int fd)
{
    struct stat now;
    if ((fcntl(fd, F_GETFL) & O_APPEND) != 0 && fstat(fd, &now) == 0)
        return now.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

static size_t total(const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int part = 0; part < count; part++)
        size += parts[part].iov_len;
    return size;
}

/* Runs the call with what it destroys noted, when the descriptor is for one of the files. */
#define NOTED(fd, offset, size, call)                                                                                         \
    int file = file_of(fd);                                                                                                   \
    if (file < 0)                                                                                                             \
        return call;                                                                                                          \
    if (is_refused())                                                                                                         \
        return -1;                                                                                                            \
    pthread_mutex_lock(&lock);                                                                                                \
    note(file, fd, offset, size);                                                                                             \
    ssize_t result = call;                                                                                                    \
    pthread_mutex_unlock(&lock);                                                                                              \
    return result

ssize_t write(int fd, const void *bytes, size_t size)
{
    NOTED(fd, place(fd), size, syscall(SYS_write, fd, bytes, size));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    NOTED(fd, place(fd), total(parts, count), syscall(SYS_writev, fd, parts, count));
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    NOTED(fd, offset, size, syscall(SYS_pwrite64, fd, bytes, size, offset));
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    NOTED(fd, offset, size, syscall(SYS_pwrite64, fd, bytes, size, offset));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    NOTED(fd, offset, total(parts, count), syscall(SYS_pwritev, fd, parts, count, offset, 0));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    NOTED(fd, offset, total(parts, count), syscall(SYS_pwritev, fd, parts, count, offset, 0));
}

static int resize(int fd, off_t length)
{
    NOTED(fd, length, SIZE_MAX, (int)syscall(SYS_ftruncate, fd, length));
}

int ftruncate(int fd, off_t length)
{
    return resize(fd, length);
}

int ftruncate64(int fd, off64_t length)
{
    return resize(fd, length);
}

static int opened(const char *path, int flags, mode_t mode)
{
    const char *name = strrchr(path, '/');
    for (int file = 0; name != NULL && file < FILES; file++)
        if (strcmp(name + 1, names[file]) == 0 && (flags & O_ACCMODE) != O_RDONLY && is_refused())
            return -1;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#define OPENED                                                                                                                \
    mode_t mode = 0;                                                                                                          \
    if ((flags & O_CREAT) != 0) {                                                                                             \
        va_list rest;                                                                                                         \
        va_start(rest, flags);                                                                                                \
        mode = va_arg(rest, mode_t);                                                                                          \
        va_end(rest);                                                                                                         \
    }                                                                                                                         \
    return opened(path, flags, mode)

int open(const char *path, int flags, ...)
{
    OPENED;
}

int open64(const char *path, int flags, ...)
{
    OPENED;
}

static int synced(int fd, long call)
{
    int file = file_of(fd);
    if (file < 0)
        return (int)syscall(call, fd);
    /* No write may come between the sync and the end of what it made durable. */
    pthread_mutex_lock(&lock);
    int result = (int)syscall(call, fd);
    if (result == 0 && (forgets == NULL || strcmp(forgets, names[file]) != 0))
        if (syscall(SYS_ftruncate, undo_of(file), 0) != 0)
            give_up("ftruncate");
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int fd)
{
    return synced(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return synced(fd, SYS_fdatasync);
}
