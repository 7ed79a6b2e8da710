// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// C interface to one Verilated design, and the cycle loop that feeds and drains its streams.
//
// Compiled once per design together with the generated "design.h", which defines
//   DESIGN_CLASS      the class that Verilator generated
//   DESIGN_PORTS(X)   X(name, direction, width) for every port; direction as in Vivado's XSI:
//                     1 input, 2 output, 3 inout
//   DESIGN_TRACE      1 if compiled for waveforms
//
// Values travel as 32-bit words, lowest first. Nothing throws across the C interface: a failed
// assertion, $fatal or $stop becomes a message that dhq_error returns.

#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "design.h"
#include "verilated.h"
#if DESIGN_TRACE
#include "verilated_fst_c.h"
#endif

// The runtime is compiled with VL_USER_FINISH, VL_USER_STOP, VL_USER_FATAL and VL_USER_WARN.
void vl_finish(const char *, int, const char *) VL_MT_UNSAFE {}

void vl_stop(const char *file, int line, const char *scope) VL_MT_UNSAFE {
    throw std::runtime_error(std::string(scope && *scope ? scope : "top") + ": failed at " + file +
                             ":" + std::to_string(line) + " (assertion, $fatal or $stop)");
}

void vl_fatal(const char *file, int line, const char *scope, const char *message) VL_MT_UNSAFE {
    throw std::runtime_error(std::string(scope && *scope ? scope : "top") + ": " + message +
                             " at " + (file ? file : "") + ":" + std::to_string(line));
}

// Verilator only warns about memory contents that are missing; the memory would be random.
void vl_warn(const char *file, int line, const char *scope, const char *message) VL_MT_UNSAFE {
    if (std::strstr(message, "not found")) vl_fatal(file, line, scope, message);
}

namespace {

struct Port {
    const char *name;
    int direction;
    unsigned width;
    void *value;
    size_t bytes;
};

struct Simulation {
    VerilatedContext context;
    std::unique_ptr<DESIGN_CLASS> model;
    std::vector<Port> ports;
    std::string error;
#if DESIGN_TRACE
    std::unique_ptr<VerilatedFstC> trace;
#endif

    Simulation() {
        context.randReset(2);
        context.randSeed(1);
        context.traceEverOn(DESIGN_TRACE);
        model = std::make_unique<DESIGN_CLASS>(&context, "top");
#define DESIGN_ADD_PORT(name, direction, width) \
    ports.push_back({#name, direction, width, &model->name, sizeof(model->name)});
        DESIGN_PORTS(DESIGN_ADD_PORT)
#undef DESIGN_ADD_PORT
    }

    void settle() {
        model->eval();
#if DESIGN_TRACE
        if (trace) trace->dump(context.time());
#endif
    }

    void advance(uint64_t step) {
        context.timeInc(step);
        settle();
    }

    // Little endian hosts only: a value of up to 64 bits lies in memory as its 32-bit words do.
    void read(const Port &port, uint32_t *words) const {
        const size_t size = (port.width + 31) / 32 * 4;
        std::memset(words, 0, size);
        std::memcpy(words, port.value, port.bytes < size ? port.bytes : size);
    }

    void write(const Port &port, const uint32_t *words) {
        const size_t count = (port.width + 31) / 32;
        uint32_t top = words[count - 1];
        if (port.width % 32) top &= (uint32_t{1} << port.width % 32) - 1;
        const size_t below = (count - 1) * 4;
        std::memcpy(port.value, words, below);
        std::memcpy(static_cast<char *>(port.value) + below, &top,
                    port.bytes - below < 4 ? port.bytes - below : 4);
        if (port.bytes > below + 4)
            std::memset(static_cast<char *>(port.value) + below + 4, 0, port.bytes - below - 4);
    }

    void set(const Port &port, bool value) { *static_cast<uint8_t *>(port.value) = value; }
    bool get(const Port &port) const { return *static_cast<const uint8_t *>(port.value) & 1; }
};

template <typename Action>
int guarded(Simulation *simulation, Action action) {
    try {
        action();
        return 0;
    } catch (const std::exception &error) {
        simulation->error = error.what();
        return -1;
    }
}

}  // namespace

// One stream; mirrored by adapter.py.
struct Stream {
    int32_t data, valid, ready;  // port indices
    int32_t is_output;
    uint32_t words;              // 32-bit words per beat
    uint32_t stall;              // of 256: how often a beat is held back
    uint64_t group;              // inputs: beats that may follow each other at once, or 0
    uint64_t period;             // inputs: ticks from one group to the next
    uint64_t count;              // beats to pass
    uint32_t *buffer;            // [count, words], read or written
    uint64_t *ticks;             // [count]: tick at which a beat passed, or null
    uint64_t timeout;            // outputs: ticks without a beat until the watchdog bites
    uint64_t done;               // beats passed
    uint64_t offered;            // inputs: beats offered
    uint64_t idle;               // outputs: ticks since the last beat
    uint32_t active;             // 0 once all beats have passed and the handshake is at rest
    uint32_t handshake;          // inputs: valid; outputs: ready
};

#pragma GCC visibility push(default)
extern "C" {

void *dhq_create(char *message, size_t size) {
    try {
        return new Simulation();
    } catch (const std::exception &error) {
        std::strncpy(message, error.what(), size - 1);
        return nullptr;
    }
}

int dhq_trace(void *handle, const char *path) {
    auto *simulation = static_cast<Simulation *>(handle);
#if DESIGN_TRACE
    return guarded(simulation, [&] {
        simulation->trace = std::make_unique<VerilatedFstC>();
        simulation->model->trace(simulation->trace.get(), 99);
        simulation->trace->open(path);
        if (!simulation->trace->isOpen())
            throw std::runtime_error(std::string("cannot write the waveform ") + path);
    });
#else
    simulation->error = std::string("compiled without waveforms, asked for ") + path;
    return -1;
#endif
}

int dhq_destroy(void *handle, char *message, size_t size) {
    auto *simulation = static_cast<Simulation *>(handle);
    const int status = guarded(simulation, [&] {
        simulation->model->final();
#if DESIGN_TRACE
        if (simulation->trace) simulation->trace->close();
#endif
    });
    if (status) std::strncpy(message, simulation->error.c_str(), size - 1);
    delete simulation;
    return status;
}

const char *dhq_error(void *handle) { return static_cast<Simulation *>(handle)->error.c_str(); }

int dhq_num_ports(void *handle) {
    return static_cast<int>(static_cast<Simulation *>(handle)->ports.size());
}

const char *dhq_port_name(void *handle, int port) {
    return static_cast<Simulation *>(handle)->ports[port].name;
}

int dhq_port_direction(void *handle, int port) {
    return static_cast<Simulation *>(handle)->ports[port].direction;
}

int dhq_port_width(void *handle, int port) {
    return static_cast<int>(static_cast<Simulation *>(handle)->ports[port].width);
}

void dhq_read(void *handle, int port, uint32_t *words) {
    auto *simulation = static_cast<Simulation *>(handle);
    simulation->read(simulation->ports[port], words);
}

void dhq_write(void *handle, int port, const uint32_t *words) {
    auto *simulation = static_cast<Simulation *>(handle);
    simulation->write(simulation->ports[port], words);
}

int dhq_run(void *handle, uint64_t step) {
    auto *simulation = static_cast<Simulation *>(handle);
    return guarded(simulation, [&] { simulation->advance(step); });
}

// Runs at most `budget` ticks, as FINN's SimEngine does: in a tick every stream sees the outputs
// before the rising edge and decides what it drives after it. Returns 0 when all streams are done,
// 1 when the budget is spent, 2 when a watchdog bit, -1 on an error. `clock2x` is -1 without one.
int dhq_stream(void *handle, int clock, int clock2x, Stream *streams, int count, uint64_t budget,
               uint64_t *tick, uint32_t *random) {
    auto *simulation = static_cast<Simulation *>(handle);
    int result = 1;
    const int status = guarded(simulation, [&] {
        const auto &ports = simulation->ports;
        const Port &clk = ports[clock];
        const Port *const clk2x = clock2x < 0 ? nullptr : &ports[clock2x];
        const auto held_back = [&](const Stream &stream) {
            if (!stream.stall) return false;
            *random = *random * 1664525u + 1013904223u;
            return (*random >> 24) < stream.stall;
        };
        const auto too_early = [&](const Stream &stream) {
            return stream.group && *tick < stream.offered / stream.group * stream.period;
        };
        std::vector<uint8_t> change(count);
        for (uint64_t spent = 0; spent < budget; ++spent) {
            bool active = false, bitten = false;
            for (int i = 0; i < count; ++i) {
                active |= streams[i].active != 0;
                bitten |= streams[i].is_output && streams[i].idle >= streams[i].timeout;
            }
            if (!active) {
                result = 0;
                return;
            }
            if (bitten) {
                result = 2;
                return;
            }
            ++*tick;
            // What every stream will drive: bit 0 the handshake, bit 1 a new payload.
            for (int i = 0; i < count; ++i) {
                Stream &stream = streams[i];
                change[i] = stream.handshake;
                if (!stream.active) continue;
                if (stream.is_output) {
                    if (stream.handshake && simulation->get(ports[stream.valid])) {
                        simulation->read(ports[stream.data],
                                         stream.buffer + stream.done * stream.words);
                        if (stream.ticks) stream.ticks[stream.done] = *tick;
                        stream.idle = 0;
                        ++stream.done;
                    }
                    if (!stream.handshake && stream.done == stream.count) stream.active = 0;
                    change[i] = stream.done < stream.count && !held_back(stream);
                } else {
                    const bool passed = stream.handshake && simulation->get(ports[stream.ready]);
                    if (passed) {
                        if (stream.ticks) stream.ticks[stream.done] = *tick;
                        ++stream.done;
                    }
                    if (!stream.handshake && stream.offered == stream.count) stream.active = 0;
                    if (passed || !stream.handshake) {
                        const bool next = stream.offered < stream.count && !too_early(stream) &&
                                          !held_back(stream);
                        change[i] = next ? 3 : 0;
                    }
                }
            }
            simulation->set(clk, true);
            if (clk2x) simulation->set(*clk2x, true);
            simulation->advance(2);
            for (int i = 0; i < count; ++i) {
                Stream &stream = streams[i];
                stream.handshake = change[i] & 1;
                if (stream.is_output) {
                    simulation->set(ports[stream.ready], stream.handshake);
                } else {
                    simulation->set(ports[stream.valid], stream.handshake);
                    if (change[i] & 2)
                        simulation->write(ports[stream.data],
                                          stream.buffer + stream.offered++ * stream.words);
                }
            }
            if (clk2x) {
                simulation->set(*clk2x, false);
                simulation->advance(2499);
                simulation->set(*clk2x, true);
                simulation->set(clk, false);
                simulation->advance(2500);
                simulation->set(*clk2x, false);
                simulation->advance(4999);
            } else {
                simulation->set(clk, false);
                simulation->advance(9998);
            }
            for (int i = 0; i < count; ++i) ++streams[i].idle;
        }
    });
    return status ? status : result;
}

}  // extern "C"
#pragma GCC visibility pop
