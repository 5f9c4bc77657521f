/* See line.h. Pure: nothing in here knows of Python. */
#define _GNU_SOURCE
#include "line.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#define PUT(text) (memcpy(out, text, sizeof(text) - 1), out += sizeof(text) - 1)

static const char HEX[] = "0123456789abcdef";

static char *put_hex(char *out, uint64_t value, int digits) {
    for (int at = digits - 1; at >= 0; at--, value >>= 4)
        out[at] = HEX[value & 15];
    return out + digits;
}

char *put_padded(char *out, uint64_t value, int digits) {
    for (int at = digits - 1; at >= 0; at--, value /= 10)
        out[at] = (char)('0' + value % 10);
    return out + digits;
}

int digits_of(uint64_t value) {
    int digits = 1;
    while (value >= 10)
        value /= 10, digits++;
    return digits;
}

static char *put_piece(char *out, Piece piece) {
    memcpy(out, piece.bytes, piece.size);
    return out + piece.size;
}

/* The time of day, formatted once a millisecond and its seconds once a second. */
void instant_read(Instant *now) {
    struct timespec clock;
    clock_gettime(CLOCK_REALTIME, &clock);
    int64_t ms = (int64_t)clock.tv_sec * 1000 + clock.tv_nsec / 1000000;
    if (ms == now->ms)
        return;
    if (clock.tv_sec != now->second) {
        struct tm utc;
        char text[64];
        gmtime_r(&clock.tv_sec, &utc);
        snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.000Z", utc.tm_year + 1900,
                 utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
        memcpy(now->ts, text, TS_BYTES);
        now->second = clock.tv_sec;
    }
    put_padded(now->ts + TS_BYTES - 4, (uint64_t)(ms % 1000), 3);
    char *out = put_hex(now->id_time, (uint64_t)ms >> 16, 8);
    *out++ = '-';
    out = put_hex(out, (uint64_t)ms & 0xFFFF, 4);
    *out++ = '-';
    *out = '7';
    now->ms = ms;
}

int ids_seed(Ids *ids) {
    uint64_t seed[2] = {0, 0};
    ssize_t got;
    while ((got = getrandom(seed, sizeof seed, 0)) != (ssize_t)sizeof seed)
        if (got < 0 && errno != EINTR)
            return -1;
    ids->state = seed[0] | 1;
    ids->counter = (uint32_t)seed[1];
    return 0;
}

/* xorshift64*: the random bits of an id tell two processes apart, and keep no secret. */
static uint64_t ids_random(Ids *ids) {
    ids->state ^= ids->state >> 12;
    ids->state ^= ids->state << 25;
    ids->state ^= ids->state >> 27;
    return ids->state * 0x2545F4914F6CDD1DULL;
}

/* 48 bits of time, version 7, 12 bits of the counter, variant, 40 bits of sequence, 22 random. */
static char *put_id(char *out, const Instant *now, Ids *ids, uint64_t sequence) {
    memcpy(out, now->id_time, ID_TIME_BYTES);
    out = put_hex(out + ID_TIME_BYTES, ids->counter++ & 0xFFF, 3);
    *out++ = '-';
    out = put_hex(out, 0x8000 | (sequence >> 26 & 0x3FFF), 4);
    *out++ = '-';
    return put_hex(out, (sequence & 0x3FFFFFF) << 22 | ids_random(ids) >> 42, 12);
}

size_t line_size(const Line *line) {
    const char fixed[] = "{\"sequence\":,\"cursor\":\"_\",\"event_id\":\"\",\"ts\":\"\","
                         "\"event_type\":,\"metadata\":,\"payload\":}";
    return sizeof fixed - 1 + (size_t)digits_of((uint64_t)line->sequence) + 16 + 16 + ID_BYTES +
           TS_BYTES + line->event_type.size + line->address.size + line->metadata.size +
           line->payload.size;
}

void line_fill(char *out, const Line *line, const Instant *now, Ids *ids) {
    uint64_t sequence = (uint64_t)line->sequence;
    PUT("{\"sequence\":");
    out = put_padded(out, sequence, digits_of(sequence));
    PUT(",\"cursor\":\"");
    out = put_padded(out, (uint64_t)line->epoch, 16);
    *out++ = '_';
    out = put_padded(out, sequence, 16);
    PUT("\",\"event_id\":\"");
    out = put_id(out, now, ids, sequence);
    PUT("\",\"ts\":\"");
    memcpy(out, now->ts, TS_BYTES);
    out += TS_BYTES;
    PUT("\",\"event_type\":");
    out = put_piece(out, line->event_type);
    *out++ = ',';
    out = put_piece(out, line->address); /* ends with a comma */
    PUT("\"metadata\":");
    out = put_piece(out, line->metadata);
    PUT(",\"payload\":");
    out = put_piece(out, line->payload);
    *out = '}';
}
