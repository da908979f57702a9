/* The parts of a decoding step that are not matrix products, float32. One new token per row.
 *
 * In attention every row reads exactly its own `position + 1` cached entries, in place: no padding to the longest row, no
 * gathering of rows, no scores in memory. At decoding sizes attention is bound by reading the cache, and the rest by the
 * number of calls: so few calls, each of which does much.
 */
#include <math.h>
#include <string.h>

/* Root mean square norm. x, out (rows, width); weight (width). */
void norm(const float *x, const float *weight, float *out, long rows, long width, float epsilon)
{
    for (long row = 0; row < rows; row++, x += width, out += width) {
        float sum = 0.0f;
        for (long i = 0; i < width; i++)
            sum += x[i] * x[i];
        const float scale = 1.0f / sqrtf(sum / width + epsilon);
        for (long i = 0; i < width; i++)
            out[i] = x[i] * scale * weight[i];
    }
}

/* SwiGLU. packed (rows, 2 * width): gate, then up; out (rows, width). */
void gate(const float *packed, float *out, long rows, long width)
{
    for (long row = 0; row < rows; row++, packed += 2 * width, out += width)
        for (long i = 0; i < width; i++)
            out[i] = packed[i] / (1.0f + expf(-packed[i])) * packed[width + i];
}

/* Rotary position, halves paired: x * cos + rotate_half(x) * sin. */
static void rotate(float *x, const float *cosine, const float *sine, long d)
{
    const long half = d / 2;
    for (long i = 0; i < half; i++) {
        const float first = x[i], second = x[half + i];
        x[i] = first * cosine[i] - second * sine[i];
        x[half + i] = second * cosine[half + i] + first * sine[half + i];
    }
}

/* One query against `count` keys and values, (count, d) each. Inlined with a constant `d`, so that query and sum stay in
 * registers. */
static inline __attribute__((always_inline)) void mix_sized(const float *restrict query, const float *restrict keys,
                                                            const float *restrict values, float *restrict out,
                                                            float *restrict scores, const long count, const long d)
{
    const float scale = 1.0f / sqrtf((float)d);
    float top = -3e38f, total = 0.0f, sum[d];
    for (long t = 0; t < count; t++) {
        float score = 0.0f;
        for (long i = 0; i < d; i++)
            score += query[i] * keys[t * d + i];
        scores[t] = score * scale;
    }
    for (long t = 0; t < count; t++)
        top = scores[t] > top ? scores[t] : top;
    for (long t = 0; t < count; t++) {
        scores[t] = expf(scores[t] - top);
        total += scores[t];
    }
    for (long i = 0; i < d; i++)
        sum[i] = 0.0f;
    for (long t = 0; t < count; t++)
        for (long i = 0; i < d; i++)
            sum[i] += scores[t] * values[t * d + i];
    for (long i = 0; i < d; i++)
        out[i] = sum[i] / total;
}

static void mix(const float *query, const float *keys, const float *values, float *out, float *scores, long count, long d)
{
    if (d == 64)
        mix_sized(query, keys, values, out, scores, count, 64);
    else if (d == 128)
        mix_sized(query, keys, values, out, scores, count, 128);
    else
        mix_sized(query, keys, values, out, scores, count, d);
}

/* Rotate query and key, store key and value at `position`, attend to everything up to it.
 *
 * packed (rows, heads + 2 * kv_heads, d): query, key, value, changed in place; cosine, sine (capacity, d);
 * keys, values (slots, kv_heads, capacity, d); slot, position (rows); out (rows, heads, d); scratch (capacity). */
void attend(float *packed, const float *cosine, const float *sine, float *keys, float *values, const long *slot,
            const long *position, float *out, float *scratch, long rows, long heads, long kv_heads, long capacity, long d)
{
    const long group = heads / kv_heads;
    for (long row = 0; row < rows; row++, packed += (heads + 2 * kv_heads) * d) {
        const long at = position[row];
        for (long head = 0; head < heads + kv_heads; head++)
            rotate(packed + head * d, cosine + at * d, sine + at * d, d);
        for (long kv = 0; kv < kv_heads; kv++) {
            const long start = (slot[row] * kv_heads + kv) * capacity * d;
            memcpy(keys + start + at * d, packed + (heads + kv) * d, d * sizeof(float));
            memcpy(values + start + at * d, packed + (heads + kv_heads + kv) * d, d * sizeof(float));
            for (long head = kv * group; head < (kv + 1) * group; head++)
                mix(packed + head * d, keys + start, values + start, out + (row * heads + head) * d, scratch, at + 1, d);
        }
    }
}
