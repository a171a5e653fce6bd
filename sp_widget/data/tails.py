"""Token ids that know which prefix was taken off them.

With `tail_divergence` the prompts of a batch are what is left behind a shared prefix. Run without
it they are other prompts, with other logits, and nothing would say so: hence whoever is given such
tokens and no prefix finds it here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor


class TailTokens(Tensor):
    """Token ids `[batch, seq]` behind a shared `prefix`; of each prompt, or of some of them.

    Choosing, copying, moving, joining and shortening prompts keeps the prefix, as long as they
    begin where they did; whatever else is computed from them is an ordinary tensor.
    """

    prefix: Int[Tensor, " prefix"]

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        tails = _first_tails(args)
        if not isinstance(result, Tensor):
            return result
        begins_behind = (
            tails is not None
            and result.dtype == torch.long
            and result.dim() in (1, 2)
            and (result.shape[-1:] == tails.shape[-1:] or _first_columns(func, args))
        )
        if tails is not None and begins_behind:
            return behind(tails.prefix.to(result.device), result)
        return result.as_subclass(Tensor)

    def __deepcopy__(self, memo: dict[int, Any]) -> TailTokens:
        copied = memo[id(self)] = behind(self.prefix.clone(), self.as_subclass(Tensor).clone())
        return copied


def behind(prefix: Int[Tensor, " prefix"], tokens: Int[Tensor, "*batch seq"]) -> TailTokens:
    """Return the tokens, marked as those behind a prefix."""
    tails = tokens.as_subclass(TailTokens)
    tails.prefix = prefix
    return tails


def taken_off(
    tokens: Int[Tensor, "batch seq"], prefix: Int[Tensor, " prefix"] | None = None
) -> tuple[Int[Tensor, "batch seq"], Int[Tensor, " prefix"] | None]:
    """Return ordinary tokens, and the prefix: the one given, or else the one that they know."""
    if not isinstance(tokens, TailTokens):
        return tokens, prefix
    return tokens.as_subclass(Tensor), tokens.prefix if prefix is None else prefix


def _first_columns(func: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """Whether this is `tokens[prompts, :n]`."""
    if func is not Tensor.__getitem__ or not isinstance(args[1], tuple) or len(args[1]) != 2:
        return False
    columns = args[1][1]
    return isinstance(columns, slice) and not columns.start and columns.step in (None, 1)


def _first_tails(args: Sequence[Any]) -> TailTokens | None:
    for arg in args:
        if isinstance(arg, TailTokens):
            return arg
        if isinstance(arg, (list, tuple)) and (found := _first_tails(arg)) is not None:
            return found
    return None
