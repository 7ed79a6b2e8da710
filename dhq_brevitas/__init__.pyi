# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
# The public names and where each is defined. __init__.py reads this file.

from .analysis.distributions import LayerAnalysis as LayerAnalysis
from .fitting import (
    Fitted as Fitted,
    Quantized as Quantized,
    fit as fit,
)
from .inr.layer_plan import (
    LayerPlan as LayerPlan,
)
from .inr.quant_spec import (
    QuantSpec as QuantSpec,
)
from .inr.spec import (
    InrSpec as InrSpec,
)
from .models import (
    analyze as analyze,
    plan as plan,
    quantize as quantize,
)
from .nn.activations import (
    QuantCos as QuantCos,
    QuantLookupActivation as QuantLookupActivation,
    QuantSine as QuantSine,
)
from .nn.hadamard import (
    MAX_ORDER as MAX_ORDER,
    hadamard_matrix as hadamard_matrix,
    hadamard_transform as hadamard_transform,
    hadamard_transform_int as hadamard_transform_int,
    largest_order as largest_order,
    random_signs as random_signs,
)
from .nn.proxies import (
    HadamardActQuantProxy as HadamardActQuantProxy,
    HadamardWeightQuantProxy as HadamardWeightQuantProxy,
    NoRotationWarning as NoRotationWarning,
)
from .nn.quantizers import (
    DHQActOfIntegers as DHQActOfIntegers,
    DyadicScale as DyadicScale,
    HadamardAct as HadamardAct,
    HadamardWeight as HadamardWeight,
    Int8ActPerTensorDyadic as Int8ActPerTensorDyadic,
    Int8DHQActPerTensorDyadic as Int8DHQActPerTensorDyadic,
    Int8DHQActPerTensorFixedPoint as Int8DHQActPerTensorFixedPoint,
    Int8DHQActPerTensorFixedPointMSE as Int8DHQActPerTensorFixedPointMSE,
    Int8DHQActPerTensorFloat as Int8DHQActPerTensorFloat,
    Int8DHQActPerTensorFloatMSE as Int8DHQActPerTensorFloatMSE,
    Int8DHQWeightPerChannelDyadic as Int8DHQWeightPerChannelDyadic,
    Int8DHQWeightPerChannelFixedPoint as Int8DHQWeightPerChannelFixedPoint,
    Int8DHQWeightPerChannelFixedPointMSE as Int8DHQWeightPerChannelFixedPointMSE,
    Int8DHQWeightPerChannelFloat as Int8DHQWeightPerChannelFloat,
    Int8DHQWeightPerChannelFloatMSE as Int8DHQWeightPerChannelFloatMSE,
    Int8DHQWeightPerTensorDyadic as Int8DHQWeightPerTensorDyadic,
    Int8DHQWeightPerTensorFixedPoint as Int8DHQWeightPerTensorFixedPoint,
    Int8DHQWeightPerTensorFixedPointMSE as Int8DHQWeightPerTensorFixedPointMSE,
    Int8DHQWeightPerTensorFloat as Int8DHQWeightPerTensorFloat,
    Int8DHQWeightPerTensorFloatMSE as Int8DHQWeightPerTensorFloatMSE,
    Int8UnitActPerTensorFixedPoint as Int8UnitActPerTensorFixedPoint,
    Int8WeightPerChannelDyadic as Int8WeightPerChannelDyadic,
    Int8WeightPerTensorDyadic as Int8WeightPerTensorDyadic,
    IntegerCodes as IntegerCodes,
    PhaseQuant as PhaseQuant,
    RangeQuant as RangeQuant,
    rotated as rotated,
)
from .nn.scales import (
    DyadicRestrictValue as DyadicRestrictValue,
)
from .planning.alternatives import (
    Budget as Budget,
)
from .planning.search import (
    Plan as Plan,
)
from .quantization.calibration import (
    calibrate as calibrate,
)
from .run.load import (
    Run as Run,
    load_run as load_run,
)
