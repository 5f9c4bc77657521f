/* What the C library does with the memory of large objects that are let go: kept for the next. */
#include "core.h"

#include <limits.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* keep_blocks(block_bytes, free_bytes) -> whether that could be set
 *
 * Blocks up to `block_bytes` come from the heap, and up to `free_bytes` at its end stay there. */
PyObject *keep_blocks(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "keep_blocks(block_bytes, free_bytes)");
        return NULL;
    }
    long block = PyLong_AsLong(args[0]), spare = PyLong_AsLong(args[1]);
    if (PyErr_Occurred())
        return NULL;
    if (block < 0 || spare < 0 || block > INT_MAX || spare > INT_MAX) {
        PyErr_SetString(PyExc_ValueError, "sizes of blocks are from 0 to 2 GiB");
        return NULL;
    }
#ifdef __GLIBC__
    return PyBool_FromLong(mallopt(M_MMAP_THRESHOLD, (int)block) == 1 &&
                           mallopt(M_TRIM_THRESHOLD, (int)spare) == 1);
#else
    Py_RETURN_FALSE;
#endif
}
