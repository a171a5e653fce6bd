"""All of a bridge that must be the same before and after."""

from __future__ import annotations

from typing import Any

import torch

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
)


def fingerprint(bridge: Any) -> dict[str, Any]:
    """Hooks, flags and modes of every module, and every parameter and buffer bit by bit."""
    print_: dict[str, Any] = {"cfg": {k: repr(v) for k, v in vars(bridge.cfg).items()}}
    for name, module in bridge.named_modules():
        hooks = {kind: len(getattr(module, kind)) for kind in _HOOKS}
        for kind in ("fwd_hooks", "bwd_hooks"):  # TransformerLens' own lists
            hooks[kind] = len(getattr(module, kind, []))
        print_[f"hooks of {name}"] = hooks
        print_[f"mode of {name}"] = module.training
    for name, parameter in bridge.named_parameters():
        flags = (parameter.requires_grad, parameter.grad is None)
        print_[f"parameter {name}"] = (flags, _bits(parameter))
    for name, buffer in bridge.named_buffers():
        print_[f"buffer {name}"] = _bits(buffer)
    return print_


def _bits(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.detach().contiguous().view(torch.uint8).numpy().tobytes())
