// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// y = ((x · pre) (I ⊗ H) · scale) · post for blocks of 2^k numbers, H in Sylvester order.
//
// Each block is a butterfly: its k levels of additions are taken RADIX vectors at a time, so that a
// block is read and written once for every log2(RADIX) levels, the first time from x, later in y.
// The order of the additions depends on neither the number of blocks nor of threads.
#include <cstdint>

namespace {

#ifdef __AVX512F__
constexpr int BYTES = 64, RADIX = 16;
#elif defined(__AVX__)
constexpr int BYTES = 32, RADIX = 8;
#else
constexpr int BYTES = 16, RADIX = 8;
#endif
// Below so many numbers a thread costs more than it saves (ATen's grain).
constexpr int64_t GRAIN = 32768;

template <typename T> struct Vector;
template <> struct Vector<float> {
    typedef float type __attribute__((vector_size(BYTES), aligned(4), may_alias));
    typedef int32_t mask __attribute__((vector_size(BYTES)));
    typedef int32_t index;
};
template <> struct Vector<double> {
    typedef double type __attribute__((vector_size(BYTES), aligned(8), may_alias));
    typedef int64_t mask __attribute__((vector_size(BYTES)));
    typedef int64_t index;
};

// One level inside a vector: lanes i and i ^ SPAN become their sum and difference.
template <typename T, int SPAN>
inline __attribute__((always_inline)) typename Vector<T>::type across(typename Vector<T>::type v) {
    constexpr int LANES = BYTES / sizeof(T);
    typename Vector<T>::mask partner;
    typename Vector<T>::type sign;
    for (int i = 0; i < LANES; ++i) {
        partner[i] = i ^ SPAN;
        sign[i] = i & SPAN ? T(-1) : T(1);
    }
    return __builtin_shuffle(v, partner) + v * sign;
}

template <typename T, int SPAN = 1>
inline __attribute__((always_inline)) typename Vector<T>::type inside(typename Vector<T>::type v) {
    v = across<T, SPAN>(v);
    if constexpr (2 * SPAN < BYTES / int(sizeof(T))) v = inside<T, 2 * SPAN>(v);
    return v;
}

// log2(R) levels of R vectors, `stride` numbers apart, from `in` to `out`.
template <typename T, int R, bool FIRST, bool LAST>
inline __attribute__((always_inline)) void levels(
    const T *in, T *out, int64_t stride, const T *pre, const T *post, T scale) {
    typedef typename Vector<T>::type V;
    V v[R];
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
        v[i] = *reinterpret_cast<const V *>(in + i * stride);
        if (FIRST) {
            if (pre) v[i] *= *reinterpret_cast<const V *>(pre + i * stride);
            v[i] = inside<T>(v[i]);
        }
    }
#pragma GCC unroll 4
    for (int span = 1; span < R; span *= 2)
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i)
            if (!(i & span)) {
                V sum = v[i] + v[i + span], difference = v[i] - v[i + span];
                v[i] = sum;
                v[i + span] = difference;
            }
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
        if (LAST) {
            v[i] *= scale;
            if (post) v[i] *= *reinterpret_cast<const V *>(post + i * stride);
        }
        *reinterpret_cast<V *>(out + i * stride) = v[i];
    }
}

// As many levels as one pass takes, over a whole block; returns the factor by which they span more.
template <typename T, int R, bool FIRST>
int64_t pass(const T *in, T *out, int64_t order, int64_t stride, const T *pre, const T *post,
             T scale) {
    constexpr int64_t LANES = BYTES / sizeof(T);
    if constexpr (R > 1)
        if (R * stride > order) return pass<T, R / 2, FIRST>(in, out, order, stride, pre, post, scale);
    const bool last = R * stride == order;
    for (int64_t start = 0; start < order; start += R * stride)
        for (int64_t j = start; j < start + stride; j += LANES) {
            const T *p = pre ? pre + j : nullptr, *q = post ? post + j : nullptr;
            if (last)
                levels<T, R, FIRST, true>(in + j, out + j, stride, p, q, scale);
            else
                levels<T, R, FIRST, false>(in + j, out + j, stride, p, q, scale);
        }
    return R;
}

template <typename T>
void block(const T *x, T *y, int64_t order, const T *pre, const T *post, T scale) {
    constexpr int64_t LANES = BYTES / sizeof(T);
    if (order >= LANES) {
        int64_t stride = LANES * pass<T, RADIX, true>(x, y, order, LANES, pre, post, scale);
        while (stride < order)
            stride *= pass<T, RADIX, false>(y, y, order, stride, pre, post, scale);
        return;
    }
    for (int64_t i = 0; i < order; ++i) y[i] = pre ? x[i] * pre[i] : x[i];
    for (int64_t span = 1; span < order; span *= 2)
        for (int64_t i = 0; i < order; ++i)
            if (!(i & span)) {
                const T sum = y[i] + y[i + span], difference = y[i] - y[i + span];
                y[i] = sum;
                y[i + span] = difference;
            }
    for (int64_t i = 0; i < order; ++i) y[i] = post ? y[i] * scale * post[i] : y[i] * scale;
}

template <typename T>
void transform(const T *x, T *y, int64_t blocks, int64_t order, int64_t period, const T *pre,
               const T *post, double scale, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static) if (blocks * order > GRAIN)
    for (int64_t i = 0; i < blocks; ++i) {
        const int64_t at = i * order, column = i % period * order;
        block<T>(x + at, y + at, order, pre ? pre + column : nullptr,
                 post ? post + column : nullptr, T(scale));
    }
}

}  // namespace

// x and y may be the same; blocks i and i + period have the same signs pre and post, or null.
extern "C" void dhq_hadamard_float(
    const float *x, float *y, int64_t blocks, int64_t order, int64_t period, const float *pre,
    const float *post, double scale, int threads) {
    transform<float>(x, y, blocks, order, period, pre, post, scale, threads);
}

extern "C" void dhq_hadamard_double(
    const double *x, double *y, int64_t blocks, int64_t order, int64_t period, const double *pre,
    const double *post, double scale, int threads) {
    transform<double>(x, y, blocks, order, period, pre, post, scale, threads);
}
