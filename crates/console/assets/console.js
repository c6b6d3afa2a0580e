// Asks for the page again from time to time, filters while one writes, and knows some keys. Without it every page works, too.
"use strict";
(() => {
  const main = () => document.getElementById("main");
  let asking = null;

  // Puts another state of the page in place of this one.
  async function take(address, keep) {
    if (asking) asking.abort();
    const own = (asking = new AbortController());
    try {
      const answer = await fetch(address, { signal: own.signal, headers: { accept: "text/html" } });
      const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
      if (!next || own.signal.aborted) return;
      const field = keep && document.activeElement;
      const place = field && field.name ? [field.name, field.value, field.selectionStart] : null;
      main().replaceWith(next);
      if (place) {
        const again = next.querySelector(`.filter input[name="${CSS.escape(place[0])}"]`);
        if (again) {
          again.value = place[1];
          again.focus();
          again.setSelectionRange(place[2], place[2]);
        }
      }
      return true;
    } catch (why) {
      // The next look may be answered.
    } finally {
      if (asking === own) asking = null;
    }
  }

  const isBusy = () => {
    const at = document.activeElement;
    const writes = at && main().contains(at) && ["INPUT", "SELECT", "TEXTAREA"].includes(at.tagName);
    return document.hidden || writes || asking || String(getSelection()) || main().querySelector("input:checked");
  };

  setInterval(() => {
    const every = Number(main().dataset.again);
    if (!every || isBusy()) return;
    const now = Date.now();
    if (now - (main().asked || (main().asked = now)) < every * 1000) return;
    main().asked = now;
    take(location.href, false);
  }, 1000);

  let waiting = 0;
  document.addEventListener("input", (event) => {
    const form = event.target.closest && event.target.closest(".filter");
    if (!form) return;
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const fields = new URLSearchParams(new FormData(form));
      const address = form.getAttribute("action") + "?" + fields;
      if (await take(address, true)) history.replaceState(null, "", address);
    }, 250);
  });

  let prefix = 0;
  document.addEventListener("keydown", (event) => {
    const at = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (at.matches("input, select, textarea")) {
      if (event.key === "Escape") at.blur();
      return;
    }
    if (event.key === "/") {
      const filter = main().querySelector('.filter input[type="search"], form.search input');
      if (filter) {
        event.preventDefault();
        filter.focus();
        filter.select();
      }
    } else if (Date.now() - prefix < 1500) {
      prefix = 0;
      const link = document.querySelector(`.menu a[data-key="${CSS.escape(event.key)}"]`);
      if (link) {
        event.preventDefault();
        link.click();
      }
    } else if (event.key === "g") {
      prefix = Date.now();
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const link = main().querySelector(`.pager a[rel=${event.key === "ArrowLeft" ? "prev" : "next"}]`);
      if (link) link.click();
    }
  });
})();
