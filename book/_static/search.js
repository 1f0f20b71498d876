/* The search: functions are found by their own names, and a book that is opened from a disk has excerpts too.
   A browser lets no page of a disk fetch another; the texts are those that the build left in texts.js. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const objects = Search.performObjectSearch;
  Search.performObjectSearch = (term, terms) => objects(term, terms).filter(([, name]) => {
    const full = name.toLowerCase();
    return full === term || full.split(".").pop().includes(term);
  });
  if (location.protocol !== "file:") return;
  const root = new URL(document.documentElement.dataset.content_root, location.href).href;
  window.fetch = address => {
    const page = new URL(address, location.href).href.replace(root, "").replace(/\.html.*$/, "");
    const main = document.createElement("div");
    main.setAttribute("role", "main");
    for (const [id, text] of PAGE_TEXTS[page] ?? []) {
      const section = main.appendChild(document.createElement("p"));
      section.id = id;
      section.textContent = `${text} `;
    }
    return Promise.resolve({text: () => Promise.resolve(main.outerHTML)});
  };
});
