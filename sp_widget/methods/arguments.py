"""Whether a training can begin with what it is given."""

from __future__ import annotations

from sp_widget.circuits.arguments import check_model_and_prompts
from sp_widget.errors import ArgumentError


def check_training_arguments(
    model: object,
    dataloader: object,
    validation_dataloader: object,
    config: object,
    Config: type,
) -> None:
    """Raise `ArgumentError` for the first argument that is not what it should be."""
    check_model_and_prompts(model, dataloader)
    if config is not None and not isinstance(config, Config):
        raise ArgumentError("config", f"a {Config.__name__} or None", type(config))
    if validation_dataloader is not None:
        check_model_and_prompts(model, validation_dataloader, "validation_dataloader")
