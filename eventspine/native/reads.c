/* Reads that wait for no device: of an open file, and of a whole small one by its name.
 *
 * They keep the interpreter, since there is nothing to wait for; a thread for a read of what is in
 * memory costs more than the read. The twin in Python, which copies what it has read twice:
 * adapters/filesystem/disk.py. A file by its name has none: the kernel's way to open what is in
 * memory, and nothing else, is not in the standard library.
 */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#define RESOLVE_CACHED_BIT 0x20 /* Linux 5.12; older ones say EINVAL, and nothing is read here */

/* read_nowait(fd, count, offset) -> bytes, perhaps fewer than asked for
 *
 * Raises OSError, EAGAIN among them when it would have to wait. Keeps the interpreter: there is
 * nothing to wait for. */
PyObject *read_nowait(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "read_nowait(fd, count, offset)");
        return NULL;
    }
    int fd = descriptor_of(args[0]);
    Py_ssize_t wanted = PyLong_AsSsize_t(args[1]);
    off_t offset = PyLong_AsLongLong(args[2]);
    if (PyErr_Occurred())
        return NULL;
    if (offset < 0 || wanted < 0) { /* preadv2 would take -1 for wherever the file stands */
        errno = EINVAL;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, wanted);
    if (bytes == NULL)
        return NULL;
    struct iovec piece = {PyBytes_AS_STRING(bytes), (size_t)wanted};
    ssize_t got = preadv2(fd, &piece, 1, offset, RWF_NOWAIT);
    if (got < 0) {
        Py_DECREF(bytes);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    if (got < wanted)
        _PyBytes_Resize(&bytes, got);
    return bytes;
}

static int open_nowait(const char *path) {
    /* O_NOATIME: the time of access would be written, and that may wait; EPERM where the file is
     * somebody else's */
    struct {
        uint64_t flags, mode, resolve;
    } how = {O_RDONLY | O_CLOEXEC | O_NOATIME, 0, RESOLVE_CACHED_BIT};
    return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

/* read_file_nowait(path, size) -> bytes, or None
 *
 * All of a file that has `size` bytes. None where that is not so, and where its name or any of its
 * bytes would have to be fetched. */
PyObject *read_file_nowait(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 2 || !PyBytes_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "read_file_nowait(path, size)");
        return NULL;
    }
    char *path;
    Py_ssize_t size = PyLong_AsSsize_t(args[1]);
    if (PyErr_Occurred() || PyBytes_AsStringAndSize(args[0], &path, NULL))
        return NULL; /* it may not hold a zero */
    int fd = size < 0 ? -1 : open_nowait(path);
    if (fd < 0)
        Py_RETURN_NONE;
    PyObject *bytes = NULL;
    struct stat found;
    if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_size == size) {
        bytes = PyBytes_FromStringAndSize(NULL, size);
        if (bytes != NULL && size > 0) {
            struct iovec piece = {PyBytes_AS_STRING(bytes), (size_t)size};
            if (preadv2(fd, &piece, 1, 0, RWF_NOWAIT) != size)
                Py_CLEAR(bytes);
        }
    }
    close(fd);
    if (bytes == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return bytes;
}
