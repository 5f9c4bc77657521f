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
    Py_ssize_t held, held_mode;
} shapes;

int shapes_set(PyObject *commit_type, PyObject *unflushed_type) {
    const struct {
        PyObject *type;
        const char *name;
        Py_ssize_t *offset;
    } wanted[] = {
        {commit_type, "key", &shapes.key},         {commit_type, "mode", &shapes.mode},
        {commit_type, "epoch", &shapes.epoch},     {commit_type, "first_sequence", &shapes.first},
        {commit_type, "lines", &shapes.lines},     {commit_type, "kind", &shapes.kind},
        {unflushed_type, "lines", &shapes.held},   {unflushed_type, "mode", &shapes.held_mode},
    };
    enum { COUNT = sizeof wanted / sizeof *wanted };
    Py_ssize_t found[COUNT];
    for (int i = 0; i < COUNT; i++)
        if ((found[i] = slot_offset(wanted[i].type, wanted[i].name)) < 0)
            return -1; /* the types known before stay */
    for (int i = 0; i < COUNT; i++)
        *wanted[i].offset = found[i];
    Py_INCREF(commit_type);
    Py_INCREF(unflushed_type);
    Py_XSETREF(shapes.commit, (PyTypeObject *)commit_type);
    Py_XSETREF(shapes.unflushed, (PyTypeObject *)unflushed_type);
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

#define ENTRY_HEAD 20
#define U32_MAX 0xFFFFFFFFLL

typedef struct {
    const char *key, *mode;
    Py_ssize_t key_size, mode_size;
    PyObject *lines;
    long long epoch, kind, first;
} Entry;

/* Runs no Python code, so that a commit reads the same both times. */
static int entry_read(PyObject *commit, Entry *entry) {
    entry->lines = lines_of(commit);
    if (entry->lines == NULL)
        return -1;
    PyObject *key = slot_get(commit, shapes.key), *mode = slot_get(commit, shapes.mode);
    if (key == NULL || !PyUnicode_Check(key) || mode == NULL || !PyUnicode_Check(mode)) {
        PyErr_SetString(PyExc_TypeError, "the key and the mode of a commit are text");
        return -1;
    }
    if ((entry->key = PyUnicode_AsUTF8AndSize(key, &entry->key_size)) == NULL ||
        (entry->mode = PyUnicode_AsUTF8AndSize(mode, &entry->mode_size)) == NULL)
        return -1;
    entry->kind = slot_number(commit, shapes.kind, 0xFF);
    entry->epoch = slot_number(commit, shapes.epoch, U32_MAX);
    entry->first = slot_number(commit, shapes.first, LLONG_MAX);
    if (entry->key_size > 0xFFFF || entry->mode_size > 0xFF || entry->kind < 0 ||
        entry->epoch < 0 || entry->first < 0 || PySequence_Fast_GET_SIZE(entry->lines) > U32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a commit does not fit its record");
        return -1;
    }
    return 0;
}

/* How long the entry of a commit gets; -1 and an error when it has none. */
static Py_ssize_t entry_size(PyObject *commit) {
    Entry entry;
    if (entry_read(commit, &entry))
        return -1;
    Py_ssize_t size = ENTRY_HEAD + entry.key_size + entry.mode_size;
    for (Py_ssize_t n = 0; n < PySequence_Fast_GET_SIZE(entry.lines); n++) {
        Py_ssize_t bytes = PyBytes_GET_SIZE(PySequence_Fast_GET_ITEM(entry.lines, n));
        if (bytes > U32_MAX) {
            PyErr_SetString(PyExc_OverflowError, "a line does not fit its record");
            return -1;
        }
        size += 4 + bytes;
    }
    return size;
}

/* encode_entries(batch) -> bytes: the entries of a record; its layout is in record.py. */
PyObject *encode_entries(PyObject *module, PyObject *batch) {
    (void)module;
    PyObject *result = NULL, *list = PySequence_Fast(batch, "a batch is a sequence of commits");
    if (list == NULL)
        return NULL;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(list), size = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t more = entry_size(PySequence_Fast_GET_ITEM(list, i));
        if (more < 0)
            goto done;
        size += more;
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
        out = put_little(out, (uint64_t)entry.first, 8);
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

#define EVENTS 1 /* CommitKind.EVENTS */

static int has_mode(PyObject *stream) {
    PyObject *mode = slot_get(stream, shapes.held_mode);
    return mode != NULL && PyUnicode_Check(mode) && PyUnicode_GET_LENGTH(mode) > 0;
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
        if (stream != NULL && Py_TYPE(stream) == shapes.unflushed &&
            has_mode(stream) && slot_number(commit, shapes.kind, EVENTS) == EVENTS)
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
