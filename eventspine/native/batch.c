/* What the writer's thread does with each commit of a batch, for all of them at once.
 *
 * The twins in Python: record.encode_entries and Backlog.add in adapters/filesystem.
 */
#include "core.h"

/* Where StreamCommit and Unflushed keep what is read here. */
static struct {
    PyTypeObject *commit;
    Py_ssize_t key, mode, epoch, first, lines, kind;
    PyTypeObject *unflushed;
    Py_ssize_t held;
} shapes;

int shapes_set(PyObject *commit_type, PyObject *unflushed_type) {
    Py_ssize_t key = slot_offset(commit_type, "key"), mode = slot_offset(commit_type, "mode");
    Py_ssize_t epoch = slot_offset(commit_type, "epoch");
    Py_ssize_t first = slot_offset(commit_type, "first_sequence");
    Py_ssize_t lines = slot_offset(commit_type, "lines"), kind = slot_offset(commit_type, "kind");
    Py_ssize_t held = slot_offset(unflushed_type, "lines");
    if (PyErr_Occurred())
        return -1;
    Py_INCREF(commit_type);
    Py_INCREF(unflushed_type);
    shapes.commit = (PyTypeObject *)commit_type;
    shapes.key = key, shapes.mode = mode, shapes.epoch = epoch, shapes.first = first;
    shapes.lines = lines, shapes.kind = kind;
    shapes.unflushed = (PyTypeObject *)unflushed_type;
    shapes.held = held;
    return 0;
}

/* A commit's lines; NULL and an error when this is no commit whose lines are bytes. Borrowed. */
static PyObject *lines_of(PyObject *commit) {
    if (shapes.commit == NULL || !PyObject_TypeCheck(commit, shapes.commit)) {
        PyErr_SetString(PyExc_TypeError, "a batch holds commits");
        return NULL;
    }
    PyObject *lines = slot_get(commit, shapes.lines);
    if (lines == NULL || !(PyList_Check(lines) || PyTuple_Check(lines))) {
        PyErr_SetString(PyExc_TypeError, "the lines of a commit are a list or a tuple");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(lines); i++)
        if (!PyBytes_Check(PySequence_Fast_GET_ITEM(lines, i))) {
            PyErr_SetString(PyExc_TypeError, "a line is bytes");
            return NULL;
        }
    return lines;
}

static char *put_little(char *out, uint64_t value, int size) {
    for (int i = 0; i < size; i++, value >>= 8)
        *out++ = (char)(value & 0xFF);
    return out;
}

typedef struct {
    const char *key, *mode;
    Py_ssize_t key_size, mode_size;
    PyObject *lines;
    long long epoch, kind;
    unsigned long long first;
} Entry;

static int entry_read(PyObject *commit, Entry *entry) {
    entry->lines = lines_of(commit);
    if (entry->lines == NULL)
        return -1;
    PyObject *key = slot_get(commit, shapes.key), *mode = slot_get(commit, shapes.mode);
    PyObject *epoch = slot_get(commit, shapes.epoch), *first = slot_get(commit, shapes.first);
    PyObject *kind = slot_get(commit, shapes.kind);
    if (!key || !mode || !epoch || !first || !kind) {
        PyErr_SetString(PyExc_AttributeError, "a commit is not filled in");
        return -1;
    }
    entry->key = PyUnicode_AsUTF8AndSize(key, &entry->key_size);
    entry->mode = PyUnicode_AsUTF8AndSize(mode, &entry->mode_size);
    entry->epoch = PyLong_AsLongLong(epoch);
    entry->first = PyLong_AsUnsignedLongLong(first);
    entry->kind = PyLong_AsLongLong(kind);
    if (PyErr_Occurred())
        return -1;
    if (entry->key_size > 0xFFFF || entry->mode_size > 0xFF || entry->epoch > 0xFFFFFFFFLL) {
        PyErr_SetString(PyExc_OverflowError, "a commit does not fit its record");
        return -1;
    }
    return 0;
}

#define ENTRY_HEAD 20

/* encode_entries(batch) -> bytes: the entries of a record; its layout is in record.py. */
PyObject *encode_entries(PyObject *module, PyObject *batch) {
    (void)module;
    PyObject *result = NULL, *list = PySequence_Fast(batch, "a batch is a sequence of commits");
    if (list == NULL)
        return NULL;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(list), size = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        Entry entry;
        if (entry_read(PySequence_Fast_GET_ITEM(list, i), &entry))
            goto done;
        size += ENTRY_HEAD + entry.key_size + entry.mode_size;
        for (Py_ssize_t n = 0; n < PySequence_Fast_GET_SIZE(entry.lines); n++)
            size += 4 + PyBytes_GET_SIZE(PySequence_Fast_GET_ITEM(entry.lines, n));
    }
    result = PyBytes_FromStringAndSize(NULL, size);
    if (result == NULL)
        goto done;
    char *out = PyBytes_AS_STRING(result);
    for (Py_ssize_t i = 0; i < count; i++) {
        Entry entry;
        if (entry_read(PySequence_Fast_GET_ITEM(list, i), &entry)) { /* it was read before */
            Py_CLEAR(result);
            goto done;
        }
        Py_ssize_t lines = PySequence_Fast_GET_SIZE(entry.lines);
        out = put_little(out, (uint64_t)entry.kind, 1);
        out = put_little(out, (uint64_t)entry.mode_size, 1);
        out = put_little(out, (uint64_t)entry.key_size, 2);
        out = put_little(out, (uint64_t)entry.epoch, 4);
        out = put_little(out, entry.first, 8);
        out = put_little(out, (uint64_t)lines, 4);
        memcpy(out, entry.key, (size_t)entry.key_size);
        out += entry.key_size;
        memcpy(out, entry.mode, (size_t)entry.mode_size);
        out += entry.mode_size;
        for (Py_ssize_t n = 0; n < lines; n++) {
            PyObject *line = PySequence_Fast_GET_ITEM(entry.lines, n);
            size_t bytes = (size_t)PyBytes_GET_SIZE(line);
            out = put_little(out, bytes, 4);
            memcpy(out, PyBytes_AS_STRING(line), bytes);
            out += bytes;
        }
    }
done:
    Py_DECREF(list);
    return result;
}

/* extend_known(adding, batch, other) -> None
 *
 * Adds each commit's lines to its stream's in the dictionary `adding`; a commit that is not just
 * more lines of a stream that has some already is given to `other`, in its place in the order. */
PyObject *extend_known(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 3 || !PyDict_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "extend_known(adding, batch, other)");
        return NULL;
    }
    PyObject *list = PySequence_Fast(args[1], "a batch is a sequence of commits");
    if (list == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list); i++) {
        PyObject *commit = PySequence_Fast_GET_ITEM(list, i), *lines = lines_of(commit);
        PyObject *key = lines ? slot_get(commit, shapes.key) : NULL;
        PyObject *stream = key ? PyDict_GetItemWithError(args[0], key) : NULL;
        if (PyErr_Occurred())
            goto failed;
        PyObject *held = NULL;
        if (stream != NULL && Py_TYPE(stream) == shapes.unflushed)
            held = slot_get(stream, shapes.held);
        Py_ssize_t more = PySequence_Fast_GET_SIZE(lines);
        if (held == NULL || !PyList_Check(held) || PyList_GET_SIZE(held) == 0 || more == 0) {
            PyObject *done = PyObject_CallOneArg(args[2], commit);
            if (done == NULL)
                goto failed;
            Py_DECREF(done);
            continue;
        }
        for (Py_ssize_t n = 0; n < more; n++)
            if (PyList_Append(held, PySequence_Fast_GET_ITEM(lines, n)))
                goto failed;
    }
    Py_DECREF(list);
    Py_RETURN_NONE;
failed:
    Py_DECREF(list);
    return NULL;
}
