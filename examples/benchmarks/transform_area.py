# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Area of the streaming Hadamard transform against its lower bound, by Yosys for UltraScale+.

Each of the log2 N stages adds SIMD pairs; an adder takes a LUT a bit. So no transform that takes
SIMD values a cycle has fewer than SIMD · Σ width LUTs, the bound here. What comes on top is listed:
delay lines (LUTs as memory) and the rest (control, counters, multiplexers).

    python examples/benchmarks/transform_area.py [--order 256] [--bits 8] [--lanes 1 2 4 8 16 32 64]
"""

import argparse

from dhq_brevitas.finn_flow.synthesis.yosys import Yosys
from hardware.kernel import synthesize_kernel


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--order", type=int, default=256, help="N, a power of two (%(default)s)")
    parser.add_argument("--bits", type=int, default=8, help="of the input (%(default)s)")
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--family", default="xcup", choices=["xc7", "xcu", "xcup"])
    arguments = parser.parse_args()
    yosys = Yosys()
    adder_bits = sum(arguments.bits + stage for stage in range(1, arguments.order.bit_length()))
    print(
        f"{yosys.version}, synth_xilinx -family {arguments.family}, N={arguments.order}, ", end=""
    )
    print(f"{arguments.bits} bit input\n")
    print("SIMD   bound    LUT  ratio  of these memory  carry chains     FF  BRAM18")
    for lanes in arguments.lanes:
        parameters = {"N": arguments.order, "SIMD": lanes, "IN_WIDTH": arguments.bits}
        found = synthesize_kernel("hadamard_transform", parameters, arguments.family, yosys)
        bound = lanes * adder_bits
        print(
            f"{lanes:4}  {bound:6} {found.lut:6}  {found.lut / bound:5.2f}  {found.lutram:15}  "
            f"{found.carry:12} {found.ff:6}  {found.bram18:6}"
        )


if __name__ == "__main__":
    main()
