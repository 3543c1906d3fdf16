// looks.js: the parts of a timeline that only look: its mark, its footer, its colours.

export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

// A sun dog: the sun, its halo, and the two bright spots beside it.
export function halo() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "st-mark");
  svg.setAttribute("aria-hidden", "true");
  for (const [x, r, fill] of [[12, 9, false], [12, 3.6, true], [3, 1.9, true], [21, 1.9, true]]) {
    const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    const fields = { cx: x, cy: 12, r, fill: fill ? "currentColor" : "none", stroke: fill ? "none" : "currentColor", "stroke-width": 1.3, opacity: fill ? 1 : 0.55 };
    Object.entries(fields).forEach(([name, value]) => circle.setAttribute(name, value));
    svg.append(circle);
  }
  return svg;
}

export function footer(options) {
  const foot = make("div", "st-foot");
  const zoom = options.wheel === "zoom" ? [["scroll"], " zoom"] : [["alt"], "+", ["scroll"], " zoom"];
  const parts = [["drag"], " move · ", ...zoom, " · ", ["shift"], "+", ["drag"], " zoom to a range · click details · ",
    ["a"], " arrows · ", ["n"], " ", ["p"], " next, previous task · ", ["0"], " show all"];
  for (const part of parts) foot.append(Array.isArray(part) ? make("kbd", "", part[0]) : part);
  return foot;
}

export function readColors(root) {
  const style = getComputedStyle(root);
  const read = (name) => style.getPropertyValue(`--st-${name}`).trim();
  const names = { back: "back", panel: "panel", band: "band", line: "line", strongLine: "strong-line", text: "text", muted: "muted", accent: "accent", load: "load", barText: "bar-text", arrow: "arrow", bad: "bad", wait: "wait" };
  const colors = Object.fromEntries(Object.entries(names).map(([key, name]) => [key, read(name)]));
  colors.bars = read("bars").split(/\s+/);
  return colors;
}

// What the page around says (JupyterLab, VS Code, also around a frame), else the system.
export function prefersDark(root) {
  for (const page of [root.ownerDocument, parentPage()]) {
    const body = page && page.body;
    if (!body) continue;
    if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
    if (body.dataset.vscodeThemeKind) return body.dataset.vscodeThemeKind.includes("dark");
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function parentPage() {
  try {
    return window.parent.document;
  } catch {
    return null; // another origin's: it is none of our business
  }
}
