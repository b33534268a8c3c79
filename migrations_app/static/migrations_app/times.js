// Times on a page: ages are counted on ("12 s ago"), exact times are put in the reader's zone.
//
// The server writes both in its own zone, with the exact value on hover; here the reader's own is
// added. Ages are measured by the server's clock, because the reader's may be wrong.
(function () {
  "use strict";

  const UNITS = [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  let clockSkewMs = 0;

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

  function tick() {
    for (const element of document.querySelectorAll("time[data-age]")) {
      const text = age(Date.parse(element.dateTime));
      if (element.textContent !== text) element.textContent = text;
    }
  }

  function two(number) {
    return String(number).padStart(2, "0");
  }

  // As the server writes it, in the reader's zone: 2026-03-01 14:05:09.
  function local(moment) {
    const day = [moment.getFullYear(), two(moment.getMonth() + 1), two(moment.getDate())];
    const time = [two(moment.getHours()), two(moment.getMinutes()), two(moment.getSeconds())];
    return day.join("-") + " " + time.join(":");
  }

  function localise() {
    for (const element of document.querySelectorAll("time[datetime]:not([data-localised])")) {
      const moment = new Date(element.dateTime);
      if (isNaN(moment)) continue;
      element.dataset.localised = "";
      if (element.hasAttribute("data-clock")) element.textContent = local(moment);
      else element.title = local(moment) + " here, " + element.title;
    }
  }

  function readServerTime(text) {
    const now = Date.parse(text || "");
    if (!isNaN(now)) clockSkewMs = now - Date.now();
  }

  document.addEventListener("htmx:afterRequest", function (event) {
    readServerTime(event.detail.xhr.getResponseHeader("X-Server-Time"));
    tick();
  });
  document.addEventListener("htmx:afterSettle", localise);
  document.addEventListener("htmx:oobAfterSwap", localise);

  document.addEventListener("DOMContentLoaded", function () {
    const serverTime = document.querySelector("meta[name=server-time]");
    if (serverTime) readServerTime(serverTime.content);
    localise();
    setInterval(tick, 1000);
  });
})();
