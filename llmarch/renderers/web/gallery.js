"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  document.documentElement.classList.add("js");
  const list = byId("cards");
  const cards = [...list.children];
  const FILTERS = ["attention", "experts", "norm", "size", "year", "maker"];
  const KEYS = [...FILTERS, "released", "total", "active", "context", "cache"];
  const facts = new Map();
  for (const card of cards) {
    const values = card.dataset.k.split("|");
    const known = Object.fromEntries(KEYS.map((key, i) => [key, values[i]]));
    known.name = card.querySelector("h2").textContent;
    known.attention = known.attention.split(" ");
    known.norm = known.norm.split(", ");
    known.id = card.querySelector("input").value;
    known.text = [card.textContent, known.id, ...known.attention].join(" ").toLowerCase();
    facts.set(card, known);
  }
  const passes = (known, name, value) => !value || [known[name]].flat().includes(value);
  const dated = (known) => (known.released ? known.released.padEnd(7, "-99") : "");
  const most = (name) => (a, b) => Number(b[name]) - Number(a[name]);
  const byName = (a, b) => a.name.localeCompare(b.name);
  const ORDERS = {
    released: (a, b) => dated(b).localeCompare(dated(a)),
    name: byName,
    total: most("total"),
    active: most("active"),
    context: most("context"),
    cache: (a, b) => (Number(a.cache) || Infinity) - (Number(b.cache) || Infinity),
  };
  const fields = ["search", ...FILTERS, "sort"];
  const set = () => Object.fromEntries(fields.map((name) => [name, byId(name).value]));
  if (matchMedia("(max-width: 640px)").matches) byId("lists").open = false;

  const show = () => {
    const asked = set();
    const words = asked.search.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const card of cards) {
      const known = facts.get(card);
      const seen =
        FILTERS.every((name) => passes(known, name, asked[name])) &&
        words.every((word) => known.text.includes(word));
      card.hidden = !seen;
      count += seen;
    }
    byId("count").textContent =
      count === cards.length ? `${count} models` : `${count} of ${cards.length} models`;
    byId("none").hidden = count > 0;
  };
  const order = () => {
    const by = ORDERS[byId("sort").value];
    const compared = (a, b) => by(a, b) || byName(a, b);
    list.append(...[...cards].sort((a, b) => compared(facts.get(a), facts.get(b))));
  };
  const writeHash = () => {
    const asked = Object.entries(set()).filter(([name, value]) => value && !(name === "sort" && value === "released"));
    history.replaceState(null, "", asked.length ? `#${new URLSearchParams(asked)}` : location.pathname + location.search);
  };
  const readHash = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const name of fields) {
      const value = asked.get(name) ?? (name === "sort" ? "released" : "");
      const field = byId(name);
      if (!field.options || [...field.options].some((option) => option.value === value)) field.value = value;
    }
  };
  for (const name of fields) {
    byId(name).addEventListener("input", () => {
      if (name === "sort") order();
      show();
      writeHash();
    });
  }
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () =>
    setTimeout(() => {
      order();
      show();
      writeHash();
    }),
  );

  // Two models to compare: a third one takes the place of the first.
  let chosen = [];
  const boxes = cards.map((card) => card.querySelector("input"));
  const nameOf = (id) => [...facts.values()].find((known) => known.id === id).name;
  const showChosen = () => {
    for (const box of boxes) box.checked = chosen.includes(box.value);
    byId("chosen-bar").hidden = !chosen.length;
    byId("chosen").textContent =
      chosen.map(nameOf).join(" and ") + (chosen.length === 1 ? ": choose another one" : "");
    byId("compare").hidden = chosen.length < 2;
    byId("compare").href = `compare.html#first=${chosen[0]}&second=${chosen[1]}`;
  };
  for (const box of boxes) {
    box.addEventListener("change", () => {
      chosen = chosen.filter((id) => id !== box.value);
      if (box.checked) chosen = [...chosen, box.value].slice(-2);
      showChosen();
    });
  }
  byId("unchoose").addEventListener("click", () => {
    chosen = [];
    showChosen();
  });
  const restore = () => {
    readHash();
    order();
    show();
  };
  addEventListener("hashchange", restore);
  restore();
  showChosen();
})();
