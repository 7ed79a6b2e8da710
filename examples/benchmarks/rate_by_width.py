# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What the learning rates of the fit and of fine-tuning are worth, in dB on pictures.

    OMP_NUM_THREADS=1 python examples/benchmarks/rate_by_width.py astronaut chelsea coffee

A SIREN 2-256-256-256-3 is fitted to each picture at each rate of ``--rates``, then quantized with
rotations after the activation quantizers and float scales, and fine-tuned at each rate of
``--fine-tuning``. The defaults are :meth:`dhq_brevitas.inr.families.base.Family.rate` and
:func:`dhq_brevitas.quantization.fine_tuning.fine_tuning_rate`.
"""

import argparse
import itertools

import dhq_brevitas as dhq
from quality.pictures import fit_picture


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="a name or a file")
    parser.add_argument("--size", type=int, default=256, help="longer side (default 256)")
    parser.add_argument("--hidden", type=int, default=256, help="width (default 256)")
    parser.add_argument("--steps", type=int, default=3000, help="of the fit (default 3000)")
    parser.add_argument("--qat-steps", type=int, default=500, help="of fine-tuning (default 500)")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 2e-3], metavar="R")
    parser.add_argument("--fine-tuning", type=float, nargs="+", default=[1e-4, 2e-4], metavar="R")
    parser.add_argument("--bits", nargs="+", default=["W4A8", "W8A8"], metavar="BITS")
    args = parser.parse_args()

    print("picture    fitted at  float   bits  fine-tuned at  quantized")
    for picture, rate in itertools.product(args.pictures, args.rates):
        fitted = fit_picture(
            picture,
            args.size,
            hidden=args.hidden,
            steps=args.steps,
            learning_rate=rate,
            progress=False,
        )
        for bits, fine_rate in itertools.product(args.bits, args.fine_tuning):
            weights, acts = map(int, bits.removeprefix("W").split("A"))
            spec = dhq.QuantSpec(
                weight_bits=weights, act_bits=acts, rotation="after", scale="float"
            )
            quantized = fitted.quantize(
                spec, steps=args.qat_steps, learning_rate=fine_rate, batch=4096, progress=False
            )
            print(
                f"{picture:10s} {rate:9g} {fitted.psnr:6.2f} {bits:>6s} {fine_rate:14g} "
                f"{quantized.psnr:10.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
