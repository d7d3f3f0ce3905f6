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
  const acknowledge = () => {
    const bulk = document.getElementById("bulk");
    if (press("a") || !bulk?.querySelector("option[value=acknowledged]")) return;
    const ticked = () => document.querySelector("td.pick input[name=id]:checked");
    if (!ticked()) acts.x();
    if (!ticked()) return;
    bulk.elements.act.value = "acknowledged";
    bulk.requestSubmit();
  };
  const acts = {
    j: () => step(1),
    k: () => step(-1),
    x: () => document.activeElement?.closest("tbody tr")?.querySelector("input[type=checkbox]")?.click(),
    a: acknowledge,
    c: () => press("c"),
    "/": () => document.querySelector("main [role=search] input:not([type=hidden])")?.focus(),
    "?": () => (keys.open ? keys.close() : keys.showModal()),
  };
  const keys = document.getElementById("keys");
  const usesKeys = document.getElementById("keys-on"); // off for those whose speech software types them (WCAG 2.1.4)
  if (usesKeys) {
    usesKeys.checked = localStorage.getItem("keys") !== "off";
    usesKeys.addEventListener("change", () => localStorage.setItem("keys", usesKeys.checked ? "on" : "off"));
    usesKeys.parentElement.hidden = false;
  }
  document.querySelector("footer [href='#keys']")?.addEventListener("click", (event) => {
    event.preventDefault();
    keys.showModal();
  });
  keys?.querySelector("a").addEventListener("click", (event) => {
    if (!keys.open) return;
    event.preventDefault();
    keys.close();
  });
  document.addEventListener("change", ({ target }) => {
    const { form } = target;
    if (form?.dataset.sends && form.dataset.sends === target.name && form.checkValidity()) form.requestSubmit();
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
    if ((keys?.open && event.key !== "?") || !usesKeys?.checked) return;
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || !Object.hasOwn(acts, event.key)) return;
    event.preventDefault();
    acts[event.key]();
  });
})();
