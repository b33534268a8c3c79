"""The visitor reads a page as a browser does: its forms, links, buttons and words."""

from __future__ import annotations

from playground.visitor import Page

SOURCE = """
<html><body><script>var x = "<p>not words</p>";</script>
<a href="/submit"><span>+</span> Submit a change</a>
<form method="post" action="/go?x=1&amp;y=2">
  <input type="hidden" name="csrfmiddlewaretoken" value="t&quot;1">
  <select name="target"><option value="">Choose</option><option value="7">Web shop</option></select>
  <textarea name="statement">
ALTER &lt;x&gt;</textarea>
  <input type="checkbox" name="strict"><input type="checkbox" name="skip_drop" checked>
  <button type="submit" name="action" value="submit">Submit
    for approval</button>
  <button disabled>Never</button>
</form>
<p role="alert">Too <b>small</b></p>
<dd id="rows">1,234</dd>
</body></html>
"""


def test_a_form_is_read_with_its_present_values() -> None:
    [form] = Page("http://x/", SOURCE).forms
    assert (form.action, form.method) == ("/go?x=1&y=2", "post")
    assert form.fields == {
        "csrfmiddlewaretoken": 't"1',
        "target": "",
        "statement": "ALTER <x>",
        "skip_drop": "on",
    }
    assert form.options == {"target": {"Choose": "", "Web shop": "7"}}


def test_buttons_that_cannot_be_pressed_are_none() -> None:
    [form] = Page("http://x/", SOURCE).forms
    assert form.buttons == [("Submit for approval", "action", "submit")]


def test_links_alerts_and_words_are_read_as_shown() -> None:
    page = Page("http://x/", SOURCE)
    assert page.links == [("+ Submit a change", "/submit")]
    assert page.alerts == ["Too small"]
    assert page.ids == {"rows": "1,234"}
    assert "not words" not in page.text
