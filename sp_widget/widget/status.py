"""What the panel's status line and progress bar say about a session."""

from __future__ import annotations

from sp_widget.session import Snapshot
from sp_widget.widget.panel import Status


def status_of(
    snapshot: Snapshot, *, epochs: int, n_steps: int, n_edges: int, message: str
) -> Status:
    """The status of a session at one moment.

    Args:
        epochs: of the run, or of the run that would start now.
        n_steps: the same for steps; the snapshot knows them once the run has begun.
        n_edges: edges of the model.
        message: a sentence for the person; an error comes before it.
    """
    record = snapshot.record
    n_steps = snapshot.n_steps or n_steps
    progress, progress_label = snapshot.step / n_steps, ""
    if snapshot.preparation is not None:
        done, total = snapshot.preparation
        progress = done / total
        progress_label = f"{done} of {total} batches prepared"
    elif snapshot.state == "preparing":
        progress_label = "Preparing"
    if snapshot.error is not None:
        message = f"{describe(snapshot.error)} {message}".strip()
    return Status(
        state=snapshot.state,
        step=snapshot.step,
        n_steps=n_steps,
        epoch=0 if record is None else record.epoch,
        epochs=epochs,
        loss=None if record is None else record.loss,
        edges=None if record is None else record.hard_edge_count,
        n_edges=n_edges,
        seconds_left=snapshot.seconds_left,
        message=message,
        progress=progress,
        progress_label=progress_label,
    )


def describe(error: BaseException) -> str:
    """An error as a person reads it: its kind and its message."""
    return f"{type(error).__name__}: {error}"
