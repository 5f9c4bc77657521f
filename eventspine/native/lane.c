/* Lane: an append over HTTP, from the bytes of a request to the bytes of its answer.
 *
 * Job: what api/lane/append_lane.py does, for a request that is here in full, is new to nobody (its
 * header block was read before) and holds plain events: one, an array, or NDJSON.
 * Rules: `start` answers False, having done nothing, for whatever is not so; the Python twin then
 * takes the same bytes. JSON is read by msgspec and orjson, as there. Nothing is refused in here.
 * Why: interpreted, these steps cost 80 us of a request under load, and 8 us so.
 */
#define _GNU_SOURCE
#include "short_way.h"

#include <stddef.h>
#include <string.h>

#define HEAD_BYTES_MAX 2048 /* unless another is stated */
#define DRAFTS_MAX 1024
#define ID_BYTES_MAX 255
#define CURSOR_BYTES 33

typedef struct {
    PyObject_HEAD
    PyObject *known;     /* Scope -> Binding */
    PyObject *find_head; /* (before, after) -> Head | None, remembered there */
    PyObject *may_run;   /* tenant -> bool */
    PyObject *status_line, *failed, *decode, *decode_many, *loads, *counts, *count_key;
    PyObject *process; /* what begins the id of a request */
    PyObject *before, *after, *head; /* the header block of the last request, and its Head */
    PyObject *dated, *first_lines;   /* the server's headers, and what is sent for them */
    Py_ssize_t head_bytes_max, body_bytes_max, events_max;
    unsigned long long taken;
    unsigned long long requests; /* that got an id here */
} Lane;

typedef struct {
    PyObject_HEAD
    Lane *lane;
    PyObject *connection, *head, *request_id, *address;
} LaneTicket;

enum { HEAD_CONTEXT, HEAD_SENDER, HEAD_REQUEST_ID, HEAD_NDJSON, HEAD_MINIMAL, HEAD_KEY,
       HEAD_EXPECTED, HEAD_BEFORE_ID, HEAD_AFTER_ID, HEAD_FIELDS };

enum { L_SCOPE, L_MODE, L_REST, L_TENANT, L_HOST, L_SHORT, L_PLACES, L_SERVER_STATE,
       L_DEFAULT_HEADERS, L_ANSWERED, L_EVENT_TYPE, L_PAYLOAD, L_EVENT_ID, L_TS, L_STREAM_ID,
       L_ROUTING, L_METADATA, L_COUNT };
static const char *const NAMES[L_COUNT] = {
    "scope", "_mode", "_rest", "tenant_id", "host", "short", "places", "server_state",
    "default_headers", "answered", "event_type", "payload", "event_id", "ts", "stream_id",
    "routing", "metadata"};
static PyObject *names[L_COUNT];

/* --- bytes made of pieces: PyBytes_FromFormat takes a microsecond, and ends at a NUL -------- */

#define TEXT(text) ((Piece){text, sizeof(text) - 1})

static PyObject *joined(const Piece *pieces, size_t count) {
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += pieces[i].size;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (bytes == NULL)
        return NULL;
    char *out = PyBytes_AS_STRING(bytes);
    for (size_t i = 0; i < count; i++) {
        memcpy(out, pieces[i].bytes, pieces[i].size);
        out += pieces[i].size;
    }
    return bytes;
}

#define JOINED(...)                                                                                \
    joined((const Piece[]){__VA_ARGS__}, sizeof((const Piece[]){__VA_ARGS__}) / sizeof(Piece))

#define DIGITS_MAX 20 /* of 64 bits */

/* The digits of a number, written into `digits`. */
static Piece decimal(char digits[DIGITS_MAX], uint64_t number) {
    int count = digits_of(number);
    put_padded(digits, number, count);
    return (Piece){digits, (size_t)count};
}

/* --- the bytes of a request ------------------------------------------------------------- */

typedef struct {
    const char *address, *id, *before, *after, *body;
    Py_ssize_t address_bytes, id_bytes, before_bytes, after_bytes, body_bytes, whole_bytes;
} Found;

static int is_id_byte(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("_.~:@-", c) != NULL);
}

/* Whether the bytes begin with a whole append of the plain form: as AppendLane.find. */
static int find(const char *data, Py_ssize_t size, Py_ssize_t head_bytes_max,
                Py_ssize_t body_bytes_max, Found *found) {
    static const char opening[] = "POST /v1/streams/", ending[] = "/events HTTP/1.1\r\n";
    const Py_ssize_t id_at = sizeof opening - 1;
    if (size < id_at + 1 || memcmp(data, opening, (size_t)id_at) != 0)
        return 0;
    Py_ssize_t at = id_at;
    while (at < size && at - id_at <= ID_BYTES_MAX && is_id_byte((unsigned char)data[at]))
        at++;
    found->id = data + id_at;
    found->id_bytes = at - id_at;
    if (found->id_bytes == 0 || found->id_bytes > ID_BYTES_MAX ||
        size - at < (Py_ssize_t)sizeof ending - 1 || memcmp(data + at, ending, sizeof ending - 1))
        return 0;
    found->address = data + 5;
    found->address_bytes = at + 7 - 5;
    Py_ssize_t fields = at + (Py_ssize_t)sizeof ending - 1; /* where the first field begins */
    Py_ssize_t most = size < head_bytes_max ? size : head_bytes_max;
    if (most < fields)
        return 0;
    const char *end = memmem(data + fields - 2, (size_t)(most - fields + 2), "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    const char *length = memmem(data + fields - 2, (size_t)(end - data - fields + 2),
                                "\r\nContent-Length: ", 18);
    if (length == NULL)
        length = memmem(data + fields - 2, (size_t)(end - data - fields + 2),
                        "\r\ncontent-length: ", 18);
    if (length == NULL)
        return 0;
    const char *digit = length + 18;
    Py_ssize_t body = 0;
    int digits = 0;
    for (; digit < end && *digit >= '0' && *digit <= '9' && digits < 8; digit++, digits++)
        body = body * 10 + (*digit - '0');
    if (digits == 0 || digits > 7 || memcmp(digit, "\r\n", 2) != 0 || body > body_bytes_max)
        return 0;
    found->before = data + fields;
    found->before_bytes = length + 2 - found->before;
    found->after = digit;
    found->after_bytes = end - digit;
    found->body = end + 4;
    found->body_bytes = body;
    found->whole_bytes = found->body - data + body;
    return found->before_bytes >= 0 && found->whole_bytes <= size;
}

static int same_bytes(PyObject *bytes, const char *data, Py_ssize_t size) {
    return bytes != NULL && PyBytes_GET_SIZE(bytes) == size &&
           memcmp(PyBytes_AS_STRING(bytes), data, (size_t)size) == 0;
}

/* Whether this is a known_heads.Head whose header lines are bytes. */
static int is_head(PyObject *head) {
    return PyTuple_Check(head) && PyTuple_GET_SIZE(head) == HEAD_FIELDS &&
           PyBytes_Check(PyTuple_GET_ITEM(head, HEAD_BEFORE_ID)) &&
           PyBytes_Check(PyTuple_GET_ITEM(head, HEAD_AFTER_ID));
}

/* The Head of a header block, or None. A new reference. */
static PyObject *head_of(Lane *self, const Found *found) {
    if (same_bytes(self->before, found->before, found->before_bytes) &&
        same_bytes(self->after, found->after, found->after_bytes))
        return Py_NewRef(self->head);
    PyObject *before = PyBytes_FromStringAndSize(found->before, found->before_bytes);
    PyObject *after = PyBytes_FromStringAndSize(found->after, found->after_bytes);
    PyObject *pair[2] = {before, after};
    PyObject *head = before && after ? PyObject_Vectorcall(self->find_head, pair, 2, NULL) : NULL;
    if (head == NULL || (head != Py_None && !is_head(head))) {
        if (head != NULL)
            PyErr_SetString(PyExc_TypeError, "a Head is a named tuple of nine");
        Py_XDECREF(before);
        Py_XDECREF(after);
        Py_XDECREF(head);
        return NULL;
    }
    Py_XSETREF(self->before, before);
    Py_XSETREF(self->after, after);
    Py_XSETREF(self->head, Py_NewRef(head));
    return head;
}

/* --- the events in its body ------------------------------------------------------------- */

typedef struct {
    Py_ssize_t count;
    PyObject *held[2 * DRAFTS_MAX]; /* what the drafts borrow from, one that was refused included */
    Py_ssize_t holding;
    Draft drafts[DRAFTS_MAX];
} Drafts;

static void drafts_clear(Drafts *drafts) {
    while (drafts->holding > 0)
        Py_DECREF(drafts->held[--drafts->holding]);
    drafts->count = 0;
}

static int is_none(PyObject *draft, int name) {
    PyObject *value = PyObject_GetAttr(draft, names[name]);
    Py_XDECREF(value);
    return value == Py_None;
}

/* Add one decoded draft if it is plain: 1; 0 if not; -1 on an error. */
static int add_draft(Lane *self, ShortWay *way, Drafts *drafts, PyObject *draft) {
    if (drafts->count >= DRAFTS_MAX || !is_none(draft, L_EVENT_ID) || !is_none(draft, L_TS) ||
        !is_none(draft, L_STREAM_ID) || !is_none(draft, L_ROUTING) || !is_none(draft, L_METADATA))
        return PyErr_Occurred() ? -1 : 0;
    PyObject *event_type = PyObject_GetAttr(draft, names[L_EVENT_TYPE]);
    PyObject *type_json = event_type ? short_type_json(way, event_type) : NULL;
    Py_XDECREF(event_type);
    PyObject *payload = type_json ? PyObject_GetAttr(draft, names[L_PAYLOAD]) : NULL;
    PyObject *raw = payload ? PyBytes_FromObject(payload) : NULL;
    Py_XDECREF(payload);
    if (raw == NULL) {
        Py_XDECREF(type_json);
        return PyErr_Occurred() ? -1 : 0;
    }
    drafts->held[drafts->holding++] = raw;
    drafts->held[drafts->holding++] = type_json;
    const char *bytes = PyBytes_AS_STRING(raw);
    size_t size = (size_t)PyBytes_GET_SIZE(raw);
    if (bytes[0] != '{' || memchr(bytes, '\n', size) || memchr(bytes, '\r', size) ||
        memchr(bytes, '\t', size))
        return 0; /* no object, or one that has to be made a line first */
    PyObject *values = PyObject_CallOneArg(self->loads, raw);
    if (values == NULL)
        return leave_to_twin(); /* who says what is wrong with it */
    Py_DECREF(values);
    drafts->drafts[drafts->count++] = (Draft){type_json, bytes, (Py_ssize_t)size};
    return 1;
}

static int add_one(Lane *self, ShortWay *way, Drafts *drafts, const char *data, Py_ssize_t size) {
    PyObject *body = PyBytes_FromStringAndSize(data, size);
    PyObject *draft = body ? PyObject_CallOneArg(self->decode, body) : NULL;
    Py_XDECREF(body);
    if (draft == NULL)
        return leave_to_twin();
    int added = add_draft(self, way, drafts, draft);
    Py_DECREF(draft);
    return added;
}

static int add_many(Lane *self, ShortWay *way, Drafts *drafts, const char *data, Py_ssize_t size) {
    PyObject *body = PyBytes_FromStringAndSize(data, size);
    PyObject *list = body ? PyObject_CallOneArg(self->decode_many, body) : NULL;
    Py_XDECREF(body);
    if (list == NULL)
        return leave_to_twin();
    int added = PyList_Check(list) && PyList_GET_SIZE(list) > 0;
    for (Py_ssize_t i = 0; added == 1 && i < PyList_GET_SIZE(list); i++)
        added = add_draft(self, way, drafts, PyList_GET_ITEM(list, i));
    Py_DECREF(list);
    return added;
}

static int is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int add_lines(Lane *self, ShortWay *way, Drafts *drafts, const char *data, Py_ssize_t size) {
    const char *end = data + size;
    int added = 1;
    while (added == 1 && data < end) {
        const char *stop = memchr(data, '\n', (size_t)(end - data)), *first = data;
        if (stop == NULL)
            stop = end;
        while (first < stop && is_blank(*first))
            first++;
        if (first < stop)
            added = add_one(self, way, drafts, data, stop - data);
        data = stop + 1;
    }
    return added == 1 ? drafts->count > 0 : added;
}

static int read_body(Lane *self, ShortWay *way, Drafts *drafts, const Found *found, int ndjson) {
    const char *data = found->body;
    Py_ssize_t size = found->body_bytes, at = 0;
    if (ndjson)
        return add_lines(self, way, drafts, data, size);
    while (at < size && is_blank(data[at]))
        at++;
    if (at < size && data[at] == '[')
        return add_many(self, way, drafts, data, size);
    return add_one(self, way, drafts, data, size);
}

/* --- running it ------------------------------------------------------------------------- */

/* An id of a request that has none: what begins them all, and a number. */
static PyObject *new_request_id(Lane *self) {
    char digits[DIGITS_MAX];
    return JOINED(piece_of(self->process), TEXT("."), decimal(digits, self->requests));
}

/* `{"request_id":"…"` and what the context says besides; the id needs no escapes. */
static PyObject *metadata_of(PyObject *request_id, PyObject *rest) {
    return JOINED(TEXT("{\"request_id\":\""), piece_of(request_id), TEXT("\""), piece_of(rest));
}

static PyObject *new_ticket(Lane *self, PyObject *connection, PyObject *head, PyObject *request_id,
                            const Found *found) {
    LaneTicket *ticket = PyObject_GC_New(LaneTicket, &LaneTicketType);
    if (ticket == NULL)
        return NULL;
    ticket->lane = (Lane *)Py_NewRef(self);
    ticket->connection = Py_NewRef(connection);
    ticket->head = Py_NewRef(head);
    ticket->request_id = Py_NewRef(request_id);
    ticket->address = PyBytes_FromStringAndSize(found->address, found->address_bytes);
    PyObject_GC_Track(ticket);
    if (ticket->address == NULL)
        Py_CLEAR(ticket);
    return (PyObject *)ticket;
}

/* The append of the drafts: 1 when it is on its way, 0 when it is the twin's, -1 on an error. */
static int submit(Lane *self, ShortWay *way, PyObject *place, PyObject *tenant, PyObject *head,
                  const Found *found, const Drafts *drafts, PyObject *connection) {
    int on_its_way = -1;
    PyObject *sender = PyTuple_GET_ITEM(head, HEAD_SENDER);
    PyObject *request_id = NULL, *metadata = NULL, *ticket = NULL;
    PyObject *mode = PyObject_GetAttr(sender, names[L_MODE]);
    PyObject *rest = mode ? PyObject_GetAttr(sender, names[L_REST]) : NULL;
    if (rest != NULL && !PyBytes_Check(rest))
        PyErr_SetString(PyExc_TypeError, "the rest of the metadata is bytes");
    else if (rest != NULL)
        request_id = new_request_id(self);
    if (request_id != NULL)
        metadata = metadata_of(request_id, rest);
    if (metadata != NULL)
        ticket = new_ticket(self, connection, head, request_id, found);
    if (ticket != NULL) {
        Source source = {PyTuple_GET_ITEM(place, 0), PyTuple_GET_ITEM(place, 1), mode, metadata};
        Turn turn = {self->may_run, tenant};
        PyObject *commit =
            short_append(way, &source, drafts->drafts, drafts->count, ticket, &turn);
        on_its_way = commit == NULL ? -1 : commit != Py_None;
        self->requests += on_its_way == 1;
        Py_XDECREF(commit);
    }
    Py_XDECREF(mode);
    Py_XDECREF(rest);
    Py_XDECREF(request_id);
    Py_XDECREF(metadata);
    Py_XDECREF(ticket);
    return on_its_way;
}

/* The ShortWay of a scope's backend and the place of a stream in it: 1, or 0 when one is not at
 * hand, or -1 on an error. New references. */
static int find_way(Lane *self, PyObject *scope, const Found *found, PyObject **way,
                    PyObject **place) {
    PyObject *binding = PyDict_GetItemWithError(self->known, scope);
    if (binding == NULL)
        return PyErr_Occurred() ? -1 : 0;
    Py_INCREF(binding);
    PyObject *host = PyObject_GetAttr(binding, names[L_HOST]);
    PyObject *places = host ? PyObject_GetAttr(binding, names[L_PLACES]) : NULL;
    PyObject *id = places ? PyUnicode_FromStringAndSize(found->id, found->id_bytes) : NULL;
    if (id != NULL && PyDict_Check(places))
        *place = Py_XNewRef(PyDict_GetItemWithError(places, id));
    if (*place != NULL)
        *way = PyObject_GetAttr(host, names[L_SHORT]);
    Py_DECREF(binding);
    Py_XDECREF(host);
    Py_XDECREF(places);
    Py_XDECREF(id);
    if (PyErr_Occurred())
        return -1;
    return *place != NULL && is_place(*place) && Py_TYPE(*way) == &ShortWayType;
}

static int run(Lane *self, PyObject *head, const Found *found, PyObject *connection) {
    PyObject *way = NULL, *place = NULL, *tenant = NULL;
    PyObject *scope = PyObject_GetAttr(PyTuple_GET_ITEM(head, HEAD_SENDER), names[L_SCOPE]);
    int runs = scope ? find_way(self, scope, found, &way, &place) : -1;
    if (runs == 1 && (tenant = PyObject_GetAttr(scope, names[L_TENANT])) == NULL)
        runs = -1;
    if (runs == 1) {
        Drafts *drafts = PyMem_Malloc(sizeof *drafts); /* too large for the stack */
        if (drafts == NULL) {
            PyErr_NoMemory();
            runs = -1;
        } else {
            drafts->count = drafts->holding = 0;
            int ndjson = PyTuple_GET_ITEM(head, HEAD_NDJSON) == Py_True;
            runs = read_body(self, (ShortWay *)way, drafts, found, ndjson);
            if (runs == 1 && drafts->count > self->events_max)
                runs = 0;
            if (runs == 1)
                runs = submit(self, (ShortWay *)way, place, tenant, head, found, drafts,
                              connection);
            drafts_clear(drafts);
            PyMem_Free(drafts);
        }
    }
    Py_XDECREF(scope);
    Py_XDECREF(tenant);
    Py_XDECREF(way);
    Py_XDECREF(place);
    return runs;
}

PyDoc_STRVAR(start_doc,
             "start(data, connection) -> int\n\n"
             "How many of the bytes are an append that is on its way now; 0: none, nothing was "
             "done.\nThe connection is answered by `answered(head, body)`.");

static PyObject *Lane_start(Lane *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 2 || !PyBytes_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "start(data, connection)");
        return NULL;
    }
    Found found;
    if (!find(PyBytes_AS_STRING(args[0]), PyBytes_GET_SIZE(args[0]), self->head_bytes_max,
              self->body_bytes_max, &found))
        return PyLong_FromLong(0);
    PyObject *head = head_of(self, &found);
    if (head == NULL)
        return NULL;
    int runs = 0;
    if (head != Py_None && PyTuple_GET_ITEM(head, HEAD_REQUEST_ID) == Py_None &&
        PyTuple_GET_ITEM(head, HEAD_KEY) == Py_None &&
        PyTuple_GET_ITEM(head, HEAD_EXPECTED) == Py_None)
        runs = run(self, head, &found, args[1]);
    Py_DECREF(head);
    if (runs < 0)
        return NULL;
    self->taken += (unsigned long long)runs;
    return PyLong_FromSsize_t(runs ? found.whole_bytes : 0);
}

/* --- its answer ------------------------------------------------------------------------- */

static char *put(char *out, const void *bytes, size_t size) {
    memcpy(out, bytes, size);
    return out + size;
}

/* A line as it is answered: whole, or cut before `,"ts":` (bodies.py). */
static Py_ssize_t shown_bytes(PyObject *line, int minimal) {
    Py_ssize_t size = PyBytes_GET_SIZE(line);
    if (!minimal)
        return size;
    const char *bytes = PyBytes_AS_STRING(line);
    const char *end = memmem(bytes, (size_t)size, ",\"ts\":", 6);
    return end ? end - bytes : size;
}

static int is_minimal(LaneTicket *self) {
    return PyTuple_GET_ITEM(self->head, HEAD_MINIMAL) == Py_True;
}

/* Whether these are the lines of a commit that the lane can have begun. */
static int are_lines(PyObject *lines) {
    if (lines == NULL || !PyTuple_Check(lines) || PyTuple_GET_SIZE(lines) == 0)
        return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(lines); i++)
        if (!PyBytes_Check(PyTuple_GET_ITEM(lines, i)))
            return 0;
    return 1;
}

static PyObject *make_body(PyObject *lines, const char *cursor, int minimal) {
    static const char opening[] = "{\"events\":[", middle[] = "],\"head\":\"",
                      closing[] = "\",\"duplicates\":0}";
    Py_ssize_t count = PyTuple_GET_SIZE(lines);
    Py_ssize_t size = (Py_ssize_t)(sizeof opening + sizeof middle + sizeof closing) - 3 +
                      CURSOR_BYTES + count - 1;
    for (Py_ssize_t i = 0; i < count; i++)
        size += shown_bytes(PyTuple_GET_ITEM(lines, i), minimal) + minimal;
    PyObject *body = PyBytes_FromStringAndSize(NULL, size);
    if (body == NULL)
        return NULL;
    char *out = put(PyBytes_AS_STRING(body), opening, sizeof opening - 1);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *line = PyTuple_GET_ITEM(lines, i);
        if (i)
            *out++ = ',';
        out = put(out, PyBytes_AS_STRING(line), (size_t)shown_bytes(line, minimal));
        if (minimal)
            *out++ = '}';
    }
    out = put(out, middle, sizeof middle - 1);
    out = put(out, cursor, CURSOR_BYTES);
    put(out, closing, sizeof closing - 1);
    return body;
}

/* The status line and the server's own headers, made anew when the date changes. Borrowed. */
static PyObject *first_lines(Lane *self, PyObject *connection) {
    PyObject *state = PyObject_GetAttr(connection, names[L_SERVER_STATE]);
    PyObject *defaults = state ? PyObject_GetAttr(state, names[L_DEFAULT_HEADERS]) : NULL;
    Py_XDECREF(state);
    if (defaults == NULL)
        return NULL;
    if (defaults != self->dated) {
        PyObject *status = PyLong_FromLong(201), *args[2] = {status, defaults};
        PyObject *made = status ? PyObject_Vectorcall(self->status_line, args, 2, NULL) : NULL;
        Py_XDECREF(status);
        if (made == NULL || !PyBytes_Check(made)) {
            if (made != NULL)
                PyErr_SetString(PyExc_TypeError, "a status line is bytes");
            Py_XDECREF(made);
            Py_DECREF(defaults);
            return NULL;
        }
        Py_XSETREF(self->first_lines, made);
        Py_XSETREF(self->dated, Py_NewRef(defaults));
    }
    Py_DECREF(defaults);
    return self->first_lines;
}

/* The answer's header lines but for the empty one at the end. */
static PyObject *make_head(LaneTicket *self, const char *cursor, Py_ssize_t body_bytes) {
    PyObject *first = first_lines(self->lane, self->connection);
    if (first == NULL)
        return NULL;
    char digits[DIGITS_MAX];
    Piece at = {cursor, CURSOR_BYTES};
    return JOINED(piece_of(first), TEXT("etag: \""), at, TEXT("\"\r\nx-stream-head: "), at,
                  TEXT("\r\n"),
                  is_minimal(self) ? TEXT("preference-applied: return=minimal\r\n") : TEXT(""),
                  TEXT("content-type: application/json\r\ncontent-length: "),
                  decimal(digits, (uint64_t)body_bytes), TEXT("\r\n"),
                  piece_of(PyTuple_GET_ITEM(self->head, HEAD_BEFORE_ID)),
                  piece_of(self->request_id),
                  piece_of(PyTuple_GET_ITEM(self->head, HEAD_AFTER_ID)));
}

static int count_answer(Lane *self) {
    PyObject *before = PyDict_GetItemWithError(self->counts, self->count_key);
    if (before == NULL && PyErr_Occurred())
        return -1;
    long long answers = before ? PyLong_AsLongLong(before) : 0;
    if (answers == -1 && PyErr_Occurred())
        return -1;
    PyObject *after = PyLong_FromLongLong(answers + 1);
    int failed = after == NULL || PyDict_SetItem(self->counts, self->count_key, after);
    Py_XDECREF(after);
    return failed ? -1 : 0;
}

/* Tell the connection: its events are durable, and the stream stands at `head`. */
int lane_answer(PyObject *ticket, PyObject *lines, long long epoch, long long head) {
    LaneTicket *self = (LaneTicket *)ticket;
    if (!are_lines(lines) || epoch < 0 || head < 0) {
        PyErr_SetString(PyExc_TypeError, "a commit of the lane has a tuple of lines");
        return -1;
    }
    char cursor[CURSOR_BYTES]; /* both fit: an epoch has 32 bits, a sequence 40 */
    *put_padded(cursor, (uint64_t)epoch, 16) = '_';
    put_padded(cursor + 17, (uint64_t)head, 16);
    PyObject *body = make_body(lines, cursor, is_minimal(self));
    PyObject *lead = body ? make_head(self, cursor, PyBytes_GET_SIZE(body)) : NULL;
    PyObject *done = NULL;
    if (lead != NULL && count_answer(self->lane) == 0) {
        PyObject *args[3] = {self->connection, lead, body};
        done = PyObject_VectorcallMethod(names[L_ANSWERED], args, 3, NULL);
    }
    Py_XDECREF(body);
    Py_XDECREF(lead);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* --- the ticket as others see it --------------------------------------------------------- */

static PyObject *LaneTicket_done(PyObject *self, PyObject *nothing) {
    (void)self, (void)nothing;
    Py_RETURN_FALSE;
}

static PyObject *LaneTicket_set_exception(LaneTicket *self, PyObject *error) {
    PyObject *args[5] = {self->connection, self->head, self->address, self->request_id, error};
    PyObject *told = PyObject_Vectorcall(self->lane->failed, args, 5, NULL);
    if (told == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_WriteUnraisable(self->lane->failed); /* the rest of the batch has to be told */
        told = Py_NewRef(Py_None);
    }
    return told;
}

static int LaneTicket_traverse(LaneTicket *self, visitproc visit, void *arg) {
    Py_VISIT(self->lane);
    Py_VISIT(self->connection);
    Py_VISIT(self->head);
    Py_VISIT(self->request_id);
    Py_VISIT(self->address);
    return 0;
}

static void LaneTicket_dealloc(LaneTicket *self) {
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->lane);
    Py_XDECREF(self->connection);
    Py_XDECREF(self->head);
    Py_XDECREF(self->request_id);
    Py_XDECREF(self->address);
    PyObject_GC_Del(self);
}

static PyMethodDef LaneTicket_methods[] = {
    {"done", LaneTicket_done, METH_NOARGS, "False: nobody gives up on it."},
    {"set_exception", (PyCFunction)LaneTicket_set_exception, METH_O, "set_exception(error)"},
    {NULL, NULL, 0, NULL},
};

PyTypeObject LaneTicketType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "eventspine.native._core.LaneTicket",
    .tp_doc = "Who is told of an append: a connection.",
    .tp_basicsize = sizeof(LaneTicket),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_dealloc = (destructor)LaneTicket_dealloc,
    .tp_traverse = (traverseproc)LaneTicket_traverse,
    .tp_methods = LaneTicket_methods,
};

/* --- the lane as an object ----------------------------------------------------------------- */

static PyObject *Lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"known",  "find_head",   "may_run",    "status_line",
                               "failed", "decode",      "decode_many", "loads",
                               "counts", "count_key",   "process",    "body_bytes_max",
                               "events_max", "head_bytes_max", NULL};
    PyObject *known, *find_head, *turns, *status_line, *failed, *decode, *many, *loads, *counts;
    PyObject *count_key, *process;
    Py_ssize_t body_max, events_max, head_max = HEAD_BYTES_MAX;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OOOOOOOO!OSnn|n", keywords, &PyDict_Type,
                                     &known, &find_head, &turns, &status_line, &failed, &decode,
                                     &many, &loads, &PyDict_Type, &counts, &count_key, &process,
                                     &body_max, &events_max, &head_max))
        return NULL;
    for (int i = 0; i < L_COUNT; i++)
        if (names[i] == NULL && (names[i] = PyUnicode_InternFromString(NAMES[i])) == NULL)
            return NULL;
    Lane *self = (Lane *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->known = Py_NewRef(known);
    self->find_head = Py_NewRef(find_head);
    self->may_run = Py_NewRef(turns);
    self->status_line = Py_NewRef(status_line);
    self->failed = Py_NewRef(failed);
    self->decode = Py_NewRef(decode);
    self->decode_many = Py_NewRef(many);
    self->loads = Py_NewRef(loads);
    self->counts = Py_NewRef(counts);
    self->count_key = Py_NewRef(count_key);
    self->process = Py_NewRef(process);
    self->head_bytes_max = head_max;
    self->body_bytes_max = body_max;
    self->events_max = events_max;
    return (PyObject *)self;
}

#define WHAT_CHANGES(DO)                                                                           \
    DO(self->before);                                                                              \
    DO(self->after);                                                                               \
    DO(self->head);                                                                                \
    DO(self->dated);                                                                               \
    DO(self->first_lines)
#define WHAT_STAYS(DO)                                                                             \
    DO(self->known);                                                                               \
    DO(self->find_head);                                                                           \
    DO(self->may_run);                                                                             \
    DO(self->status_line);                                                                         \
    DO(self->failed);                                                                              \
    DO(self->decode);                                                                              \
    DO(self->decode_many);                                                                         \
    DO(self->loads);                                                                               \
    DO(self->counts);                                                                              \
    DO(self->count_key);                                                                           \
    DO(self->process)

static int Lane_traverse(Lane *self, visitproc visit, void *arg) {
    WHAT_CHANGES(Py_VISIT);
    WHAT_STAYS(Py_VISIT);
    return 0;
}

/* Only this: what stays is set once, as in a tuple, and never missing when somebody calls. */
static int Lane_clear(Lane *self) {
    WHAT_CHANGES(Py_CLEAR);
    return 0;
}

static void Lane_dealloc(Lane *self) {
    PyObject_GC_UnTrack(self);
    WHAT_CHANGES(Py_XDECREF);
    WHAT_STAYS(Py_XDECREF);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef Lane_methods[] = {
    {"start", (PyCFunction)(void (*)(void))Lane_start, METH_FASTCALL, start_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Lane_members[] = {
    {"taken", T_ULONGLONG, offsetof(Lane, taken), READONLY, "requests that went this way"},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject LaneType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "eventspine.native._core.Lane",
    .tp_doc = "The short way of an append over HTTP.",
    .tp_basicsize = sizeof(Lane),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = Lane_new,
    .tp_dealloc = (destructor)Lane_dealloc,
    .tp_traverse = (traverseproc)Lane_traverse,
    .tp_clear = (inquiry)Lane_clear,
    .tp_methods = Lane_methods,
    .tp_members = Lane_members,
};
