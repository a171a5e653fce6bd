"""From mask values of edges to the matrices that a patched run multiplies with, and back."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.engine.chunks import BLOCKS_AT_ONCE
from sp_widget.graph.edge_graph import Graph


class KeptWeights:
    """The weight of what is kept, `k_ds = 1 - m_ds`, in a `destinations x sources` matrix.

    The columns of the sources stand behind those of the bases, one for each block of a chunk: 1
    where a destination reads that base. Where there is no edge the weight is 0.
    """

    def __init__(self, graph: Graph) -> None:
        n_dests, n_columns = len(graph.dests), BLOCKS_AT_ONCE + len(graph.srcs)
        no_edge = torch.zeros(graph.n_positions, n_dests, n_columns)
        for index, span in enumerate(graph.spans):
            no_edge[:, span.rows.start : span.rows.stop, index % BLOCKS_AT_ONCE] = 1
        places = torch.arange(no_edge.numel()).view_as(no_edge)[..., BLOCKS_AT_ONCE:]
        edges = [
            places[:, m.rows.start : m.rows.stop, : m.n_sources].flatten() for m in graph.modules
        ]
        self._by_device = {no_edge.device: (no_edge, torch.cat(edges))}

    def matrices(
        self, masks: Float[Tensor, "n edges"], dtype: torch.dtype
    ) -> Float[Tensor, "n*positions dests bases+sources"]:
        """The weights of each row of mask values, in the precision of the model."""
        no_edge, edges = self._on(masks.device)
        weights = no_edge.to(dtype).flatten().repeat(len(masks), 1)
        weights.index_copy_(1, edges, (1 - masks).to(dtype))
        return weights.view(-1, *no_edge.shape[1:])

    def mask_gradient(
        self, grad: Float[Tensor, "n*positions dests bases+sources"]
    ) -> Float[Tensor, "n edges"]:
        """Gradient with respect to the mask values, from that of the matrices."""
        no_edge, edges = self._on(grad.device)
        return grad.view(-1, no_edge.numel()).index_select(1, edges).neg_()

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The constants on this device; copied once, because copying waits for the device."""
        if device not in self._by_device:
            no_edge, edges = next(iter(self._by_device.values()))
            self._by_device[device] = no_edge.to(device), edges.to(device)
        return self._by_device[device]
