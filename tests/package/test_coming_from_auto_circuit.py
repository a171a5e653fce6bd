"""The page for the reference's users speaks of names that exist, and its code runs."""

from __future__ import annotations

import re
from functools import reduce
from importlib import import_module
from pathlib import Path

import pytest
import torch

import sp_widget as sp
from tests import model_kinds

PAGE = (Path(__file__).parents[2] / "docs" / "coming_from_auto_circuit.md").read_text()

NAMES = (Path(__file__).parent / "auto_circuit_names.txt").read_text().split()
"""Read from the modules of auto-circuit 1.0.1: `module.name` for each function, class and assigned
name at their top level that does not begin with an underscore; what they import left out."""


def names_by_package() -> dict[str, set[str]]:
    """Return the names of the reference, by the package below `auto_circuit`."""
    found: dict[str, set[str]] = {}
    for each in NAMES:
        _, package, *_, name = each.split(".")
        found.setdefault(package, set()).add(name)
    return found


def names_on_the_page() -> dict[tuple[str, ...], set[str]]:
    """Return the names of the left columns, by the packages that the section's title has."""
    found: dict[tuple[str, ...], set[str]] = {}
    for section in PAGE.partition("## Every name")[2].split("\n### ")[1:]:
        title, _, table = section.partition("\n")
        packages = tuple(re.findall(r"`auto_circuit\.(\w+)`", title))
        cells = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| ")]
        codes = [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]
        found[packages] = {code.rpartition(".")[2] for code in codes} - {"*"}
    return found


def test_the_table_has_every_name_of_the_reference_and_no_other() -> None:
    theirs, on_the_page = names_by_package(), names_on_the_page()
    assert len(NAMES) == len(set(NAMES)) == 295
    assert f"{len(NAMES)} of them" in PAGE
    assert sorted(package for packages in on_the_page for package in packages) == sorted(theirs)
    for packages, names in on_the_page.items():
        assert names == set().union(*(theirs[package] for package in packages)), packages


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`sp\.([A-Za-z_.]+[A-Za-z_])", PAGE))))
def test_what_is_called_ours_is_there(name: str) -> None:
    parts = [part for part in name.split(".") if part != "name"]
    assert reduce(getattr, parts, sp) is not None


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(sp_widget\.[A-Za-z_.]+)`", PAGE))))
def test_what_is_called_ours_by_its_path_is_there(path: str) -> None:
    module, _, name = path.rpartition(".")
    try:
        assert hasattr(import_module(module), name)
    except AttributeError:
        import_module(path)


def test_the_score_function_of_the_page_runs() -> None:
    model = sp.patchable_model(model_kinds.bridge("gpt2"))
    batch = next(iter(model_kinds.dataloader()))
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names = {"sp": sp, "model": model, "batch": batch}
    exec(code, names)
    scores = names["scores"]
    assert isinstance(scores, sp.PruneScores)
    # The gradient of one mask, against a difference.
    module, place, step = "blocks.1.hook_mlp_in", 3, 1e-2
    losses = []
    with torch.no_grad(), sp.patch_mode(model, sp.src_ablations(model, batch.corrupt)):
        for value in (step, -step):
            model.patch_masks[module][place] = value
            logits = model(batch.clean)[model.out_slice]
            losses.append(-logits.log_softmax(-1).gather(1, batch.answers).mean().item())
    assert scores[module][place].item() == pytest.approx(
        (losses[0] - losses[1]) / (2 * step), rel=0.05, abs=1e-4
    )
