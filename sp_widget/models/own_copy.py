"""A model of our own that shares the weights of the user's, and none of its hooks.

Trainings run for hours beside other work on the same model. Whatever hooks that work attaches, to
read activations or to change them, must see its own forward passes only, and a training none of
them: so the nodes of the graph, and what is captured for them, run on this copy.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from sp_widget.errors import ArgumentError

_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)
"""Where torch keeps the hooks of a module."""

_EMPTIED: dict[str, type] = {
    # Of transformer-lens' HookPoint; what hooks left in `ctx` may be large.
    "fwd_hooks": list,
    "bwd_hooks": list,
    "ctx": dict,
    # Of a bridge's block, which attaches some hooks of its own when it first runs.
    "_capture_hook_handles": list,
}


_LIBRARIES = ("transformers", "transformer_lens", "accelerate")
"""They attach hooks to the models that they load or run."""


def own_copy(model: Any) -> Any:
    """Return a copy of the model's modules without hooks; parameters and buffers are shared."""
    # Detached: a bridge may hold activations of its last run, which are no leaves.
    shared = {
        id(tensor): tensor if tensor.is_leaf else tensor.detach()
        for module in model.modules()
        for tensor in _tensors(module)
    }
    shared |= {id(parameter): parameter for parameter in model.parameters()}
    shared |= {id(buffer): buffer for buffer in model.buffers()}
    tokenizer = getattr(model, "tokenizer", None)
    memo: dict[int, Any] = {**shared, id(tokenizer): tokenizer}
    for module in model.modules():
        memo |= {id(getattr(module, kind)): OrderedDict() for kind in _HOOKS}
        memo |= {
            id(vars(module)[name]): kind()
            for name, kind in _EMPTIED.items()
            if name in vars(module)
        }
    own = copy.deepcopy(model, memo)
    for module in own.modules():
        if hasattr(module, "_capture_hooks_wired"):
            module._capture_hooks_wired = False
    return own


def refuse_hooks(model: Any) -> None:
    """Raise `ArgumentError` when the user's hooks are attached to the model.

    What is computed here ignores them; to go on would be a wrong number for who counts on them.
    """
    hooked = list(dict.fromkeys(name or "the model itself" for name in _hooked(model)))
    if hooked:
        raise ArgumentError(
            "model",
            "a model without hooks, which would have no effect on edge patching (take them off "
            "with model.reset_hooks(including_permanent=True), or remove() their handles)",
            f"hooks at {', '.join(hooked[:5])}{' …' if len(hooked) > 5 else ''}",
        )


def _hooked(model: Any) -> Iterator[str]:
    """Names of the modules with hooks that no library attached for purposes of its own."""
    for name, module in model.named_modules():
        # A HookPoint wraps what it is given.
        handles = (*vars(module).get("fwd_hooks", ()), *vars(module).get("bwd_hooks", ()))
        given = {handle.hook.id: getattr(handle, "user_hook", None) for handle in handles}
        for kind in _HOOKS:
            for place, hook in getattr(module, kind).items():
                if not _is_internal(given.get(place) or hook):
                    yield plain_name(name)
                    break


def _is_internal(hook: Any) -> bool:
    if isinstance(hook, bool):  # a flag of a hook
        return True
    # Older HookPoints do not say what they wrap.
    home = str(getattr(hook, "__module__", None)).split(".")
    return home[0] in _LIBRARIES and home != ["transformer_lens", "hook_points"]


def plain_name(name: str) -> str:
    """The name of a module or parameter as a user of transformer-lens writes it."""
    return name.replace("_original_component.", "").removesuffix("._original_component")


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """Tensors that a module holds beside its parameters and buffers."""
    for value in vars(module).values():
        inside = value.values() if isinstance(value, dict) else value
        if isinstance(inside, Tensor):
            yield inside
        elif isinstance(value, (list, tuple, dict)):
            yield from (item for item in inside if isinstance(item, Tensor))
