"""The table of supported models in `docs/models.md`, made from the kinds that the tests check.

python -m tests.models_table > docs/models.md
"""

from __future__ import annotations

from sp_widget.models.architecture import Architecture
from sp_widget.models.families import FAMILIES
from sp_widget.models.hooked_reader import REFUSED
from tests import model_kinds
from tests.legacy import hooked_models

_HEAD = """\
# Supported models

Made by `python -m tests.models_table` from the kinds of models that are tested: small ones with
random weights. `tests/engine/test_edge_engine.py` compares each with the definition of edge
patching, edge by edge, with separate Q, K and V and edges for all token positions, and with joint
ones and edges for each position (OLMo 2 with separate ones only);
`tests/circuits/test_check_model.py` passes each through `check_model` ([method.md](method.md)). Any
other architecture is refused by name before anything runs.

"compatibility" means after `enable_compatibility_mode()`.

| architecture | kinds checked | blocks | sources of attention | key/value heads |
|---|---|---|---|---|
"""

_FOOT = """
Where attention is one source (`A3` instead of `A3.1`), a norm stands between attention and the
residual stream: heads are then not what is added to it. Their queries, keys and values are
separate destinations all the same.

OPT models that normalise after each layer or project their embeddings (opt-350m) are refused:
their residual stream is not a sum.
"""

_HOOKED = """
## HookedTransformer

The model class of transformer-lens before version 4 works with 2.15.4 to 3.9: `make test-legacy`
checks it in an environment of its own, with `LEGACY=3.9.0` for another version than 2.18.0. Tested
are 2.15.4, 2.17.0, 2.18.0, 3.0.0, 3.5.0 and 3.9.0. Each kind below is checked as above, against
patching by the model's own hook points edge by edge, and with left padding; the small GPT-2 of the
reference's outputs gives the reference's scores. A kind needs a version of transformer-lens that
can build it; "folded" is what `from_pretrained` makes of a model.

KINDS.

The bundled tasks are bridges: `sp.tasks.load` needs transformer-lens 4.3. Bridges of versions
before that are not tested. Not supported, and refused by the name of the setting:

| setting of the model | why |
|---|---|
"""


def table() -> str:
    """The whole text of `docs/models.md`."""
    kinds: dict[str, list[str]] = {name: [] for name in FAMILIES}
    for kind in model_kinds.KINDS:
        kinds[model_kinds.bridge(kind).cfg.architecture].append(kind)
    return _HEAD + "".join(_row(name, found) for name, found in kinds.items()) + _FOOT + _hooked()


def _hooked() -> str:
    rows = (f"| `{name}` | {reason} |\n" for name, reason in REFUSED.items())
    kinds = ", ".join(hooked_models.KINDS)
    return _HOOKED.replace("KINDS", kinds) + "".join(rows)


def _row(architecture: str, kinds: list[str]) -> str:
    shapes = [Architecture(model_kinds.bridge(kind), True).shapes[0] for kind in kinds]
    blocks = sorted({"parallel" if shape.parallel else "sequential" for shape in shapes})
    sources = sorted({"heads" if shape.heads_are_sources else "the block" for shape in shapes})
    grouped = sorted({"grouped" if s.n_kv_heads < s.n_heads else "one a head" for s in shapes})
    cells = (f"`{architecture}`", kinds, blocks, sources, grouped)
    texts = (cell if isinstance(cell, str) else ", ".join(cell) for cell in cells)
    return f"| {' | '.join(texts)} |\n"


if __name__ == "__main__":
    print(table(), end="")
