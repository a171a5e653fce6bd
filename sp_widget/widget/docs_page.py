"""Where the documentation of the method can be read."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata

DISTRIBUTION = "sp-widget"
PAGE = "docs/method.md"


def docs_url() -> str:
    """The address of `docs/method.md`, from the package's own metadata.

    Empty where the metadata names no address of the documentation: then the panel says in words
    which section to read.
    """
    try:
        addresses = metadata(DISTRIBUTION).get_all("Project-URL") or []
    except PackageNotFoundError:  # Run from a checkout that nobody installed.
        return ""
    for entry in addresses:
        label, _, address = entry.partition(",")
        if label.strip().lower() == "documentation":
            return f"{address.strip().rstrip('/')}/{PAGE.removeprefix('docs/')}"
    return ""
