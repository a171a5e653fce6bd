"""What the panel says about a session: status line, progress bar, held-out evaluation, outlook."""

from __future__ import annotations

import math

from sp_widget.methods.estimate import Estimate, Preflight
from sp_widget.methods.record import HardEvaluation
from sp_widget.session import ENDED, Snapshot
from sp_widget.widget.error_text import describe
from sp_widget.widget.form import NO_VALIDATION
from sp_widget.widget.panel import HeldOut, Outlook, Status, no_evaluation


def status_of(
    snapshot: Snapshot, *, n_batches: int, n_steps: int, n_edges: int, message: str
) -> Status:
    """The status of a session at one moment.

    Args:
        n_batches: of an epoch.
        n_steps: of the run that would start now; the snapshot knows those of one that has begun.
        n_edges: edges of the model.
        message: a sentence for the person; an error, what is wrong with the validation or with the
            folder, and what to set for the threads come before it.
    """
    record = snapshot.record
    n_steps = snapshot.n_steps or n_steps
    progress, progress_label = snapshot.step / max(n_steps, 1), ""
    if snapshot.preparation is not None:
        done, total = snapshot.preparation
        progress = done / total
        progress_label = f"{done} of {total} batches prepared"
    elif snapshot.state == "preparing":
        progress_label = "Preparing"
    error = "" if snapshot.error is None else describe(snapshot.error)
    parts = (
        error,
        snapshot.validation_problem,
        snapshot.saving_problem,
        snapshot.threads_note,
        message,
    )
    message = " ".join(filter(None, parts))
    return Status(
        state=snapshot.state,
        step=snapshot.step,
        n_steps=n_steps,
        epoch=0 if record is None else record.epoch,
        epochs=math.ceil(n_steps / n_batches),
        loss=None if record is None else record.loss,
        edges=None if record is None else record.hard_edge_count,
        n_edges=n_edges,
        seconds_left=snapshot.seconds_left,
        threads=snapshot.threads,
        message=message,
        progress=progress,
        progress_label=progress_label,
    )


def held_out_of(snapshot: Snapshot, *, validation: bool, target: str) -> HeldOut:
    """What the panel shows of the hard circuit on the validation data.

    Args:
        validation: whether there is any.
        target: the faithfulness target, as the panel calls it.
    """
    if not validation:
        return no_evaluation(NO_VALIDATION)
    last = snapshot.evaluations[-1] if snapshot.evaluations else None
    best = snapshot.best
    ready = snapshot.state != "preparing" and snapshot.step > 0
    return HeldOut(
        last="not measured yet" if last is None else _in_words(last, target),
        last_step=None if last is None else last.step,
        best="" if best is None else _in_words(best, target),
        best_step=None if best is None else best.step,
        can_evaluate=ready and snapshot.state != "stopping",
        can_restore=best is not None and snapshot.state in ("paused", *ENDED),
    )


def outlook_of(told: Preflight) -> Outlook:
    """What the panel says of a training before it starts."""
    text = (
        f"{told.n_edges:,} edges, {told.n_steps:,} steps; needs about "
        f"{_bytes(told.memory_needed)} of memory beside the model, {_bytes(told.memory_free)} "
        "are free"
    )
    if isinstance(told, Estimate):
        each, all_steps = _seconds(told.seconds_per_step), _seconds(told.seconds)
        text += f"; {each} a step, {all_steps} in all"
    warning = "" if told.fits else "This training needs more memory than is free."
    return Outlook(text=f"{text}.", warning=warning)


def _in_words(evaluation: HardEvaluation, target: str) -> str:
    edges = f"{evaluation.edges:,} edge{'' if evaluation.edges == 1 else 's'}"
    return f"{edges}, {target} {evaluation.faithfulness:.3g}"


def _bytes(n: int) -> str:
    return f"{n / 1e9:.1f} GB" if n >= 1e8 else f"{max(n / 1e6, 0.1):.1f} MB"


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.2g} ms" if seconds < 0.1 else f"{seconds:.2g} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
