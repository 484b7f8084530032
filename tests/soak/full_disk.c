/* Preloaded into busyd: while the file that FULL_DISK names exists, and from the N-th time on (its content), writing to
 * the ledger and its journal fails as on a full disk, and syncing them as on a broken one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long calls;

static int fails(int fd)
{
    char link[64], path[4096], number[32] = "";
    const char *control = getenv("FULL_DISK");
    ssize_t length;
    int orders;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (control == NULL || length < 0)
        return 0;
    path[length] = 0;
    if (strstr(path, "/ledger.sqlite3") == NULL)
        return 0;
    orders = open(control, O_RDONLY);
    if (orders < 0) {
        calls = 0;
        return 0;
    }
    if (read(orders, number, sizeof number - 1) < 0)
        number[0] = 0;
    close(orders);
    return ++calls >= atol(number);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at)
{
    ssize_t (*plain)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");

    if (fails(fd)) {
        errno = ENOSPC;
        return -1;
    }
    return plain(fd, bytes, size, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    return pwrite64(fd, bytes, size, at);
}

int fdatasync(int fd)
{
    int (*plain)(int) = dlsym(RTLD_NEXT, "fdatasync");

    if (fails(fd)) {
        errno = EIO;
        return -1;
    }
    return plain(fd);
}

int fsync(int fd)
{
    int (*plain)(int) = dlsym(RTLD_NEXT, "fsync");

    if (fails(fd)) {
        errno = EIO;
        return -1;
    }
    return plain(fd);
}
