# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Graph passes of the FINN flow, one per module: ``apply(model) -> (model, changed)``."""

from dhq_brevitas.finn_flow.transformations.extract_host_affine import ExtractHostAffine
from dhq_brevitas.finn_flow.transformations.fold_matrix_vectors import (
    FoldMatrixVectors,
    MatchStreams,
    SpecializeMatrixVectors,
)
from dhq_brevitas.finn_flow.transformations.infer_hadamard import InferHadamardTransform
from dhq_brevitas.finn_flow.transformations.infer_joints import InferForks, InferJoints
from dhq_brevitas.finn_flow.transformations.infer_lookup_activation import InferLookupActivation
from dhq_brevitas.finn_flow.transformations.infer_requant import InferRequant
from dhq_brevitas.finn_flow.transformations.minimize_accumulators import MinimizeAccumulators
from dhq_brevitas.finn_flow.transformations.move_scale_past_hadamard import MoveScalePastHadamard
from dhq_brevitas.finn_flow.transformations.separate_functions import SeparateFunctions
from dhq_brevitas.finn_flow.transformations.set_layer_folding import SetLayerFolding

__all__ = [
    "ExtractHostAffine",
    "FoldMatrixVectors",
    "InferForks",
    "InferHadamardTransform",
    "InferJoints",
    "InferLookupActivation",
    "InferRequant",
    "MatchStreams",
    "MinimizeAccumulators",
    "MoveScalePastHadamard",
    "SeparateFunctions",
    "SetLayerFolding",
    "SpecializeMatrixVectors",
]
