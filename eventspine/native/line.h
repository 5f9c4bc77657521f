/* The bytes of a stored line (contracts/wire.py: STORED_LINE) and of an event id of ours
 * (contracts/event_id.py), made without a format string. */
#ifndef EVENTSPINE_LINE_H
#define EVENTSPINE_LINE_H

#include <stdint.h>
#include <string.h>

#define TS_BYTES 24      /* 2026-11-22T13:05:01.123Z */
#define ID_TIME_BYTES 15 /* %08x-%04x-7 */
#define ID_BYTES 36
#define SEQUENCE_MAX ((1LL << 40) - 1) /* what an event id has room for */

typedef struct {
    int64_t ms;
    int64_t second;
    char ts[TS_BYTES];
    char id_time[ID_TIME_BYTES];
} Instant;

typedef struct {
    uint64_t state;
    uint32_t counter;
} Ids;

typedef struct {
    const char *bytes;
    size_t size;
} Piece;

/* What varies from line to line. */
typedef struct {
    int64_t epoch, sequence;
    Piece event_type, address, metadata, payload;
} Line;

/* Decimal digits, with zeros before them; what is behind the last is returned. */
char *put_padded(char *out, uint64_t value, int digits);
int digits_of(uint64_t value);
void instant_read(Instant *now);
int ids_seed(Ids *ids); /* 0, or -1 and errno */
size_t line_size(const Line *line);
void line_fill(char *out, const Line *line, const Instant *now, Ids *ids);

#endif
