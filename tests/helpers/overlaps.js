// Find texts over texts, off their page or out of their box, and say so in the page.
const faults = [];
for (const picture of document.querySelectorAll("svg")) {
  const page = picture.getBoundingClientRect();
  const name = picture.querySelector("title").textContent;
  const texts = [...picture.querySelectorAll("text")].map(t => [t.getBoundingClientRect(), t.textContent]);
  texts.forEach(([a, text], i) => {
    const out = a.left < page.left || a.top < page.top - 1 || a.right > page.right || a.bottom > page.bottom + 1;
    if (out) faults.push(`${name}: off the page: ${text}`);
    for (const [b, other] of texts.slice(i + 1)) {
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const middles = Math.abs((a.top + a.bottom) / 2 - (b.top + b.bottom) / 2);
      if (wide > 1 && middles < 9) faults.push(`${name}: text over text: ${text} | ${other}`);
    }
  });
  const boxes = [...picture.querySelectorAll("rect[data-path]")].map(r => r.getBoundingClientRect());
  for (const [a, text] of texts) for (const b of boxes) {
    const x = (a.left + a.right) / 2, y = (a.top + a.bottom) / 2;
    const within = b.left < x && x < b.right && b.top < y && y < b.bottom;
    if (within && (a.left < b.left || a.right > b.right)) faults.push(`${name}: out of its box: ${text}`);
  }
}
const found = {faults, texts: document.querySelectorAll("svg text").length, outside: performance.getEntriesByType("resource").length};
document.body.innerHTML = "<pre id='found'></pre>";
document.querySelector("pre").textContent = JSON.stringify(found);
