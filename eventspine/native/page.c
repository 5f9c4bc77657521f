/* What a page of a stream is made of: one read that waits for no device, and a count of lines.
 *
 * The twins in Python: Disk.read_nowait, which copies what it has read twice, and bytes.count,
 * which takes a nanosecond a byte.
 */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <sys/uio.h>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008
#endif

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

/* count_lines(data) -> how many newlines are in these bytes */
PyObject *count_lines(PyObject *module, PyObject *data) {
    (void)module;
    if (!PyBytes_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "count_lines(data)");
        return NULL;
    }
    const char *bytes = PyBytes_AS_STRING(data);
    Py_ssize_t size = PyBytes_GET_SIZE(data), lines = 0;
    while (size > 0) { /* in stretches whose count fits a byte for each lane of a vector */
        Py_ssize_t stretch = size < 4096 ? size : 4096;
        int found = 0;
        for (Py_ssize_t i = 0; i < stretch; i++)
            found += bytes[i] == '\n';
        lines += found;
        bytes += stretch, size -= stretch;
    }
    return PyLong_FromSsize_t(lines);
}
