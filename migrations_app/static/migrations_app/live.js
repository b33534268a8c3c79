// Keeps a request page up to date: one poller, many parts.
//
// The server answers a poll with every part of the page that may move, each marked for an
// out-of-band swap and carrying a signature of its content. A part whose signature has not
// changed is left alone, so focus, typed text, scroll position and open details stay as they
// are; in one that has changed they are put back. Ages ("12 s ago") are counted on by times.js, so that they alone never cause a swap.
(function () {
  "use strict";

  function notice(text) {
    const element = document.getElementById("live-notice");
    if (!element) return;
    element.hidden = !text;
    if (element.textContent !== text) element.textContent = text;
  }

  function isPoller(element) {
    return element && element.hasAttribute("data-live-poller");
  }

  // Whether an answer is what was asked for, and not the page to log in.
  function holdsNews(poller, answer) {
    const part = poller.getAttribute("hx-select");
    if (part) return answer.responseText.includes('id="' + part.slice(1) + '"');
    return Boolean(answer.getResponseHeader("X-Live-Parts"));
  }

  document.addEventListener("htmx:beforeSwap", function (event) {
    const poller = event.detail.requestConfig && event.detail.requestConfig.elt;
    if (isPoller(poller) && !holdsNews(poller, event.detail.xhr)) event.detail.shouldSwap = false;
  });

  // What was said when an order was given ("Queued. …") is over once the request has moved on.
  function forgetAnswer() {
    const page = document.getElementById("request-page");
    const answers = document.querySelector("ul.flex.flex-col.gap-4.mb-6");
    if (answers && page && !page.contains(answers)) answers.remove();
  }

  // What its reader has done to a part, to be done again to the one that takes its place: parts
  // opened, words typed, the field that is being typed in.
  function remember(root) {
    const active = document.activeElement;
    const typed = [];
    for (const field of root.querySelectorAll("input[id], textarea[id]"))
      if (field.value !== field.defaultValue) typed.push([field.id, field.value]);
    return {
      open: Array.from(root.querySelectorAll("details[id][open]"), (element) => element.id),
      typed: typed,
      focus: active && active.id && root.contains(active) ? active.id : "",
      selection: active && "selectionStart" in active ? [active.selectionStart, active.selectionEnd] : null,
    };
  }

  function restore(kept) {
    for (const id of kept.open) {
      const element = document.getElementById(id);
      if (element) element.open = true;
    }
    for (const [id, value] of kept.typed) {
      const field = document.getElementById(id);
      if (!field) continue;
      field.value = value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    const field = kept.focus && document.getElementById(kept.focus);
    if (!field) return;
    field.focus({ preventScroll: true });
    if (kept.selection && kept.selection[0] !== null) field.setSelectionRange(...kept.selection);
  }

  // What this page shows already, as the server names it; it answers with what is new.
  let liveKey = "";

  document.addEventListener("DOMContentLoaded", function () {
    const page = document.getElementById("request-page");
    if (page) liveKey = page.dataset.liveKey || "";
  });

  document.addEventListener("htmx:configRequest", function (event) {
    if (isPoller(event.detail.elt)) event.detail.headers["X-Live-Key"] = liveKey;
  });

  let kept = null;

  document.addEventListener("htmx:oobBeforeSwap", function (event) {
    const old = event.detail.target;
    const fresh = event.detail.fragment.firstElementChild;
    if (!old || !fresh || !fresh.dataset.signature) return;
    if (old.dataset.signature === fresh.dataset.signature) {
      event.detail.shouldSwap = false;
      return;
    }
    if (old.id === "part-head") forgetAnswer();
    kept = remember(old);
  });

  document.addEventListener("htmx:oobAfterSwap", function () {
    if (kept) restore(kept);
    kept = null;
  });

  // A page nobody looks at asks for nothing; it asks again when it is shown.
  document.addEventListener("htmx:beforeRequest", function (event) {
    if (isPoller(event.detail.elt) && document.hidden) event.preventDefault();
  });

  document.addEventListener("htmx:afterRequest", function (event) {
    if (!isPoller(event.detail.elt)) return;
    const answer = event.detail.xhr;
    if (answer.status === 0) return notice("The server cannot be reached. The figures below may be old.");
    if (answer.status >= 400)
      return notice("This page could not be refreshed (error " + answer.status + "). The figures below may be old.");
    if (!holdsNews(event.detail.elt, answer))
      return notice("You are no longer logged in. Reload the page to log in again.");
    liveKey = answer.getResponseHeader("X-Live-Key") || "";
    notice("");
  });
})();
