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

#include "line.h"

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
       S_SETTLE, S_SETTLED, S_EVENT_TYPE, S_PAYLOAD, S_COUNT };
static const char *const NAMES[S_COUNT] = {
    "_live", "tick", "_open", "_outbox", "_bytes_waiting", "_soon", "_hand_over", "done",
    "set_result", "settle", "settled", "event_type", "payload"};
static PyObject *names[S_COUNT];

#define TYPES_MAX 4096

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

static int ShortWay_init(ShortWay *self, PyObject *args, PyObject *kwargs) {
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
        return -1;
    if (self->directory != NULL) {
        PyErr_SetString(PyExc_TypeError, "a ShortWay is made once");
        return -1;
    }
    if (!PyType_IsSubtype(cursor, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "cursor_type is a named tuple");
        return -1;
    }
    for (int i = 0; i < S_COUNT; i++)
        if (names[i] == NULL && (names[i] = PyUnicode_InternFromString(NAMES[i])) == NULL)
            return -1;
    if ((self->types = PyDict_New()) == NULL)
        return -1;
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
    ids_seed(&self->ids);
    return find_slots(self);
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

static int ShortWay_clear(ShortWay *self) {
    Py_CLEAR(self->directory);
    Py_CLEAR(self->population);
    Py_CLEAR(self->writer);
    Py_CLEAR(self->cell_type);
    Py_CLEAR(self->actor_type);
    Py_CLEAR(self->commit_type);
    Py_CLEAR(self->cursor_type);
    Py_CLEAR(self->appended_type);
    Py_CLEAR(self->events_kind);
    Py_CLEAR(self->new_ticket);
    Py_CLEAR(self->dumps);
    Py_CLEAR(self->event_type_json);
    Py_CLEAR(self->types);
    return 0;
}

static void ShortWay_dealloc(ShortWay *self) {
    PyObject_GC_UnTrack(self);
    ShortWay_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* --- an append -------------------------------------------------------------------------- */

/* The live actor of `key`, when a plain append of `mode` may be decided on it now. Borrowed;
 * NULL without an error when not. */
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
    PyObject *tick = PyObject_GetAttr(self->population, names[S_TICK]);
    if (tick == NULL)
        return NULL;
    slot_set(cell, self->cell_touched, tick);
    return actor;
}

/* Whether the writer takes `size` bytes now; what waits then is put into `waiting`. */
static int writer_takes(ShortWay *self, Py_ssize_t size, long long *waiting) {
    PyObject *open = PyObject_GetAttr(self->writer, names[S_OPEN]);
    if (open == NULL)
        return -1;
    int is_open = open == Py_True;
    Py_DECREF(open);
    PyObject *bytes = PyObject_GetAttr(self->writer, names[S_WAITING]);
    if (bytes == NULL)
        return -1;
    long long before = PyLong_AsLongLong(bytes);
    Py_DECREF(bytes);
    if (before == -1 && PyErr_Occurred())
        return -1;
    *waiting = before + size;
    return is_open && (before == 0 || *waiting <= self->bytes_waiting_max);
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

static int hand_to_writer(ShortWay *self, PyObject *commit, long long waiting) {
    PyObject *outbox = PyObject_GetAttr(self->writer, names[S_OUTBOX]);
    if (outbox == NULL)
        return -1;
    /* The outbox comes last: what is in it is on its way. */
    PyObject *bytes = PyLong_FromLongLong(waiting);
    int failed = bytes == NULL || !PyList_Check(outbox) ||
                 (PyList_GET_SIZE(outbox) == 0 && wake_writer(self)) ||
                 PyObject_SetAttr(self->writer, names[S_WAITING], bytes) ||
                 PyList_Append(outbox, commit);
    Py_XDECREF(bytes);
    Py_DECREF(outbox);
    return failed ? -1 : 0;
}

static Piece piece_of(PyObject *bytes) {
    return (Piece){PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)};
}

/* The stored lines of the actor's next events, after sequence `last`. NULL without an error when
 * one is too long. */
static PyObject *make_lines(ShortWay *self, PyObject *actor, long long last, const Source *source,
                            const Draft *drafts, Py_ssize_t count, Py_ssize_t *size) {
    long long epoch = PyLong_AsLongLong(slot_get(actor, self->epoch));
    if (epoch == -1 && PyErr_Occurred())
        return NULL;
    PyObject *lines = PyTuple_New(count);
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
    slot_set(commit, self->c_key, Py_NewRef(slot_get(actor, self->key)));
    slot_set(commit, self->c_mode, Py_NewRef(slot_get(actor, self->mode)));
    slot_set(commit, self->c_epoch, Py_NewRef(slot_get(actor, self->epoch)));
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

/* StreamActor.accept, once the writer has taken the commit. `pending` was made before: nothing
 * in here can fail. */
static void accept(ShortWay *self, PyObject *actor, PyObject *sequence, PyObject *pending) {
    if (pending != NULL)
        slot_set(actor, self->pending, pending);
    slot_set(actor, self->sequence, Py_NewRef(sequence));
}

PyObject *short_append(ShortWay *self, const Source *source, const Draft *drafts, Py_ssize_t count,
                       PyObject *ticket) {
    PyObject *actor = ready_actor(self, source->key, source->mode);
    if (actor == NULL) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    PyObject *result = NULL, *lines = NULL, *first = NULL, *last = NULL, *commit = NULL;
    PyObject *pending = NULL;
    Py_INCREF(actor);
    long long at = PyLong_AsLongLong(slot_get(actor, self->sequence)), waiting = 0;
    Py_ssize_t bytes = 0;
    if (at == -1 && PyErr_Occurred())
        goto done;
    if (at + count <= SEQUENCE_MAX)
        lines = make_lines(self, actor, at, source, drafts, count, &bytes);
    int takes = lines ? writer_takes(self, bytes, &waiting) : 0;
    if (PyErr_Occurred())
        goto done;
    if (!takes) {
        result = Py_NewRef(Py_None);
        goto done;
    }
    first = PyLong_FromLongLong(at + 1);
    last = PyLong_FromLongLong(at + count);
    ticket = ticket == Py_None ? PyObject_CallNoArgs(self->new_ticket) : Py_NewRef(ticket);
    if (first != NULL && last != NULL && ticket != NULL)
        commit = make_commit(self, actor, first, last, lines, bytes, ticket);
    Py_XDECREF(ticket);
    if (commit == NULL)
        goto done;
    PyObject *before = slot_get(actor, self->pending);
    if (before == NULL || !PyList_Check(before)) {
        pending = PyList_New(1);
        if (pending == NULL)
            goto done;
        PyList_SET_ITEM(pending, 0, Py_NewRef(commit));
    } else if (PyList_Append(before, commit)) {
        goto done;
    }
    if (hand_to_writer(self, commit, waiting)) { /* out of memory: as if it had not been asked */
        if (pending == NULL)
            PyList_SetSlice(before, PyList_GET_SIZE(before) - 1, PyList_GET_SIZE(before), NULL);
        Py_XDECREF(pending);
        goto done;
    }
    accept(self, actor, last, pending);
    self->taken++;
    result = Py_NewRef(commit);
done:
    Py_XDECREF(lines);
    Py_XDECREF(first);
    Py_XDECREF(last);
    Py_XDECREF(commit);
    Py_DECREF(actor);
    return result;
}

/* The JSON of an event type: looked up, or made and checked by the Python function. Borrowed;
 * NULL without an error when it is no sound type. */
PyObject *short_type_json(ShortWay *self, PyObject *event_type) {
    if (event_type == NULL || !PyUnicode_CheckExact(event_type))
        return NULL;
    PyObject *found = PyDict_GetItemWithError(self->types, event_type);
    if (found != NULL || PyErr_Occurred())
        return found;
    Py_ssize_t size = PyUnicode_GET_LENGTH(event_type);
    if (size == 0 || size > 255)
        return NULL;
    PyObject *made = PyObject_CallOneArg(self->event_type_json, event_type);
    if (made == NULL) {
        PyErr_Clear(); /* the twin raises it */
        return NULL;
    }
    if (PyDict_GET_SIZE(self->types) >= TYPES_MAX)
        PyDict_Clear(self->types);
    int failed = !PyBytes_Check(made) || PyDict_SetItem(self->types, event_type, made);
    Py_DECREF(made);
    return failed ? NULL : PyDict_GetItemWithError(self->types, event_type);
}

static int is_place(PyObject *place) {
    return PyTuple_Check(place) && PyTuple_GET_SIZE(place) == 2 &&
           PyUnicode_Check(PyTuple_GET_ITEM(place, 0)) && PyBytes_Check(PyTuple_GET_ITEM(place, 1));
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
    PyObject *event = args[1];
    if (!PyDict_CheckExact(event) || PyDict_GET_SIZE(event) != 2)
        Py_RETURN_NONE;
    PyObject *payload = PyDict_GetItemWithError(event, names[S_PAYLOAD]);
    PyObject *type_json = payload && PyDict_CheckExact(payload)
                              ? short_type_json(self, PyDict_GetItemWithError(event, names[S_EVENT_TYPE]))
                              : NULL;
    if (type_json == NULL) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    Py_INCREF(type_json);
    PyObject *raw = PyObject_CallOneArg(self->dumps, payload), *commit = NULL;
    if (raw == NULL || !PyBytes_Check(raw) ||
        memmem(PyBytes_AS_STRING(raw), (size_t)PyBytes_GET_SIZE(raw), "null", 4) != NULL) {
        PyErr_Clear(); /* the twin says why, or that it is no NaN */
        commit = Py_NewRef(Py_None);
    } else {
        Source source = {PyTuple_GET_ITEM(args[0], 0), PyTuple_GET_ITEM(args[0], 1),
                         PyTuple_GET_ITEM(args[2], 0), PyTuple_GET_ITEM(args[2], 1)};
        Draft draft = {type_json, PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw)};
        commit = short_append(self, &source, &draft, 1, Py_None);
    }
    Py_XDECREF(raw);
    Py_DECREF(type_json);
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
        long long last = PyLong_AsLongLong(slot_get(commit, self->c_last));
        long long committed = PyLong_AsLongLong(slot_get(actor, self->committed));
        return lane_answer(ticket, slot_get(commit, self->c_lines),
                           PyLong_AsLongLong(slot_get(commit, self->c_epoch)),
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

static int settle_one(ShortWay *self, PyObject *commit) {
    PyObject *actor = NULL, *done = NULL;
    if (Py_TYPE(commit) != self->commit_type ||
        slot_get(commit, self->c_kind) != self->events_kind ||
        (actor = slot_get(commit, self->c_actor)) == NULL || Py_TYPE(actor) != self->actor_type) {
        done = PyObject_CallMethodOneArg(commit, names[S_SETTLE], Py_None);
        Py_XDECREF(done);
        return done ? 0 : -1;
    }
    if (slot_get(actor, self->audience) == Py_None && slot_get(actor, self->event_ids) == Py_None) {
        if (settled(self, actor, commit))
            return -1;
    } else { /* there are readers to be told, or ids to be put away */
        PyObject *args[3] = {actor, commit, Py_None};
        done = PyObject_VectorcallMethod(names[S_SETTLED], args, 3, NULL);
        if (done == NULL)
            return -1;
        Py_DECREF(done);
    }
    int failed = tell(self, commit, actor, slot_get(commit, self->c_ticket));
    PyObject *waiting = slot_get(commit, self->c_waiting);
    if (waiting != NULL && PyList_Check(waiting))
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(waiting); i++)
            failed |= tell(self, commit, actor, PyList_GET_ITEM(waiting, i));
    return failed;
}

PyDoc_STRVAR(settle_doc, "settle(batch) -> None\n\nEach commit of the batch is durable: say so.");

static PyObject *ShortWay_settle(ShortWay *self, PyObject *batch) {
    PyObject *list = PySequence_Fast(batch, "a batch is a sequence of commits");
    if (list == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list); i++) {
        PyObject *commit = PySequence_Fast_GET_ITEM(list, i);
        if (settle_one(self, commit))
            PyErr_WriteUnraisable(commit); /* the rest of the batch has to be told */
    }
    Py_DECREF(list);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(answer_doc, "answer(commit) -> Appended\n\nWhat Commit.appended answers.");

static PyObject *ShortWay_answer(ShortWay *self, PyObject *commit) {
    if (Py_TYPE(commit) != self->commit_type) {
        PyErr_SetString(PyExc_TypeError, "answer(commit)");
        return NULL;
    }
    PyObject *last = slot_get(commit, self->c_last);
    PyObject *committed = slot_get(slot_get(commit, self->c_actor), self->committed);
    PyObject *head = self->cursor_type->tp_alloc(self->cursor_type, 2);
    PyObject *sequences = head ? PyTuple_Pack(1, last) : NULL, *answer = NULL;
    if (sequences != NULL) {
        int further = PyLong_AsLongLong(committed) > PyLong_AsLongLong(last);
        PyTuple_SET_ITEM(head, 0, Py_NewRef(slot_get(commit, self->c_epoch)));
        PyTuple_SET_ITEM(head, 1, Py_NewRef(further ? committed : last));
        PyObject *parts[3] = {slot_get(commit, self->c_lines), sequences, head};
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
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)ShortWay_init,
    .tp_dealloc = (destructor)ShortWay_dealloc,
    .tp_traverse = (traverseproc)ShortWay_traverse,
    .tp_clear = (inquiry)ShortWay_clear,
    .tp_methods = ShortWay_methods,
    .tp_members = ShortWay_members,
};
