"""Whether a training can begin with what it is given."""

from __future__ import annotations

from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError


def check_training_arguments(
    model: object,
    dataloader: object,
    validation_dataloader: object,
    config: object,
    Config: type,
) -> None:
    """Raise `ArgumentError` for the first argument that is not what it should be."""
    if not isinstance(model, PatchableModel):
        raise ArgumentError("model", "what sp_widget.patchable_model returns", type(model))
    if not isinstance(dataloader, PromptDataLoader):
        raise ArgumentError("dataloader", "a PromptDataLoader", type(dataloader))
    if len(dataloader) == 0:
        raise ArgumentError("dataloader", "at least one batch", "none")
    if config is not None and not isinstance(config, Config):
        raise ArgumentError("config", f"a {Config.__name__} or None", type(config))
    if validation_dataloader is None:
        return
    if not isinstance(validation_dataloader, PromptDataLoader):
        wanted = "a PromptDataLoader or None"
        raise ArgumentError("validation_dataloader", wanted, type(validation_dataloader))
    if len(validation_dataloader) == 0:
        raise ArgumentError("validation_dataloader", "at least one batch", "none")
