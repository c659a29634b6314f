/* Reads the records of a .vital stream without creating a Python object per record.
 *
 * A case has about half a million records and a few hundred header packets. This file reads the records, and returns
 * to Python (scan.py) for everything rare: a header packet, an incomplete packet, or an invalid record, for which
 * Python raises the error. scan.py describes the format. The reference implementation is tests/reference/slow_scan.py;
 * the tests check that both give the same results on any bytes.
 *
 * This file allocates no memory and writes only into the given buffers, within their sizes. All lengths and positions
 * are int64, so that a 4 GiB length field cannot overflow. Nothing is read beyond `end`. Fields are copied out with
 * memcpy, because they are not aligned.
 *
 * It uses only the limited API of Python 3.11, so that one build works for 3.11 and later.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Only little-endian machines are supported: the stream's fields are copied without conversion."
#endif

enum { WAVE = 1, NUMERIC = 2 };
enum { TRACK_PACKET = 0, RECORD_PACKET = 1, DEVICE_PACKET = 9 };
enum { PACKET_HEAD = 5, RECORD_HEAD = 12, TRACK_IDS = 65536 };

/* A record is processed once this many of its bytes are available: more than 2 + 65,535 + 4 bytes and a sample. The
 * rest of a long wave is skipped without buffering it. */
enum { LONGEST_RECORD_HEAD = 1 << 17 };

/* Stop reasons of a scan; the returned position is that of the packet concerned. */
enum { MORE, FULL, HEADER, TOO_LONG, NO_HEAD, BAD_TIME, BAD_SAMPLES, FELL };

/* A clock that falls by more than this many seconds from one record of a track to the next was set back. */
#define SET_BACK 60.0

/* One track header and the summary of its records; same layout as TRACK in track_table.py. `early` records have a time
 * of 0 or below: they lie outside of the recording if it has later records alone. Times are in s. */
typedef struct {
    double rate, gain, offset;
    double first, last; /* earliest record and latest sample */
    double early_first, early_last;
    double previous;            /* the latest record in file order, -inf before the first */
    double run_first, run_last; /* earliest and latest record since the clock was last set back */
    int64_t records, early;
    int32_t kind, format;
} Track;

/* One numeric sample, in file order; same layout as ROW in rows.py. */
typedef struct {
    double time, value;
    int64_t track;
} Row;

typedef struct {
    const uint8_t *bytes;
    int64_t position, end, longest;
    const int32_t *track_of; /* by track id; negative: no header yet */
    Track *tracks;
    int64_t track_count;
    Row *rows;
    int64_t row_count, row_limit;
    double near_first, near_last; /* NaN: no record is near */
    int is_disordered;            /* do not stop where a clock was set back: this happened too often */
    int64_t skipped, near;
} Scan;

static const int32_t WIDTHS[] = {0, 4, 8, 1, 1, 2, 2, 4, 4}; /* by sample format */

#define AS(type) (memcpy(&copied.type##_, at, sizeof copied.type##_), (double)copied.type##_)

/* Return a stored sample as float64, gain and offset applied to integers (gain 0 means raw). */
static double sample(const uint8_t *at, const Track *track)
{
    union {
        float float_;
        double double_;
        int8_t int8_t_;
        uint8_t uint8_t_;
        int16_t int16_t_;
        uint16_t uint16_t_;
        int32_t int32_t_;
        uint32_t uint32_t_;
    } copied;
    double stored;
    switch (track->format) {
    case 1: return AS(float);
    case 2: return AS(double);
    case 3: stored = AS(int8_t); break;
    case 4: stored = AS(uint8_t); break;
    case 5: stored = AS(int16_t); break;
    case 6: stored = AS(uint16_t); break;
    case 7: stored = AS(int32_t); break;
    default: stored = AS(uint32_t); break;
    }
    return track->gain != 0 ? stored * track->gain + track->offset : stored;
}

static void end_run(Track *track)
{
    track->previous = track->run_last = -INFINITY;
    track->run_first = INFINITY;
}

static void extend(double *first, double *last, int64_t *records, double time, double until)
{
    if (*records == 0 || time < *first)
        *first = time;
    if (*records == 0 || until > *last)
        *last = until;
    ++*records;
}

/* Extend a track's time span by a record of `samples` samples. */
static void count_record(Track *track, double time, int64_t samples)
{
    double until = time;
    if (track->kind == WAVE && samples > 1 && isfinite(track->rate) && track->rate > 0)
        until = time + (double)(samples - 1) / track->rate;
    if (time <= 0) {
        extend(&track->early_first, &track->early_last, &track->early, time, until);
        return;
    }
    extend(&track->first, &track->last, &track->records, time, until);
    track->previous = time;
    if (time < track->run_first)
        track->run_first = time;
    if (time > track->run_last)
        track->run_last = time;
}

/* Process the record with a body of `length` bytes at `body`. At least min(length, LONGEST_RECORD_HEAD) of them must be
 * available. Return MORE if the record was processed or skipped, otherwise the stop reason. */
static int take_record(Scan *scan, int64_t body, int64_t length)
{
    const uint8_t *at = scan->bytes + body;
    uint16_t info, track_id;
    double time;
    uint32_t count;
    int64_t samples = 1, data, stop = body + length;

    if (length < RECORD_HEAD)
        return NO_HEAD;
    memcpy(&info, at, sizeof info);
    memcpy(&time, at + 2, sizeof time);
    memcpy(&track_id, at + 10, sizeof track_id);
    int64_t index = scan->track_of[track_id];
    if (index < 0 || index >= scan->track_count) {
        scan->skipped++;
        return MORE;
    }
    Track *track = scan->tracks + index;
    if (track->kind != WAVE && track->kind != NUMERIC)
        return MORE;
    if (!isfinite(time))
        return BAD_TIME;
    data = body + 2 + info;
    if (track->kind == WAVE) {
        if (info >= RECORD_HEAD - 2 && data + 4 <= stop) {
            memcpy(&count, scan->bytes + data, sizeof count);
            samples = count;
        }
        data += 4;
    }
    if (track->format < 1 || track->format > 8) /* Python rejects such tracks */
        return BAD_SAMPLES;
    if (info < RECORD_HEAD - 2 || data + samples * WIDTHS[track->format] > stop)
        return BAD_SAMPLES;
    if (time > 0 && time < track->previous - SET_BACK) {
        if (!scan->is_disordered)
            return FELL;
        end_run(track);
    }
    if (track->kind == NUMERIC) {
        if (scan->row_count >= scan->row_limit)
            return FULL;
        Row *row = scan->rows + scan->row_count++;
        row->time = time;
        row->value = sample(scan->bytes + data, track);
        row->track = index;
    }
    count_record(track, time, samples);
    if (time >= scan->near_first && time <= scan->near_last)
        scan->near++;
    return MORE;
}

/* Read complete packets. The position afterwards is that of the first unread packet; it lies beyond `end` if the rest of
 * a long packet is not available yet. */
static int take_packets(Scan *scan)
{
    while (scan->end - scan->position >= PACKET_HEAD) {
        const uint8_t *at = scan->bytes + scan->position;
        int8_t kind = (int8_t)at[0];
        uint32_t length;
        int64_t body = scan->position + PACKET_HEAD;
        memcpy(&length, at + 1, sizeof length);
        if ((int64_t)length > scan->longest)
            return TOO_LONG;
        if (kind == TRACK_PACKET || kind == DEVICE_PACKET)
            return HEADER;
        if (kind == RECORD_PACKET) {
            if (scan->end - body < (length < LONGEST_RECORD_HEAD ? (int64_t)length : LONGEST_RECORD_HEAD))
                return MORE;
            int stopped = take_record(scan, body, length);
            if (stopped != MORE)
                return stopped;
        }
        scan->position = body + length;
    }
    return MORE;
}

static int fits(int fitting, const char *what)
{
    if (!fitting)
        PyErr_Format(PyExc_ValueError, "scan: %s does not fit", what);
    return fitting;
}

static PyObject *scan_packets(PyObject *module, PyObject *arguments)
{
    Py_buffer bytes, track_of, tracks, rows;
    long long position, longest, track_count, row_count;
    double near_first, near_last;
    int is_disordered;
    PyObject *answer = NULL;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "y*LLy*w*Lw*Lddp", &bytes, &position, &longest, &track_of, &tracks, &track_count,
                          &rows, &row_count, &near_first, &near_last, &is_disordered))
        return NULL;
    Scan scan = {
        .bytes = bytes.buf, .position = position, .end = bytes.len, .longest = longest,
        .track_of = track_of.buf, .tracks = tracks.buf, .track_count = track_count,
        .rows = rows.buf, .row_count = row_count, .row_limit = rows.len / (Py_ssize_t)sizeof(Row),
        .near_first = near_first, .near_last = near_last, .is_disordered = is_disordered,
    };
    if (fits(position >= 0, "position") && fits(track_of.len == TRACK_IDS * (Py_ssize_t)sizeof(int32_t), "track_of") &&
        fits(track_count >= 0 && track_count <= tracks.len / (Py_ssize_t)sizeof(Track), "track_count") &&
        fits(row_count >= 0 && row_count <= scan.row_limit && scan.row_limit > 0, "row_count")) {
        int stopped = take_packets(&scan);
        answer = Py_BuildValue("iLLLL", stopped, (long long)scan.position, (long long)scan.row_count,
                               (long long)scan.skipped, (long long)scan.near);
    }
    PyBuffer_Release(&bytes);
    PyBuffer_Release(&track_of);
    PyBuffer_Release(&tracks);
    PyBuffer_Release(&rows);
    return answer;
}

static PyObject *group_rows(PyObject *module, PyObject *arguments)
{
    Py_buffer rows, group_of, next, times, values;
    int sound = 1;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "y*y*w*w*w*", &rows, &group_of, &next, &times, &values))
        return NULL;
    const Row *row = rows.buf, *end = row + rows.len / (Py_ssize_t)sizeof(Row);
    const int64_t *groups = group_of.buf;
    int64_t *places = next.buf, place;
    int64_t track_count = group_of.len / 8, group_count = next.len / 8;
    int64_t limit = (times.len < values.len ? times.len : values.len) / 8;
    for (; row < end && sound; row++) {
        sound = row->track >= 0 && row->track < track_count && groups[row->track] >= 0 &&
                groups[row->track] < group_count;
        if (!sound)
            break;
        place = places[groups[row->track]]++;
        sound = place >= 0 && place < limit;
        if (sound) {
            ((double *)times.buf)[place] = row->time;
            ((double *)values.buf)[place] = row->value;
        }
    }
    PyBuffer_Release(&rows);
    PyBuffer_Release(&group_of);
    PyBuffer_Release(&next);
    PyBuffer_Release(&times);
    PyBuffer_Release(&values);
    if (!fits(sound, "a row"))
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(scan_packets_doc,
"scan_packets(buffer, position, longest, track_of, tracks, track_count, rows, row_count, near_first, near_last, is_disordered)\n--\n\n"
"Read records starting at `position`. Return (stop reason, position, row_count, records without a header, records whose\n"
"time lies between near_first and near_last).");
PyDoc_STRVAR(group_rows_doc,
"group_rows(rows, group_of, next, times, values)\n--\n\n"
"Copy each row's time and value to the next free place of its group, in file order.");

static PyMethodDef methods[] = {
    {"scan_packets", scan_packets, METH_VARARGS, scan_packets_doc},
    {"group_rows", group_rows, METH_VARARGS, group_rows_doc},
    {NULL, NULL, 0, NULL},
};

static int add_constants(PyObject *module)
{
    static const char *names[] = {"MORE", "FULL", "HEADER", "TOO_LONG", "NO_HEAD", "BAD_TIME", "BAD_SAMPLES",
                                  "FELL"};
    for (long value = MORE; value <= FELL; value++)
        if (PyModule_AddIntConstant(module, names[value], value) < 0)
            return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, add_constants}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_records", .m_doc = "The records of a .vital stream.", .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__records(void)
{
    return PyModuleDef_Init(&definition);
}
