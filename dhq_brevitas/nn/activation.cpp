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
#include <vector>

#include "hadamard.cpp"

struct Stages {
    // Table: code = clip(⌊x / unit · bins⌋), entry (code + offset) & mask, slopes dy/dx; or null.
    const float *values, *slopes;
    float unit, bins, least, most;
    int32_t offset, mask;
    bool table_passes;  // gradients of codes that were clipped
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

// Entries of the table for n <= MAX_ORDER numbers; 1, NaN or, where the gradient is cut off, 0.
void addresses(const Stages &s, const float *x, int32_t *entries, float *passing, int64_t n) {
    const float unit = s.unit, bins = s.bins, least = s.least, most = s.most;
    const int32_t offset = s.offset, mask = s.mask;
    const bool passes = s.table_passes;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
        const float asked = std::floor(x[i] / unit * bins), code = clipped(asked, least, most);
        entries[i] = (int32_t(code == code ? code : 0.0f) + offset) & mask;
        passing[i] = code != code ? code : passes || code == asked ? 1.0f : 0.0f;
    }
}

void tabulate(const Stages &s, const float *x, float *u, int64_t n) {
    int32_t entries[MAX_ORDER];
    alignas(64) float passing[MAX_ORDER];
    addresses(s, x, entries, passing, n);
    const float *values = s.values;
    for (int64_t i = 0; i < n; ++i) u[i] = values[entries[i]];
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) u[i] = passing[i] == passing[i] ? u[i] : passing[i];
}

void tabulate_back(const Stages &s, const float *x, float *grad, int64_t n) {
    int32_t entries[MAX_ORDER];
    alignas(64) float passing[MAX_ORDER];
    addresses(s, x, entries, passing, n);
    const float *slopes = s.slopes;
    for (int64_t i = 0; i < n; ++i) passing[i] *= slopes[entries[i]];
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) grad[i] *= passing[i];
}

template <bool FLOORS>
void quantize(const Stages &s, float scale, const float *v, float *y, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i)
        y[i] = clipped(rounded<FLOORS>(v[i] / scale), s.low, s.high) * scale;
}

// grad becomes that of v; returns that of the scale.
template <bool FLOORS>
double quantize_back(const Stages &s, float scale, const float *v, float *grad, int64_t n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; ++i) {
        const float ratio = v[i] / scale, code = rounded<FLOORS>(ratio);
        const float kept = clipped(code, s.low, s.high), given = grad[i];
        const float through = s.passes || kept == code ? given : 0.0f;
        sum += given * kept - through * ratio;
        grad[i] = through;
    }
    return sum;
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
        if (s.values) tabulate(s, in, out, n), in = out;
        if (s.order && !s.after) block<float>(in, out, s.order, signs, nullptr, s.factor), in = out;
        if (s.scale) quantizing(s, s.scale[blocks.scale(s, i)], in, out, n), in = out;
        if (s.order && s.after) block<float>(in, out, s.order, signs, nullptr, s.factor);
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
        const int64_t n = blocks.numbers(i), at = i * blocks.length;
        const float *in = x + at, *signs = signs_of(s, i);
        float *out = grad_x + at;
        if (s.order && s.after)
            block<float>(grad + at, out, s.order, nullptr, signs, s.factor);
        else
            std::copy(grad + at, grad + at + n, out);
        if (s.scale) {
            for (int64_t from = 0; from < n; from += MAX_ORDER) {  // more than that: no rotation
                const int64_t m = std::min(n - from, MAX_ORDER);
                const float *v = in + from;
                if (s.values) tabulate(s, v, kept, m), v = kept;
                if (s.order && !s.after)
                    block<float>(v, kept, s.order, signs, nullptr, s.factor), v = kept;
                sums[i] += quantizing(s, s.scale[blocks.scale(s, i)], v, out + from, m);
            }
        }
        if (s.order && !s.after) block<float>(out, out, s.order, nullptr, signs, s.factor);
        if (s.values) tabulate_back(s, in, out, n);
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
