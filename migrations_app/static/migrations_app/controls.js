// The controls of a request: an order that must be typed to be confirmed, and the volume's slider.
(function () {
  "use strict";

  document.addEventListener("input", function (event) {
    const field = event.target.closest("[data-confirm-word]");
    if (!field) return;
    const button = field.form.querySelector("button[type=submit]");
    button.disabled = field.value.trim() !== field.dataset.confirmWord;
  });

  // The slider says what its position means before anything is ordered.
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
    for (const slider of document.querySelectorAll("[data-describes]")) describeVolume(slider);
  });
})();
