/* ShortWay: the plain append of one stream host, from an event to a commit, and back.
 *
 * Job: what `StreamHost.submit_plain`, `Writer.submit`, `StreamActor.accept`, `Commit.settle` and
 * `Commit.appended` do, for an append with nothing to look up, compare or refuse.
 * Rules: whatever is not so is answered with None, having changed nothing, and the Python twins
 * do it, who also know what to raise. The objects are the same: an actor, a commit and a cell are
 * read and written in their `__slots__`. Runs on the loop's thread alone.
 * Why: interpreted, these steps cost 20 us of a durable append, and 1.5 us so.
 */
#include "short_way.h"

#include <limits.h>
#include <stddef.h>

struct ShortWay {
    PyObject_HEAD
    PyObject *directory, *population, *writer;
    PyTypeObject *cell_type, *actor_type, *commit_type, *cursor_type;
    PyObject *appended_type, *events_kind, *new_ticket, *dumps, *event_type_json;
    PyObject *types; /* event type -> its JSON, of those that were seen to be sound */
    Py_ssize_t event_bytes_max, bytes_waiting_max;
    Py_ssize_t cell_turn, cell_touched, cell_state;
    Py_ssize_t closed, mode, epoch, sequence, committed, pending, audience, event_ids, key;
    Py_ssize_t c_key, c_mode, c_epoch, c_first, c_lines, c_kind, c_actor, c_last, c_size, c_ticket,
        c_waiting;
    unsigned long long taken;
    Instant now;
    Ids ids;
};

enum { S_LIVE, S_TICK, S_OPEN, S_OUTBOX, S_WAITING, S_SOON, S_HAND_OVER, S_DONE, S_SET_RESULT,
       S_SETTLE, S_SETTLED, S_EVENT_TYPE, S_PAYLOAD, S_EARLY, S_COUNT };
static const char *const NAMES[S_COUNT] = {
    "_live", "tick", "_open", "_outbox", "_bytes_waiting", "_soon", "_hand_over", "done",
    "set_result", "settle", "settled", "event_type", "payload", "early"};
static PyObject *names[S_COUNT];

#define TYPES_MAX 4096
#define EARLY_ITEMS 128 /* as in writer.py */
#define EPOCH_MAX 0xFFFFFFFFLL /* what a record of the log has room for */

/* UNTRACKED: what lives from an append to its answer is kept from the collector, which otherwise
 * looks at all of it again and again, a fifth of an append. Lines and numbers refer to nothing. A
 * commit and its actor refer to each other until the commit is settled, and every one is: by the
 * writer, or with an error when that ends. */

/* --- making one ------------------------------------------------------------------------- */

static int find_slots(ShortWay *self) {
    const struct {
        PyTypeObject *type;
        const char *name;
        Py_ssize_t *offset;
    } wanted[] = {
        {self->cell_type, "turn", &self->cell_turn},
        {self->cell_type, "touched", &self->cell_touched},
        {self->cell_type, "state", &self->cell_state},
        {self->actor_type, "closed", &self->closed},
        {self->actor_type, "mode", &self->mode},
        {self->actor_type, "epoch", &self->epoch},
        {self->actor_type, "sequence", &self->sequence},
        {self->actor_type, "committed", &self->committed},
        {self->actor_type, "pending", &self->pending},
        {self->actor_type, "audience", &self->audience},
        {self->actor_type, "ids", &self->event_ids},
        {self->actor_type, "key", &self->key},
        {self->commit_type, "key", &self->c_key},
        {self->commit_type, "mode", &self->c_mode},
        {self->commit_type, "epoch", &self->c_epoch},
        {self->commit_type, "first_sequence", &self->c_first},
        {self->commit_type, "lines", &self->c_lines},
        {self->commit_type, "kind", &self->c_kind},
        {self->commit_type, "actor", &self->c_actor},
        {self->commit_type, "last", &self->c_last},
        {self->commit_type, "size", &self->c_size},
        {self->commit_type, "ticket", &self->c_ticket},
        {self->commit_type, "waiting", &self->c_waiting},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        *wanted[i].offset = slot_offset((PyObject *)wanted[i].type, wanted[i].name);
        if (*wanted[i].offset < 0)
            return -1;
    }
    return 0;
}

static PyObject *ShortWay_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {
        "directory", "population", "writer", "cell_type", "actor_type", "commit_type",
        "cursor_type", "appended_type", "events_kind", "new_ticket", "dumps", "event_type_json",
        "event_bytes_max", "bytes_waiting_max", NULL};
    PyObject *directory, *population, *writer, *appended, *kind, *ticket, *dumps, *type_json;
    PyTypeObject *cell, *actor, *commit, *cursor;
    Py_ssize_t event_max, waiting_max;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OOOO!O!O!O!OOOOOnn", keywords, &directory, &population, &writer,
            &PyType_Type, &cell, &PyType_Type, &actor, &PyType_Type, &commit, &PyType_Type, &cursor,
            &appended, &kind, &ticket, &dumps, &type_json, &event_max, &waiting_max))
        return NULL;
    if (!PyType_IsSubtype(cursor, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "cursor_type is a named tuple");
        return NULL;
    }
    for (int i = 0; i < S_COUNT; i++)
        if (names[i] == NULL && (names[i] = PyUnicode_InternFromString(NAMES[i])) == NULL)
            return NULL;
    ShortWay *self = (ShortWay *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->directory = Py_NewRef(directory);
    self->population = Py_NewRef(population);
    self->writer = Py_NewRef(writer);
    self->cell_type = (PyTypeObject *)Py_NewRef(cell);
    self->actor_type = (PyTypeObject *)Py_NewRef(actor);
    self->commit_type = (PyTypeObject *)Py_NewRef(commit);
    self->cursor_type = (PyTypeObject *)Py_NewRef(cursor);
    self->appended_type = Py_NewRef(appended);
    self->events_kind = Py_NewRef(kind);
    self->new_ticket = Py_NewRef(ticket);
    self->dumps = Py_NewRef(dumps);
    self->event_type_json = Py_NewRef(type_json);
    self->event_bytes_max = event_max;
    self->bytes_waiting_max = waiting_max;
    self->now.ms = self->now.second = -1;
    if ((self->types = PyDict_New()) == NULL || find_slots(self)) {
        Py_CLEAR(self);
    } else if (ids_seed(&self->ids)) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static int ShortWay_traverse(ShortWay *self, visitproc visit, void *arg) {
    Py_VISIT(self->directory);
    Py_VISIT(self->population);
    Py_VISIT(self->writer);
    Py_VISIT(self->cell_type);
    Py_VISIT(self->actor_type);
    Py_VISIT(self->commit_type);
    Py_VISIT(self->cursor_type);
    Py_VISIT(self->appended_type);
    Py_VISIT(self->events_kind);
    Py_VISIT(self->new_ticket);
    Py_VISIT(self->dumps);
    Py_VISIT(self->event_type_json);
    Py_VISIT(self->types);
    return 0;
}

/* No tp_clear: what it refers to is set once, as in a tuple, and never missing. A cycle is broken
 * where it was closed, in the directory or the writer. */
static void ShortWay_dealloc(ShortWay *self) {
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->directory);
    Py_XDECREF(self->population);
    Py_XDECREF(self->writer);
    Py_XDECREF(self->cell_type);
    Py_XDECREF(self->actor_type);
    Py_XDECREF(self->commit_type);
    Py_XDECREF(self->cursor_type);
    Py_XDECREF(self->appended_type);
    Py_XDECREF(self->events_kind);
    Py_XDECREF(self->new_ticket);
    Py_XDECREF(self->dumps);
    Py_XDECREF(self->event_type_json);
    Py_XDECREF(self->types);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* --- an append -------------------------------------------------------------------------- */

/* The live actor of `key`, when a plain append of `mode` may be decided on it now. A new
 * reference; NULL without an error when not. */
static PyObject *ready_actor(ShortWay *self, PyObject *key, PyObject *mode) {
    PyObject *live = PyObject_GetAttr(self->directory, names[S_LIVE]);
    if (live == NULL)
        return NULL;
    PyObject *cell = PyDict_Check(live) ? PyDict_GetItemWithError(live, key) : NULL;
    Py_DECREF(live); /* the directory holds it, and it the cell */
    if (cell == NULL || Py_TYPE(cell) != self->cell_type ||
        slot_get(cell, self->cell_turn) != Py_None)
        return NULL;
    PyObject *actor = slot_get(cell, self->cell_state);
    if (actor == NULL || Py_TYPE(actor) != self->actor_type ||
        slot_get(actor, self->closed) != Py_False)
        return NULL;
    PyObject *written = slot_get(actor, self->mode);
    if (written != mode) {
        if (written == NULL || !PyUnicode_Check(written) || !PyUnicode_Check(mode) ||
            PyUnicode_Compare(written, mode) != 0)
            return NULL;
    }
    Py_INCREF(cell);
    Py_INCREF(actor);
    PyObject *tick = PyObject_GetAttr(self->population, names[S_TICK]);
    if (tick != NULL)
        slot_set(cell, self->cell_touched, tick);
    else
        Py_CLEAR(actor);
    Py_DECREF(cell);
    return actor;
}

/* The bytes that wait for the writer; -1 and an error where that is no number. */
static long long bytes_waiting(ShortWay *self) {
    PyObject *bytes = PyObject_GetAttr(self->writer, names[S_WAITING]);
    long long waiting = bytes ? PyLong_AsLongLong(bytes) : -1;
    Py_XDECREF(bytes);
    return waiting;
}

/* Whether the writer takes `size` bytes now; -1 on an error. */
static int writer_takes(ShortWay *self, Py_ssize_t size) {
    PyObject *open = PyObject_GetAttr(self->writer, names[S_OPEN]);
    if (open == NULL)
        return -1;
    int is_open = open == Py_True;
    Py_DECREF(open);
    long long waiting = bytes_waiting(self);
    if (waiting == -1 && PyErr_Occurred())
        return -1;
    return is_open && (waiting == 0 || waiting + size <= self->bytes_waiting_max);
}

/* Takes back what was just appended, if it is still there. An error may be set, and stays. */
static void drop_last(PyObject *list, PyObject *item) {
    Py_ssize_t size = PyList_GET_SIZE(list);
    if (size > 0 && PyList_GET_ITEM(list, size - 1) == item)
        PyList_SetSlice(list, size - 1, size, NULL);
}

static int wake_writer(ShortWay *self) {
    PyObject *hand_over = PyObject_GetAttr(self->writer, names[S_HAND_OVER]);
    PyObject *soon = hand_over ? PyObject_GetAttr(self->writer, names[S_SOON]) : NULL;
    PyObject *done = soon ? PyObject_CallOneArg(soon, hand_over) : NULL;
    Py_XDECREF(hand_over);
    Py_XDECREF(soon);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* Writer.submit, once `writer_takes`. 0, or -1 and an error, and nothing was done. */
static int hand_to_writer(ShortWay *self, PyObject *commit, Py_ssize_t size) {
    PyObject *outbox = PyObject_GetAttr(self->writer, names[S_OUTBOX]), *bytes = NULL;
    if (outbox == NULL)
        return -1;
    int failed = 1;
    if (!PyList_Check(outbox)) {
        PyErr_SetString(PyExc_TypeError, "the outbox of a writer is a list");
    } else if (PyList_GET_SIZE(outbox) > 0 || wake_writer(self) == 0) {
        /* Woken first: that may fail, and where it is not needed it does no harm. */
        long long waiting = bytes_waiting(self);
        if (waiting >= 0 && (bytes = PyLong_FromLongLong(waiting + size)) != NULL)
            failed = PyList_Append(outbox, commit);
        if (!failed && PyObject_SetAttr(self->writer, names[S_WAITING], bytes)) {
            drop_last(outbox, commit);
            failed = 1;
        }
        if (!failed && PyList_GET_SIZE(outbox) % EARLY_ITEMS == 0) {
            PyObject *early = PyObject_CallMethodNoArgs(self->writer, names[S_EARLY]);
            if (early == NULL)
                PyErr_Clear(); /* the commit is handed over, and goes when the pass is over */
            Py_XDECREF(early);
        }
        if (waiting < 0 && !PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "fewer than no bytes wait for the writer");
    }
    Py_XDECREF(bytes);
    Py_DECREF(outbox);
    return failed ? -1 : 0;
}

/* The stored lines of the actor's next events, after sequence `last`. NULL without an error when
 * one is too long, or the epoch has no room in its digits. */
static PyObject *make_lines(ShortWay *self, PyObject *actor, long long last, const Source *source,
                            const Draft *drafts, Py_ssize_t count, Py_ssize_t *size) {
    long long epoch = slot_number(actor, self->epoch, EPOCH_MAX);
    PyObject *lines = epoch < 0 ? NULL : PyTuple_New(count);
    if (lines == NULL)
        return NULL;
    instant_read(&self->now);
    *size = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        Line line = {
            .epoch = epoch,
            .sequence = last + 1 + i,
            .event_type = piece_of(drafts[i].type_json),
            .address = piece_of(source->address),
            .metadata = piece_of(source->metadata),
            .payload = {drafts[i].payload, (size_t)drafts[i].payload_bytes},
        };
        size_t bytes = line_size(&line);
        PyObject *made = bytes > (size_t)self->event_bytes_max
                             ? NULL
                             : PyBytes_FromStringAndSize(NULL, (Py_ssize_t)bytes);
        if (made == NULL) {
            Py_DECREF(lines);
            return NULL;
        }
        line_fill(PyBytes_AS_STRING(made), &line, &self->now, &self->ids);
        PyTuple_SET_ITEM(lines, i, made);
        *size += (Py_ssize_t)bytes;
    }
    PyObject_GC_UnTrack(lines);
    return lines;
}

static PyObject *make_commit(ShortWay *self, PyObject *actor, PyObject *first, PyObject *last,
                             PyObject *lines, Py_ssize_t bytes, PyObject *ticket) {
    PyObject *size = PyLong_FromSsize_t(bytes);
    PyObject *commit = size ? self->commit_type->tp_alloc(self->commit_type, 0) : NULL;
    if (commit == NULL) {
        Py_XDECREF(size);
        return NULL;
    }
    PyObject_GC_UnTrack(commit); /* see UNTRACKED */
    slot_set(commit, self->c_key, Py_XNewRef(slot_get(actor, self->key)));
    slot_set(commit, self->c_mode, Py_XNewRef(slot_get(actor, self->mode)));
    slot_set(commit, self->c_epoch, Py_XNewRef(slot_get(actor, self->epoch)));
    slot_set(commit, self->c_first, Py_NewRef(first));
    slot_set(commit, self->c_lines, Py_NewRef(lines));
    slot_set(commit, self->c_kind, Py_NewRef(self->events_kind));
    slot_set(commit, self->c_actor, Py_NewRef(actor));
    slot_set(commit, self->c_last, Py_NewRef(last));
    slot_set(commit, self->c_size, size);
    slot_set(commit, self->c_ticket, Py_NewRef(ticket));
    slot_set(commit, self->c_waiting, Py_NewRef(Py_None));
    return commit;
}

/* A commit of the lines, as in Commit.__init__, with the ticket it was given or one of its own. */
static PyObject *numbered(ShortWay *self, PyObject *actor, long long first, PyObject *lines,
                          Py_ssize_t bytes, PyObject *ticket) {
    PyObject *from = PyLong_FromLongLong(first), *commit = NULL;
    PyObject *to = PyLong_FromLongLong(first + PyTuple_GET_SIZE(lines) - 1);
    ticket = ticket == NULL ? PyObject_CallNoArgs(self->new_ticket) : Py_NewRef(ticket);
    if (from != NULL && to != NULL && ticket != NULL)
        commit = make_commit(self, actor, from, to, lines, bytes, ticket);
    Py_XDECREF(from);
    Py_XDECREF(to);
    Py_XDECREF(ticket);
    return commit;
}

/* Writer.submit and StreamActor.accept. The place in `pending` is made before: once the writer has
 * the commit nothing can fail. */
static int hand_over(ShortWay *self, PyObject *actor, PyObject *commit, Py_ssize_t bytes) {
    PyObject *before = slot_get(actor, self->pending), *pending;
    if (before != NULL && PyList_Check(before)) {
        pending = Py_NewRef(before);
        if (PyList_Append(pending, commit))
            Py_CLEAR(pending);
    } else if ((pending = PyList_New(1)) != NULL) {
        PyList_SET_ITEM(pending, 0, Py_NewRef(commit));
        PyObject_GC_UnTrack(pending);
    }
    if (pending == NULL)
        return -1;
    if (hand_to_writer(self, commit, bytes)) {
        drop_last(pending, commit); /* as if it had not been asked */
        Py_DECREF(pending);
        return -1;
    }
    slot_set(actor, self->pending, pending);
    slot_set(actor, self->sequence, Py_NewRef(slot_get(commit, self->c_last)));
    return 0;
}

/* 1 when `turn` has come, 0 when not, -1 on an error. */
static int has_come(const Turn *turn) {
    PyObject *answer = turn ? PyObject_CallOneArg(turn->may_run, turn->tenant) : Py_NewRef(Py_True);
    int may = answer ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return may;
}

PyObject *short_append(ShortWay *self, const Source *source, const Draft *drafts, Py_ssize_t count,
                       PyObject *ticket, const Turn *turn) {
    PyObject *commit = NULL, *lines = NULL, *actor = ready_actor(self, source->key, source->mode);
    long long at = actor ? slot_number(actor, self->sequence, SEQUENCE_MAX - count) : -1;
    Py_ssize_t bytes = 0;
    if (at >= 0)
        lines = make_lines(self, actor, at, source, drafts, count, &bytes);
    int takes = lines ? writer_takes(self, bytes) : 0;
    if (takes == 1)
        takes = has_come(turn);
    if (takes == 1)
        commit = numbered(self, actor, at + 1, lines, bytes, ticket);
    /* Python code ran since the sequence was read: whoever used it meanwhile was first. */
    if (commit != NULL && slot_number(actor, self->sequence, SEQUENCE_MAX) != at)
        Py_CLEAR(commit);
    if (commit != NULL && hand_over(self, actor, commit, bytes))
        Py_CLEAR(commit);
    self->taken += commit != NULL;
    Py_XDECREF(lines);
    Py_XDECREF(actor);
    if (commit == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return commit;
}

PyObject *short_type_json(ShortWay *self, PyObject *event_type) {
    if (event_type == NULL || !PyUnicode_CheckExact(event_type))
        return NULL;
    PyObject *found = PyDict_GetItemWithError(self->types, event_type);
    if (found != NULL || PyErr_Occurred())
        return Py_XNewRef(found);
    Py_ssize_t size = PyUnicode_GET_LENGTH(event_type);
    if (size == 0 || size > 255)
        return NULL;
    PyObject *made = PyObject_CallOneArg(self->event_type_json, event_type);
    if (made == NULL) {
        leave_to_twin(); /* who raises it */
        return NULL;
    }
    if (PyDict_GET_SIZE(self->types) >= TYPES_MAX)
        PyDict_Clear(self->types);
    if (!PyBytes_Check(made) || PyDict_SetItem(self->types, event_type, made))
        Py_CLEAR(made);
    return made;
}

int is_place(PyObject *place) {
    return PyTuple_Check(place) && PyTuple_GET_SIZE(place) == 2 &&
           PyUnicode_CheckExact(PyTuple_GET_ITEM(place, 0)) &&
           PyBytes_Check(PyTuple_GET_ITEM(place, 1));
}

static int is_stamp(PyObject *stamp) {
    return PyTuple_Check(stamp) && PyTuple_GET_SIZE(stamp) == 3 &&
           PyBytes_Check(PyTuple_GET_ITEM(stamp, 1));
}

PyDoc_STRVAR(submit_doc,
             "submit(place, event, stamp) -> Commit | None\n\n"
             "Begin to append an event given as a dictionary of a type and a payload.");

static PyObject *ShortWay_submit(ShortWay *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 3 || !is_place(args[0]) || !is_stamp(args[2])) {
        PyErr_SetString(PyExc_TypeError, "submit(place, event, stamp)");
        return NULL;
    }
    PyObject *event = args[1], *commit = NULL;
    if (!PyDict_CheckExact(event) || PyDict_GET_SIZE(event) != 2)
        Py_RETURN_NONE;
    /* References of our own: making the JSON of a type may run Python code, and other threads. */
    PyObject *payload = Py_XNewRef(PyDict_GetItemWithError(event, names[S_PAYLOAD]));
    PyObject *event_type = NULL, *type_json = NULL, *raw = NULL;
    if (payload != NULL && PyDict_CheckExact(payload))
        event_type = Py_XNewRef(PyDict_GetItemWithError(event, names[S_EVENT_TYPE]));
    if (event_type != NULL)
        type_json = short_type_json(self, event_type);
    if (type_json != NULL && (raw = PyObject_CallOneArg(self->dumps, payload)) == NULL)
        leave_to_twin(); /* who says why */
    /* The twin sees whether a null stands for a NaN. */
    if (raw != NULL && PyBytes_Check(raw) &&
        memmem(PyBytes_AS_STRING(raw), (size_t)PyBytes_GET_SIZE(raw), "null", 4) == NULL) {
        Source source = {PyTuple_GET_ITEM(args[0], 0), PyTuple_GET_ITEM(args[0], 1),
                         PyTuple_GET_ITEM(args[2], 0), PyTuple_GET_ITEM(args[2], 1)};
        Draft draft = {type_json, PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw)};
        commit = short_append(self, &source, &draft, 1, NULL, NULL);
    } else if (!PyErr_Occurred()) {
        commit = Py_NewRef(Py_None);
    }
    Py_XDECREF(payload);
    Py_XDECREF(event_type);
    Py_XDECREF(type_json);
    Py_XDECREF(raw);
    return commit;
}

/* --- its answer ------------------------------------------------------------------------- */

/* StreamActor.settled, when the oldest pending commit is durable. */
static int settled(ShortWay *self, PyObject *actor, PyObject *commit) {
    PyObject *pending = slot_get(actor, self->pending);
    if (pending != NULL && PyList_Check(pending) && PyList_GET_SIZE(pending) > 0 &&
        PyList_GET_ITEM(pending, 0) == commit) {
        if (PyList_GET_SIZE(pending) == 1)
            slot_set(actor, self->pending, Py_NewRef(Py_None));
        else if (PyList_SetSlice(pending, 0, 1, NULL))
            return -1;
    }
    slot_set(actor, self->committed, Py_NewRef(slot_get(commit, self->c_last)));
    return 0;
}

/* Tell one who waits for a commit. */
static int tell(ShortWay *self, PyObject *commit, PyObject *actor, PyObject *ticket) {
    if (Py_TYPE(ticket) == &LaneTicketType) {
        long long last = slot_number(commit, self->c_last, LLONG_MAX);
        long long committed = slot_number(actor, self->committed, LLONG_MAX);
        return lane_answer(ticket, slot_get(commit, self->c_lines),
                           slot_number(commit, self->c_epoch, LLONG_MAX),
                           committed > last ? committed : last);
    }
    PyObject *is_done = PyObject_CallMethodNoArgs(ticket, names[S_DONE]);
    PyObject *told = is_done == Py_False
                         ? PyObject_CallMethodOneArg(ticket, names[S_SET_RESULT], Py_None)
                         : Py_XNewRef(is_done);
    Py_XDECREF(is_done);
    Py_XDECREF(told);
    return told ? 0 : -1;
}

/* What an error in telling somebody becomes: the others have to be told. -1 when it ends more. */
static int told_badly(PyObject *whom) {
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    PyErr_WriteUnraisable(whom);
    return 0;
}

/* Tell all who wait for a commit that is durable, and did when the first was told. */
static int tell_all(ShortWay *self, PyObject *commit, PyObject *actor) {
    PyObject *first = Py_XNewRef(slot_get(commit, self->c_ticket));
    PyObject *others = Py_XNewRef(slot_get(commit, self->c_waiting));
    int failed = first != NULL && tell(self, commit, actor, first) && told_badly(commit);
    if (others != NULL && PyList_Check(others))
        for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(others); i++) {
            PyObject *ticket = Py_NewRef(PyList_GET_ITEM(others, i));
            failed = tell(self, commit, actor, ticket) && told_badly(commit);
            Py_DECREF(ticket);
        }
    Py_XDECREF(first);
    Py_XDECREF(others);
    return failed ? -1 : 0;
}

static int call_settle(PyObject *commit) {
    PyObject *done = PyObject_CallMethodOneArg(commit, names[S_SETTLE], Py_None);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static int settle_one(ShortWay *self, PyObject *commit) {
    if (Py_TYPE(commit) != self->commit_type ||
        slot_get(commit, self->c_kind) != self->events_kind)
        return call_settle(commit);
    PyObject *actor = slot_get(commit, self->c_actor);
    if (actor == NULL || Py_TYPE(actor) != self->actor_type)
        return call_settle(commit);
    Py_INCREF(actor);
    int failed;
    if (slot_get(actor, self->audience) == Py_None && slot_get(actor, self->event_ids) == Py_None) {
        failed = settled(self, actor, commit);
    } else { /* there are readers to be told, or ids to be put away */
        PyObject *args[3] = {actor, commit, Py_None};
        PyObject *done = PyObject_VectorcallMethod(names[S_SETTLED], args, 3, NULL);
        failed = done ? 0 : -1;
        Py_XDECREF(done);
    }
    if (!failed)
        failed = tell_all(self, commit, actor);
    Py_DECREF(actor);
    return failed;
}

PyDoc_STRVAR(settle_doc, "settle(batch) -> None\n\nEach commit of the batch is durable: say so.");

static PyObject *ShortWay_settle(ShortWay *self, PyObject *batch) {
    PyObject *list = PySequence_Fast(batch, "a batch is a sequence of commits");
    if (list == NULL)
        return NULL;
    int failed = 0;
    for (Py_ssize_t i = 0; !failed && i < PySequence_Fast_GET_SIZE(list); i++) {
        PyObject *commit = Py_NewRef(PySequence_Fast_GET_ITEM(list, i));
        failed = settle_one(self, commit) && told_badly(commit);
        Py_DECREF(commit);
    }
    Py_DECREF(list);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(answer_doc, "answer(commit) -> Appended\n\nWhat Commit.appended answers.");

static PyObject *ShortWay_answer(ShortWay *self, PyObject *commit) {
    PyObject *actor = NULL;
    if (Py_TYPE(commit) == self->commit_type)
        actor = slot_get(commit, self->c_actor);
    if (actor == NULL || Py_TYPE(actor) != self->actor_type) {
        PyErr_SetString(PyExc_TypeError, "answer(commit)");
        return NULL;
    }
    PyObject *last = slot_get(commit, self->c_last), *epoch = slot_get(commit, self->c_epoch);
    PyObject *committed = slot_get(actor, self->committed);
    PyObject *lines = slot_get(commit, self->c_lines);
    if (last == NULL || epoch == NULL || committed == NULL || lines == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a commit is not filled in");
        return NULL;
    }
    int further = slot_number(actor, self->committed, LLONG_MAX) >
                  slot_number(commit, self->c_last, LLONG_MAX);
    PyObject *sequences = PyTuple_Pack(1, last), *answer = NULL;
    PyObject *head = sequences ? self->cursor_type->tp_alloc(self->cursor_type, 2) : NULL;
    if (head != NULL) {
        PyTuple_SET_ITEM(head, 0, Py_NewRef(epoch));
        PyTuple_SET_ITEM(head, 1, Py_NewRef(further ? committed : last));
        PyObject *parts[3] = {lines, sequences, head};
        answer = PyObject_Vectorcall(self->appended_type, parts, 3, NULL);
    }
    Py_XDECREF(head);
    Py_XDECREF(sequences);
    return answer;
}

static PyMethodDef ShortWay_methods[] = {
    {"submit", (PyCFunction)(void (*)(void))ShortWay_submit, METH_FASTCALL, submit_doc},
    {"settle", (PyCFunction)ShortWay_settle, METH_O, settle_doc},
    {"answer", (PyCFunction)ShortWay_answer, METH_O, answer_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef ShortWay_members[] = {
    {"taken", T_ULONGLONG, offsetof(ShortWay, taken), READONLY, "appends that went this way"},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject ShortWayType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "eventspine.native._core.ShortWay",
    .tp_doc = "The plain append of one stream host.",
    .tp_basicsize = sizeof(ShortWay),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = ShortWay_new,
    .tp_dealloc = (destructor)ShortWay_dealloc,
    .tp_traverse = (traverseproc)ShortWay_traverse,
    .tp_methods = ShortWay_methods,
    .tp_members = ShortWay_members,
};
