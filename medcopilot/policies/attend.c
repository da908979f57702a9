/* Attention of one new token per row over a slot's cached keys and values, float32.
 *
 * Every row reads exactly its own `position + 1` cached entries, in place: no padding to the longest row, no gathering of
 * rows, no temporary scores in memory. At decoding sizes attention is bound by reading the cache, so this is what counts.
 *
 * query (rows, heads, d), already scaled; key, value (rows, kv_heads, d): the new token's, stored into the caches first;
 * keys, values (slots, kv_heads, capacity, d); slot, position (rows); out (rows, heads, d); scratch (capacity).
 */
#include <math.h>
#include <string.h>

void attend(const float *query, const float *key, const float *value, float *keys, float *values, const long *slot,
            const long *position, float *out, float *scratch, long rows, long heads, long kv_heads, long capacity, long d)
{
    const long group = heads / kv_heads;
    for (long row = 0; row < rows; row++) {
        const long last = position[row];
        for (long kv = 0; kv < kv_heads; kv++) {
            float *k = keys + (slot[row] * kv_heads + kv) * capacity * d;
            float *v = values + (slot[row] * kv_heads + kv) * capacity * d;
            memcpy(k + last * d, key + (row * kv_heads + kv) * d, d * sizeof(float));
            memcpy(v + last * d, value + (row * kv_heads + kv) * d, d * sizeof(float));
            for (long head = kv * group; head < (kv + 1) * group; head++) {
                const float *q = query + (row * heads + head) * d;
                float *o = out + (row * heads + head) * d;
                float top = -3e38f, total = 0.0f;
                for (long t = 0; t <= last; t++) {
                    float score = 0.0f;
                    for (long i = 0; i < d; i++)
                        score += q[i] * k[t * d + i];
                    scratch[t] = score;
                    top = score > top ? score : top;
                }
                for (long t = 0; t <= last; t++) {
                    scratch[t] = expf(scratch[t] - top);
                    total += scratch[t];
                }
                memset(o, 0, d * sizeof(float));
                for (long t = 0; t <= last; t++)
                    for (long i = 0; i < d; i++)
                        o[i] += scratch[t] * v[t * d + i];
                for (long i = 0; i < d; i++)
                    o[i] /= total;
            }
        }
    }
}
