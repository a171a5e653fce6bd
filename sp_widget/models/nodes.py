"""What a node computes from the residual stream it reads: norm, projections, attention, MLP.

Everything here acts on one block of one model and knows nothing of edges or masks. Residual
streams come as `[rows, tokens, d_model]`: `rows` destinations that read different streams,
`tokens` = batch x sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import layer_norm, rms_norm

NormKind = Literal["layer", "rms", "none"]
RotaryPairing = Literal["half", "adjacent"]


@dataclass(frozen=True)
class Norm:
    """`weight * (x - mean) / sqrt(var + eps) + bias`; without the mean for `rms`."""

    kind: NormKind
    weight: Float[Tensor, " d_model"] | None = None
    bias: Float[Tensor, " d_model"] | None = None
    eps: float = 0.0

    def __call__(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        # In the precision of `x`, where some models' own norms always compute in float32.
        if self.kind == "none":
            return x
        if self.kind == "rms":
            return rms_norm(x, x.shape[-1:], self.weight, self.eps)
        return layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)

    def of_part(
        self, part: Float[Tensor, "... d_model"], stream: Float[Tensor, "... d_model"]
    ) -> Float[Tensor, "... d_model"]:
        """Return what a part of a stream becomes where the whole stream is normed.

        Linear in `part`: the parts of a stream and the norm's bias sum to the normed stream.
        """
        if self.kind == "none":
            return part
        if self.kind == "layer":
            part = part - part.mean(-1, keepdim=True)
            stream = stream - stream.mean(-1, keepdim=True)
        normed = part * torch.rsqrt(stream.square().mean(-1, keepdim=True) + self.eps)
        return normed if self.weight is None else self.weight * normed


def _wide(dtype: torch.dtype) -> torch.dtype:
    """In which sums over a model of this precision are computed."""
    return torch.promote_types(dtype, torch.float32)


class NormedLinear:
    """Norm and projection of every row in one pass over its residual stream.

    `y = W (w * (x - mean) / s + b_norm) + b = (x @ W') / s + b'` with `W' = C diag(w) W`, where
    `C` subtracts the mean: the normalised stream, as large as the input, is never made.
    `forward` and `backward_in_place` are written out so that both work in buffers that are kept.
    """

    def __init__(
        self,
        norm: Norm,
        weight: Float[Tensor, "rows d_model d_out"],
        bias: Float[Tensor, "rows d_out"] | None,
    ) -> None:
        # Folded in float32 at least: a half-precision weight would be rounded at every turn.
        folded = weight.detach().to(_wide(weight.dtype), copy=True)
        self.bias = folded.new_zeros(folded.shape[0], 1, folded.shape[2])
        if bias is not None:
            self.bias += bias.detach()[:, None]
        if norm.bias is not None:
            self.bias += torch.einsum("d,nde->ne", norm.bias.detach().to(folded), folded)[:, None]
        if norm.weight is not None:
            folded *= norm.weight.detach()[:, None]
        if norm.kind == "layer":
            folded -= folded.mean(1, keepdim=True)
        self.weight = folded.transpose(1, 2).to(weight.dtype).contiguous()
        """`[rows, d_out, d_model]`: backward, which has more to write, reads it row by row."""
        self.bias = self.bias.to(weight.dtype)
        self.kind, self.eps = norm.kind, norm.eps

    def forward(
        self, x: Float[Tensor, "rows_or_1 tokens d_model"]
    ) -> tuple[Float[Tensor, "rows tokens d_out"], tuple[Tensor, ...]]:
        """The projection, and what `backward` needs of it besides `x`."""
        y = torch.bmm(x.expand(len(self.weight), -1, -1), self.weight.transpose(1, 2))
        if self.kind == "none":
            return y.add_(self.bias), ()
        # Two plain reductions: torch.var_mean takes twenty times as long on a CPU.
        wide = _wide(x.dtype)
        var = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide).square() / x.shape[-1]
        saved: tuple[Tensor, ...] = ()
        if self.kind == "layer":
            mean = x.mean(-1, keepdim=True, dtype=wide)
            var = (var - mean.square()).clamp_(min=0)
            saved = (mean,)
        rstd = torch.rsqrt(var + self.eps)
        return y.mul_(rstd).add_(self.bias), (rstd, *saved)

    def backward_in_place(
        self,
        x: Float[Tensor, "rows tokens d_model"],
        y: Float[Tensor, "rows tokens d_out"],
        saved: tuple[Tensor, ...],
        grad_y: Float[Tensor, "rows tokens d_out"],
        scratch: Float[Tensor, " numbers"],
    ) -> None:
        """Overwrite `x` with its gradient. `y` and `saved`: what `forward` returned for it.

        Takes as many rows at a time as `scratch` has room for: at least one.
        """
        if self.kind == "none":
            torch.bmm(grad_y, self.weight, out=x)
            return
        rstd = saved[0]
        # d rstd / dx = -rstd^3 (x - mean) / d_model, and y - bias has one rstd in it.
        pull = (grad_y * (y - self.bias)).sum(-1, keepdim=True, dtype=rstd.dtype)
        pull = pull * rstd.square() / -x.shape[-1]
        shift = pull * -saved[1] if self.kind == "layer" else torch.zeros_like(pull)
        grad_y, shift = (grad_y * rstd).to(x.dtype), shift.to(x.dtype)
        at_once = len(scratch) // x[0].numel()
        for start in range(0, len(x), at_once):
            rows = slice(start, start + at_once)
            product = scratch[: x[rows].numel()].view(x[rows].shape)
            torch.baddbmm(shift[rows], grad_y[rows], self.weight[rows], out=product)
            torch.addcmul(product, x[rows], pull[rows], out=x[rows])


@dataclass(frozen=True)
class Rotary:
    """Rotary position embedding of the leading dimensions of queries and keys."""

    cos: Float[Tensor, "batch_or_1 1 seq rotary_dim"]
    sin: Float[Tensor, "batch_or_1 1 seq rotary_dim"]
    pairing: RotaryPairing

    def __call__(self, x: Float[Tensor, "batch heads seq d_head"]) -> Tensor:
        n = self.cos.shape[-1]
        turned, rest = x[..., :n], x[..., n:]
        if self.pairing == "half":
            first, second = turned.chunk(2, dim=-1)
            other = torch.cat((-second, first), dim=-1)
        else:
            other = torch.stack((-turned[..., 1::2], turned[..., 0::2]), dim=-1).flatten(-2)
        turned = turned * self.cos + other * self.sin
        return turned if rest.shape[-1] == 0 else torch.cat((turned, rest), dim=-1)


@dataclass(frozen=True)
class AttentionInputs:
    """What attention needs besides the residual stream; fixed for a batch of prompts."""

    blocked: Bool[Tensor, "batch_or_1 1 seq past+seq"]
    """`True` where a query must not see a key; keys of `past` come first."""
    rotary: Rotary | None = None
    past: tuple[Tensor, Tensor] | None = None
    """Keys and values `[1, heads, prefix, d_head]` of tokens before these, shared by all prompts:
    see `sp_widget.models.prefix`."""

    def repeated(self, times: int) -> AttentionInputs:
        """Those of a batch that is repeated."""
        rotary = self.rotary
        if rotary is not None:
            cos, sin = _repeated(rotary.cos, times), _repeated(rotary.sin, times)
            rotary = replace(rotary, cos=cos, sin=sin)
        return replace(self, blocked=_repeated(self.blocked, times), rotary=rotary)


def _repeated(x: Tensor, times: int) -> Tensor:
    return x if len(x) == 1 else x.repeat(times, 1, 1, 1)


@dataclass(frozen=True)
class Attention:
    """One attention layer: from the streams that its destinations read to its heads' results."""

    project_in: NormedLinear
    """Rows are Q, K, V heads in this order; with `joint_rows` one row a head makes all three."""
    joint_rows: bool
    n_heads: int
    n_kv_heads: int
    scale: float
    """Scores are `q . k * scale`."""
    w_out: Float[Tensor, "heads d_head d_model"]
    b_out: Float[Tensor, " d_model"] | None
    soft_cap: float | None = None
    q_norm: Callable[[Tensor], Tensor] | None = None
    k_norm: Callable[[Tensor], Tensor] | None = None
    post_norm: Callable[[Tensor], Tensor] | None = None
    """Applied to the sum over heads before it is added to the stream: heads are no sources."""

    def mix(
        self, projected: Float[Tensor, "rows tokens d_out"], batch: int, given: AttentionInputs
    ) -> Float[Tensor, "heads tokens d_head"]:
        """Attention proper: queries, keys and values to each head's mixed values."""
        pattern, v = self._pattern_and_values(projected, batch, given)
        z = pattern @ v
        return z.transpose(0, 1).reshape(self.n_heads, -1, z.shape[-1])

    def pattern(
        self, projected: Float[Tensor, "rows tokens d_out"], batch: int, given: AttentionInputs
    ) -> Float[Tensor, "batch heads seq past+seq"]:
        """How much each query attends to each key; a query's shares sum to one."""
        return self._pattern_and_values(projected, batch, given)[0]

    def _pattern_and_values(
        self, projected: Tensor, batch: int, given: AttentionInputs
    ) -> tuple[Float[Tensor, "batch heads seq past+seq"], Float[Tensor, "batch heads keys d_head"]]:
        q, k, v = self._queries_keys_values(projected, batch, given.rotary)
        if given.past is not None:
            k, v = (
                torch.cat((past.expand(batch, -1, -1, -1), now), dim=2)
                for past, now in zip(given.past, (k, v), strict=True)
            )
        if k.shape[1] != self.n_heads:
            repeats = self.n_heads // k.shape[1]
            k, v = k.repeat_interleave(repeats, dim=1), v.repeat_interleave(repeats, dim=1)
        scores = (q @ k.transpose(-2, -1)) * self.scale
        if self.soft_cap is not None:
            scores = self.soft_cap * torch.tanh(scores / self.soft_cap)
        # The lowest finite number, not -inf: a padded query that sees no key stays finite.
        scores = scores.masked_fill(given.blocked, torch.finfo(scores.dtype).min)
        return torch.softmax(scores, dim=-1), v

    def keys_and_values(
        self, stream: Float[Tensor, "1 seq d_model"], rotary: Rotary | None
    ) -> tuple[Tensor, Tensor]:
        """Keys and values `[1, heads, seq, d_head]` when all destinations read this stream."""
        projected, _ = self.project_in.forward(stream)
        _, k, v = self._queries_keys_values(projected, 1, rotary)
        return k, v

    def _queries_keys_values(
        self, projected: Tensor, batch: int, rotary: Rotary | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Each as `[batch, heads, seq, d_head]`, normed and turned."""
        rows, tokens, d_out = projected.shape
        x = projected.view(rows, batch, tokens // batch, d_out).transpose(0, 1)
        if self.joint_rows:
            q, k, v = x.chunk(3, dim=-1)
        else:
            q, k, v = x.split([self.n_heads, self.n_kv_heads, self.n_kv_heads], dim=1)
        if self.q_norm is not None:
            q = self.q_norm(q)
        if self.k_norm is not None:
            k = self.k_norm(k)
        return (q, k, v) if rotary is None else (rotary(q), rotary(k), v)


def normed_mlp(
    before: Norm, mlp: Callable[[Tensor], Tensor], after: Norm
) -> Callable[[Tensor], Tensor]:
    """Return the node of an MLP: its norm, the MLP, and a norm of what it writes."""
    return lambda resid: after(mlp(before(resid)))


@dataclass(frozen=True)
class Block:
    """The nodes of one transformer block."""

    attention: Attention
    mlp: Callable[[Tensor], Tensor] | None
    """From the stream that the MLP reads `[batch, seq, d_model]` to what it writes, norms
    included; `None` in an attention-only block."""
    parallel: bool

    @property
    def device(self) -> torch.device:
        """Where the block computes; the blocks of one model may be on several devices."""
        return self.attention.w_out.device


@dataclass(frozen=True)
class Unembedding:
    """What `Resid End` computes: final norm, unembedding, and the logits' soft cap."""

    norm: Norm
    project: Callable[[Tensor], Tensor]
    soft_cap: float | None
    device: torch.device

    def __call__(
        self, resid: Float[Tensor, "batch positions d_model"]
    ) -> Float[Tensor, "batch positions d_vocab"]:
        # Contiguous: some unembeddings take views of it.
        logits = self.project(self.norm(resid.to(self.device).contiguous()))
        if self.soft_cap is not None:
            logits = self.soft_cap * torch.tanh(logits / self.soft_cap)
        return logits.to(resid.device)

    def of_part(
        self,
        part: Float[Tensor, "batch positions d_model"],
        resid: Float[Tensor, "batch positions d_model"],
    ) -> Float[Tensor, "batch positions d_vocab"]:
        """Return what a part of the stream `resid` adds to its logits, before their soft cap.

        With the scale that the final norm has on the whole stream: the logit lens of the part.
        """
        normed = self.norm.of_part(part.to(self.device), resid.to(self.device))
        # An unembedding may have a bias, which belongs to no part.
        logits = self.project(normed.contiguous()) - self.project(torch.zeros_like(normed))
        return logits.to(part.device)
