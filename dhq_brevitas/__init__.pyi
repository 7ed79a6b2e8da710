# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
# The public names and where each is defined. __init__.py reads this file.

from .analysis.distributions import LayerAnalysis as LayerAnalysis
from .fitting import (
    Fitted as Fitted,
)
from .fitting import (
    Quantized as Quantized,
)
from .fitting import (
    fit as fit,
)
from .fitting import (
    unpack as unpack,
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
)
from .models import (
    plan as plan,
)
from .models import (
    quantize as quantize,
)
from .nn.activations import (
    QuantCos as QuantCos,
)
from .nn.activations import (
    QuantLookupActivation as QuantLookupActivation,
)
from .nn.activations import (
    QuantSine as QuantSine,
)
from .nn.hadamard import (
    MAX_ORDER as MAX_ORDER,
)
from .nn.hadamard import (
    hadamard_matrix as hadamard_matrix,
)
from .nn.hadamard import (
    hadamard_transform as hadamard_transform,
)
from .nn.hadamard import (
    hadamard_transform_int as hadamard_transform_int,
)
from .nn.hadamard import (
    largest_order as largest_order,
)
from .nn.hadamard import (
    random_signs as random_signs,
)
from .nn.proxies import (
    HadamardActQuantProxy as HadamardActQuantProxy,
)
from .nn.proxies import (
    HadamardWeightQuantProxy as HadamardWeightQuantProxy,
)
from .nn.proxies import (
    NoRotationWarning as NoRotationWarning,
)
from .nn.quantizers import (
    DHQActOfIntegers as DHQActOfIntegers,
)
from .nn.quantizers import (
    DyadicScale as DyadicScale,
)
from .nn.quantizers import (
    HadamardAct as HadamardAct,
)
from .nn.quantizers import (
    HadamardWeight as HadamardWeight,
)
from .nn.quantizers import (
    Int8ActPerTensorDyadic as Int8ActPerTensorDyadic,
)
from .nn.quantizers import (
    Int8DHQActPerTensorDyadic as Int8DHQActPerTensorDyadic,
)
from .nn.quantizers import (
    Int8DHQActPerTensorFixedPoint as Int8DHQActPerTensorFixedPoint,
)
from .nn.quantizers import (
    Int8DHQActPerTensorFixedPointMSE as Int8DHQActPerTensorFixedPointMSE,
)
from .nn.quantizers import (
    Int8DHQActPerTensorFloat as Int8DHQActPerTensorFloat,
)
from .nn.quantizers import (
    Int8DHQActPerTensorFloatMSE as Int8DHQActPerTensorFloatMSE,
)
from .nn.quantizers import (
    Int8DHQWeightPerChannelDyadic as Int8DHQWeightPerChannelDyadic,
)
from .nn.quantizers import (
    Int8DHQWeightPerChannelFixedPoint as Int8DHQWeightPerChannelFixedPoint,
)
from .nn.quantizers import (
    Int8DHQWeightPerChannelFixedPointMSE as Int8DHQWeightPerChannelFixedPointMSE,
)
from .nn.quantizers import (
    Int8DHQWeightPerChannelFloat as Int8DHQWeightPerChannelFloat,
)
from .nn.quantizers import (
    Int8DHQWeightPerChannelFloatMSE as Int8DHQWeightPerChannelFloatMSE,
)
from .nn.quantizers import (
    Int8DHQWeightPerTensorDyadic as Int8DHQWeightPerTensorDyadic,
)
from .nn.quantizers import (
    Int8DHQWeightPerTensorFixedPoint as Int8DHQWeightPerTensorFixedPoint,
)
from .nn.quantizers import (
    Int8DHQWeightPerTensorFixedPointMSE as Int8DHQWeightPerTensorFixedPointMSE,
)
from .nn.quantizers import (
    Int8DHQWeightPerTensorFloat as Int8DHQWeightPerTensorFloat,
)
from .nn.quantizers import (
    Int8DHQWeightPerTensorFloatMSE as Int8DHQWeightPerTensorFloatMSE,
)
from .nn.quantizers import (
    Int8UnitActPerTensorFixedPoint as Int8UnitActPerTensorFixedPoint,
)
from .nn.quantizers import (
    Int8WeightPerChannelDyadic as Int8WeightPerChannelDyadic,
)
from .nn.quantizers import (
    Int8WeightPerTensorDyadic as Int8WeightPerTensorDyadic,
)
from .nn.quantizers import (
    IntegerCodes as IntegerCodes,
)
from .nn.quantizers import (
    PhaseQuant as PhaseQuant,
)
from .nn.quantizers import (
    RangeQuant as RangeQuant,
)
from .nn.quantizers import (
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
from .run.loading import (
    Run as Run,
)
from .run.loading import (
    load_run as load_run,
)
