// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Widths and latencies shared by the streaming kernels. Compile this file first.

package dhq_rtl_pkg;

  function automatic int unsigned max_of(input int unsigned a, input int unsigned b);
    return (a > b) ? a : b;
  endfunction

  function automatic int unsigned min_of(input int unsigned a, input int unsigned b);
    return (a < b) ? a : b;
  endfunction

  // Bits of an index into `count` items, at least 1: 1 -> 1, 2 -> 1, 3 -> 2, 256 -> 8.
  function automatic int unsigned index_width(input int unsigned count);
    return (count > 2) ? unsigned'($clog2(count)) : 1;
  endfunction

  function automatic bit is_power_of_two(input int unsigned value);
    return value != 0 && (value & (value - 1)) == 0;
  endfunction

  // Bits of the two's complement number `value`: 0 -> 1, 1 -> 2, -1 -> 1, -128 -> 8, 128 -> 9.
  function automatic int unsigned signed_width(input int value);
    return unsigned'($clog2((value < 0) ? -value : value + 1)) + 1;
  endfunction

  // ---------------------------------------------------------------- requantizer of the transform

  // Width after h / 2^shift was rounded; rounding up may need one bit more than the quotient.
  function automatic int unsigned rounded_width(input int unsigned width, input int unsigned shift);
    return (shift == 0) ? width : width - shift + 1;
  endfunction

  // Whether a value of `width` bits may leave the output range.
  function automatic bit must_clip(input int unsigned width, input int unsigned out_width,
                                   input bit narrow);
    return width > out_width || (narrow && width == out_width);
  endfunction

  function automatic int unsigned requantizer_latency(
      input int unsigned width, input bit negate, input int unsigned shift,
      input int unsigned out_width, input bit narrow);
    return (negate ? 1 : 0) + ((shift > 0) ? 1 : 0)
         + (must_clip(rounded_width(width, shift), out_width, narrow) ? 1 : 0);
  endfunction

  // ------------------------------------------------------------------------- lookup activation

  // Bits of x·M + B, nothing lost: max(product, bias) + 1 with a bias, the product without.
  function automatic int unsigned affine_width(
      input int unsigned in_width, input bit in_signed, input bit has_scale,
      input int unsigned scale_width, input int unsigned scale_shift, input bit has_bias,
      input int unsigned bias_width);
    automatic int unsigned operand = in_width + (in_signed ? 0 : 1);
    automatic int unsigned product = operand + (has_scale ? scale_width : scale_shift);
    return has_bias ? max_of(product, bias_width) + 1 : product;
  endfunction

  // Bits of x·M + B that are worth computing: all of them, and at least one above the shift; when
  // the address is v mod 2^table_bits, no more than shift + table_bits.
  function automatic int unsigned used_width(
      input int unsigned full_width, input int unsigned shift, input bit wrap,
      input int unsigned table_bits);
    return wrap ? shift + table_bits : max_of(full_width, shift + 1);
  endfunction

  // A DSP48E2 multiplies 27 x 18 bits signed; a wider product takes several and one more register.
  function automatic bit wide_product(input int unsigned a_width, input int unsigned b_width);
    return max_of(a_width, b_width) > 27 || min_of(a_width, b_width) > 18;
  endfunction

  // Registers of lookup_affine: x, product(s), sum.
  function automatic int unsigned affine_stages(
      input bit has_scale, input bit has_bias, input int unsigned x_width,
      input int unsigned m_width);
    return 1 + (has_scale ? 1 : 0) + (has_scale && wide_product(x_width, m_width) ? 1 : 0)
         + (has_scale || has_bias ? 1 : 0);
  endfunction

endpackage
