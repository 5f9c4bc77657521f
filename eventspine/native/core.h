/* What the parts of the module share: slots of Python objects, read and written in place. */
#ifndef EVENTSPINE_CORE_H
#define EVENTSPINE_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

/* The value in a `__slots__` slot; NULL where it was never set, or deleted. Borrowed: whoever lets
 * Python code run takes a reference first. */
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

/* The integer in a slot; -1 when it is none, or none between 0 and `most`. Never an error. */
static inline long long slot_number(PyObject *object, Py_ssize_t offset, long long most) {
    PyObject *value = slot_get(object, offset);
    int overflow = 1;
    long long number = value != NULL && PyLong_Check(value)
                           ? PyLong_AsLongLongAndOverflow(value, &overflow)
                           : -1;
    return overflow == 0 && number >= 0 && number <= most ? number : -1;
}

/* After a call that failed: 0 when it is for the Python twin to say so, who asks the same again;
 * -1 when it is no Exception (a KeyboardInterrupt), which stays the error of this call. */
static inline int leave_to_twin(void) {
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    PyErr_Clear();
    return 0;
}

/* Where a type keeps a slot; -1 and an error where it has none of that name. */
Py_ssize_t slot_offset(PyObject *type, const char *name);

/* A file descriptor; -1, which no call takes, and an error where it is no number that fits. */
int descriptor_of(PyObject *number);

extern PyTypeObject ShortWayType, LaneType, LaneTicketType, ExpressType;

/* All of the bytes, or an errno; the first also on the disk when it returns. */
int write_durably(int fd, const char *data, Py_ssize_t size, off_t offset);
int write_plainly(int fd, const char *data, Py_ssize_t size, off_t offset);

PyObject *encode_entries(PyObject *module, PyObject *batch);
PyObject *extend_known(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *read_nowait(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *read_file_nowait(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *count_lines(PyObject *module, PyObject *data);
PyObject *place_of_line(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *joined_lines(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *sum_crc32(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *keep_blocks(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* dots.c */
PyObject *dot(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *apart(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *begin_all(PyObject *module, PyObject *streams);
PyObject *place_all(PyObject *module, PyObject *files);
PyObject *write_all(PyObject *module, PyObject *writes);
PyObject *write_sealed(PyObject *module, PyObject *const *args, Py_ssize_t count);
void sums_ready(void);
int shapes_set(PyObject *commit_type, PyObject *unflushed_type);

#endif
