"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const models = JSON.parse(byId("models").textContent);
  const places = new Map(models.map((model, i) => [model.id, i]));
  const waiting = new Map();
  const loaded = new Map();

  // Pairs come as scripts, one for each older model, so that pages opened from a folder read them.
  window.llmarchPairs = (found) => {
    loaded.set(found.id, found);
    for (const act of waiting.get(found.id) ?? []) act(found);
    waiting.delete(found.id);
  };
  const pairsOf = (id) =>
    new Promise((resolve, reject) => {
      if (loaded.has(id)) return resolve(loaded.get(id));
      if (waiting.has(id)) return waiting.get(id).push(resolve);
      waiting.set(id, [resolve]);
      const script = document.createElement("script");
      script.src = `pairs/${id}.js`;
      script.onerror = () => reject(new Error(`pairs/${id}.js could not be read`));
      document.head.append(script);
    });

  const made = (name, content, attributes = {}) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...[content].flat());
    return element;
  };
  const figure = (model) =>
    made("a", made("img", [], { src: `figures/${model.id}.svg`, alt: `Figure of ${model.name}` }), {
      href: `models/${model.id}.html`,
    });
  const table = (pair, old, later, text) => {
    const head = made("tr", [
      made("th", "fact", { scope: "col" }),
      made("th", old.name, { scope: "col" }),
      made("th", later.name, { scope: "col" }),
      made("th", "ratio", { scope: "col", class: "ratio" }),
    ]);
    const rows = [];
    let section = "";
    for (const numbers of pair.rows) {
      const [part, label, first, second, ratio] = numbers.map(text);
      if (part !== section) {
        rows.push(made("tr", made("th", part, { colspan: 3, scope: "colgroup" }), { class: "part" }));
        section = part;
      }
      const cells = [made("td", first), made("td", second), made("td", ratio, { class: "ratio" })];
      rows.push(made("tr", [made("th", label, { scope: "row" }), ...cells], { "data-row": "" }));
    }
    const caption = made("caption", `${old.name} and ${later.name}: what differs`);
    return made("table", [caption, made("thead", head), made("tbody", rows)], { class: "diff" });
  };
  const show = (found, old, later) => {
    const pair = found.pairs[later.id];
    const text = (i) => found.texts[i];
    const equal = pair.equal.map(text);
    if (pair.hidden) equal.push(`and ${pair.hidden} more`);
    const parts = [
      made("h2", `${old.name} and ${later.name}`),
      made("p", text(pair.headline), { id: "pair-headline" }),
      made("div", [figure(old), figure(later)], { class: "figures" }),
      table(pair, old, later, text),
    ];
    if (equal.length) parts.push(made("p", [made("b", "equal"), ` ${equal.join(" · ")}`], { class: "equal" }));
    if (pair.notes.length) {
      parts.push(made("ul", pair.notes.map((i) => made("li", text(i))), { class: "note" }));
    }
    const words = `llmarch report ${old.reference} ${later.reference} -o pair.html`;
    parts.push(made("p", ["The figure of both, and their memory: ", made("code", words)], { class: "note" }));
    byId("result").replaceChildren(made("section", parts));
  };

  const update = async () => {
    const chosen = [byId("first").value, byId("second").value];
    const [old, later] = chosen.map((id) => models[places.get(id)]).sort((a, b) => places.get(a.id) - places.get(b.id));
    if (old === later) {
      byId("result").replaceChildren(made("p", "Choose two different models."));
      return;
    }
    try {
      const found = await pairsOf(old.id);
      if (chosen[0] === byId("first").value && chosen[1] === byId("second").value) show(found, old, later);
    } catch (error) {
      byId("result").replaceChildren(made("p", error.message, { role: "alert" }));
    }
  };
  const readHash = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    const taken = ["first", "second"].map((name) => asked.get(name)).filter((id) => places.has(id));
    const newest = models.map((model) => model.id).reverse();
    for (const name of ["first", "second"]) {
      let id = asked.get(name);
      if (!places.has(id)) {
        id = newest.find((other) => !taken.includes(other)) ?? newest[0];
        taken.push(id);
      }
      byId(name).value = id;
    }
    update();
  };
  for (const name of ["first", "second"]) {
    byId(name).addEventListener("input", () => {
      const asked = new URLSearchParams({ first: byId("first").value, second: byId("second").value });
      history.replaceState(null, "", `#${asked}`);
      update();
    });
  }
  byId("pair").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", readHash);
  readHash();
})();
