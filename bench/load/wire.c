/* Publishers and readers on plain sockets, for every server that speaks bytes over TCP.
 *
 * Job: with --readers, one stream to many live readers; without, appends in a closed loop.
 *
 * Closed loop: a publisher sends --pipeline messages and waits for all their answers. With readers,
 * at most --window events are on their way (the readers' mean), so a server is asked for as much as
 * it can do and no queue grows without end. Latency is from just before the send until the last
 * answer, or until a reader has the event; of the readers, every tenth measures.
 *
 * What is sent stands in files, made in Python (bench/load/wire.py). Numbers are written into them
 * in place, so nothing changes its length: eight digits for %STREAM% (the next stream), %READER%
 * and %SENDER% (which of them), nineteen for the time in nanoseconds after "at":.
 *
 * Refused: Python for this. At 1,000 readers of nchan an epoll loop in Python was at 95 % of its
 * core, and what was measured was the client.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 1024, SAMPLED = 10, CHUNK = 1 << 18, ANSWER = 1 << 16, STAMP = 19, DRAIN_S = 20 };
static const char MARK[] = "\"at\":";
enum { MARK_LEN = sizeof MARK - 1 };

struct text { char *bytes; size_t len; };

struct peer {
    int fd;
    bool reader, measured;
    int number;
    int waiting;      /* publisher: answers still to come */
    int64_t sent_ns;  /* publisher: when the first of them was asked for */
    size_t held;      /* bytes in `buffer` */
    char *buffer;     /* what came and is not understood yet */
};

static struct {
    int port, publishers, readers, window, pipeline, streams;
    double seconds;
    const char *answer, *again;
    struct text hello, publish, subscribe;
    const char *hello_ends, *subscribe_ends;
} ask = {.publishers = 8, .window = 16, .pipeline = 1, .streams = 1, .seconds = 3,
         .answer = "http", .hello_ends = "", .subscribe_ends = ""};

static int poller;
static int64_t published, answered, delivered;
static int64_t *latencies;
static size_t measured, room;
static struct peer **idle;
static int idles;
static unsigned next_stream;

static void die(const char *format, ...) {
    va_list rest;
    va_start(rest, format);
    vfprintf(stderr, format, rest);
    va_end(rest);
    fputc('\n', stderr);
    exit(1);
}

static int64_t now_ns(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void took(int64_t ns) {
    if (measured == room) {
        room = room ? room * 2 : 1 << 16;
        latencies = realloc(latencies, room * sizeof *latencies);
        if (!latencies) die("no memory");
    }
    latencies[measured++] = ns;
}

static struct text read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct text text = {malloc(1 << 20), 0};
    if (!file || !text.bytes) die("%s: %s", path, strerror(errno));
    text.len = fread(text.bytes, 1, 1 << 20, file);
    fclose(file);
    return text;
}

/* Write a number over every `word` (or after it, at `skip`), in as many digits. */
static void put(struct text text, const char *word, size_t skip, int digits, int64_t number) {
    char *at = text.bytes, *end = text.bytes + text.len;
    size_t len = strlen(word);
    char decimal[32];
    snprintf(decimal, sizeof decimal, "%0*lld", digits, (long long)number);
    while ((at = memmem(at, end - at, word, len))) {
        memcpy(at + skip, decimal, digits);
        at += skip + digits;
    }
}

static struct text copy_of(struct text text) {
    struct text copy = {malloc(text.len + 1), text.len};
    memcpy(copy.bytes, text.bytes, text.len);
    return copy;
}

static void send_all(int fd, const char *bytes, size_t len) {
    while (len) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) continue; /* an answer is awaited: the server will read */
        if (n < 0) die("send: %s", strerror(errno));
        bytes += n, len -= n;
    }
}

static int open_socket(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ask.port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) die("connect: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* Connect, say hello, wait until `ends` has come. What follows it in the same read is kept. */
static void meet(struct peer *peer, struct text hello, const char *ends) {
    size_t len = strlen(ends);
    char *found = NULL;
    peer->fd = open_socket();
    peer->buffer = malloc(ANSWER);
    send_all(peer->fd, hello.bytes, hello.len);
    while (len && !(found = memmem(peer->buffer, peer->held, ends, len))) {
        ssize_t n = recv(peer->fd, peer->buffer + peer->held, ANSWER - peer->held, 0);
        if (n <= 0) die("ended while %.*s awaited", (int)len, ends);
        peer->held += n;
        if (peer->held == ANSWER) die("no %s in %.300s", ends, peer->buffer);
        if (peer->held > 20 && !memcmp(peer->buffer, "HTTP", 4) && !memmem(peer->buffer, 20, " 200 ", 5))
            die("%.300s", peer->buffer);
    }
    if (found) {
        found += len;
        peer->held -= found - peer->buffer;
        memmove(peer->buffer, found, peer->held);
    }
    if (!peer->reader) peer->held = 0;
    fcntl(peer->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    epoll_ctl(poller, EPOLL_CTL_ADD, peer->fd, &event);
}

static void publish(struct peer *peer) {
    static char *out;
    size_t len = ask.publish.len;
    if (!out) out = malloc(len * ask.pipeline);
    peer->sent_ns = now_ns(CLOCK_REALTIME);
    struct text next = {NULL, len};
    for (int n = 0; n < ask.pipeline; n++) {
        next.bytes = out + n * len;
        memcpy(next.bytes, ask.publish.bytes, len);
        put(next, "%STREAM%", 0, 8, next_stream++ % ask.streams);
        put(next, "%SENDER%", 0, 8, peer->number);
        put(next, MARK, MARK_LEN, STAMP, peer->sent_ns);
    }
    send_all(peer->fd, out, len * ask.pipeline);
    peer->waiting = ask.pipeline;
    published += ask.pipeline;
}

/* --- answers to publishers: how many bytes of the buffer are one whole answer, or 0 --- */

static size_t http_answer(const char *bytes, size_t len) {
    const char *head = memmem(bytes, len, "\r\n\r\n", 4);
    if (!head) return 0;
    if (memcmp(bytes, "HTTP/1.1 2", 10)) die("%.*s", (int)(len < 300 ? len : 300), bytes);
    size_t body = 0;
    for (const char *line = bytes; line && line < head; line = memmem(line, head - line, "\r\n", 2)) {
        if (*line == '\r') line += 2;
        if (!strncasecmp(line, "content-length:", 15)) body = strtoul(line + 15, NULL, 10);
    }
    size_t whole = head + 4 - bytes + body;
    return whole <= len ? whole : 0;
}

/* NATS: MSG …\r\n{…}\r\n    Redis: $15\r\n1700000000000-0\r\n */
static size_t lines_answer(const char *bytes, size_t len) {
    if (len && *bytes == '-') die("%.*s", (int)(len < 300 ? len : 300), bytes);
    const char *first = memchr(bytes, '\n', len);
    const char *second = first ? memchr(first + 1, '\n', bytes + len - first - 1) : NULL;
    if (!second) return 0;
    if (memmem(first, second - first, "\"error\"", 7)) die("%.*s", (int)(second - first), first);
    return second + 1 - bytes;
}

static void take_answers(struct peer *peer) {
    ssize_t n = recv(peer->fd, peer->buffer + peer->held, ANSWER - peer->held, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 && !peer->waiting) { /* it ends idle connections: node does after 5 s */
        close(peer->fd);
        free(peer->buffer);
        peer->held = 0;
        meet(peer, ask.hello, ask.hello_ends);
        return;
    }
    if (n <= 0) die("the server ended a publisher");
    size_t at = 0, whole;
    peer->held += n;
    while (peer->waiting) {
        const char *bytes = peer->buffer + at;
        whole = *ask.answer == 'h' ? http_answer(bytes, peer->held - at)
                                   : lines_answer(bytes, peer->held - at);
        if (!whole) break;
        at += whole, answered++;
        if (--peer->waiting == 0) {
            if (!ask.readers) took(now_ns(CLOCK_REALTIME) - peer->sent_ns);
            idle[idles++] = peer;
        }
    }
    memmove(peer->buffer, peer->buffer + at, peer->held -= at);
}

/* --- readers --- */

/* Count the events in so many bytes; what is left of an unfinished mark stays for later. */
static size_t count_marks(struct peer *peer, const char *bytes, size_t len) {
    const char *at = bytes, *end = bytes + len, *mark;
    int64_t now = peer->measured ? now_ns(CLOCK_REALTIME) : 0;
    while ((mark = memmem(at, end - at, MARK, MARK_LEN))) {
        if (end - mark < MARK_LEN + STAMP) return end - mark;
        at = mark + MARK_LEN + STAMP;
        delivered++;
        if (peer->measured) took(now - strtoll(mark + MARK_LEN, NULL, 10));
    }
    return end - at < MARK_LEN - 1 ? end - at : MARK_LEN - 1;
}

/* One line of RESP: its number, and where the next one begins. */
static const char *resp(const char *at, const char *end, long *number) {
    const char *line = at && at < end ? memchr(at, '\n', end - at) : NULL;
    if (line) *number = strtol(at + 1, NULL, 10);
    return line ? line + 1 : NULL;
}

static const char *bulk(const char *at, const char *end, const char **text, long *len) {
    at = resp(at, end, len);
    if (!at || end - at < *len + 2) return NULL;
    *text = at;
    return at + *len + 2;
}

/* XREAD answers once: when the whole answer is there, ask for what comes after its last id. */
static void read_again(struct peer *peer) {
    const char *end = peer->buffer + peer->held, *at = peer->buffer, *key = NULL, *word, *id = NULL;
    long count = 0, key_len = 0, id_len = 0, len;
    at = bulk(resp(resp(at, end, &len), end, &len), end, &key, &key_len);
    at = resp(at, end, &count);
    for (long n = 0; at && n < count; n++) {
        at = bulk(resp(at, end, &len), end, &id, &id_len);
        at = bulk(bulk(resp(at, end, &len), end, &word, &len), end, &word, &len);
    }
    if (!at) return;
    char command[512];
    int size = snprintf(command, sizeof command,
        "*8\r\n$5\r\nXREAD\r\n$5\r\nCOUNT\r\n$3\r\n100\r\n$5\r\nBLOCK\r\n$1\r\n0\r\n$7\r\nSTREAMS\r\n"
        "$%ld\r\n%.*s\r\n$%ld\r\n%.*s\r\n", key_len, (int)key_len, key, id_len, (int)id_len, id);
    count_marks(peer, peer->buffer, at - peer->buffer);
    peer->held = 0;
    send_all(peer->fd, command, size);
}

static void take_events(struct peer *peer) {
    static char chunk[CHUNK];
    char *into = ask.again ? peer->buffer : chunk;
    if (!ask.again) memcpy(chunk, peer->buffer, peer->held);
    size_t space = ask.again ? ANSWER : CHUNK;
    ssize_t n = recv(peer->fd, into + peer->held, space - peer->held, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) die("the server ended a reader");
    peer->held += n;
    if (ask.again) {
        read_again(peer);
        return;
    }
    size_t rest = count_marks(peer, chunk, peer->held);
    memcpy(peer->buffer, chunk + peer->held - rest, rest);
    peer->held = rest;
}

/* --- the loop --- */

static void step(bool publishing) {
    struct epoll_event events[EVENTS];
    int64_t behind = ask.readers ? published - delivered / ask.readers : INT64_MIN;
    while (publishing && idles && behind < ask.window) {
        publish(idle[--idles]);
        behind += ask.pipeline;
    }
    int n = epoll_wait(poller, events, EVENTS, 50);
    for (int i = 0; i < n; i++) {
        struct peer *peer = events[i].data.ptr;
        if (peer->reader) take_events(peer);
        else take_answers(peer);
    }
}

static double run_for(double seconds) {
    int64_t began = now_ns(CLOCK_MONOTONIC), until = began + (int64_t)(seconds * 1e9), at;
    do step(true);
    while ((at = now_ns(CLOCK_MONOTONIC)) < until);
    return (at - began) / 1e9;
}

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void options(int argc, char **argv) {
    for (int n = 1; n + 1 < argc; n += 2) {
        const char *name = argv[n] + 2, *value = argv[n + 1];
        if (!strcmp(name, "port")) ask.port = atoi(value);
        else if (!strcmp(name, "publishers")) ask.publishers = atoi(value);
        else if (!strcmp(name, "readers")) ask.readers = atoi(value);
        else if (!strcmp(name, "window")) ask.window = atoi(value);
        else if (!strcmp(name, "pipeline")) ask.pipeline = atoi(value);
        else if (!strcmp(name, "streams")) ask.streams = atoi(value);
        else if (!strcmp(name, "seconds")) ask.seconds = atof(value);
        else if (!strcmp(name, "answer")) ask.answer = value;
        else if (!strcmp(name, "again")) ask.again = value;
        else if (!strcmp(name, "hello")) ask.hello = read_file(value);
        else if (!strcmp(name, "hello-ends")) ask.hello_ends = value;
        else if (!strcmp(name, "publish")) ask.publish = read_file(value);
        else if (!strcmp(name, "subscribe")) ask.subscribe = read_file(value);
        else if (!strcmp(name, "subscribe-ends")) ask.subscribe_ends = value;
        else die("no option --%s", name);
    }
}

static void meet_all(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(0);
    struct peer *all = calloc(ask.readers + ask.publishers, sizeof *all);
    idle = calloc(ask.publishers, sizeof *idle);
    for (int n = 0; n < ask.readers; n++) {
        struct text hello = copy_of(ask.subscribe);
        put(hello, "%READER%", 0, 8, n);
        all[n].reader = true;
        all[n].measured = n % SAMPLED == 0;
        meet(&all[n], hello, ask.subscribe_ends);
        free(hello.bytes);
    }
    for (int n = 0; n < ask.publishers; n++) {
        struct peer *peer = &all[ask.readers + n];
        struct text hello = copy_of(ask.hello);
        put(hello, "%SENDER%", 0, 8, peer->number = n);
        meet(peer, hello, ask.hello_ends);
        free(hello.bytes);
        idle[idles++] = peer;
    }
}

int main(int argc, char **argv) {
    options(argc, argv);
    meet_all();
    run_for(ask.seconds < 1 ? ask.seconds / 2 : 0.5); /* warm */
    measured = 0;
    int64_t before = ask.readers ? delivered : answered, cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    double seconds = run_for(ask.seconds);
    int64_t count = (ask.readers ? delivered : answered) - before;
    cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    size_t samples = measured;
    int64_t *kept = malloc((samples + 1) * sizeof *kept);
    memcpy(kept, latencies, samples * sizeof *kept);
    qsort(kept, samples, sizeof *kept, by_size);
    int64_t deadline = now_ns(CLOCK_MONOTONIC) + DRAIN_S * 1000000000LL;
    while (delivered < published * ask.readers && now_ns(CLOCK_MONOTONIC) < deadline) step(false);
    printf("{\"per_s\": %f, \"p50_ms\": %f, \"p99_ms\": %f, \"count\": %lld, \"seconds\": %f, "
           "\"client_cpu\": %f, \"missing\": %lld, \"served\": %lld}\n",
           count / seconds, samples ? kept[samples / 2] / 1e6 : 0,
           samples ? kept[(size_t)(samples * 0.99)] / 1e6 : 0, (long long)count, seconds,
           cpu / 1e9 / seconds, (long long)(published * ask.readers - delivered),
           (long long)(ask.readers ? delivered : answered));
    return 0;
}
