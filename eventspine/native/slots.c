/* Where the `__slots__` of a Python class lie in its objects. */
#include "core.h"

Py_ssize_t slot_offset(PyObject *type, const char *name) {
    PyObject *slot = PyObject_GetAttrString(type, name);
    if (slot == NULL)
        return -1;
    Py_ssize_t offset = -1;
    if (Py_IS_TYPE(slot, &PyMemberDescr_Type) &&
        PyType_IsSubtype((PyTypeObject *)type, PyDescr_TYPE(slot))) {
        PyMemberDef *member = ((PyMemberDescrObject *)slot)->d_member;
        if (member->type == T_OBJECT_EX)
            offset = member->offset;
    }
    Py_DECREF(slot);
    if (offset < 0)
        PyErr_Format(PyExc_TypeError, "%R has no slot %s", type, name);
    return offset;
}
