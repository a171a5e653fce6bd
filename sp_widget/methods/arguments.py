"""Whether a training can begin with what it is given."""

from __future__ import annotations

from sp_widget.circuits.arguments import check_model_and_prompts
from sp_widget.errors import ArgumentError
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig


def check_training_arguments(
    model: object, dataloader: object, validation_dataloader: object, config: object
) -> None:
    """Raise `ArgumentError` for the first argument that is not what it should be."""
    check_model_and_prompts(model, dataloader)
    if config is not None and not isinstance(config, SubnetworkProbingConfig):
        raise ArgumentError("config", "a SubnetworkProbingConfig or None", type(config))
    if validation_dataloader is not None:
        check_model_and_prompts(model, validation_dataloader, "validation_dataloader")
