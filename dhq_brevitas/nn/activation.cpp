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
#include <cstring>
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
constexpr int64_t CHUNK = 256, MAX_ORDER = 4096;

inline float clipped(float code, float low, float high) {  // NaN stays NaN
    code = code < low ? low : code;
    return code > high ? high : code;
}

template <bool FLOORS> inline float rounded(float x) {
    return FLOORS ? std::floor(x) : std::rint(x);
}

// x / d; `inverse` is 1 / d where d is a power of two, which gives the same to the bit, else 0.
template <bool DIVIDES> inline float quotient(float x, float d, float inverse) {
    return DIVIDES ? x / d : x * inverse;
}

float inverse_of(float d) {
    int exponent;
    return std::frexp(d, &exponent) == 0.5f && std::isnormal(1 / d) ? 1 / d : 0;
}

template <bool DIVIDES>
void find_entries(const Stages &s, const float *x, int32_t *entries, int64_t n) {
    const float unit = s.unit, bins = s.bins, least = s.least, most = s.most;
    const int32_t offset = s.offset, mask = s.mask;
    int32_t outside = 0;
#pragma omp simd reduction(| : outside)
    for (int64_t i = 0; i < n; ++i) {
        const float code = std::floor((DIVIDES ? x[i] / unit : x[i]) * bins);
        const float above = code > least ? code : least, held = above > most ? most : above;
        entries[i] = (int32_t(held) + offset) & mask;
        outside |= code != held;
    }
    if (!outside) return;
    for (int64_t i = 0; i < n; ++i) {
        const float code = std::floor((DIVIDES ? x[i] / unit : x[i]) * bins);
        if (code < least) entries[i] = mask + 1;
        if (code > most) entries[i] = mask + 2;
        if (code != code) entries[i] = mask + 3;
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

#ifdef __AVX512F__
// Eight pairs, loaded one by one: in two thirds of the time of an instruction that gathers them.
inline __m512 pairs_at(const double *table, const int32_t *entries) {
    const auto two = [=](int i) {
        return _mm_loadh_pd(_mm_load_sd(table + entries[i]), table + entries[i + 1]);
    };
    const auto four = [=](int i) {
        return _mm256_insertf128_pd(_mm256_castpd128_pd256(two(i)), two(i + 2), 1);
    };
    return _mm512_castpd_ps(_mm512_insertf64x4(_mm512_castpd256_pd512(four(0)), four(4), 1));
}
#endif

// A value and its slope, side by side, in each: one access finds both.
std::vector<double> pairs_of(const Stages &s) {
    std::vector<double> pairs(s.mask + 4);
    for (int32_t i = 0; i <= s.mask + 3; ++i) {
        const float pair[2] = {s.values[i], s.slopes[i]};
        std::memcpy(&pairs[i], pair, sizeof pair);
    }
    return pairs;
}

// values, slopes = table[entries], a table of pairs.
void look_up_both(
    const double *table, const int32_t *entries, float *values, float *slopes, int64_t n) {
    int64_t i = 0;
#ifdef __AVX512F__
    const __m512i first =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(1));
    for (; i + 16 <= n; i += 16) {
        const __m512 low = pairs_at(table, entries + i), high = pairs_at(table, entries + i + 8);
        _mm512_storeu_ps(values + i, _mm512_permutex2var_ps(low, first, high));
        _mm512_storeu_ps(slopes + i, _mm512_permutex2var_ps(low, second, high));
    }
#endif
    for (; i < n; ++i) {
        float pair[2];
        std::memcpy(pair, table + entries[i], sizeof pair);
        values[i] = pair[0], slopes[i] = pair[1];
    }
}

template <bool FLOORS, bool DIVIDES>
void quantize_by(const Stages &s, float scale, float inverse, const float *v, float *y, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
        const float ratio = quotient<DIVIDES>(v[i], scale, inverse);
        y[i] = clipped(rounded<FLOORS>(ratio), s.low, s.high) * scale;
    }
}

template <bool FLOORS>
void quantize(const Stages &s, float scale, const float *v, float *y, int64_t n) {
    const float inverse = inverse_of(scale);
    if (inverse)
        quantize_by<FLOORS, false>(s, scale, inverse, v, y, n);
    else
        quantize_by<FLOORS, true>(s, scale, inverse, v, y, n);
}

constexpr int LANES = 16;

template <bool FLOORS, bool DIVIDES>
inline __attribute__((always_inline)) void quantize_lanes_back(
    const Stages &s, float scale, float inverse, const float *v, float *grad, float *sums,
    int64_t lanes) {
    const float low = s.low, high = s.high;
    const bool passes = s.passes;
#pragma omp simd
    for (int64_t i = 0; i < lanes; ++i) {
        const float ratio = quotient<DIVIDES>(v[i], scale, inverse), code = rounded<FLOORS>(ratio);
        const float kept = clipped(code, low, high), given = grad[i];
        const float through = passes || kept == code ? given : 0.0f;
        sums[i] += given * kept - through * ratio;
        grad[i] = through;
    }
}

template <bool FLOORS, bool DIVIDES>
double quantize_back_by(const Stages &s, float scale, float inverse, const float *v, float *grad,
                        int64_t n) {
    float sums[LANES] = {};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        quantize_lanes_back<FLOORS, DIVIDES>(s, scale, inverse, v + i, grad + i, sums, LANES);
    quantize_lanes_back<FLOORS, DIVIDES>(s, scale, inverse, v + i, grad + i, sums, n - i);
    return std::accumulate(sums, sums + LANES, 0.0);
}

// grad becomes that of v; returns that of the scale.
template <bool FLOORS>
double quantize_back(const Stages &s, float scale, const float *v, float *grad, int64_t n) {
    const float inverse = inverse_of(scale);
    return inverse ? quantize_back_by<FLOORS, false>(s, scale, inverse, v, grad, n)
                   : quantize_back_by<FLOORS, true>(s, scale, inverse, v, grad, n);
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

// Asks for numbers, a line of the cache each. Processors foresee x alone, as whole rows are copied
// in between; into the second cache, since a table with its slopes fills the first.
template <bool WRITES> void prefetch(const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(x + i, WRITES, 2);
}

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
    const std::vector<double> pairs = s.values && s.scale ? pairs_of(s) : std::vector<double>();
#pragma omp parallel for num_threads(threads) schedule(static) if (size > GRAIN)
    for (int64_t i = 0; i < blocks.count; ++i) {
        alignas(64) float kept[MAX_ORDER], slopes[MAX_ORDER];
        int32_t entries[MAX_ORDER];
        const int64_t n = blocks.numbers(i), at = i * blocks.length;
        const float *in = x + at, *signs = signs_of(s, i);
        float *out = grad_x + at;
        if (i + 1 < blocks.count) {
            const int64_t next = at + n, coming = blocks.numbers(i + 1);
            prefetch<false>(x + next, coming);
            prefetch<false>(grad + next, coming);
            prefetch<true>(grad_x + next, coming);
        }
        if (s.order && s.after)
            block<float>(grad + at, out, s.order, nullptr, signs, s.factor);
        else
            std::copy(grad + at, grad + at + n, out);
        if (s.values) entries_of(s, in, entries, n);
        if (s.scale) {
            if (s.values) look_up_both(pairs.data(), entries, kept, slopes, n), in = kept;
            if (s.order && !s.after)
                block<float>(in, kept, s.order, signs, nullptr, s.factor), in = kept;
            sums[i] = quantizing(s, s.scale[blocks.scale(s, i)], in, out, n);
        }
        if (s.order && !s.after) block<float>(out, out, s.order, nullptr, signs, s.factor);
        if (s.values && !s.scale) look_up<true>(s.slopes, entries, out, n);
        if (s.values && s.scale)
            for (int64_t j = 0; j < n; ++j) out[j] *= slopes[j];
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
