"""`subnetwork_probing_prune_scores`: the reference's signature over the trainer."""

from __future__ import annotations

import inspect
import math
from typing import Any

import matplotlib as mpl
import pytest
import torch

from sp_widget.circuits.scores import PruneScores
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.function import subnetwork_probing_prune_scores
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.types import AblationType
from tests import model_kinds


def _model() -> PatchableModel:
    return patchable_model(model_kinds.bridge("gpt2"))


def _run(**arguments: Any) -> PruneScores:
    return subnetwork_probing_prune_scores(
        _model(),
        model_kinds.dataloader(),
        **{"epochs": 1, "seed": 0, "progress": False, **arguments},
    )


def test_positional_arguments_have_the_reference_s_order_and_defaults() -> None:
    """Users of auto-circuit change an import and nothing else."""
    parameters = inspect.signature(subnetwork_probing_prune_scores).parameters.values()
    positional = {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert list(positional.items())[2:] == [
        ("official_edges", None),
        ("learning_rate", 0.1),
        ("epochs", 20),
        ("regularize_lambda", 10),
        ("mask_fn", "hard_concrete"),
        ("dropout_p", 0.0),
        ("init_val", pytest.approx(math.log(5))),
        ("show_train_graph", False),
        ("circuit_size", None),
        ("tree_optimisation", False),
        ("avoid_edges", None),
        ("avoid_lambda", 1.0),
        ("faithfulness_target", "kl_div"),
        ("validation_dataloader", None),
    ]
    assert list(positional)[:2] == ["model", "dataloader"]
    keywords = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert keywords["ablation_type"] is AblationType.RESAMPLE
    assert keywords["seed"] is None


def test_every_parameter_reaches_the_training() -> None:
    """Each is given another value than its default; without any one the scores differ."""
    avoid = [edge for edge in _model().edges if edge.src.name == "MLP 0"]
    settings: dict[str, Any] = {
        "learning_rate": 0.05,
        "epochs": 2,
        "regularize_lambda": 3.0,
        "mask_fn": "sigmoid",
        "dropout_p": 0.2,
        "init_val": 0.6,
        "circuit_size": 20,
        "tree_optimisation": True,
        "avoid_edges": avoid,
        "avoid_lambda": 2.0,
        "faithfulness_target": "answer",
        "ablation_type": AblationType.ZERO,
        "seed": 3,
    }
    scores = _run(**settings)
    trainer = SubnetworkProbing(
        _model(), model_kinds.dataloader(), SubnetworkProbingConfig(**settings)
    )
    _assert_same(scores, trainer.run(progress=False))
    for name in settings:
        fewer = {key: value for key, value in settings.items() if key != name}
        if name == "tree_optimisation":
            fewer["ablation_type"] = AblationType.RESAMPLE
        others = _run(**fewer)
        assert any(not torch.equal(scores[key], others[key]) for key in scores), name


def _assert_same(a: PruneScores, b: PruneScores) -> None:
    assert list(a) == list(b)
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=0)


def test_it_returns_scores_of_every_edge() -> None:
    scores = _run()
    assert isinstance(scores, PruneScores)
    assert {name: score.shape for name, score in scores.items()} == {
        name: mask.shape for name, mask in _model().patch_masks.items()
    }


def test_known_edges_are_accepted_and_make_no_difference() -> None:
    _assert_same(_run(official_edges=list(_model().edges)[:4]), _run())


def test_validation_data_makes_no_difference_to_the_scores() -> None:
    _assert_same(_run(validation_dataloader=model_kinds.dataloader(batch_size=2)), _run())


def test_a_bad_argument_is_refused_by_name() -> None:
    with pytest.raises(
        ArgumentError, match=r"^epochs: wanted a whole number of at least 1, .*got 0"
    ):
        _run(epochs=0)


def test_a_bar_shows_the_progress_unless_it_is_not_wanted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _run()
    silent = capsys.readouterr()
    assert (silent.out, silent.err) == ("", "")
    _run(progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Subnetwork probing: 100%" in shown.err
    assert "3/3" in shown.err
    assert "edges" in shown.err


def test_the_training_is_drawn_on_request() -> None:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.close("all")
    _run()
    assert plt.get_fignums() == []
    _run(show_train_graph=True)
    (left, right) = plt.gcf().axes
    assert all(len(line.get_xdata()) == 3 for line in (*left.lines, *right.lines))
    plt.close("all")
