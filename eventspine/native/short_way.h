/* What a ShortWay does for the lane: see short_way.c. */
#ifndef EVENTSPINE_SHORT_WAY_H
#define EVENTSPINE_SHORT_WAY_H

#include "core.h"
#include "line.h"

static inline Piece piece_of(PyObject *bytes) {
    return (Piece){PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)};
}

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

/* Asked last, when nothing else is in the way: `may_run(tenant)`. Borrowed. */
typedef struct {
    PyObject *may_run, *tenant;
} Turn;

/* Decide, number and submit: a commit, or None when the Python twin has to do it, and nothing was
 * changed. `ticket` NULL: make one; `turn` NULL: ask nobody. */
PyObject *short_append(ShortWay *self, const Source *source, const Draft *drafts, Py_ssize_t count,
                       PyObject *ticket, const Turn *turn);

/* The JSON of an event type: looked up, or made and checked by the Python function. A new
 * reference; NULL without an error when it is no sound type. */
PyObject *short_type_json(ShortWay *self, PyObject *event_type);

/* Whether this is a key and an address (envelope.Place). */
int is_place(PyObject *place);

/* lane.c: a ticket that is the answer to a request. */
int lane_answer(PyObject *ticket, PyObject *lines, long long epoch, long long head);

#endif
