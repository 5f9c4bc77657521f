/* System calls without the interpreter: many writes, many files, or a commit and its seal, in one go.
 *
 * Why: each system call made from Python gives the interpreter lock away and has to get it back,
 * 5 to 300 us with a busy loop beside it. A flush of 1,000 streams is 2,000 writes, and their first
 * one makes a folder and two files for each.
 * The twins in Python, which say the same call by call: adapters/filesystem/disk.py.
 */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif

typedef struct {
    int fd;
    off_t offset;
    Py_buffer data;
} Write;

/* All of the bytes, or an errno. A short write is carried on until it is one of them. */
static int write_whole(int fd, const char *data, Py_ssize_t size, off_t offset, int flags) {
    if (offset < 0)
        return EINVAL; /* pwritev2 would take -1 for wherever the file stands */
    do {
        struct iovec piece = {(void *)data, (size_t)size};
        ssize_t done = flags ? pwritev2(fd, &piece, 1, offset, flags)
                             : pwrite(fd, data, (size_t)size, offset);
        if (done < 0) {
            if (errno == EINTR)
                continue;
            return errno;
        }
        if (done == 0 && size > 0)
            return EIO; /* a write that makes no progress */
        data += done, size -= done, offset += done;
    } while (size > 0);
    return 0;
}

int write_durably(int fd, const char *data, Py_ssize_t size, off_t offset) {
    return write_whole(fd, data, size, offset, RWF_DSYNC);
}

int write_plainly(int fd, const char *data, Py_ssize_t size, off_t offset) {
    return write_whole(fd, data, size, offset, 0);
}

static PyObject *os_error(int code) {
    errno = code;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* write_all([(fd, data, offset), ...]) -> None
 *
 * Each of the writes, in this order. Raises the OSError of the first that fails, with its place
 * in the list as `filename`: those before it are done, those behind it are not begun. */
PyObject *write_all(PyObject *module, PyObject *writes) {
    (void)module;
    PyObject *list = PySequence_Tuple(writes); /* ours: reading one may run Python code */
    if (list == NULL)
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(list), taken = 0, at = 0;
    int code = 0;
    Write *all = PyMem_New(Write, count ? count : 1);
    if (all == NULL) {
        Py_DECREF(list);
        return PyErr_NoMemory();
    }
    for (; taken < count; taken++) {
        Write *one = &all[taken];
        PyObject *write = PyTuple_GET_ITEM(list, taken);
        long long offset;
        if (!PyTuple_Check(write)) {
            PyErr_SetString(PyExc_TypeError, "a write is a tuple of descriptor, data and offset");
            goto done;
        }
        if (!PyArg_ParseTuple(write, "iy*L", &one->fd, &one->data, &offset))
            goto done;
        one->offset = offset;
    }
    Py_BEGIN_ALLOW_THREADS
    for (at = 0; at < count; at++) {
        code = write_whole(all[at].fd, all[at].data.buf, all[at].data.len, all[at].offset, 0);
        if (code)
            break;
    }
    Py_END_ALLOW_THREADS
    if (code) {
        PyObject *place = PyLong_FromSsize_t(at);
        if (place != NULL) {
            errno = code;
            PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, place);
            Py_DECREF(place);
        }
    }
done:
    for (Py_ssize_t i = 0; i < taken; i++)
        PyBuffer_Release(&all[i].data);
    PyMem_Free(all);
    Py_DECREF(list);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

typedef struct {
    const char *folder, *events, *index, *head;
    Py_ssize_t head_bytes;
    int fds[2]; /* of events and index; -1 where it was not made */
} Made;

/* A new file, or -1. One that is there already is none of ours. */
static int new_file(const char *path) {
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
}

static void make_one(Made *one) {
    one->fds[0] = one->fds[1] = -1;
    if (mkdir(one->folder, 0777) && errno != EEXIST)
        return;
    one->fds[0] = new_file(one->events);
    one->fds[1] = one->fds[0] < 0 ? -1 : new_file(one->index);
    if (one->fds[1] >= 0 && write_whole(one->fds[1], one->head, one->head_bytes, 0, 0) == 0)
        return;
    if (one->fds[1] >= 0) { /* an index without a whole head would be taken for damage */
        close(one->fds[1]);
        unlink(one->index);
    }
    if (one->fds[0] >= 0) {
        close(one->fds[0]);
        unlink(one->events);
    }
    one->fds[0] = one->fds[1] = -1;
}

/* begin_all([(folder, events, index, head), ...]) -> [(events_fd, index_fd) or None, ...]
 *
 * The files of new streams, all four of it bytes, the folder above being there. None where that
 * cannot be done just so: nothing of it is left then but a folder. */
PyObject *begin_all(PyObject *module, PyObject *streams) {
    (void)module;
    PyObject *list = PySequence_Tuple(streams), *result = NULL;
    if (list == NULL)
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(list);
    Made *all = PyMem_New(Made, count ? count : 1);
    if (all == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *stream = PyTuple_GET_ITEM(list, i);
        if (!PyTuple_Check(stream)) {
            PyErr_SetString(PyExc_TypeError, "a stream is a tuple of three paths and a head");
            goto done;
        }
        if (!PyArg_ParseTuple(stream, "yyyy#", &all[i].folder, &all[i].events, &all[i].index,
                              &all[i].head, &all[i].head_bytes))
            goto done; /* the bytes are the tuple's, and the tuple is ours */
    }
    if ((result = PyList_New(count)) == NULL)
        goto done;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++)
        make_one(&all[i]);
    Py_END_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *fds = all[i].fds[1] < 0 ? Py_NewRef(Py_None)
                                          : Py_BuildValue("(ii)", all[i].fds[0], all[i].fds[1]);
        if (fds == NULL) { /* out of memory: the descriptors stay open, the files are whole */
            Py_CLEAR(result);
            break;
        }
        PyList_SET_ITEM(result, i, fds);
    }
done:
    PyMem_Free(all);
    Py_DECREF(list);
    return result;
}

typedef struct {
    const char *draft, *name, *data;
    Py_ssize_t bytes;
} Placed;

/* A whole file under its name, or an errno; whatever was under the name is replaced. */
static int place_one(const Placed *one) {
    int fd = open(one->draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno;
    int code = one->bytes ? write_whole(fd, one->data, one->bytes, 0, 0) : 0;
    if (close(fd) && !code)
        code = errno;
    if (!code && strcmp(one->draft, one->name) && rename(one->draft, one->name))
        code = errno;
    return code;
}

/* place_all([(draft, name, data), ...]) -> None
 *
 * Each of the files, all three of it bytes, in this order. Raises the OSError of the first that
 * fails: those before it are there, those behind it are not begun. */
PyObject *place_all(PyObject *module, PyObject *files) {
    (void)module;
    PyObject *list = PySequence_Tuple(files);
    if (list == NULL)
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(list);
    int code = 0;
    Placed *all = PyMem_New(Placed, count ? count : 1);
    if (all == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *file = PyTuple_GET_ITEM(list, i);
        if (!PyTuple_Check(file)) {
            PyErr_SetString(PyExc_TypeError, "a file is a tuple of two paths and its bytes");
            goto done;
        }
        PyObject *data; /* bytes do not change, and the tuple is ours */
        if (!PyArg_ParseTuple(file, "yyS", &all[i].draft, &all[i].name, &data))
            goto done;
        all[i].data = PyBytes_AS_STRING(data), all[i].bytes = PyBytes_GET_SIZE(data);
    }
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count && !code; i++)
        code = place_one(&all[i]);
    Py_END_ALLOW_THREADS
    if (code)
        os_error(code);
done:
    PyMem_Free(all);
    Py_DECREF(list);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

int descriptor_of(PyObject *number) {
    long fd = PyLong_AsLong(number);
    if (fd > INT_MAX || fd < INT_MIN) {
        PyErr_SetString(PyExc_OverflowError, "no descriptor is so large");
        return -1;
    }
    return (int)fd;
}

/* write_sealed(fd, data, offset, seal_fd, seal) -> errno of the seal, or 0
 *
 * `data` is durable when this returns; then the seal is written, and not waited for. */
PyObject *write_sealed(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 5 || !PyBytes_Check(args[1]) || !PyBytes_Check(args[4])) {
        PyErr_SetString(PyExc_TypeError, "write_sealed(fd, data, offset, seal_fd, seal)");
        return NULL;
    }
    int fd = descriptor_of(args[0]), seal_fd = descriptor_of(args[3]);
    off_t offset = PyLong_AsLongLong(args[2]);
    if (PyErr_Occurred())
        return NULL;
    const char *data = PyBytes_AS_STRING(args[1]), *seal = PyBytes_AS_STRING(args[4]);
    Py_ssize_t size = PyBytes_GET_SIZE(args[1]), seal_size = PyBytes_GET_SIZE(args[4]);
    int code, seal_code = 0;
    Py_BEGIN_ALLOW_THREADS
    code = write_whole(fd, data, size, offset, RWF_DSYNC);
    if (!code)
        seal_code = write_whole(seal_fd, seal, seal_size, 0, 0);
    Py_END_ALLOW_THREADS
    return code ? os_error(code) : PyLong_FromLong(seal_code);
}
