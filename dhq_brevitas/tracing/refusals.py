# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Why an operator has no layer in hardware, and what to do instead."""

from torch import Tensor, fx

__all__ = ["remedy"]

HOST = "leave it to the host: quantize the network behind it, fed with what it gives"
# By a part of the operator's name, the first that fits.
REMEDIES = {
    "layer_norm": "divides by a statistic of each sample, which neither a linear layer nor a table "
    "computes; train with BatchNorm, which folds into the layer before it, or without",
    "group_norm": "divides by a statistic of each sample; train with BatchNorm, which folds, or "
    "without",
    "instance_norm": "divides by a statistic over samples; train with BatchNorm, which folds, or "
    "without",
    "batch_norm": "takes its statistics from the batch; use running statistics "
    "(track_running_stats=True)",
    "rms_norm": "divides by a statistic of each sample; train with BatchNorm, which folds, or "
    "without",
    "conv": "looks at neighboring samples; of convolutions only those with a 1 x 1 kernel, stride "
    "1 and no padding are layers of one sample: use these",
    "embedding": f"looks numbers up by its input; {HOST}",
    "index": f"looks numbers up by its input, as a hash grid does; {HOST}",
    "gather": f"looks numbers up by its input; {HOST}",
    "grid_sampler": f"looks numbers up by its input, as a feature grid does; {HOST}",
    "xor": f"computes a hash of its input; {HOST}",
    "lstm": "carries a state from sample to sample; use layers that take each sample by itself",
    "gru": "carries a state from sample to sample; use layers that take each sample by itself",
    "rnn": "carries a state from sample to sample; use layers that take each sample by itself",
    "attention": "mixes samples with weights that depend on them; use linear layers and functions",
    "softmax": "divides by a sum over channels or samples, as attention does; use functions of one "
    "variable, or leave a last softmax to the host",
    "einsum": "is no product with a constant matrix; one operand must be constant, and share only "
    "the letters that are added up",
    "norm": "divides by, or takes, a length over channels; leave it to the host, or out",
    "matmul": "multiplies two results with each other as matrices; one of them must be constant",
    "bmm": "multiplies two results with each other as matrices; one of them must be constant",
    "mm": "multiplies two results with each other as matrices; one of them must be constant",
    "bilinear": "multiplies every channel of one result with every one of another; write it as "
    "products, element by element, of linear layers",
    "linear": "has a weight that depends on the inputs; it must be constant",
    "rand": "draws random numbers; remove it for the quantized network",
    "item": "turns a result into a Python number; keep it a tensor",
    "local_scalar": "turns a result into a Python number; keep it a tensor",
    "scatter": "writes into parts of a tensor; build it with torch.cat instead",
    "put": "writes into parts of a tensor; build it with torch.cat instead",
}


def remedy(name: str, node: fx.Node) -> str:
    """The rest of a sentence that begins with the operator's name."""
    produced = node.meta.get("val")
    if isinstance(produced, Tensor) and produced.is_complex():
        return "computes with complex numbers; write it with their real and imaginary parts"
    for part, text in REMEDIES.items():
        if part in name:
            return text
    return (
        "is neither linear nor a function of one variable, so that no layer of the hardware "
        "computes it; replace it, or leave it to the host"
    )
