"""An edge matters as much as it costs to ablate it alone."""

from dataclasses import dataclass

import torch

from sp_widget.methods.base import Method, MethodConfig, Trainer
from sp_widget.methods.parameter import whole_number
from sp_widget.methods.series import EDGES, Series, term


@dataclass(frozen=True, kw_only=True)
class ToyConfig(MethodConfig):
    edges: int = whole_number(5, "Edges", "Edges that are tried, one a step.", at_most=1000)


class Toy(Trainer[ToyConfig]):
    title, Config = "Single-edge ablation", ToyConfig
    n_steps = property(lambda self: min(self.config.edges, self.n_edges))

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.tensors["cost"] = torch.zeros(self.n_edges, device=self.model.device)

    def make_step(self, step: int) -> dict[str, torch.Tensor]:
        others = torch.arange(self.n_edges, device=self.model.device) != step - 1
        self.tensors["cost"][step - 1] = self.mean_faithfulness(others, self.batches)
        return {"loss": self.tensors["cost"][step - 1], "dearest": self.tensors["cost"].max()}

    def scores(self) -> torch.Tensor:
        return self.tensors["cost"]

    def hard_circuit(self) -> torch.Tensor:
        return self.tensors["cost"] > 1e-3


LINES = (Series("Dearest edge", term("dearest"), "left", "#2a7fd4", "solid", 2.0), EDGES)
METHOD = Method(
    name="toy", title=Toy.title, summary=__doc__, Config=ToyConfig, trainer=Toy, series=LINES
)
