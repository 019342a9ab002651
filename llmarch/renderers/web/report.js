"use strict";
(() => {
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  root.classList.add("js");

  // Layers: the cell under the pointer, or the one that the arrow keys are at.
  for (const strip of document.querySelectorAll(".strip")) {
    const told = strip.parentElement.querySelector(".strip-told");
    const cells = [...strip.children];
    const whole = told.textContent;
    let at = -1;
    const show = (i) => {
      if (at >= 0) cells[at].classList.remove("at");
      at = i;
      if (at >= 0) cells[at].classList.add("at");
      told.textContent = at >= 0 ? cells[at].title : whole;
    };
    strip.addEventListener("pointermove", (event) => show(cells.indexOf(event.target)));
    strip.addEventListener("pointerleave", () => show(-1));
    strip.addEventListener("blur", () => show(-1));
    strip.addEventListener("keydown", (event) => {
      const last = cells.length - 1;
      const next = {
        ArrowRight: Math.min(last, at + 1),
        ArrowLeft: Math.max(0, at - 1),
        Home: 0,
        End: last,
      }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      told.setAttribute("role", "status");
      show(next);
    });
  }

  // Facts: what a name means opens on hover too, and at its name.
  let hovered = null;
  const place = (button, about) => {
    if (CSS.supports("position-area", "bottom")) return;
    const box = button.getBoundingClientRect();
    about.style.left = `${Math.max(8, Math.min(box.left, innerWidth - about.offsetWidth - 8))}px`;
    about.style.top = `${Math.min(box.bottom + 6, innerHeight - about.offsetHeight - 8)}px`;
  };
  for (const button of document.querySelectorAll(".about-button")) {
    const about = byId(button.getAttribute("popovertarget"));
    about.addEventListener("toggle", (event) => {
      if (event.newState === "open") place(button, about);
    });
    if (!matchMedia("(hover: hover)").matches) continue;
    let timer = 0;
    const later = (act, delay) => {
      clearTimeout(timer);
      timer = setTimeout(act, delay);
    };
    const close = () => {
      if (hovered === about && about.matches(":popover-open")) about.hidePopover();
    };
    button.addEventListener("pointerenter", () =>
      later(() => {
        if (about.matches(":popover-open")) return;
        hovered = about;
        about.showPopover({ source: button });
      }, 250),
    );
    button.addEventListener("click", () => {
      clearTimeout(timer);
      hovered = null;
    });
    button.addEventListener("pointerleave", () => later(close, 200));
    about.addEventListener("pointerenter", () => clearTimeout(timer));
    about.addEventListener("pointerleave", () => later(close, 200));
  }

  const folds = [...document.querySelectorAll("details.folded")];
  const unfold = byId("unfold");
  if (unfold) {
    unfold.hidden = !folds.length;
    const told = () => {
      unfold.textContent = folds.every((fold) => fold.open) ? "Fold all" : "Unfold all";
    };
    unfold.addEventListener("click", () => {
      const open = !folds.every((fold) => fold.open);
      for (const fold of folds) fold.open = open;
      told();
    });
    for (const fold of folds) fold.addEventListener("toggle", told);
  }
  const reveal = () => {
    if (location.hash.includes("=")) return;
    const target = byId(location.hash.slice(1));
    const fold = target && target.closest("details");
    if (!fold) return;
    fold.open = true;
    target.scrollIntoView();
  };

  // Memory: what `llmarch memory` computes, from the same terms, in whole numbers.
  const terms = byId("memory-terms");
  if (!terms) {
    addEventListener("hashchange", reveal);
    reveal();
    return;
  }
  const models = JSON.parse(terms.textContent);
  const partBytes = (part, tokens) => {
    const entry = BigInt(part.entry);
    const most = part.most === null ? null : BigInt(part.most);
    if (part.law === "fixed") return entry;
    if (part.law === "cycle") return entry * (tokens % (most ?? 1n));
    if (part.law === "once") return tokens >= (most ?? 1n) ? entry : 0n;
    const kept = most !== null && most < tokens ? most : tokens;
    return ((kept * BigInt(part.denominator)) / BigInt(part.numerator)) * entry;
  };
  const needed = (model, at) => {
    const dtype = at.cache === "auto" ? model.auto : at.cache;
    const parts = model.caches[dtype];
    const weights = BigInt(model.weights[at.weights] ?? 0);
    if (!parts) return { dtype, weights, cache: null, state: null, total: null };
    const sums = { true: 0n, false: 0n };
    for (const part of parts) {
      sums[part.state] += BigInt(part.layers) * partBytes(part, BigInt(at.context));
    }
    const cache = sums.false * BigInt(at.batch);
    const state = sums.true * BigInt(at.batch);
    return { dtype, weights, cache, state, total: weights + cache + state };
  };

  // Numbers in words, rounded as Python rounds them: half to even.
  const fixed = (x, digits) => {
    const scaled = x * 10 ** digits;
    const floor = Math.floor(scaled);
    if (scaled - floor === 0.5 && Number.isInteger(x * 8)) {
      return ((floor % 2 ? floor + 1 : floor) / 10 ** digits).toFixed(digits);
    }
    return x.toFixed(digits);
  };
  const commas = (text) => text.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  const threeDigits = (x) => {
    if (x >= 100) return commas(fixed(x, 0));
    return fixed(x, x >= 10 ? 1 : 2).replace(/\.?0+$/, "");
  };
  const sizeWords = (bytes) => {
    let n = Number(bytes);
    if (n < 1024) return `${n} B`;
    for (const unit of ["KiB", "MiB", "GiB"]) {
      n /= 1024;
      if (n < 1024) return `${threeDigits(n)} ${unit}`;
    }
    return `${threeDigits(n / 1024)} TiB`;
  };
  const tokenWords = (n) => {
    if (n % 1024 || !n) return commas(String(n));
    const thousands = n / 1024;
    return thousands % 1024 ? `${commas(String(thousands))}k` : `${thousands / 1024}M`;
  };

  const limits = models.map((model) => model.limit).filter(Boolean);
  const longest = Math.max(...limits, limits.length ? 0 : 2 ** 20);
  const MOST = { context: 2 ** 40, batch: 10 ** 6 };
  const steps = { context: new Set(limits), batch: new Set() };
  for (let n = 256; n <= longest; n *= 2) steps.context.add(n).add(n * 1.5);
  for (let n = 1; n <= 1024; n *= 2) steps.batch.add(n).add(Math.ceil(n * 1.5));
  const stops = {};
  for (const name of ["context", "batch"]) {
    const most = name === "context" ? longest : 1024;
    stops[name] = [...steps[name]].filter((n) => n <= most).sort((a, b) => a - b);
    byId(`${name}-slider`).max = stops[name].length - 1;
  }

  const state = {
    context: Math.min(131072, ...limits, limits.length ? Infinity : 4096),
    batch: 1,
    cache: "auto",
    weights: "as-stored",
  };
  const whole = (text, most) => {
    const n = Number(text);
    return Number.isInteger(n) && n >= 1 && n <= most ? n : null;
  };
  const readHash = () => {
    if (!location.hash.includes("=")) return;
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const name of ["context", "batch"]) {
      state[name] = whole(asked.get(name) ?? "", MOST[name]) ?? state[name];
    }
    for (const name of ["cache", "weights"]) {
      const options = [...byId(name).options].map((option) => option.value);
      if (options.includes(asked.get(name))) state[name] = asked.get(name);
    }
  };
  const writeHash = () => history.replaceState(null, "", `#${new URLSearchParams(state)}`);

  const SVG = "http://www.w3.org/2000/svg";
  const drawn = (parent, name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };
  const series = (i) => `s${i % 6}`;
  const drawPlot = () => {
    const width = Math.max(320, byId("plot").clientWidth || 640);
    const height = 240;
    const [left, bottom, top, right] = [70, 26, 10, 12];
    const most = Math.max(longest, state.context);
    const lines = models.map((model) => {
      const points = [];
      for (let i = 0; i <= 96; i += 1) {
        const context = Math.max(1, Math.round((most * i) / 96));
        const { cache, state: kept } = needed(model, { ...state, context });
        if (cache !== null) points.push([context, Number(cache + kept)]);
      }
      return points;
    });
    const highest = Math.max(1, ...lines.flat().map((point) => point[1]));
    const x = (tokens) => left + ((width - left - right) * tokens) / most;
    const y = (bytes) => height - bottom - ((height - bottom - top) * bytes) / highest;
    const plot = document.createElementNS(SVG, "svg");
    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", "Cache and state against the context");
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      const [at, of] = [y(highest * part), x(most * part)];
      drawn(plot, "line", { x1: left, x2: width - right, y1: at, y2: at });
      drawn(plot, "text", { x: left - 8, y: at + 4, "text-anchor": "end" }, sizeWords(Math.round(highest * part)));
      const anchor = part === 0 ? "start" : part === 1 ? "end" : "middle";
      drawn(plot, "text", { x: of, y: height - 6, "text-anchor": anchor }, tokenWords(Math.round(most * part)));
    }
    lines.forEach((points, i) => {
      const path = points.map(([tokens, bytes]) => `${x(tokens).toFixed(1)} ${y(bytes).toFixed(1)}`);
      if (path.length) drawn(plot, "path", { d: `M${path.join("L")}`, class: series(i) });
    });
    const now = x(state.context);
    drawn(plot, "line", { x1: now, x2: now, y1: top, y2: height - bottom, class: "now" });
    byId("plot").replaceChildren(plot);
  };

  const update = () => {
    for (const name of ["context", "batch"]) {
      const field = byId(name);
      if (document.activeElement !== field) field.value = state[name];
      const slider = byId(`${name}-slider`);
      const above = stops[name].findIndex((n) => n >= state[name]);
      slider.value = above < 0 ? stops[name].length - 1 : above;
      slider.setAttribute("aria-valuetext", tokenWords(state[name]));
    }
    for (const name of ["cache", "weights"]) byId(name).value = state[name];
    const all = models.map((model) => needed(model, state));
    const most = all.reduce((so, n) => (n.total !== null && n.total > so ? n.total : so), 1n);
    const bars = [];
    const told = [];
    all.forEach((needs, i) => {
      const row = document.querySelector(`#computed tr[data-model="${i}"]`);
      for (const cell of row.querySelectorAll("td")) {
        const bytes = needs[cell.dataset.part];
        cell.dataset.bytes = bytes === null ? "" : String(bytes);
        cell.title = bytes === null ? "" : `${commas(String(bytes))} bytes`;
        if (bytes === null) cell.textContent = `not in ${needs.dtype}`;
        else cell.textContent = bytes === 0n ? "-" : sizeWords(bytes);
      }
      const bar = document.createElement("div");
      for (const part of needs.total === null ? [] : ["weights", "cache", "state"]) {
        const piece = document.createElement("i");
        piece.className = series(i);
        piece.style.width = `${Number((needs[part] * 1000000n) / most) / 10000}%`;
        bar.append(piece);
      }
      bars.push(bar);
      const { name, limit } = models[i];
      if (limit && state.context > limit) told.push(`${name}: beyond its context of ${tokenWords(limit)}.`);
    });
    byId("bars").replaceChildren(...bars);
    const at = `${commas(String(state.context))} tokens × ${commas(String(state.batch))}, cache in ${[...new Set(all.map((n) => n.dtype))].join(" / ")}.`;
    byId("told").textContent = [at, ...told].join(" ");
    drawPlot();
  };

  for (const name of ["context", "batch"]) {
    byId(name).addEventListener("input", (event) => {
      const n = whole(event.target.value, MOST[name]);
      event.target.setAttribute("aria-invalid", String(n === null));
      if (n === null) return;
      state[name] = n;
      update();
      writeHash();
    });
    byId(`${name}-slider`).addEventListener("input", (event) => {
      state[name] = stops[name][Number(event.target.value)];
      update();
      writeHash();
    });
  }
  for (const name of ["cache", "weights"]) {
    byId(name).addEventListener("change", (event) => {
      state[name] = event.target.value;
      update();
      writeHash();
    });
  }
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", () => {
    readHash();
    update();
    reveal();
  });
  addEventListener("resize", drawPlot);
  readHash();
  update();
  reveal();
})();
