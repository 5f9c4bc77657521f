/* Sums of products of two vectors of float32, rounded once: what math.fsum makes of them.
 *
 * A product of two float32 is exact in double precision. They are added up in twice that precision,
 * each addition with what it rounded away (D. Knuth, "The Art of Computer Programming", volume 2,
 * 4.2.2, theorem B; T. Ogita, S. Rump and S. Oishi, "Accurate Sum and Dot Product", SIAM Journal
 * on Scientific Computing 26, 2005, algorithm 4.4). What is still wrong then is at most (n u)^2
 * times the sum of the magnitudes, with u = 2^-53; four times that is assumed. If both ends of what
 * the sum may be round to the same double, it is that one; if not, as where it lies halfway between
 * two, the answer is None, and fsum has to say. Why: fsum takes 20 us for 384 numbers, twice for
 * each neighbour that an answer names.
 */
#include "core.h"

#include <float.h>
#include <math.h>
#include <string.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF /* gcc does not contract with -std=c11 */
#endif

#if PY_BIG_ENDIAN || FLT_EVAL_METHOD != 0 /* vectors are little-endian; x87 rounds otherwise */
#define IS_SOUND 0
#else
#define IS_SOUND 1
#endif

#define LANES 4 /* additions that do not wait for each other */
#define UNIT 0x1p-53

typedef struct {
    double high[LANES], low[LANES], size[LANES];
} Sum;

static inline void add(double *high, double *low, double value) {
    double sum = *high + value, taken = sum - *high;
    *low += (*high - (sum - taken)) + (value - taken);
    *high = sum;
}

static inline void take(Sum *sum, int lane, double value) {
    add(&sum->high[lane], &sum->low[lane], value);
    sum->size[lane] += fabs(value);
}

static PyObject *rounded(const Sum *sum, Py_ssize_t count) {
    double high = sum->high[0], low = sum->low[0], size = sum->size[0];
    for (int lane = 1; lane < LANES; lane++) {
        add(&high, &low, sum->high[lane]);
        low += sum->low[lane];
        size += sum->size[lane];
    }
    double steps = (double)count + 2 * LANES, wrong = 4 * (steps * UNIT) * (steps * UNIT) * size;
    double least = high + (low - wrong), most = high + (low + wrong);
    if (!IS_SOUND || !isfinite(size) || least != most)
        Py_RETURN_NONE;
    return PyFloat_FromDouble(least);
}

static inline float number(const char *vector, Py_ssize_t n) {
    float found;
    memcpy(&found, vector + n * (Py_ssize_t)sizeof(float), sizeof(float));
    return found;
}

static inline double product(const char *a, const char *b, Py_ssize_t n, int is_apart) {
    double x = number(a, n), y = number(b, n);
    return is_apart ? (x - y) * (x - y) : x * y;
}

static inline PyObject *summed(PyObject *const *args, Py_ssize_t count, int is_apart) {
    if (count != 2 || !PyBytes_Check(args[0]) || !PyBytes_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "two vectors: a: bytes, b: bytes");
        return NULL;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(args[0]), dims = size / (Py_ssize_t)sizeof(float);
    if (size != PyBytes_GET_SIZE(args[1]) || size % (Py_ssize_t)sizeof(float)) {
        PyErr_SetString(PyExc_ValueError, "two vectors of float32, of one length");
        return NULL;
    }
    const char *a = PyBytes_AS_STRING(args[0]), *b = PyBytes_AS_STRING(args[1]);
    Sum sum = {0};
    Py_ssize_t n = 0;
    for (; n + LANES <= dims; n += LANES)
        for (int lane = 0; lane < LANES; lane++)
            take(&sum, lane, product(a, b, n + lane, is_apart));
    for (; n < dims; n++)
        take(&sum, 0, product(a, b, n, is_apart));
    return rounded(&sum, dims);
}

/* dot(a, b) -> the sum of x*y, or None */
PyObject *dot(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    return summed(args, count, 0);
}

/* apart(a, b) -> the sum of (x-y)*(x-y), each product rounded, or None */
PyObject *apart(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    return summed(args, count, 1);
}
