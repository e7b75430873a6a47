// What the server cannot say: whether we still hear it, and the time that passes meanwhile.
// The pages work without this file.
(() => {
  "use strict";
  const SILENCE_MS = 2900; // the server is heard every 2 s
  const RENEW = "[hx-trigger*='renew']";
  let heard = Date.now(), lost = false, source = null;
  let ahead = 0; // how far the box's clock is ahead of this one

  const live = () => document.getElementById("live");
  const two = (number) => String(number).padStart(2, "0");

  // The same words as show.rs.
  const span = (s) => s < 1 ? "<1 s" : s < 60 ? `${s} s`
    : s < 3600 ? `${Math.floor(s / 60)} min ${two(s % 60)} s`
    : s < 86400 ? `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`
    : `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
  const short = (s) => s < 1 ? "<1s" : s < 60 ? `${s}s`
    : s < 600 ? `${Math.floor(s / 60)}m${two(s % 60)}`
    : s < 3600 ? `${Math.floor(s / 60)}m`
    : s < 86400 ? `${Math.floor(s / 3600)}h${two(Math.floor(s / 60) % 60)}`
    : `${Math.floor(s / 86400)}d${Math.floor(s / 3600) % 24}h`;
  const ago = (s) => s < 5 ? "just now" : s < 60 ? `${s} s ago`
    : s < 3600 ? `${Math.floor(s / 60)} min ago` : `${span(s)} ago`;

  function tick() {
    if (document.hidden) return;
    const now = Date.now() + ahead;
    for (const time of document.querySelectorAll("time.ago, time.for")) {
      const s = Math.max(0, Math.floor((now - Date.parse(time.dateTime)) / 1000));
      const text = time.classList.contains("ago") ? ago(s)
        : time.classList.contains("short") ? short(s) : span(s);
      if (time.textContent !== text) time.textContent = text;
    }
    if (Date.now() - heard > SILENCE_MS) lost = true;
    say();
  }

  function say() {
    const line = document.getElementById("connection");
    if (!line) return;
    const text = lost ? `connection lost, data is ${span(Math.round((Date.now() - heard) / 1000))} old` : "live";
    if (line.textContent !== text) line.textContent = text;
    line.className = lost ? "live lost" : "live";
  }

  function hear() { heard = Date.now(); lost = false; say(); }

  function setClock() { ahead = Number(live()?.dataset.now ?? Date.now()) - Date.now(); }

  document.addEventListener("htmx:sseOpen", (event) => {
    source = event.detail.source;
    source.addEventListener("beat", hear);
    source.addEventListener("changed", hear);
    source.addEventListener("log", hear);
    hear();
  });
  document.addEventListener("htmx:sseError", () => { lost = true; say(); });
  document.addEventListener("htmx:afterSwap", (event) => {
    // Only the whole page says what time it is.
    if (event.detail.target?.id === "live") setClock();
    tick();
  });
  // Without this file the form's own choice picks all of a page.
  document.addEventListener("change", (event) => {
    if (!event.target.matches("input.pick-all")) return;
    for (const one of event.target.closest("table").querySelectorAll("input[name=pick]"))
      one.checked = event.target.checked;
  });
  window.addEventListener("offline", () => { lost = true; say(); });

  // A browser keeps six connections a host: a page that nobody looks at gives its own back.
  document.addEventListener("visibilitychange", () => {
    if (!source) return;
    if (document.hidden) { source.close(); return; }
    if (source.readyState === EventSource.CLOSED) source.dispatchEvent(new Event("error"));
    const renew = document.querySelector(RENEW);
    if (renew) htmx.trigger(renew, "renew");
  });

  // What a person opened, typed or was told stays when the page is renewed.
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
    !(name === "open" && node.tagName === "DETAILS") &&
    !((name === "value" || name === "checked") && node.tagName === "INPUT" && node.type !== "hidden") &&
    !(name === "selected" && node.tagName === "OPTION");
  Idiomorph.defaults.callbacks.beforeNodeMorphed = (node) => node.id !== "said" && node.id !== "connection" &&
    !node.classList?.contains("drawn");

  setClock();
  setInterval(tick, 1000);
})();
