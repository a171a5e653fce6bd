"""Edge patching one edge at a time, straight from its definition.

Every destination d reads x_d = r_d + sum_s m_ds (a_s - c_s). Here r_d, c_s and everything that a
node computes come from the bridge's own forward pass, by way of hooks on its modules, and the
sum is a loop over edges: slow, and without any code of the engine. Differentiable in the masks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sp_widget.graph.edge_graph import Edge

EdgeMasks = dict[Edge, Tensor]
"""Each edge's mask value for each prompt, `[batch]`."""
Sources = dict[str, Tensor]
"""Source name to what it writes, `[batch, seq, d_model]`."""


class SlowRun:
    """One run of a bridge, patched edge by edge (or, without masks, not at all)."""

    def __init__(
        self, bridge: Any, masks: EdgeMasks | None = None, patch: Sources | None = None
    ) -> None:
        self.bridge = bridge
        self.written: Sources = {}
        self._patch = patch or {}
        self._incoming: dict[str, list[tuple[Edge, Tensor]]] = {}
        for edge, value in (masks or {}).items():
            self._incoming.setdefault(edge.dest.name, []).append((edge, value))
        self._joint = "A0.0" in self._incoming
        self._handles: list[Any] = []
        self._unhooked = False
        """Modules are being called by a hook: as they are."""

    def logits(self, tokens: Tensor) -> Tensor:
        blocks = [SlowBlock(self, layer, block) for layer, block in enumerate(self.bridge.blocks)]
        final = getattr(self.bridge, "ln_final", None)
        if self.bridge.cfg.architecture == "OPTForCausalLM":
            final = self.bridge.original_model.model.decoder.final_layer_norm
        try:
            for block in blocks:
                block.add_hooks()
            self.before(final, lambda x: self.read("Resid End", x))
            logits: Tensor = self.bridge(tokens)
        finally:
            for handle in self._handles:
                handle.remove()
        return logits

    def read(self, dest: str, stream: Tensor) -> Tensor:
        """What a destination reads, given the ordinary stream at its place."""
        patched = stream
        for edge, value in self._incoming.get(dest, []):
            difference = self._patch[edge.src.name] - self.written[edge.src.name]
            change = value[:, None, None] * difference
            if edge.seq_idx is not None:
                here = torch.zeros_like(change)
                here[:, edge.seq_idx] = 1
                change = change * here
            patched = patched + change
        return patched

    def row(self, layer: int, head: int, letter: str) -> str:
        """The destination that the queries, keys or values of a head read."""
        return f"A{layer}.{head}" if self._joint else f"A{layer}.{head}.{letter}"

    @property
    def joint(self) -> bool:
        """Whether each query head has keys and values of its own."""
        return self._joint

    def before(self, module: nn.Module, change: Any) -> None:
        """Replace the first argument of a module."""

        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if self._unhooked:
                return None
            if args:
                return (change(args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

        self._handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def after(self, module: nn.Module, change: Any) -> None:
        """Replace the output of a module."""

        def hook(_module: nn.Module, args: Any, kwargs: Any, out: Any) -> Any:
            return None if self._unhooked else change(args, kwargs, out)

        self._handles.append(module.register_forward_hook(hook, with_kwargs=True))

    @contextmanager
    def unhooked(self) -> Iterator[None]:
        self._unhooked = True
        try:
            yield
        finally:
            self._unhooked = False

    def keep(self, name: str) -> Any:
        """For `after`: keep an output as that of a source."""

        def change(_args: Any, _kwargs: Any, out: Any) -> None:
            value = out[0] if isinstance(out, tuple) else out
            self.written[name] = value.view_as(self.written["Resid Start"])

        return change


class SlowBlock:
    """The hooks of one block."""

    def __init__(self, run: SlowRun, layer: int, block: Any) -> None:
        self.run, self.layer, self.block, self.attn = run, layer, block, block.attn
        self.parts = block.submodules
        cfg = run.bridge.cfg
        self.n_heads, self.d_head = cfg.n_heads, cfg.d_head
        self.group = self.n_heads // self.attn.W_K.shape[0]
        self.member = 0
        """Which of the query heads of each group the keys and values are made for."""
        self.resid: Tensor
        self.mixed: Tensor

    def add_hooks(self) -> None:
        run, layer = self.run, self.layer
        run.before(self.block, self._enter)
        for letter in "QKV":
            linear = getattr(self.attn, letter.lower())
            run.after(linear, lambda _a, _k, out, at=letter, f=linear: self._project(at, f, out))
        run.before(self.attn.o, self._keep_mixed)
        run.after(self.attn, self._attend)
        if "ln1_post" in self.parts:
            run.after(self.block.ln1_post, run.keep(f"A{layer}"))
        if "mlp" not in self.parts:
            return
        mlp = f"MLP {layer}"
        original = self.block.original_component
        if "ln2" in self.parts:
            run.before(self.block.ln2, lambda x: run.read(mlp, self._like_resid(x)).view_as(x))
        elif run.bridge.cfg.parallel_attn_mlp:
            run.before(self.block.mlp, lambda _: self._norm(run.read(mlp, self.resid)))
        else:
            run.before(self.block.mlp, lambda x: run.read(mlp, x))
        if "ln2_post" in self.parts:
            run.after(self.block.ln2_post, run.keep(mlp))
        else:
            run.after(original.fc2 if hasattr(original, "fc2") else self.block.mlp, run.keep(mlp))

    def _like_resid(self, x: Tensor) -> Tensor:
        return x.view_as(self.resid)  # OPT's comes as [batch x seq, d_model].

    def _enter(self, resid: Tensor) -> Tensor:
        self.resid = resid
        if self.layer == 0:
            self.run.written["Resid Start"] = resid
        return resid

    def _norm(self, x: Tensor) -> Tensor:
        with self.run.unhooked():
            normed: Tensor = self.block.ln1(x) if "ln1" in self.parts else x
            return normed

    def _project(self, letter: str, linear: Any, out: Tensor) -> Tensor:
        """Each head's part of the projection, of the stream that this head reads."""
        parts = []
        for head in range(self.n_heads if letter == "Q" else self.n_heads // self.group):
            at = head
            if letter != "Q" and self.run.joint:
                at = head * self.group + self.member
            x = self._norm(self.run.read(self.run.row(self.layer, at, letter), self.resid))
            with self.run.unhooked():
                y = linear(x).flatten(2)
            parts.append(y[..., head * self.d_head : (head + 1) * self.d_head])
        return torch.cat(parts, dim=-1).view_as(out)

    def _keep_mixed(self, z: Tensor) -> Tensor:
        self.mixed = z
        return z

    def _attend(self, args: Any, kwargs: Any, out: Any) -> Any:
        """What each head writes. Where query heads share keys but read streams of their own,
        attention runs once for each head of a group, and each takes its own from its run.
        """
        if self.member > 0:
            return None
        parts = self._split(self.mixed)
        if self.run.joint:
            # Without the cache of keys, to which every run would add its own.
            kwargs = {key: kwargs[key] for key in kwargs if not key.startswith("past")}
            for member in range(1, self.group):
                self.member = member
                self.attn(*args, **kwargs)
                others = self._split(self.mixed)
                for head in range(member, self.n_heads, self.group):
                    parts[head] = others[head]
            self.member = 0
        with self.run.unhooked():
            bias = self.attn.o(torch.zeros_like(self.mixed))
            if "ln1_post" not in self.parts:
                for head, part in enumerate(parts):
                    result = self.attn.o(part) - bias
                    self.run.written[f"A{self.layer}.{head}"] = result.view_as(self.resid)
            total = self.attn.o(torch.stack(parts).sum(0))
        return (total, *out[1:]) if isinstance(out, tuple) else total

    def _split(self, z: Tensor) -> list[Tensor]:
        """Each head's part of the mixed values, zero elsewhere."""
        heads = []
        for head in range(self.n_heads):
            own = torch.zeros_like(z).flatten(2)
            own[..., head * self.d_head : (head + 1) * self.d_head] = 1
            heads.append(z * own.view_as(z))
        return heads
