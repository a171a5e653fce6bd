"""Writes what the browser's code shares with Python: `python tools/generate_types.py`.

The traits of every widget become a type in `js/src/generated/<bundle>.ts`, with the typed
dictionaries and literals that they hold; what a page without a kernel has beside them is in
`js/src/generated/page.ts`; the numbers of the circuit's picture become
`js/src/generated/measures.ts`. The files are checked in, and a test says when they are stale.

A trait tells what it holds by its kind (`Unicode`, `List(Float())` …) or, where that says too
little, by a tag: `traitlets.Dict().tag(sync=True, holds=Status)`.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import math
import pkgutil
import sys
import textwrap
import types
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import traitlets  # noqa: E402
from anywidget import AnyWidget  # noqa: E402
from ipywidgets import Widget  # noqa: E402

import sp_widget  # noqa: E402
import sp_widget.widget  # noqa: E402
from sp_widget.report import (  # noqa: E402
    circuit_layout,
    draw_circuit,
    edge_routes,
    groups,
    recorded_prompts,
    top_circuit,
)
from sp_widget.session import state  # noqa: E402
from sp_widget.widget import circuit, panel  # noqa: E402

OUT = ROOT / "js" / "src" / "generated"
HEADER = "// Written by tools/generate_types.py. Change the Python, and run it again.\n"
# Only types have the index signature that AnyModel asks for.
NO_INTERFACES = "/* eslint-disable @typescript-eslint/consistent-type-definitions */\n"

MESSAGES: Mapping[str, tuple[Any, ...]] = {"panel": (panel.Command,)}
"""Of a bundle: types that its messages need, and no trait."""

CONSTANTS: Mapping[str, Mapping[str, tuple[Any, Any]]] = {
    "panel": {"ACTIVE": (list[state.State], sorted(state.ACTIVE, key=get_args(state.State).index))}
}
"""Of a bundle: values by name, each with its type."""

ON_A_PAGE = ("chart", "circuit", "faithfulness")
"""Bundles that a page without a kernel shows too: it needs the traits of a new widget."""

MEASURES: Mapping[str, Any] = {
    **{
        name: getattr(circuit_layout, name)
        for name in (
            "WIDE",
            "NARROW",
            "NARROW_WIDTH",
            "LABEL_HEIGHT",
            "LETTERED_WIDTH",
            "MLP_CELLS",
            "RAISED",
            "LINE_STEP",
            "LINES",
            "KINDS_IN_COLUMNS",
        )
    },
    **{
        name: getattr(edge_routes, name)
        for name in ("PULL", "SHARPEST", "PORTS", "SHARED_PORTS", "PORT_HEIGHT", "BARE_PORT_HEIGHT")
    },
    **{
        name: getattr(draw_circuit, name)
        for name in (
            "MOST_DRAWN",
            "THIN",
            "THICK",
            "MISS_WIDTH",
            "ARROW_LENGTH",
            "ARROW_WIDTH",
            "PORT_DASHES",
            "VERDICT_DASHES",
        )
    },
    "DEFAULT_SIZE": top_circuit.DEFAULT_SIZE,
    "VERDICT_LABELS": top_circuit.VERDICT_LABELS,
    "KNOWN": circuit.KNOWN,
    "GROUP_COLOURS": groups.GROUP_COLOURS,
    "GROUP_DASHES": groups.GROUP_DASHES,
    "GROUP_PADDING": groups.PADDING,
    "LONGEST_NAME": groups.LONGEST_NAME,
    "LONGEST_NOTE": groups.LONGEST_NOTE,
}
"""What both pictures of a circuit are drawn with."""


def generated() -> dict[Path, str]:
    """Return the text of every generated file by its path."""
    files = {OUT / f"{_bundle(widget)}.ts": _module(widget) for widget in widgets()}
    page = _Writer()
    page.typed(recorded_prompts.RecordedPrompts)
    files[OUT / "page.ts"] = _text(page.declared.values())
    files[OUT / "measures.ts"] = HEADER + "".join(
        f"\nexport const {name} = {_constant(value)};\n" for name, value in MEASURES.items()
    )
    return files


def widgets() -> list[type[AnyWidget]]:
    """Return the classes of the widget floor that have a bundle of their own, by its name."""
    for module in pkgutil.iter_modules(sp_widget.widget.__path__, "sp_widget.widget."):
        importlib.import_module(module.name)
    found = {
        value
        for module in _modules()
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, AnyWidget) and "bundle" in vars(value)
    }
    return sorted((each for each in found if _is_ours(each)), key=_bundle)


def _module(widget: type[AnyWidget]) -> str:
    writer = _Writer()
    bundle = _bundle(widget)
    lines = []
    for name, trait in _synced_traits(widget).items():
        lines += _comment(_documents(widget).get(name), "  ")
        lines.append(f"  {name}: {writer.typed(_held(trait))};")
    for message in MESSAGES.get(bundle, ()):
        writer.typed(message)
    constants = [
        f"export const {name}: readonly {writer.typed(kind)} = {_value(value)};"
        for name, (kind, value) in CONSTANTS.get(bundle, {}).items()
    ]
    traits = [
        f"/** The traits of the Python `{widget.__name__}`. */",
        f"export type {bundle.capitalize()}Traits = {{",
        *lines,
        "};",
    ]
    if bundle in ON_A_PAGE:
        constants.append(_defaults(widget))
    blocks = [*writer.declared.values(), "\n".join(traits), *constants]
    return _text(blocks)


def _text(blocks: Iterable[str]) -> str:
    return HEADER + NO_INTERFACES + "".join(f"\n{block}\n" for block in blocks)


def _defaults(widget: type[AnyWidget]) -> str:
    """The traits of a new widget; without those that it has to be given: its empty dictionaries."""
    values = {name: trait.default() for name, trait in _synced_traits(widget).items()}
    bundle = _bundle(widget)
    return "\n".join(
        [
            "/** The traits of a new widget, but for those that it is given. */",
            f"export const {bundle.upper()}_DEFAULTS: Partial<{bundle.capitalize()}Traits> = {{",
            *(
                f"  {name}: {'null' if value == b'' else _value(value)},"
                for name, value in values.items()
                if value != {}
            ),
            "};",
        ]
    )


class _Writer:
    """Turns Python types into TypeScript, and declares those that have a name."""

    def __init__(self) -> None:
        self.declared: dict[str, str] = {}
        """The declarations by their names, each after those that it needs."""
        self._sources: dict[str, Any] = {}
        self._names = _literal_names()

    def typed(self, kind: Any) -> str:
        """Return a type as TypeScript writes it."""
        if is_typeddict(kind):
            return self._named(kind.__name__, kind, self._object)
        if _is_literal(kind):
            name = next((name for known, name in self._names if known == kind), None)
            return self._literal(kind) if name is None else self._named(name, kind, self._alias)
        if kind in _PLAIN:
            return _PLAIN[kind]
        origin, inner = get_origin(kind), get_args(kind)
        if origin is Annotated:
            length = next((note for note in inner[1:] if isinstance(note, int)), None)
            if length is None:
                return self.typed(inner[0])
            (element,) = get_args(inner[0])
            return f"[{', '.join([self.typed(element)] * length)}]"
        if origin in (Union, types.UnionType):
            return " | ".join(dict.fromkeys(self.typed(each) for each in inner))
        if origin is tuple:
            return f"[{', '.join(self.typed(each) for each in inner)}]"
        if origin is list:
            element_type = self.typed(inner[0])
            return f"({element_type})[]" if " " in element_type else f"{element_type}[]"
        if origin is dict:
            return f"Record<{self.typed(inner[0])}, {self.typed(inner[1])}>"
        if isinstance(kind, type) and issubclass(kind, Widget):
            # A reference to its model.
            return "string"
        raise TypeError(f"there is no TypeScript for {kind!r}")

    def _named(self, name: str, kind: Any, declare: Any) -> str:
        if name not in self._sources:
            self._sources[name] = kind
            text = declare(name, kind)
            self.declared[name] = text
        elif self._sources[name] != kind:
            raise TypeError(f"two types are called {name}: {self._sources[name]!r} and {kind!r}")
        return name

    def _object(self, name: str, kind: Any) -> str:
        notes = _documents(kind)
        lines = [*_comment(inspect.getdoc(kind), ""), f"export type {name} = {{"]
        for key, held in get_type_hints(kind, include_extras=True).items():
            lines += _comment(notes.get(key), "  ")
            mark = "?" if key in kind.__optional_keys__ else ""
            lines.append(f"  {key}{mark}: {self.typed(held)};")
        return "\n".join([*lines, "};"])

    def _alias(self, name: str, kind: Any) -> str:
        return f"export type {name} = {self._literal(kind)};"

    @staticmethod
    def _literal(kind: Any) -> str:
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in get_args(kind))


_PLAIN: Mapping[Any, str] = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    bytes: "DataView",
    None: "null",
    type(None): "null",
    Any: "unknown",
    object: "unknown",
}


def _held(trait: traitlets.TraitType[Any, Any]) -> Any:
    held = trait.metadata.get("holds")
    if held is None:
        held = _by_kind(trait)
    return Union[held, None] if trait.allow_none else held  # noqa: UP007


def _by_kind(trait: Any) -> Any:
    if isinstance(trait, traitlets.Enum):
        return Literal[tuple(trait.values)]
    if isinstance(trait, traitlets.List):
        element = Any if trait._trait is None else _held(trait._trait)
        if trait._minlen == trait._maxlen:
            return tuple[(element,) * trait._minlen]  # type: ignore[misc]
        return list[element]  # type: ignore[valid-type]
    if isinstance(trait, traitlets.Dict):
        element = Any if trait._value_trait is None else _held(trait._value_trait)
        return dict[str, element]  # type: ignore[valid-type]
    kinds = (
        (traitlets.Unicode, str),
        (traitlets.Bool, bool),
        (traitlets.Int, int),
        (traitlets.Float, float),
        (traitlets.Bytes, bytes),
    )
    return next((kind for cls, kind in kinds if isinstance(trait, cls)), Any)


def _synced_traits(widget: type[AnyWidget]) -> dict[str, Any]:
    """The traits that travel and that our classes have declared, in their order."""
    ours: dict[str, Any] = {}
    for cls in reversed(widget.__mro__):
        if _is_ours(cls):
            ours |= {n: t for n, t in vars(cls).items() if isinstance(t, traitlets.TraitType)}
    return {name: trait for name, trait in ours.items() if trait.metadata.get("sync")}


def _documents(cls: type) -> dict[str, str]:
    """The docstrings below the attributes of a class, by attribute."""
    found: dict[str, str] = {}
    for each in _typed_dict_bases(cls) if is_typeddict(cls) else reversed(cls.__mro__):
        if not _is_ours(each):
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        assert isinstance(body, ast.ClassDef)
        for statement, after in zip(body.body, body.body[1:], strict=False):
            name = getattr(statement, "target", None) or next(
                iter(getattr(statement, "targets", [])), None
            )
            if not isinstance(name, ast.Name) or not isinstance(after, ast.Expr):
                continue
            if isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
                found[name.id] = inspect.cleandoc(after.value.value)
    return found


def _typed_dict_bases(cls: type) -> list[type]:
    """A typed dictionary after those that it extends, of which it knows nothing by itself."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(body, ast.ClassDef)
    names = [base.id for base in body.bases if isinstance(base, ast.Name)]
    bases = [getattr(sys.modules[cls.__module__], name) for name in names]
    return [*(each for b in bases if is_typeddict(b) for each in _typed_dict_bases(b)), cls]


def _comment(text: str | None, indent: str) -> list[str]:
    if not text:
        return []
    lines = text.split("\n")
    if len(lines) == 1:
        return [f"{indent}/** {text} */"]
    return [
        f"{indent}/**",
        *(f"{indent} * {line}".rstrip() for line in lines),
        f"{indent} */",
    ]


def _literal_names() -> list[tuple[Any, str]]:
    """Every literal that a module of ours has given a public name, with that name."""
    return [
        (value, name)
        for module in _modules()
        for name, value in sorted(vars(module).items())
        if _is_literal(value) and not name.startswith("_")
    ]


def _modules() -> Iterator[types.ModuleType]:
    for name, module in sorted(sys.modules.items()):
        if name.startswith("sp_widget"):
            yield module


def _is_literal(value: Any) -> bool:
    return get_origin(value) is Literal


def _is_ours(cls: type) -> bool:
    return cls.__module__.startswith("sp_widget.")


def _bundle(widget: type[AnyWidget]) -> str:
    """The name of a widget's bundle, which is also that of its folder in js/src."""
    return str(vars(widget)["bundle"])


def _constant(value: Any) -> str:
    text = _value(value)
    return text if isinstance(value, float | int) else f"{text} as const"


def _value(value: Any) -> str:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{json.dumps(name)}: {_value(each)}" for name, each in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, Collection) and not isinstance(value, str):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def main() -> None:
    """Write the files that are not as they should be."""
    OUT.mkdir(parents=True, exist_ok=True)
    files = generated()
    for path in set(OUT.glob("*.ts")) - set(files):
        path.unlink()
        print(f"removed {path.relative_to(ROOT)}")
    for path, text in files.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
