/* Express: a thread of its own that makes one record durable at a time, without the interpreter.
 *
 * It is told by a condition and answers through an eventfd. Why, and the rules: the Device of
 * contracts/express.py, which this is. */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { IDLE, GIVEN, DONE };

typedef struct {
    PyObject_HEAD
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t given;
    atomic_int state;
    int running, stopping;
    int event_fd, fd, seal_fd, code, seal_code;
    off_t offset;
    PyObject *data, *seal;
} Express;

static void *run(void *argument) {
    Express *self = argument;
    pthread_mutex_lock(&self->lock);
    for (;;) {
        while (!self->stopping && self->state != GIVEN)
            pthread_cond_wait(&self->given, &self->lock);
        if (self->state != GIVEN)
            break;
        pthread_mutex_unlock(&self->lock);
        self->code = write_durably(self->fd, PyBytes_AS_STRING(self->data),
                                   PyBytes_GET_SIZE(self->data), self->offset);
        self->seal_code = self->code ? 0
                                     : write_plainly(self->seal_fd, PyBytes_AS_STRING(self->seal),
                                                     PyBytes_GET_SIZE(self->seal), 0);
        uint64_t one = 1;
        while (write(self->event_fd, &one, sizeof one) < 0 && errno == EINTR) {
        }
        self->state = DONE; /* after it: whoever sees that can take both */
        pthread_mutex_lock(&self->lock);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

static PyObject *Express_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)kwargs;
    if (!PyArg_ParseTuple(args, ""))
        return NULL;
    Express *self = (Express *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->given, NULL);
    self->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int code = self->event_fd < 0 ? errno : pthread_create(&self->thread, NULL, run, self);
    self->running = code == 0;
    if (code) {
        errno = code;
        PyErr_SetFromErrno(PyExc_OSError);
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static void stop(Express *self) {
    if (self->running) {
        self->running = 0;
        Py_BEGIN_ALLOW_THREADS
        pthread_mutex_lock(&self->lock);
        self->stopping = 1;
        pthread_cond_signal(&self->given);
        pthread_mutex_unlock(&self->lock);
        pthread_join(self->thread, NULL);
        Py_END_ALLOW_THREADS
    }
    if (self->event_fd >= 0)
        close(self->event_fd);
    self->event_fd = -1;
}

static void Express_dealloc(Express *self) {
    stop(self);
    Py_XDECREF(self->data);
    Py_XDECREF(self->seal);
    pthread_cond_destroy(&self->given);
    pthread_mutex_destroy(&self->lock);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *Express_begin(Express *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 5 || !PyBytes_Check(args[1]) || !PyBytes_Check(args[4])) {
        PyErr_SetString(PyExc_TypeError, "begin(fd, data, offset, seal_fd, seal)");
        return NULL;
    }
    if (self->state != IDLE || !self->running) {
        PyErr_SetString(PyExc_RuntimeError, "a record is on its way, or none is taken any more");
        return NULL;
    }
    int fd = descriptor_of(args[0]), seal_fd = descriptor_of(args[3]);
    long long offset = PyLong_AsLongLong(args[2]);
    if (PyErr_Occurred())
        return NULL;
    self->fd = fd, self->seal_fd = seal_fd, self->offset = offset;
    Py_XSETREF(self->data, Py_NewRef(args[1]));
    Py_XSETREF(self->seal, Py_NewRef(args[4]));
    pthread_mutex_lock(&self->lock); /* held by the thread for no longer than it takes to wait */
    self->state = GIVEN;
    pthread_cond_signal(&self->given);
    pthread_mutex_unlock(&self->lock);
    Py_RETURN_NONE;
}

static PyObject *Express_finish(Express *self, PyObject *none) {
    (void)none;
    if (self->state != DONE) {
        PyErr_SetString(PyExc_RuntimeError, "no record is done");
        return NULL;
    }
    uint64_t told;
    while (read(self->event_fd, &told, sizeof told) < 0 && errno == EINTR) {
    }
    self->state = IDLE;
    return Py_BuildValue("ii", self->code, self->seal_code);
}

static PyObject *Express_close(Express *self, PyObject *none) {
    (void)none;
    stop(self);
    Py_RETURN_NONE;
}

static PyObject *Express_listen(Express *self, PyObject *args) {
    (void)args; /* nobody is called: whoever listens waits for the descriptor */
    return PyLong_FromLong(self->event_fd);
}

static PyObject *get_landed(Express *self, void *closure) {
    (void)closure;
    return PyBool_FromLong(self->state == DONE);
}

static PyMethodDef methods[] = {
    {"listen", (PyCFunction)Express_listen, METH_VARARGS,
     "listen(tell, call) -> a descriptor, readable as soon as a record has landed."},
    {"begin", (PyCFunction)(void (*)(void))Express_begin, METH_FASTCALL,
     "begin(fd, data, offset, seal_fd, seal): write it durably, then the seal."},
    {"finish", (PyCFunction)Express_finish, METH_NOARGS,
     "finish() -> (errno of the record or 0, errno of the seal or 0)"},
    {"close", (PyCFunction)Express_close, METH_NOARGS, "Finish what is begun, and end the thread."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef members[] = {
    {"landed", (getter)get_landed, NULL, "Whether it is written, or has failed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject ExpressType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "eventspine.native.Express",
    .tp_doc = "A thread that makes one record durable at a time, without the interpreter.",
    .tp_basicsize = sizeof(Express),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = Express_new,
    .tp_dealloc = (destructor)Express_dealloc,
    .tp_methods = methods,
    .tp_getset = members,
};
