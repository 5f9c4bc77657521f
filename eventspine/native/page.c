/* What a page of a stream is made of: a count of lines, where one of them begins, and the lines as the
 * members of a JSON array.
 *
 * The twins in Python: bytes.count, which takes a nanosecond a byte; bytes.index and rfind, a call
 * for each line; bytes.replace and bytes.join, which copy everything once more.
 */
#define _GNU_SOURCE
#include "core.h"

#include <string.h>

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

/* Where the line after the first `lines` of a text begins; -1 where there are not so many. */
static Py_ssize_t behind(const char *text, Py_ssize_t size, Py_ssize_t lines) {
    const char *at = text, *end = text + size;
    while (lines-- > 0) {
        const char *found = memchr(at, '\n', (size_t)(end - at));
        if (found == NULL)
            return -1;
        at = found + 1;
    }
    return at - text;
}

/* Where the last `lines` of a text begin, which ends with a newline; -1 as above. */
static Py_ssize_t before(const char *text, Py_ssize_t size, Py_ssize_t lines) {
    Py_ssize_t at = size;
    while (lines-- > 0) {
        if (at == 0)
            return -1;
        const char *found = memrchr(text, '\n', (size_t)(at - 1));
        at = found == NULL ? 0 : found + 1 - text;
    }
    return at;
}

/* place_of_line(data, lines, from_end) -> offset: behind so many first lines, or before so many
 * last ones. ValueError when there are fewer. */
PyObject *place_of_line(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 3 || !PyBytes_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "place_of_line(data, lines, from_end)");
        return NULL;
    }
    Py_ssize_t lines = PyLong_AsSsize_t(args[1]);
    int from_end = PyObject_IsTrue(args[2]);
    if (PyErr_Occurred())
        return NULL;
    const char *text = PyBytes_AS_STRING(args[0]);
    Py_ssize_t size = PyBytes_GET_SIZE(args[0]);
    Py_ssize_t at = (from_end ? before : behind)(text, size, lines);
    if (at < 0) {
        PyErr_SetString(PyExc_ValueError, "there are fewer lines");
        return NULL;
    }
    return PyLong_FromSsize_t(at);
}

/* joined_lines(before, data, start, end, after) -> bytes
 *
 * `before`, the lines in data[start:end] with a comma between two of them, `after`. The bytes at
 * `end` - 1 are the last newline, which is not taken. */
PyObject *joined_lines(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 5 || !PyBytes_Check(args[0]) || !PyBytes_Check(args[1]) ||
        !PyBytes_Check(args[4])) {
        PyErr_SetString(PyExc_TypeError, "joined_lines(before, data, start, end, after)");
        return NULL;
    }
    Py_ssize_t start = PyLong_AsSsize_t(args[2]), end = PyLong_AsSsize_t(args[3]);
    if (PyErr_Occurred())
        return NULL;
    if (start < 0 || end <= start || end > PyBytes_GET_SIZE(args[1])) {
        PyErr_SetString(PyExc_ValueError, "joined_lines takes a line at least");
        return NULL;
    }
    Py_ssize_t before = PyBytes_GET_SIZE(args[0]), after = PyBytes_GET_SIZE(args[4]);
    Py_ssize_t lines = end - 1 - start;
    PyObject *joined = PyBytes_FromStringAndSize(NULL, before + lines + after);
    if (joined == NULL)
        return NULL;
    char *out = PyBytes_AS_STRING(joined);
    const char *in = PyBytes_AS_STRING(args[1]) + start;
    memcpy(out, PyBytes_AS_STRING(args[0]), (size_t)before);
    out += before;
    for (Py_ssize_t i = 0; i < lines; i++)
        out[i] = in[i] == '\n' ? ',' : in[i];
    memcpy(out + lines, PyBytes_AS_STRING(args[4]), (size_t)after);
    return joined;
}
