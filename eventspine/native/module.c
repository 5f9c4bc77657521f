/* eventspine.native._core: the module. */
#include "core.h"

PyDoc_STRVAR(shapes_doc, "shapes(commit_type, unflushed_type) -> None\n\n"
                         "The types whose slots encode_entries and extend_known read.");

static PyObject *shapes(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *commit_type, *unflushed_type;
    if (!PyArg_ParseTuple(args, "O!O!", &PyType_Type, &commit_type, &PyType_Type,
                          &unflushed_type) ||
        shapes_set(commit_type, unflushed_type))
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"shapes", shapes, METH_VARARGS, shapes_doc},
    {"encode_entries", encode_entries, METH_O, "The entries of a record: record.py."},
    {"extend_known", (PyCFunction)(void (*)(void))extend_known, METH_FASTCALL,
     "extend_known(adding, batch, other): Backlog.add for many."},
    {"read_nowait", (PyCFunction)(void (*)(void))read_nowait, METH_FASTCALL,
     "read_nowait(fd, count, offset) -> bytes; OSError EAGAIN when it would have to wait"},
    {"read_file_nowait", (PyCFunction)(void (*)(void))read_file_nowait, METH_FASTCALL,
     "read_file_nowait(path, size) -> bytes, or None where it is not so or would have to wait"},
    {"count_lines", count_lines, METH_O, "How many newlines are in these bytes."},
    {"place_of_line", (PyCFunction)(void (*)(void))place_of_line, METH_FASTCALL,
     "place_of_line(data, lines, from_end) -> offset behind the first or before the last lines"},
    {"joined_lines", (PyCFunction)(void (*)(void))joined_lines, METH_FASTCALL,
     "joined_lines(before, data, start, end, after) -> bytes, with commas for newlines"},
    {"crc32", (PyCFunction)(void (*)(void))sum_crc32, METH_FASTCALL,
     "crc32(data, folding=True) -> int, keeping the interpreter"},
    {"keep_blocks", (PyCFunction)(void (*)(void))keep_blocks, METH_FASTCALL,
     "keep_blocks(block_bytes, free_bytes) -> whether the C library keeps memory that is let go"},
    {"dot", (PyCFunction)(void (*)(void))dot, METH_FASTCALL,
     "dot(a, b) -> the sum of products of two vectors of float32, rounded once, or None"},
    {"apart", (PyCFunction)(void (*)(void))apart, METH_FASTCALL,
     "apart(a, b) -> the sum of squares of their differences, rounded once, or None"},
    {"begin_all", begin_all, METH_O,
     "begin_all([(folder, events, index, head), ...]) -> [(events_fd, index_fd) or None, ...]"},
    {"place_all", place_all, METH_O,
     "place_all([(draft, name, data), ...]), files without the interpreter."},
    {"write_all", write_all, METH_O,
     "write_all([(fd, data, offset), ...]), without the interpreter."},
    {"write_sealed", (PyCFunction)(void (*)(void))write_sealed, METH_FASTCALL,
     "write_sealed(fd, data, offset, seal_fd, seal) -> errno of the seal, or 0"},
    {NULL, NULL, 0, NULL},
};

/* Offsets, types and names are kept once for the process, so another interpreter, whose types are
 * others, is refused: it runs on the Python side. */
static int fill(PyObject *module) {
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "eventspine.native is for the main interpreter");
        return -1;
    }
    sums_ready();
    if (PyType_Ready(&ShortWayType) < 0 || PyType_Ready(&LaneType) < 0 ||
        PyType_Ready(&LaneTicketType) < 0 || PyType_Ready(&ExpressType) < 0)
        return -1;
    if (PyModule_AddObjectRef(module, "ShortWay", (PyObject *)&ShortWayType) < 0 ||
        PyModule_AddObjectRef(module, "Lane", (PyObject *)&LaneType) < 0 ||
        PyModule_AddObjectRef(module, "Express", (PyObject *)&ExpressType) < 0)
        return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "eventspine.native._core",
    .m_doc = "The compiled half of the append.", .m_methods = methods, .m_slots = slots};

PyMODINIT_FUNC PyInit__core(void) {
    return PyModuleDef_Init(&definition);
}
