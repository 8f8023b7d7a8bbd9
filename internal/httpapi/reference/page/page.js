"use strict";
// The filter of the list at the side. Without it the page is as readable, only longer.
(() => {
  const box = document.getElementById("finder"), find = document.getElementById("find");
  if (!box || !find) return;
  box.hidden = false;
  const lists = [...document.querySelectorAll("nav details")].map((d) => ({ d, was: d.open, items: [...d.querySelectorAll("li")] }));
  find.addEventListener("input", () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { d, was, items } of lists) {
      let shown = 0;
      for (const li of items) {
        const fits = words.every((w) => li.dataset.words.toLowerCase().includes(w));
        li.hidden = !fits;
        shown += fits ? 1 : 0;
      }
      d.hidden = shown === 0;
      d.open = words.length > 0 ? shown > 0 : was;
    }
  });
})();
