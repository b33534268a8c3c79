// Keeps a request page up to date: one poller, many parts.
//
// The server answers a poll with every part of the page that may move, each marked for an
// out-of-band swap and carrying a signature of its content. A part whose signature has not
// changed is left alone, so focus, typed text, scroll position and open details stay as they
// are. Ages ("12 s ago") are counted on here, so that they alone never cause a swap.
(function () {
  "use strict";

  const UNITS = [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];

  function age(moment) {
    const secs = (Date.now() + clockSkewMs - moment) / 1000;
    const size = Math.abs(secs);
    if (size < 1.5) return "just now";
    for (const [unitSecs, unit] of UNITS) {
      if (size >= unitSecs) {
        const text = Math.floor(size / unitSecs) + " " + unit;
        return secs > 0 ? text + " ago" : "in " + text;
      }
    }
    return "just now";
  }

  // Ages are measured by the server's clock: the reader's may be wrong.
  let clockSkewMs = 0;
  const serverTime = document.querySelector("meta[name=server-time]");
  if (serverTime) clockSkewMs = Date.parse(serverTime.content) - Date.now();

  function tick() {
    for (const element of document.querySelectorAll("time[data-age]")) {
      const text = age(Date.parse(element.dateTime));
      if (element.textContent !== text) element.textContent = text;
    }
  }

  // Times are written in the server's zone; on hover they are also given in the reader's.
  function localise(root) {
    for (const element of root.querySelectorAll("time[datetime]:not([data-localised])")) {
      const moment = new Date(element.dateTime);
      if (isNaN(moment)) continue;
      element.dataset.localised = "";
      element.title = moment.toLocaleString() + " here (" + element.title + ")";
    }
  }

  function notice(text) {
    const element = document.getElementById("live-notice");
    if (!element) return;
    element.hidden = !text;
    if (element.textContent !== text) element.textContent = text;
  }

  function isPoller(element) {
    return element && element.hasAttribute("data-live-poller");
  }

  function openParts(root) {
    return Array.from(root.querySelectorAll("details[id][open]"), (element) => element.id);
  }

  // What this page shows already, as the server names it; it answers with what is new.
  const page = document.getElementById("request-page");
  let liveKey = page ? page.dataset.liveKey || "" : "";

  document.addEventListener("htmx:configRequest", function (event) {
    if (isPoller(event.detail.elt)) event.detail.headers["X-Live-Key"] = liveKey;
  });

  let reopen = [];

  document.addEventListener("htmx:oobBeforeSwap", function (event) {
    const old = event.detail.target;
    const fresh = event.detail.fragment.firstElementChild;
    if (!old || !fresh || !fresh.dataset.signature) return;
    if (old.dataset.signature === fresh.dataset.signature) {
      event.detail.shouldSwap = false;
      return;
    }
    reopen = openParts(old);
  });

  document.addEventListener("htmx:oobAfterSwap", function () {
    for (const id of reopen) {
      const element = document.getElementById(id);
      if (element) element.open = true;
    }
    reopen = [];
    localise(document);
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
    if (!answer.getResponseHeader("X-Live-Parts"))
      return notice("You are no longer logged in. Reload the page to log in again.");
    liveKey = answer.getResponseHeader("X-Live-Key") || "";
    const now = Date.parse(answer.getResponseHeader("X-Server-Time"));
    if (!isNaN(now)) clockSkewMs = now - Date.now();
    notice("");
    tick();
  });

  // A confirmation must be typed before an order that cannot be undone is sent.
  document.addEventListener("input", function (event) {
    const field = event.target.closest("[data-confirm-word]");
    if (!field) return;
    const button = field.form.querySelector("button[type=submit]");
    button.disabled = field.value.trim() !== field.dataset.confirmWord;
  });

  // The volume's slider says what its position means before anything is ordered.
  function describeVolume(slider) {
    const target = document.getElementById(slider.dataset.describes);
    const meaning = document.getElementById("volume-meaning-" + slider.value);
    if (target && meaning) target.textContent = meaning.textContent;
    const output = document.getElementById("volume-shown");
    if (output) output.textContent = slider.value;
  }

  document.addEventListener("input", function (event) {
    if (event.target.matches("[data-describes]")) describeVolume(event.target);
  });

  document.addEventListener("DOMContentLoaded", function () {
    localise(document);
    for (const slider of document.querySelectorAll("[data-describes]")) describeVolume(slider);
    setInterval(tick, 1000);
  });
})();
