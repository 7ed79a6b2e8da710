// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// The two functions of the LZ4 library that Verilator's FST writer calls, without compression, so
// that waveforms need no LZ4 on the machine. The result is a valid LZ4 block of one sequence that
// holds literals only: a token whose upper half is the length (15: more follows), the rest of the
// length in bytes of 255 and a last one below, then the literals.

#ifndef DHQ_LZ4_H
#define DHQ_LZ4_H

#include <cstring>

static inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

static inline int LZ4_compress_default(const char *source, char *target, int size, int capacity) {
    if (capacity < LZ4_compressBound(size)) return 0;
    char *next = target + 1;
    if (size < 15) {
        *target = static_cast<char>(size << 4);
    } else {
        *target = static_cast<char>(15 << 4);
        int rest = size - 15;
        for (; rest >= 255; rest -= 255) *next++ = static_cast<char>(255);
        *next++ = static_cast<char>(rest);
    }
    std::memcpy(next, source, static_cast<size_t>(size));
    return static_cast<int>(next - target) + size;
}

#endif
