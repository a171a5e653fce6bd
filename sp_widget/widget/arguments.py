"""Whether the widget can work with what it is given."""

from __future__ import annotations

from collections.abc import Collection

from sp_widget.core.data import PromptDataLoader
from sp_widget.core.graph import Edge
from sp_widget.core.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.training.config import SubnetworkProbingConfig
from sp_widget.widget.namespace import name_problem


def check_arguments(
    model: object,
    dataloader: object,
    validation_dataloader: object,
    config: object,
    official_edges: object,
    save_as: object,
) -> None:
    """Raise `ArgumentError` for the first argument that is not what it should be."""
    if not isinstance(model, PatchableModel):
        raise ArgumentError("model", "what sp_widget.patchable_model returns", type(model))
    if not isinstance(dataloader, PromptDataLoader):
        raise ArgumentError("dataloader", "a PromptDataLoader", type(dataloader))
    if len(dataloader) == 0:
        raise ArgumentError("dataloader", "at least one batch", "none")
    if validation_dataloader is not None and not isinstance(
        validation_dataloader, PromptDataLoader
    ):
        wanted = "a PromptDataLoader or None"
        raise ArgumentError("validation_dataloader", wanted, type(validation_dataloader))
    if config is not None and not isinstance(config, SubnetworkProbingConfig):
        raise ArgumentError("config", "a SubnetworkProbingConfig or None", type(config))
    if official_edges is not None and not (
        isinstance(official_edges, Collection)
        and all(isinstance(edge, Edge) for edge in official_edges)
    ):
        raise ArgumentError("official_edges", "a collection of edges or None", type(official_edges))
    if not isinstance(save_as, str):
        raise ArgumentError("save_as", "the name of a variable", save_as)
    problem = name_problem(save_as)
    if problem:
        raise ArgumentError("save_as", "the name of a variable of your own", save_as)
