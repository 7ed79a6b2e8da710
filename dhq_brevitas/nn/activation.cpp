// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// What stands between two matrix products in training, block by block while it is in the cache:
//
//     u = values[code(x)]          a function by its table (left out without one)
//     v = u R                      R = diag(signs) (I ⊗ H) · factor, for blocks of `order` numbers
//     y = s · clip(round(v / s))   or y = s · clip(round(u / s)) R with `after`
//
// and the gradients of y in x and s. Nothing but x is kept for them: u and v are computed anew.
// Sums over a scale's numbers are taken block by block, then over blocks in their order, so that
// results depend on neither the number of threads nor which block each of them has.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "hadamard.cpp"

struct Stages {
    // Table: values and dy/dx of code = ⌊x / unit · bins⌋ at (code + offset) & mask, and at the next
    // three places those of a code below `least`, above `most`, and of NaN; or null.
    const float *values, *slopes;
    float unit, bins, least, most;
    int32_t offset, mask;
    // Rotation; none if order is 0. Blocks i and i + period have the same signs, which may be null.
    const float *signs;
    int64_t order, period;
    float factor;
    bool after;
    // Quantizer; none if null. The numbers are shared out evenly among `scales` scales.
    const float *scale;
    int64_t scales;
    float low, high;
    bool floors, passes;
};

namespace {

// Numbers that are taken at a time where no rotation says how many.
constexpr int64_t CHUNK = 1024, MAX_ORDER = 4096;

inline float clipped(float code, float low, float high) {  // NaN stays NaN
    code = code < low ? low : code;
    return code > high ? high : code;
}

template <bool FLOORS> inline float rounded(float x) {
    return FLOORS ? std::floor(x) : std::rint(x);
}

template <bool DIVIDES>
void find_entries(const Stages &s, const float *x, int32_t *entries, int64_t n) {
    const float unit = s.unit, bins = s.bins, least = s.least, most = s.most;
    const int32_t offset = s.offset, mask = s.mask;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
        const float code = std::floor((DIVIDES ? x[i] / unit : x[i]) * bins);
        const float above = code > least ? code : least, held = above > most ? most : above;
        int32_t entry = (int32_t(held) + offset) & mask;
        entry = code < least ? mask + 1 : entry;
        entry = code > most ? mask + 2 : entry;
        entries[i] = code != code ? mask + 3 : entry;
    }
}

void entries_of(const Stages &s, const float *x, int32_t *entries, int64_t n) {
    if (s.unit == 1)
        find_entries<false>(s, x, entries, n);
    else
        find_entries<true>(s, x, entries, n);
}

// y = table[entries], multiplied with what is there if TIMES.
template <bool TIMES>
void look_up(const float *table, const int32_t *entries, float *y, int64_t n) {
    int64_t i = 0;
#ifdef __AVX512F__  // which GCC does not choose by itself on some processors: half the time
    for (; i + 16 <= n; i += 16) {
        __m512 found = _mm512_i32gather_ps(_mm512_loadu_si512(entries + i), table, 4);
        if (TIMES) found = _mm512_mul_ps(found, _mm512_loadu_ps(y + i));
        _mm512_storeu_ps(y + i, found);
    }
#endif
    for (; i < n; ++i) y[i] = TIMES ? y[i] * table[entries[i]] : table[entries[i]];
}

template <bool FLOORS>
void quantize(const Stages &s, float scale, const float *v, float *y, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i)
        y[i] = clipped(rounded<FLOORS>(v[i] / scale), s.low, s.high) * scale;
}

constexpr int LANES = 16;

template <bool FLOORS>
inline __attribute__((always_inline)) void quantize_lanes_back(
    const Stages &s, float scale, const float *v, float *grad, float *sums, int64_t lanes) {
    const float low = s.low, high = s.high;
    const bool passes = s.passes;
#pragma omp simd
    for (int64_t i = 0; i < lanes; ++i) {
        const float ratio = v[i] / scale, code = rounded<FLOORS>(ratio);
        const float kept = clipped(code, low, high), given = grad[i];
        const float through = passes || kept == code ? given : 0.0f;
        sums[i] += given * kept - through * ratio;
        grad[i] = through;
    }
}

// grad becomes that of v; returns that of the scale.
template <bool FLOORS>
double quantize_back(const Stages &s, float scale, const float *v, float *grad, int64_t n) {
    float sums[LANES] = {};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        quantize_lanes_back<FLOORS>(s, scale, v + i, grad + i, sums, LANES);
    quantize_lanes_back<FLOORS>(s, scale, v + i, grad + i, sums, n - i);
    return std::accumulate(sums, sums + LANES, 0.0);
}

struct Blocks {
    int64_t length, count, size;
    Blocks(const Stages &s, int64_t size) : size(size) {
        const int64_t share = s.scale ? size / s.scales : size;
        length = s.order ? s.order : s.scale && s.scales > 1 ? share : CHUNK;
        count = (size + length - 1) / length;
    }
    int64_t numbers(int64_t i) const { return std::min(length, size - i * length); }
    int64_t scale(const Stages &s, int64_t i) const { return s.scales > 1 ? i : 0; }
};

const float *signs_of(const Stages &s, int64_t i) {
    return s.signs ? s.signs + i % s.period * s.order : nullptr;
}

void forward(const Stages &s, const float *x, float *y, int64_t size, int threads) {
    const Blocks blocks(s, size);
    const auto quantizing = s.floors ? quantize<true> : quantize<false>;
#pragma omp parallel for num_threads(threads) schedule(static) if (size > GRAIN)
    for (int64_t i = 0; i < blocks.count; ++i) {
        const int64_t n = blocks.numbers(i);
        const float *in = x + i * blocks.length, *signs = signs_of(s, i);
        float *out = y + i * blocks.length;
        if (s.values) {
            int32_t entries[MAX_ORDER];
            entries_of(s, in, entries, n);
            look_up<false>(s.values, entries, out, n), in = out;
        }
        if (s.order && !s.after) block<float>(in, out, s.order, signs, nullptr, s.factor), in = out;
        if (s.scale) quantizing(s, s.scale[blocks.scale(s, i)], in, out, n), in = out;
        if (s.order && s.after) block<float>(in, out, s.order, signs, nullptr, s.factor), in = out;
        if (in != out) std::copy(in, in + n, out);
    }
}

void backward(const Stages &s, const float *x, const float *grad, float *grad_x, float *grad_scale,
              int64_t size, int threads) {
    const Blocks blocks(s, size);
    const auto quantizing = s.floors ? quantize_back<true> : quantize_back<false>;
    std::vector<double> sums(s.scale ? blocks.count : 0);
#pragma omp parallel for num_threads(threads) schedule(static) if (size > GRAIN)
    for (int64_t i = 0; i < blocks.count; ++i) {
        alignas(64) float kept[MAX_ORDER];
        int32_t entries[MAX_ORDER];
        const int64_t n = blocks.numbers(i), at = i * blocks.length;
        const float *in = x + at, *signs = signs_of(s, i);
        float *out = grad_x + at;
        if (s.order && s.after)
            block<float>(grad + at, out, s.order, nullptr, signs, s.factor);
        else
            std::copy(grad + at, grad + at + n, out);
        if (s.values) entries_of(s, in, entries, n);
        if (s.scale) {
            if (s.values) look_up<false>(s.values, entries, kept, n), in = kept;
            if (s.order && !s.after) block<float>(in, kept, s.order, signs, nullptr, s.factor), in = kept;
            sums[i] = quantizing(s, s.scale[blocks.scale(s, i)], in, out, n);
        }
        if (s.order && !s.after) block<float>(out, out, s.order, nullptr, signs, s.factor);
        if (s.values) look_up<true>(s.slopes, entries, out, n);
    }
    if (!s.scale) return;
    std::vector<double> totals(s.scales);
    for (int64_t i = 0; i < blocks.count; ++i) totals[blocks.scale(s, i)] += sums[i];
    std::copy(totals.begin(), totals.end(), grad_scale);
}

}  // namespace

extern "C" void dhq_activation(
    const Stages *stages, const float *x, float *y, int64_t size, int threads) {
    forward(*stages, x, y, size, threads);
}

extern "C" void dhq_activation_backward(
    const Stages *stages, const float *x, const float *grad, float *grad_x, float *grad_scale,
    int64_t size, int threads) {
    backward(*stages, x, grad, grad_x, grad_scale, size, threads);
}
