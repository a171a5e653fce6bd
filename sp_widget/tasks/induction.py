"""Completing random sequences that repeat, by an induction circuit.

The circuit is that of Elhage et al. 2021 ("A Mathematical Framework for Transformer Circuits")
and Olsson et al. 2022 (arXiv 2209.11895). The known edges follow from what each head does:

- `Resid Start->A0.p.V`, `A0.p->A1.i.K`: the previous-token head p writes on each token which
  token came before it, and the induction head i finds its place by that (K-composition);
- `Resid Start->A1.i.Q`: it looks for the token that the prompt ends on;
- `Resid Start->A1.i.V`, `A1.i->Resid End`: it copies the token it finds to the output.

Queries and keys of the previous-token head are positions, the same in clean and corrupt prompts:
under resample ablation its edges `Resid Start->A0.p.Q` and `.K` carry nothing that matters.
Which heads are p and i was measured by the script that trained the model.
"""

from __future__ import annotations

import torch

from sp_widget.data.json_data import load_datasets_from_json
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.graph.edge_graph import Edge
from sp_widget.methods.mask_functions import DEFAULT_INIT_VAL
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.tasks.assets import asset_folder, native_bridge, read_metadata
from sp_widget.tasks.task import Task

NAME = "induction"

_DESCRIPTION = """\
A two-layer attention-only transformer continues random token sequences that repeat: after \
"7 3 9 4 ... 7 3" comes 9. The corrupt prompts are other random sequences without any repeat, so \
that nothing says what comes next. Expect an induction circuit: a previous-token head in the \
first layer feeds the keys of an induction head in the second, which finds where the last token \
stood before and copies what followed it."""

# Pruned from the whole model (a negative `init_val` starts with every edge in the circuit): the
# five edges help only together, so that a start from nothing finds none of them. On the clean
# prompt, because on the corrupt one the last edge alone would carry the whole answer.
_CONFIG = SubnetworkProbingConfig(
    epochs=50,
    regularize_lambda=10.0,
    tree_optimisation=True,
    init_val=-DEFAULT_INIT_VAL,
    seed=0,
)


def load(batch_size: int | tuple[int, int] | None, device: torch.device | str | None) -> Task:
    """The task; sequences have 17 tokens, BOS (id 0) included, and repeat after 8 to 13."""
    bridge = native_bridge(NAME, device)
    train_loader, test_loader = load_datasets_from_json(
        bridge,
        asset_folder(NAME) / "prompts.json",
        prepend_bos=False,
        batch_size=32 if batch_size is None else batch_size,
        train_test_size=(256, 256),
    )
    # Edges stand for all positions: where the circuit acts depends on the period.
    model = patchable_model(bridge)
    return Task(
        name=NAME,
        model=model,
        train_loader=train_loader,
        test_loader=test_loader,
        official_edges=_induction_edges(model),
        description=_DESCRIPTION,
        config=_CONFIG,
    )


def _induction_edges(model: PatchableModel) -> set[Edge]:
    metadata = read_metadata(NAME)
    names = set()
    for induction in metadata["induction_heads"]:
        for previous in metadata["previous_token_heads"]:
            names |= {f"Resid Start->{previous}.V", f"{previous}->{induction}.K"}
        names |= {f"Resid Start->{induction}.Q", f"Resid Start->{induction}.V"}
        names.add(f"{induction}->Resid End")
    return {edge for edge in model.edges if edge.name in names}
