// Keys for whoever works here all day: j and k, a, c, x, / and ?; a box that ticks every row. Every job can be done without this script.
"use strict";
(() => {
  const isTyping = (place) => Boolean(place.closest("input:not([type=checkbox]), textarea, select"));
  const rows = () => [...document.querySelectorAll("main tbody tr")].filter((row) => row.querySelector("td a[href]"));
  const step = (by) => {
    const all = rows();
    const now = all.findIndex((row) => row.contains(document.activeElement));
    const next = all[now < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(now + by, 0), all.length - 1)];
    next?.querySelector("td a[href]").focus();
  };
  const press = (key) => {
    const place = document.querySelector(`[data-key="${key}"]`);
    if (place instanceof HTMLButtonElement || place instanceof HTMLAnchorElement) place.click();
    else place?.focus();
    return Boolean(place);
  };
  const acts = {
    j: () => step(1),
    k: () => step(-1),
    x: () => document.activeElement?.closest("tr")?.querySelector("input[type=checkbox]")?.click(),
    a: () => press("a"),
    c: () => press("c"),
    "/": () => document.querySelector("main [role=search] input:not([type=hidden])")?.focus(),
    "?": () => (keys.open ? keys.close() : keys.showModal()),
  };
  const keys = document.getElementById("keys");
  document.querySelector("footer [href='#keys']")?.addEventListener("click", (event) => {
    event.preventDefault();
    keys.showModal();
  });
  keys?.querySelector("a").addEventListener("click", (event) => {
    if (!keys.open) return;
    event.preventDefault();
    keys.close();
  });
  document.querySelector(".menu [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  const every = document.getElementById("every");
  if (every) {
    const boxes = () => [...document.querySelectorAll("td.pick input[name=id]")];
    const count = document.getElementById("count");
    every.disabled = false;
    every.addEventListener("change", () => boxes().forEach((box) => (box.checked = every.checked)));
    document.addEventListener("change", () => {
      const chosen = boxes().filter((box) => box.checked).length;
      every.checked = chosen === boxes().length;
      count.textContent = chosen || "";
    });
  }
  document.addEventListener("keydown", (event) => {
    if (keys?.open && event.key !== "?") return;
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || !Object.hasOwn(acts, event.key)) return;
    event.preventDefault();
    acts[event.key]();
  });
})();
