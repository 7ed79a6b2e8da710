# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""FINN's RTL thresholding with thresholds of more than 24 bits."""

from pathlib import Path

import numpy as np
from finn.custom_op.fpgadataflow.rtl.thresholding_rtl import Thresholding_rtl as FinnThresholding


class Thresholding_rtl(FinnThresholding):
    """FINN's layer; its Verilog takes thresholds of any width, but FINN's writer rounds to float32.

    Thresholds beyond 2^24, which InferRequant stores in float64, are written here.
    """

    def make_weight_file(
        self, weights: np.ndarray, weight_file_mode: str, weight_file_name: str
    ) -> None:
        """Memory files for ``weights`` [1 or C, 2^b - 1], one for each lane and bit of the output.

        Entry i of a channel in the file of stage s is the threshold that the binary search compares
        with in step s when the first s bits of the result are i.
        """
        if weights.dtype != np.float64 or weight_file_mode != "internal_embedded":
            super().make_weight_file(weights, weight_file_mode, weight_file_name)
            return
        lanes, stages = self.get_nodeattr("PE"), self.get_output_datatype().bitwidth()
        rows = np.tile(weights, (lanes, 1)) if len(weights) == 1 else weights
        bits = self.get_input_datatype(1).bitwidth()
        for lane in range(lanes):
            for stage in range(stages):
                step = 1 << (stages - stage)
                words = rows[lane::lanes, step // 2 - 1 :: step].astype(np.int64) & (1 << bits) - 1
                path = Path(weight_file_name).parent / self._file_name(lane, stage)
                lines = [f"{word:0{-(-bits // 4)}x}\n" for word in words.reshape(-1).tolist()]
                path.write_text("".join(lines))

    def _file_name(self, lane: int, stage: int) -> str:
        return f"{self.onnx_node.name}_threshs_{lane}_{stage}.dat"
