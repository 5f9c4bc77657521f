/* What a ShortWay does for the lane: see short_way.c. */
#ifndef EVENTSPINE_SHORT_WAY_H
#define EVENTSPINE_SHORT_WAY_H

#include "core.h"

typedef struct ShortWay ShortWay;

/* Where events go, and what is the same in all of them. Everything is borrowed. */
typedef struct {
    PyObject *key, *address, *mode, *metadata;
} Source;

/* One event: the JSON of its type, and of its payload, which was checked. Borrowed. */
typedef struct {
    PyObject *type_json;
    const char *payload;
    Py_ssize_t payload_bytes;
} Draft;

/* Decide, number and submit: a commit, or None when the Python twin has to do it.
 * `ticket` None: make one. */
PyObject *short_append(ShortWay *self, const Source *source, const Draft *drafts, Py_ssize_t count,
                       PyObject *ticket);

/* The JSON of an event type: looked up, or made and checked by the Python function. Borrowed;
 * NULL without an error when it is no sound type. */
PyObject *short_type_json(ShortWay *self, PyObject *event_type);

/* lane.c: a ticket that is the answer to a request. */
int lane_answer(PyObject *ticket, PyObject *lines, long long epoch, long long head);

#endif
