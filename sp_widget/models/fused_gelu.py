"""The same GELU in one operation.

Hugging Face writes the tanh form of GELU (GPT-2, GPT-Neo, GPT-J, Phi) as eight operations, and
autograd keeps a hidden layer for five of them. torch has it as one, which keeps its input only.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


def with_fused_gelu(mlp: Any) -> Callable[[Tensor], Tensor]:
    """A bridge's MLP, run with torch's own GELU where its model writes one out.

    The model is not changed: its layers are shared with a copy that has another activation.
    """
    original: nn.Module = mlp.original_component
    written_out = [
        name
        for name, module in original.named_children()
        if type(module).__name__ == "NewGELUActivation"
    ]
    if not written_out:
        run: Callable[[Tensor], Tensor] = mlp
        return run
    fused = copy.copy(original)
    fused._modules = {**original._modules}
    for name in written_out:
        fused._modules[name] = nn.GELU(approximate="tanh")
    return fused
