/* Makes one write of a process stop half-way: the n-th pwrite or pwritev2 from arming on.
   Loaded by LD_PRELOAD; armed by short_writes.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int countdown, deadly, seen;

void short_writes_arm(int nth, int then_die) { countdown = nth; deadly = then_die; seen = 0; }
int short_writes_seen(void) { return seen; }

static int is_due(size_t size) {
    if (size < 2) return 0;
    seen++;
    return countdown > 0 && --countdown == 0;
}

static ssize_t done(ssize_t result) {
    if (deadly) kill(getpid(), SIGKILL);
    return result;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    return is_due(size) ? done(real(fd, data, size / 2, at)) : real(fd, data, size, at);
}

ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags) {
    ssize_t (*real)(int, const struct iovec *, int, off64_t, int) = dlsym(RTLD_NEXT, "pwritev64v2");
    if (count == 1 && is_due(parts[0].iov_len)) {
        struct iovec half = {parts[0].iov_base, parts[0].iov_len / 2};
        return done(real(fd, &half, 1, at, flags));
    }
    return real(fd, parts, count, at, flags);
}
