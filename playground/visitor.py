"""A visitor of the web pages: logs in, follows links, fills in forms and presses buttons.

What a person does with a browser, with the standard library alone: cookies are kept, forms are sent
with everything they hold (their CSRF token too), and an answer other than a page is an error.
"""

from __future__ import annotations

import dataclasses
import html.parser
import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping

TIMEOUT_SECS = 30
Attributes = list[tuple[str, str | None]]


class PageError(Exception):
    """A page was not as a visitor needs it; the message says which, and what it showed."""


@dataclasses.dataclass
class Form:
    """A form as it would be sent: its fields with their present values, and its buttons."""

    action: str
    method: str
    fields: dict[str, str] = dataclasses.field(default_factory=dict)
    options: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    buttons: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    is_fillable: set[str] = dataclasses.field(default_factory=set)


class Page(html.parser.HTMLParser):
    """A page's forms, links and readable text."""

    def __init__(self, url: str, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.url = url
        self.forms: list[Form] = []
        self.links: list[tuple[str, str]] = []
        self.ids: dict[str, str] = {}
        self.alerts: list[str] = []
        self._form: Form | None = None
        self._select: str | None = None
        self._open: list[tuple[str, dict[str, str], list[str]]] = []
        self._words: list[str] = []
        self.feed(source)
        self.close()

    @property
    def text(self) -> str:
        return _plain("".join(self._words))

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get").lower())
            self.forms.append(self._form)
        elif tag == "input":
            self._input(given)
        if tag == "select":
            self._select = given.get("name")
        if tag not in _VOID:
            self._open.append((tag, given, []))

    def _input(self, given: dict[str, str]) -> None:
        name, kind = given.get("name", ""), given.get("type", "text")
        if self._form is None or not name:
            return
        if kind in {"submit", "button", "image"}:
            self._form.buttons.append((given.get("value", ""), name, given.get("value", "")))
            return
        self._form.is_fillable.add(name)
        if kind not in {"checkbox", "radio"} or "checked" in given:
            self._form.fields[name] = given.get("value", "on" if kind == "checkbox" else "")

    def handle_data(self, data: str) -> None:
        if any(tag in {"script", "style"} for tag, _, _ in self._open):
            return
        self._words.append(data)
        for _, _, words in self._open:
            words.append(data)

    def handle_endtag(self, tag: str) -> None:
        # Tags that were left open end here too, as in a browser.
        if not any(name == tag for name, _, _ in self._open):
            return
        while self._open:
            name, given, words = self._open.pop()
            self._ended(name, given, "".join(words))
            if name == tag:
                return

    def _ended(self, tag: str, given: dict[str, str], raw: str) -> None:
        words = _plain(raw)
        if given.get("id"):
            self.ids[given["id"]] = words
        if given.get("role") == "alert" or "errorlist" in given.get("class", "").split():
            self.alerts.append(words)
        if tag == "a" and given.get("href"):
            self.links.append((words, given["href"]))
        form = self._form
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = None
        elif form is None:
            return
        elif tag == "textarea" and given.get("name"):
            form.is_fillable.add(given["name"])
            form.fields[given["name"]] = raw.lstrip("\n")
        elif tag == "button" and "disabled" not in given:
            form.buttons.append((words, given.get("name", ""), given.get("value", "")))
        elif tag == "option" and self._select:
            self._option(form, self._select, given, words)

    def _option(self, form: Form, name: str, given: dict[str, str], words: str) -> None:
        value = given.get("value", words)
        form.is_fillable.add(name)
        form.options.setdefault(name, {})[words] = value
        if "selected" in given or name not in form.fields:
            form.fields[name] = value


_VOID = {
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "source",
    "wbr",
}


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


class Visitor:
    """One person's browser; ``page`` is what it shows."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),  # the address is this machine's own
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
        )
        self.page = Page(address, "")

    def visit(self, url: str) -> Page:
        """Open a page, following redirects. Raises PageError when the answer is no page."""
        return self._fetch(urllib.request.Request(urllib.parse.urljoin(self.address, url)))

    def log_in(self, user: str, password: str) -> Page:
        """From the front page, which sends strangers to the log-in form."""
        self.visit("/")
        form = next((form for form in self.page.forms if "password" in form.fields), None)
        if form is None:
            raise PageError(f"{self.page.url} does not ask for a password: {self._seen()}")
        self.send(form, {"username": user, "password": password})
        if any("password" in form.fields for form in self.page.forms):
            raise PageError(f"{user} could not log in: {self._seen()}")
        return self.page

    def click(self, words: str) -> Page:
        """Follow the link with these words."""
        for text, link in self.page.links:
            if text.endswith(words):
                return self.visit(urllib.parse.urljoin(self.page.url, link))
        raise PageError(f"{self.page.url} has no link {words!r}: {self._seen()}")

    def can_press(self, words: str) -> bool:
        return any(text == words for form in self.page.forms for text, _, _ in form.buttons)

    def press(self, words: str, fields: Mapping[str, str] | None = None) -> Page:
        """Fill in the form that has the button with these words, and press it.

        A value of a choice may be given by the words the page shows for it.
        """
        for form in self.page.forms:
            for text, name, value in form.buttons:
                if text == words:
                    return self.send(form, {**(fields or {}), **({name: value} if name else {})})
        raise PageError(f"{self.page.url} has no button {words!r} to press: {self._seen()}")

    def send(self, form: Form, fields: Mapping[str, str]) -> Page:
        filled = dict(form.fields)
        for name, value in fields.items():
            if form.options.get(name):
                value = _chosen(form.options[name], value)
            filled[name] = value
        data = urllib.parse.urlencode(filled)
        url = urllib.parse.urljoin(self.page.url, form.action)
        if form.method != "post":
            return self.visit(f"{url}?{data}")
        headers = {"Referer": self.page.url}
        return self._fetch(urllib.request.Request(url, data.encode(), headers, method="POST"))

    def _fetch(self, request: urllib.request.Request) -> Page:
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECS) as answer:
                self.page = Page(answer.geturl(), answer.read().decode())
        except urllib.error.HTTPError as error:
            page = Page(request.full_url, error.read().decode(errors="replace"))
            raise PageError(
                f"{request.full_url} answered {error.code}: {page.text[:400]}"
            ) from error
        except (OSError, ValueError) as error:
            raise PageError(f"{request.full_url} did not answer: {error}") from error
        return self.page

    def _seen(self) -> str:
        shown = "; ".join(dict.fromkeys(self.page.alerts)) or self.page.text[-400:]
        return f"it shows: {shown}"


def _chosen(options: Mapping[str, str], wanted: str) -> str:
    """The value of the option with these words at its beginning; else the words themselves."""
    for words, value in options.items():
        if words.startswith(wanted):
            return value
    return wanted
