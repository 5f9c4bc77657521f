/* What the parts of the module share: slots of Python objects, read and written in place. */
#ifndef EVENTSPINE_CORE_H
#define EVENTSPINE_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

/* The value in a `__slots__` slot; NULL where it was never set. Borrowed. */
static inline PyObject *slot_get(PyObject *object, Py_ssize_t offset) {
    return *(PyObject **)((char *)object + offset);
}

/* Puts `value` into a slot, and takes the reference. */
static inline void slot_set(PyObject *object, Py_ssize_t offset, PyObject *value) {
    PyObject **place = (PyObject **)((char *)object + offset);
    PyObject *before = *place;
    *place = value;
    Py_XDECREF(before);
}

/* Where a type keeps a slot; -1 and an error where it has none of that name. */
Py_ssize_t slot_offset(PyObject *type, const char *name);

extern PyTypeObject ShortWayType, LaneType, LaneTicketType;

PyObject *encode_entries(PyObject *module, PyObject *batch);
PyObject *extend_known(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *read_nowait(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *count_lines(PyObject *module, PyObject *data);
PyObject *write_all(PyObject *module, PyObject *writes);
PyObject *write_sealed(PyObject *module, PyObject *const *args, Py_ssize_t count);
int shapes_set(PyObject *commit_type, PyObject *unflushed_type);

#endif
