// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// The numbers of hadamard_transform as its header states them, in 32 bits.

package transform_spec;

  // clip(round_half_even(h / 2^shift)): floor, and one more above the half and at it if odd.
  function automatic int requantize(input int h, input int unsigned shift,
                                    input int unsigned out_width, input bit narrow);
    automatic int floor = h >>> shift;
    automatic int twice_rest = 2 * (h - (floor <<< shift));
    automatic int high = (1 << (out_width - 1)) - 1;
    automatic int low = -high - (narrow ? 0 : 1);
    automatic int y = floor;
    if (twice_rest > (1 << shift) || (twice_rest == (1 << shift) && floor % 2 != 0)) y = floor + 1;
    return (y > high) ? high : (y < low) ? low : y;
  endfunction

endpackage
