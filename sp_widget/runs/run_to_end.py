"""Make a run in a folder to its end, from wherever it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sp_widget import methods
from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.methods.base import MethodConfig, Trainer
from sp_widget.methods.record import StepRecord
from sp_widget.methods.run_files import CHECKPOINT, CONFIG, exists, folder_of, new_trainer
from sp_widget.runs.folder import RunFolder
from sp_widget.runs.keeper import RunKeeper


def run_in_folder(
    folder: str | Path,
    model: PatchableModel,
    dataloader: PromptDataLoader,
    config: MethodConfig,
    validation_dataloader: PromptDataLoader | None = None,
    *,
    after_step: Callable[[StepRecord], None] | None = None,
) -> PruneScores:
    """Make the run of a config in a folder to its end, and return its scores.

    A new folder gets a new run; a run that is half done, or failed, goes on from its checkpoint
    bit for bit; of one that is done the scores are read. A checkpoint is written every ten seconds
    and when the run ends: `status.json` then says `done`, `failed` with the traceback, or, after
    an interrupt, `paused`. `after_step` is called with each record; what it raises ends the run
    like an error of the training or, if it is no `Exception`, like an interrupt.

    Raises `ArgumentError` for a bad argument and for a folder with a run of another config, model
    or data, `StateError` while a run is under way there, and whatever ends the training.
    """
    if after_step is not None and not callable(after_step):
        raise ArgumentError("after_step", "a function of a record, or None", after_step)
    keeper = RunKeeper(folder_of(folder))
    keeper.take()
    try:
        trainer = _trainer(keeper.folder, model, dataloader, config, validation_dataloader)
        if trainer.done and RunFolder(keeper.folder).status.state == "done":
            return trainer.prune_scores
        if after_step is not None:
            trainer.callbacks.append(after_step)
        try:
            keeper.after_step(trainer)
            while not trainer.done:
                trainer.step()
                keeper.after_step(trainer)
            trainer.finish_step()
        except Exception as error:
            keeper.save(trainer, "failed", error)
            raise
        except BaseException:
            keeper.save(trainer, "paused")
            raise
        keeper.save(trainer, "done")
        if keeper.problem:
            raise OSError(keeper.problem)
        return trainer.prune_scores
    finally:
        keeper.let_go()


def _trainer(
    folder: Path,
    model: PatchableModel,
    dataloader: PromptDataLoader,
    config: MethodConfig,
    validation_dataloader: PromptDataLoader | None,
) -> Trainer[Any]:
    """Return the trainer of the run in the folder, or a new one."""
    data = (model, dataloader, validation_dataloader)
    if exists(folder / CHECKPOINT):
        trainer: Trainer[Any] = Trainer.load(folder, *data)
    elif exists(folder / CONFIG):
        trainer = new_trainer(folder, *data)
    else:
        return methods.of(config).trainer(model, dataloader, config, validation_dataloader)
    there = trainer.config_at_start
    if type(config) is not type(there) or replace(config, seed=there.seed) != there:
        raise ArgumentError("config", f"that of the run in the folder, {there}", config)
    if config.seed not in (None, trainer.seed):
        raise ArgumentError("config", f"the seed of the run in the folder, {trainer.seed}", config)
    return trainer
