// Choose a file or drop it on the form: it is sent once the rest is filled in, and one sees how much of it is. Without this script the form sends it as any other.
"use strict";
(() => {
  const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
  const shown = (form) => form.querySelector("#progress");
  const tell = (form, text) => {
    shown(form).hidden = false;
    shown(form).querySelector("span").textContent = text;
  };
  const choose = (form, files) => {
    const most = Number(form.dataset.most);
    if (files.length !== 1) return tell(form, form.dataset.one);
    if (files[0].size > most) return tell(form, form.dataset.large);
    form.elements.file.files = files;
    form.elements.file.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const answered = (request, form) => {
    const there = new DOMParser().parseFromString(request.responseText, "text/html");
    if (request.status === 200 || !there.querySelector("form.ask")) return location.assign(request.responseURL);
    const next = there.querySelector("form.ask");
    next.elements.file.replaceWith(form.elements.file);
    form.closest("main").replaceWith(next.closest("main"));
    listen(next);
    (next.querySelector("[aria-invalid]") ?? next.elements.file).focus();
  };
  const progress = (loaded, total) => `${mebibytes(loaded)} / ${mebibytes(total)}`;
  const send = (form) => {
    const request = new XMLHttpRequest();
    const bar = shown(form).querySelector("progress");
    const stop = shown(form).querySelector("button");
    const wait = (is) => form.querySelectorAll(".buttons button").forEach((one) => (one.disabled = is));
    request.upload.addEventListener("progress", (event) => {
      bar.value = event.loaded / event.total;
      tell(form, event.loaded < event.total ? progress(event.loaded, event.total) : form.dataset.wait);
    });
    request.addEventListener("load", () => answered(request, form));
    request.addEventListener("error", () => tell(form, form.dataset.lost));
    request.addEventListener("abort", () => (shown(form).hidden = true));
    request.addEventListener("loadend", () => {
      bar.hidden = stop.hidden = true;
      wait(false);
    });
    stop.onclick = () => request.abort();
    bar.hidden = stop.hidden = false;
    bar.value = 0;
    tell(form, progress(0, form.elements.file.files[0].size)); // a fast upload may report no other step
    request.open("POST", form.getAttribute("action"));
    request.send(new FormData(form));
    wait(true);
  };
  const listen = (form) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const [file] = form.elements.file.files;
      if (file.size > Number(form.dataset.most)) tell(form, form.dataset.large);
      else send(form);
    });
    form.addEventListener("change", (event) => {
      if (event.target.name !== "file" || form.querySelector(".buttons button").disabled) return; // one file is being sent
      shown(form).hidden = true;
      if (form.checkValidity()) form.requestSubmit();
    });
    form.querySelector(".scripted").hidden = false;
    for (const kind of ["dragenter", "dragover"]) {
      form.addEventListener(kind, (event) => {
        if (!event.dataTransfer.types.includes("Files")) return;
        event.preventDefault();
        form.classList.add("over");
      });
    }
    form.addEventListener("dragleave", (event) => form.contains(event.relatedTarget) || form.classList.remove("over"));
    form.addEventListener("drop", (event) => {
      event.preventDefault();
      form.classList.remove("over");
      choose(form, event.dataTransfer.files);
    });
  };
  listen(document.querySelector("form.ask"));
})();
