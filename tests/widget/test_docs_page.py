"""The address of the documentation comes from the package's own metadata."""

from __future__ import annotations

from email.message import Message

import pytest

from sp_widget.widget import docs_page


def with_urls(monkeypatch: pytest.MonkeyPatch, *urls: str) -> str:
    message = Message()
    for url in urls:
        message["Project-URL"] = url
    monkeypatch.setattr(docs_page, "metadata", lambda name: message)
    return docs_page.docs_url()


def test_the_page_lies_in_the_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = ("Source, https://example.org/code", "Documentation, https://example.org/docs/")
    assert with_urls(monkeypatch, *urls) == "https://example.org/docs/method.md"


def test_without_an_address_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_urls(monkeypatch) == ""
    assert with_urls(monkeypatch, "Source, https://example.org/code") == ""


def test_a_checkout_that_nobody_installed_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs_page, "DISTRIBUTION", "sp-widget-that-is-not-installed")
    assert docs_page.docs_url() == ""
