"""Every public function with arguments that are right, and as little to do as they allow."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, TypeAlias

import ipywidgets
import torch

import sp_widget as sp
from sp_widget.circuits import metrics
from tests.model_kinds import bridge, dataloader

Call: TypeAlias = tuple[Callable[..., Any], dict[str, Any]]

PROMPTS = (
    '{"prompts": [{"clean": [1, 2], "corrupt": [1, 3], "answers": [4], "wrong_answers": [5]},'
    ' {"clean": [1, 2], "corrupt": [1, 3], "answers": [4], "wrong_answers": [5]}]}'
)


@dataclass(frozen=True)
class Given:
    """What most calls share. Files are written into `folder`."""

    folder: Path

    @cached_property
    def model(self) -> sp.PatchableModel:
        return sp.patchable_model(bridge("one-block"))

    @cached_property
    def loader(self) -> sp.PromptDataLoader:
        return dataloader(2, 2)

    @cached_property
    def scores(self) -> sp.PruneScores:
        return sp.random_prune_scores(self.model, self.loader, seed=0)

    @cached_property
    def edges(self) -> list[sp.Edge]:
        return sorted(self.model.edges, key=str)[:3]

    @property
    def both(self) -> dict[str, Any]:
        return {"model": self.model, "dataloader": self.loader}


def calls(folder: Path) -> dict[str, Call]:
    """Return functions by name: that of a public function or class, one of its methods behind a
    full stop, or another way to call it behind a comma."""
    given = Given(folder)
    return {
        **_models_and_prompts(given),
        **_circuits(given),
        **_evaluation(given),
        **_single_prompts(given),
        **_files(given),
        **_methods(given),
        **_runs_and_tasks(given),
        **_views(given),
    }


def _models_and_prompts(given: Given) -> dict[str, Call]:
    tokens = torch.ones(2, 3, dtype=torch.long)
    answers = torch.ones(2, 1, dtype=torch.long)
    prompts = given.folder / "prompts.json"
    prompts.write_text(PROMPTS)
    edge = given.edges[0]
    return {
        "patchable_model": (
            sp.patchable_model,
            {
                "model": given.model.wrapped_model,
                "factorized": True,
                "slice_output": "last_seq",
                "seq_len": None,
                "separate_qkv": True,
                "device": None,
            },
        ),
        "PatchableModel.__call__": (
            given.model,
            {"tokens": tokens, "attention_mask": None, "prefix": None},
        ),
        "PatchableModel.new_prune_scores": (given.model.new_prune_scores, {"init_val": 0.0}),
        "Edge.prune_score": (edge.prune_score, {"prune_scores": given.scores}),
        "Edge.patch_mask": (edge.patch_mask, {"model": given.model}),
        "PromptDataset": (
            sp.PromptDataset,
            {
                "clean_prompts": tokens,
                "corrupt_prompts": tokens,
                "answers": answers,
                "wrong_answers": answers,
                "clean_attention_mask": None,
                "corrupt_attention_mask": None,
            },
        ),
        "PromptDataLoader": (
            sp.PromptDataLoader,
            {
                "prompt_dataset": sp.PromptDataset(tokens, tokens, answers, answers),
                "seq_len": None,
                "diverge_idx": 0,
                "batch_size": 2,
                "shuffle": False,
                "seq_labels": None,
                "word_idxs": None,
                "drop_last": False,
                "generator": None,
                "prefix": None,
            },
        ),
        "load_datasets_from_json": (
            sp.load_datasets_from_json,
            {
                "model": None,
                "path": prompts,
                "device": "cpu",
                "prepend_bos": False,
                "batch_size": 1,
                "train_test_size": (1, 1),
                "return_seq_length": False,
                "tail_divergence": False,
                "shuffle": True,
                "random_seed": 42,
                "pad": True,
            },
        ),
    }


def _circuits(given: Given) -> dict[str, Call]:
    tokens = torch.ones(2, 3, dtype=torch.long)
    return {
        "src_ablations": (
            sp.src_ablations,
            {
                "model": given.model,
                "sample": tokens,
                "ablation_type": sp.AblationType.ZERO,
                "attention_mask": None,
                "prefix": None,
            },
        ),
        "patch_mode": (
            _entered,
            {
                "model": given.model,
                "patch_src_outs": sp.src_ablations(given.model, tokens),
                "edges": given.edges,
            },
        ),
        "run_circuits": (
            sp.run_circuits,
            {
                **given.both,
                "test_edge_counts": [1],
                "prune_scores": given.scores,
                "patch_type": sp.PatchType.EDGE_PATCH,
                "ablation_type": sp.AblationType.RESAMPLE,
            },
        ),
        "register_metric": (
            _undone(metrics._ADDED, sp.register_metric),
            {"name": "mine", "metric": metrics.mse},
        ),
        "check_model": (sp.check_model, given.both),
        "top_edges": (sp.top_edges, {"prune_scores": given.scores, "n_edges": 3}),
        "PruneScores": (sp.PruneScores, {"scores": given.scores, "graph": given.model.graph}),
        "PruneScores.top": (given.scores.top, {"n_edges": 3}),
        "PruneScores.to_networkx": (given.scores.to_networkx, {"n_edges": 3}),
    }


def _evaluation(given: Given) -> dict[str, Call]:
    known = {"model": given.model, "prune_scores": given.scores, "official_edges": given.edges}
    drawn = {"score": None, "ablation_type": sp.AblationType.RESAMPLE, "n_random": 1, "seed": 0}
    made = {"n_edges": 3, "sizes": [3], "n_bootstrap": 1, "seeds": (0, 1), "progress": False}
    return {
        **{
            function.__name__: (function, {**known, "per": "edge"})
            for function in (sp.auroc, sp.roc_curve, sp.precision_recall)
        },
        "evaluate": (
            sp.evaluate,
            {
                **given.both,
                "prune_scores": given.scores,
                "sizes": [],
                "ablations": sp.AblationType.ZERO,
                "complement": False,
                "random": 0,
                "metrics": ["kl_div"],
                "patch_type": sp.PatchType.TREE_PATCH,
                "seed": 0,
                "progress": False,
            },
        ),
        "overlap": (sp.overlap, {"a": given.scores, "b": given.scores, "n_edges": 3}),
        "circuit_tests": (
            sp.circuit_tests,
            {
                **given.both,
                "circuit": given.scores,
                "n_edges": 3,
                "tests": ["equivalence", "independence"],
                **drawn,
                "epsilon": 0.1,
                "quantile": 0.9,
                "alpha": 0.05,
                "n_permutations": 1,
                "progress": False,
            },
        ),
        "cross_task": (
            sp.cross_task,
            {
                "model": given.model,
                "circuits": {"a": given.scores},
                "dataloaders": {"b": given.loader},
                "n_edges": 3,
                **drawn,
                "progress": False,
            },
        ),
        "stability": (
            sp.stability,
            {
                "runs": [given.scores, given.scores],
                "dataloader": None,
                "config": None,
                "executor": None,
                **made,
            },
        ),
        "stability, which makes the runs": (
            sp.stability,
            {
                "runs": given.model,
                "dataloader": given.loader,
                "config": "random",
                "executor": None,
                **made,
            },
        ),
    }


def _single_prompts(given: Given) -> dict[str, Call]:
    how = {
        "patch_type": sp.PatchType.TREE_PATCH,
        "ablation_type": sp.AblationType.TOKENWISE_MEAN_CORRUPT,
    }
    circuit = {"prune_scores": given.scores, "n_edges": 3}
    pair = {"pair": given.loader.dataset[0], "dataloader": given.loader, "top": 5}
    return {
        "predictions": (sp.predictions, {"model": given.model, **circuit, **pair, **how}),
        "look_into": (
            sp.look_into,
            {"model": given.model, "node": "A0.1", **circuit, **pair, **how},
        ),
        "per_prompt": (sp.per_prompt, {**given.both, **circuit, **how}),
    }


def _files(given: Given) -> dict[str, Call]:
    """Scores as files; those of the MIB benchmark are of models with MLPs."""
    folder = given.folder
    given.scores.save(folder / "scores.json")
    model = sp.patchable_model(bridge("gpt2"))
    scores = model.new_prune_scores(1.0)
    sp.export_mib(folder / "graph.json", model, scores, n_edges=model.n_edges)
    read = {"path": folder / "graph.json", "model": model}
    return {
        "PruneScores.save": (given.scores.save, {"path": folder / "scores.json"}),
        "PruneScores.load": (
            sp.PruneScores.load,
            {"path": folder / "scores.json", "graph": given.model.graph},
        ),
        "export_mib": (
            sp.export_mib,
            {**read, "path": folder / "written.json", "prune_scores": scores, "n_edges": 3},
        ),
        "export_mib_submission": (
            sp.export_mib_submission,
            {
                "folder": folder / "submission",
                "model": model,
                "prune_scores": scores,
                "submission": "ioi_gpt2",
                "kind": ".json",
            },
        ),
        "import_mib": (sp.import_mib, read),
        "import_mib_circuit": (sp.import_mib_circuit, read),
    }


def _methods(given: Given) -> dict[str, Call]:
    seen = {**given.both, "validation_dataloader": None, "progress": False}
    configs = {name: sp.methods.get(name).Config for name in sp.methods.names()}
    trainers = {
        trainer.__name__: (
            trainer,
            {**given.both, "config": trainer.Config(), "validation_dataloader": None},
        )
        for trainer in (
            sp.Acdc,
            sp.EapIg,
            sp.EdgePruning,
            sp.LearnedRanking,
            sp.MaskGradient,
            sp.SubnetworkProbing,
            sp.UniformGradientSampling,
        )
    }
    return {
        "methods.get": (sp.methods.get, {"name": "acdc"}),
        "methods.of": (sp.methods.of, {"config": sp.AcdcConfig()}),
        "methods.register": (
            _undone(sp.methods._ADDED, sp.methods.register),
            {"method": replace(sp.methods.get("random"), name="mine")},
        ),
        # Each setting is checked by its config.
        **{
            Config.__name__: (Config, {field.name: field.default for field in fields(Config)})
            for Config in configs.values()
        },
        **trainers,
        "estimate": (
            sp.estimate,
            {**given.both, "config": configs["random"](), "validation_dataloader": None},
        ),
        "subnetwork_probing_prune_scores": (
            sp.subnetwork_probing_prune_scores,
            {
                **seen,
                "learning_rate": 0.1,
                "epochs": 1,
                "regularize_lambda": 1.0,
                "mask_fn": None,
                "dropout_p": 0.0,
                "init_val": 0.0,
                "show_train_graph": False,
                "circuit_size": None,
                "tree_optimisation": True,
                "avoid_edges": None,
                "avoid_lambda": 1.0,
                "faithfulness_target": "kl_div",
                "ablation_type": sp.AblationType.ZERO,
                "seed": 0,
                "cache": "auto",
                "recompute": False,
            },
        ),
        "acdc_prune_scores": (
            sp.acdc_prune_scores,
            {**seen, "tao_exps": [-1], "tao_bases": [1], "faithfulness_target": "kl_div"},
        ),
        "mask_gradient_prune_scores": (
            sp.mask_gradient_prune_scores,
            {
                **seen,
                "grad_function": "logit",
                "answer_function": "avg_val",
                "mask_val": None,
                "integrated_grad_samples": None,
                "ablation_type": sp.AblationType.ZERO,
                "clean_corrupt": "corrupt",
            },
        ),
        "edge_attribution_patching_prune_scores": (
            sp.edge_attribution_patching_prune_scores,
            {**given.both, "answer_diff": True, "progress": False},
        ),
        "eap_ig_prune_scores": (sp.eap_ig_prune_scores, {**seen, "points": 1}),
        **{
            function.__name__: (function, {**seen, "steps": 1})
            for function in (
                sp.edge_pruning_prune_scores,
                sp.learned_ranking_prune_scores,
                sp.uniform_gradient_sampling_prune_scores,
            )
        },
        "activation_magnitude_prune_scores": (sp.activation_magnitude_prune_scores, given.both),
        "weight_magnitude_prune_scores": (sp.weight_magnitude_prune_scores, given.both),
        "random_prune_scores": (sp.random_prune_scores, {**given.both, "seed": 0}),
        "ground_truth_prune_scores": (
            sp.ground_truth_prune_scores,
            {**given.both, "official_edges": given.edges},
        ),
    }


def _undone(registry: dict[str, Any], register: Callable[..., None]) -> Callable[..., None]:
    """Return a function that registers something and takes it back."""

    @wraps(register)
    def register_and_undo(**arguments: Any) -> None:
        before = registry.copy()
        try:
            register(**arguments)
        finally:
            registry.clear()
            registry.update(before)

    return register_and_undo


class _MakesNothing:
    """An executor whose jobs are over at once."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[None]:
        future: Future[None] = Future()
        future.set_result(None)
        return future


def _runs_and_tasks(given: Given) -> dict[str, Call]:
    config = sp.methods.get("random").Config()
    run, swept = given.folder / "run", given.folder / "sweep"
    run_in_folder = {**given.both, "config": config, "validation_dataloader": None}
    sp.runs.run_in_folder(run, **run_in_folder)
    grid = {"method": ["random"]}
    asked = {"model_factory": _factory, "grid": grid, "folder": swept, "executor": _MakesNothing()}
    sp.sweep(**asked)
    return {
        "sweep": (sp.sweep, {**asked, "threads": 1, "validate": True}),
        "Sweep": (sp.Sweep, {"folder": swept}),
        "Sweep.prune_scores": (sp.Sweep(swept).prune_scores, {"model": given.model}),
        "SweepView": (
            _closed(sp.SweepView),
            {"sweep": swept, "model": given.model, "official_edges": None},
        ),
        "runs.run_in_folder": (
            sp.runs.run_in_folder,
            {"folder": run, **run_in_folder, "after_step": None},
        ),
        "runs.runs_in": (sp.runs.runs_in, {"folder": given.folder}),
        "runs.RunFolder": (sp.runs.RunFolder, {"folder": run}),
        "tasks.load": (
            sp.tasks.load,
            {
                "name": "tiny-ioi",
                "model": None,
                "n_train": None,
                "n_test": None,
                "seed": None,
                "batch_size": None,
                "device": None,
            },
        ),
    }


def _factory() -> Any:
    raise AssertionError("nothing is made")


def _views(given: Given) -> dict[str, Call]:
    view = sp.CircuitView(given.model, prune_scores=given.scores)
    evaluation = sp.evaluate(
        **given.both, prune_scores=given.scores, sizes=[], random=0, seed=0, progress=False
    )
    probe = sp.SubnetworkProbingWidget(**given.both)
    probe.save(given.folder / "saved")
    picture = {
        "history": (),
        "evaluations": (),
        "config": None,
        "official_edges": given.edges,
        "seq_labels": None,
        "n_edges": 3,
        "title": "title",
        "faithfulness": evaluation,
        "code": "",
        "groups": (),
        "switches": (),
        "prompts": given.loader,
        "patch_type": sp.PatchType.TREE_PATCH,
        "ablation_type": sp.AblationType.RESAMPLE,
    }
    scores = {"prune_scores": given.scores}
    return {
        "snapshot": (sp.snapshot, {"model": given.model, **scores, **picture}),
        "Picture.save": (
            sp.snapshot(given.model, **scores).save,
            {"path": given.folder / "page.html", "width_mm": None},
        ),
        "NodeGroup": (sp.NodeGroup, {"name": "movers", "nodes": ["A0.1"], "note": ""}),
        "CircuitView": (
            _closed(sp.CircuitView),
            {
                "model": given.model,
                "official_edges": given.edges,
                "seq_labels": None,
                **scores,
                "n_edges": 3,
                "frequencies": None,
                "dataloader": None,
                "compare": None,
                "groups": [sp.NodeGroup("movers", ("A0.1",))],
            },
        ),
        "CircuitView.show_scores": (view.show_scores, {**scores, "n_edges": 3}),
        "CircuitView.show_frequencies": (view.show_frequencies, {"frequencies": None}),
        "CircuitView.show_runs": (view.show_runs, {"runs": {"a": given.scores}}),
        "CircuitView.keep": (view.keep, {"name": "mine", "circuit": given.edges}),
        "CircuitView.measure_on": (
            view.measure_on,
            {
                "dataloader": given.loader,
                "ablation_type": sp.AblationType.RESAMPLE,
                "patch_type": sp.PatchType.TREE_PATCH,
            },
        ),
        "FaithfulnessView": (
            _closed(sp.FaithfulnessView),
            {"evaluations": evaluation, "metric": "kl_div"},
        ),
        "SubnetworkProbingWidget": (
            _closed(sp.SubnetworkProbingWidget),
            {
                **given.both,
                "validation_dataloader": None,
                "method": "acdc",
                "config": None,
                "official_edges": given.edges,
                "save_as": "mine",
                "threads": 1,
                "folder": None,
            },
        ),
        "SubnetworkProbingWidget.load": (
            _closed(sp.SubnetworkProbingWidget.load),
            {
                "folder": given.folder / "saved",
                **given.both,
                "validation_dataloader": None,
                "threads": 1,
            },
        ),
        "SubnetworkProbingWidget.add_tab": (
            _tab_added(probe),
            {"name": "mine", "label": "Mine", "content": ipywidgets.HTML("text")},
        ),
        "SubnetworkProbingWidget.save": (probe.save, {"folder": given.folder / "probe"}),
    }


def _tab_added(probe: sp.SubnetworkProbingWidget) -> Callable[..., None]:
    """Return a function that adds a tab and takes it away."""

    @wraps(probe.add_tab)
    def add_tab(**arguments: Any) -> None:
        tabs, children = probe.panel.tabs, probe.children
        probe.add_tab(**arguments)
        probe.panel.update(tabs=tabs)
        probe.children = children

    return add_tab


def _closed(View: Callable[..., Any]) -> Callable[..., None]:
    """Return a function that makes a view and closes it."""

    @wraps(View)
    def make(**arguments: Any) -> None:
        View(**arguments).close()

    return make


def _entered(**arguments: Any) -> None:
    context: AbstractContextManager[Any] = sp.patch_mode(**arguments)
    with context:
        pass
