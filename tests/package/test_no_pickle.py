"""Nothing of the package runs code from a file that it reads."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "sp_widget"

FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}

ITS_ERROR = "UnpicklingError"
"""What torch raises for a file of the MIB benchmark that holds more than tensors."""


def offences(source: str) -> list[str]:
    """Return what a module does that could run code from a file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and [a.name for a in node.names] != [ITS_ERROR]:
            names = [node.module or ""]
        found += [name for name in names if name.split(".")[0] in FORBIDDEN_MODULES]
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in FORBIDDEN_CALLS:
            found.append(function.id)
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            owner, name = function.value.id, function.attr
            if owner == "torch" and name == "load" and not _only_weights(node):
                found.append("torch.load")
            if owner in ("np", "numpy") and name in ("load", "save"):
                found.append(f"numpy.{name}")
            if name == "read_pickle":
                found.append(name)
    return found


def _only_weights(call: ast.Call) -> bool:
    """Return whether torch is told to read tensors and plain values only."""
    given = {each.arg: each.value for each in call.keywords}
    value = given.get("weights_only")
    return isinstance(value, ast.Constant) and value.value is True


def test_no_module_unpickles_or_evaluates() -> None:
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 100
    found = {str(path.relative_to(PACKAGE)): offences(path.read_text()) for path in modules}
    assert not {path: names for path, names in found.items() if names}
    wrong = "import pickle\ntorch.load(f)\neval(x)\nnp.load(f)"
    assert offences(wrong) == ["pickle", "torch.load", "eval", "numpy.load"]
