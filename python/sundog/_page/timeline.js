// timeline.js: TaskTimeline, an interactive timeline of tasks in an element of a page.
//
//   const view = new TaskTimeline(element, { title: "Task timeline" });
//   view.setData(trace);                       // what sundog.timeline() gives, as JSON
//   view.addEventListener("refresh", async () => view.setData(await newTrace()));
//
// Data in:  setData(trace)        keeps the visible range, unless all was visible; then shows all
//           setRange(begin, end)  microseconds from the beginning of the trace
//           fit()                 shows all
//           select(task)          an index into view.data.tasks, or -1
//           showArrows(shown), setFilter(text), setTheme("auto" | "light" | "dark"), note(text)
//           destroy()             takes everything back that the constructor did
// Events:   "range" {begin, end}, "select" {task, id}, "hover" {task}, "arrows" {shown},
//           "refresh" (the button or the key r); `detail` has the fields.
// Options:  title; theme (default "auto"); wheel: "zoom" (default), or "alt", when the page around
//           scrolls: the bare wheel is the page's until the chart has the focus; refresh: false
//           hides the button.
//
// Owns the content of `element` and nothing else; no global state, any number of them on a page.
// It never fetches anything, and never puts a name that came from a program into HTML.
import { Card, Tip } from "./card.js";
import { footer, halo, make, prefersDark, readColors } from "./looks.js";
import { AXIS, layOut, middleOf, overviewWindow, paintChart, paintOverview, rowAt, toTime, toX } from "./paint.js";
import { concurrency, duration, firstAfter, readTrace } from "./trace.js";

const OVERVIEW = 46;
const SHORTEST = 0.5; // microseconds: nobody can zoom closer
const NEAR = 4; // pixels: a bar this near is meant
const CLICK = 4; // pixels: a pointer that moved less did not drag
const NOTE_MS = 6000;

export class TaskTimeline extends EventTarget {
  constructor(element, options = {}) {
    super();
    this.options = { title: "Task timeline", theme: "auto", wheel: "zoom", refresh: true, ...options };
    this.data = readTrace([]);
    this.root = element;
    this.undo = [];
    this.scene = {
      data: this.data, layout: layOut([]), begin: 0, end: 1, scroll: 0, width: 0, height: 0,
      overview: OVERVIEW, gutter: 124, hovered: -1, selected: -1, pointer: null, matches: null,
      arrowsShown: false, colors: {}, widths: new Map(), drawn: 0,
    };
    this.build();
    this.listen();
    this.setTheme(this.options.theme);
    this.resize();
  }

  // ---- data in

  setData(trace) {
    const { scene } = this;
    const all = this.data.tasks.count === 0 || this.showsAll();
    const chosen = scene.selected >= 0 ? this.data.tasks.args[scene.selected].task_id : null;
    const moved = this.data.tasks.origin;
    this.data = scene.data = readTrace(trace);
    scene.layout = layOut(this.data.rows);
    scene.hovered = -1;
    const { tasks } = this.data;
    scene.selected = chosen !== null && tasks.byId.has(chosen) ? tasks.byId.get(chosen) : -1;
    this.load = null;
    this.setFilter(this.filter.value);
    this.summarize();
    this.empty.hidden = tasks.count > 0;
    if (all) {
      this.fit();
    } else {
      // The same moments stay in sight, even if older events were dropped from the trace.
      const shift = moved - tasks.origin;
      this.setRange(scene.begin + shift, scene.end + shift);
    }
    this.showCard();
  }

  get range() {
    return { begin: this.scene.begin, end: this.scene.end };
  }

  setRange(begin, end) {
    const { tasks } = this.data;
    const whole = Math.max(tasks.end - tasks.begin, SHORTEST);
    const margin = whole * 0.02;
    const span = Math.min(Math.max(end - begin, SHORTEST), whole + 2 * margin);
    const first = tasks.begin - margin;
    const last = tasks.end + margin - span;
    this.scene.begin = Math.min(Math.max(begin, first), Math.max(first, last));
    this.scene.end = this.scene.begin + span;
    this.draw();
    this.tell("range", this.range);
  }

  fit() {
    this.scene.scroll = 0;
    const { begin, end } = this.data.tasks;
    const margin = Math.max(end - begin, SHORTEST) * 0.02;
    this.setRange(begin - margin, end + margin);
  }

  showsAll() {
    const { tasks } = this.data;
    return this.scene.begin <= tasks.begin && this.scene.end >= tasks.end;
  }

  select(task) {
    if (task === this.scene.selected) return;
    this.scene.selected = task;
    this.tip.hide();
    this.showCard();
    this.draw();
    this.tell("select", { task, id: task >= 0 ? this.data.tasks.args[task].task_id || "" : "" });
  }

  showArrows(shown) {
    this.scene.arrowsShown = Boolean(shown);
    this.arrowsButton.setAttribute("aria-pressed", String(this.scene.arrowsShown));
    this.draw();
    this.tell("arrows", { shown: this.scene.arrowsShown });
  }

  setFilter(text) {
    const wanted = text.trim().toLowerCase();
    const { kinds } = this.data.tasks;
    this.scene.matches = wanted ? kinds.map((k) => k.toLowerCase().includes(wanted)) : null;
    this.draw();
  }

  setTheme(theme) {
    this.options.theme = theme;
    const dark = theme === "dark" || (theme === "auto" && prefersDark(this.root));
    this.root.dataset.theme = dark ? "dark" : "light";
    this.scene.colors = readColors(this.root);
    const family = getComputedStyle(this.root).fontFamily;
    this.scene.font = `11.5px ${family}`;
    this.scene.boldFont = `600 12px ${family}`;
    this.scene.widths.clear();
    this.draw();
  }

  // A sentence for the person, for some seconds.
  note(text) {
    this.noteBox.textContent = text;
    this.noteBox.hidden = false;
    clearTimeout(this.noteTimer);
    this.noteTimer = setTimeout(() => (this.noteBox.hidden = true), NOTE_MS);
  }

  destroy() {
    this.undo.splice(0).forEach((undo) => undo());
    clearTimeout(this.noteTimer);
    cancelAnimationFrame(this.frame);
    this.root.replaceChildren();
    this.root.classList.remove("sundog-timeline");
  }

  // ---- the element's content

  build() {
    const { root, options } = this;
    root.classList.add("sundog-timeline");
    const bar = make("div", "st-bar");
    bar.append(halo(), make("h2", "st-title", options.title), (this.sum = make("span", "st-sum")));
    this.filter = make("input");
    Object.assign(this.filter, { type: "search", placeholder: "Filter by name" });
    this.filter.setAttribute("aria-label", "Filter tasks by name");
    this.arrowsButton = this.button("Arrows", "Show what each task got from which (a)", () =>
      this.showArrows(!this.scene.arrowsShown));
    this.arrowsButton.setAttribute("aria-pressed", "false");
    const pair = make("span", "st-pair");
    pair.append(
      this.button("−", "Zoom out (-)", () => this.zoom(1.6)),
      this.button("+", "Zoom in (+)", () => this.zoom(1 / 1.6)),
    );
    bar.append(this.filter, this.arrowsButton, pair);
    bar.append(this.button("Show all", "Show the whole trace (0)", () => this.fit()));
    if (options.refresh)
      bar.append(this.button("Refresh", "Ask for new tasks (r)", () => this.tell("refresh")));
    this.overview = make("canvas", "st-overview");
    this.overview.setAttribute("aria-hidden", "true"); // the keys of the chart do the same
    const stage = (this.stage = make("div", "st-stage"));
    this.chart = make("canvas", "st-chart");
    this.chart.tabIndex = 0;
    this.chart.setAttribute("role", "application");
    this.chart.setAttribute("aria-roledescription", "task timeline");
    this.empty = make("div", "st-note", "No tasks yet. Call a remote function, then Refresh.");
    this.noteBox = make("div", "st-note");
    this.noteBox.setAttribute("role", "status");
    this.noteBox.hidden = true;
    this.tip = new Tip();
    this.card = new Card((task) => this.show(task), () => this.select(-1));
    this.spoken = make("div", "st-spoken");
    this.spoken.setAttribute("aria-live", "polite");
    stage.append(this.chart, this.empty, this.noteBox, this.tip.element, this.card.element);
    root.replaceChildren(bar, this.overview, stage, footer(options), this.spoken);
  }

  button(label, title, action) {
    const button = make("button", "", label);
    button.type = "button";
    button.title = title;
    button.addEventListener("click", action);
    return button;
  }

  summarize() {
    const { tasks, rows, dropped } = this.data;
    const workers = rows.filter((row) => row.worker !== 0).length;
    const parts = [count(tasks.count, "task"), count(workers, "worker")];
    const bad = tasks.outcome.reduce((sum, outcome) => sum + (outcome !== 0), 0);
    if (bad) parts.push(`${bad.toLocaleString("en")} not finished well`);
    if (tasks.count) parts.push(duration(tasks.end - tasks.begin));
    if (dropped) parts.push(`${count(dropped, "older event")} dropped`);
    this.sum.textContent = parts.join(" · ");
    this.chart.setAttribute("aria-label",
      `${parts.join(", ")}. Arrow keys move, plus and minus zoom, n and p go from task to task.`);
  }

  showCard() {
    this.card.show(this.scene, this.scene.selected);
    if (this.scene.selected >= 0) this.spoken.textContent = this.card.spoken;
  }

  // ---- what the person does

  listen() {
    const { chart, overview } = this;
    this.on(chart, "pointerdown", (e) => this.press(e));
    this.on(chart, "pointermove", (e) => this.hover(e));
    this.on(chart, "pointerleave", () => this.leave());
    this.on(chart, "dblclick", (e) => (this.hit(e) >= 0 ? this.zoomTo(this.hit(e)) : this.fit()));
    this.on(chart, "keydown", (e) => this.key(e));
    this.on(this.stage, "wheel", (e) => this.wheel(e), { passive: false });
    this.on(overview, "wheel", (e) => this.wheel(e), { passive: false });
    this.on(overview, "pointerdown", (e) => this.pressOverview(e));
    this.on(overview, "pointermove", (e) => {
      const part = this.overviewPart(e.offsetX);
      overview.style.cursor = { left: "ew-resize", right: "ew-resize", window: "grab" }[part] || "crosshair";
    });
    this.on(this.filter, "input", () => this.setFilter(this.filter.value));
    const media = matchMedia("(prefers-color-scheme: dark)");
    this.on(media, "change", () => this.setTheme(this.options.theme));
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.stage);
    this.undo.push(() => observer.disconnect());
  }

  on(target, name, handler, options) {
    target.addEventListener(name, handler, options);
    this.undo.push(() => target.removeEventListener(name, handler, options));
  }

  // Drag: moves the time, and rows where they do not all fit; with shift it marks a range to see.
  press(e) {
    if (e.button !== 0) return;
    const { scene, chart } = this;
    const from = { x: e.clientX, y: e.clientY, begin: scene.begin, end: scene.end, scroll: scene.scroll };
    const task = this.hit(e);
    const marked = e.shiftKey ? toTime(scene, e.offsetX) : null;
    let dragged = false;
    this.track(e, (move) => {
      const dx = move.clientX - from.x;
      const dy = move.clientY - from.y;
      dragged = dragged || Math.hypot(dx, dy) > CLICK;
      if (!dragged || marked !== null) return;
      chart.classList.add("st-dragging");
      this.tip.hide();
      const time = (dx / (scene.width - scene.gutter)) * (from.end - from.begin);
      scene.scroll = this.clampScroll(from.scroll - dy);
      this.setRange(from.begin - time, from.end - time);
    }, (up) => {
      chart.classList.remove("st-dragging");
      if (dragged && marked !== null) {
        const now = toTime(scene, up.clientX - chart.getBoundingClientRect().left);
        this.setRange(Math.min(marked, now), Math.max(marked, now));
      } else if (!dragged) {
        this.select(task);
      }
    });
  }

  pressOverview(e) {
    const { scene } = this;
    const { tasks } = this.data;
    const perPixel = (tasks.end - tasks.begin) / scene.width;
    const part = this.overviewPart(e.offsetX);
    const from = { x: e.clientX, begin: scene.begin, end: scene.end };
    const pressed = tasks.begin + e.offsetX * perPixel;
    this.track(e, (move) => {
      const by = (move.clientX - from.x) * perPixel;
      if (part === "window") this.setRange(from.begin + by, from.end + by);
      else if (part === "left") this.setRange(Math.min(pressed + by, from.end - SHORTEST), from.end);
      else if (part === "right") this.setRange(from.begin, Math.max(pressed + by, from.begin + SHORTEST));
      else if (by !== 0) this.setRange(Math.min(pressed, pressed + by), Math.max(pressed, pressed + by));
    }, (up) => {
      const half = (from.end - from.begin) / 2;
      if (part === "outside" && Math.abs(up.clientX - from.x) <= CLICK) this.setRange(pressed - half, pressed + half);
    });
  }

  overviewPart(x) {
    const { left, right } = overviewWindow(this.scene);
    const grip = Math.min(7, (right - left) / 3 + 2);
    if (Math.abs(x - left) <= grip) return "left";
    if (Math.abs(x - right) <= grip) return "right";
    return x > left && x < right ? "window" : "outside";
  }

  // Follows one pointer until it is released, wherever it goes.
  track(e, move, end) {
    const target = e.currentTarget;
    target.setPointerCapture(e.pointerId);
    const stop = (up) => {
      target.removeEventListener("pointermove", move);
      target.removeEventListener("pointerup", stop);
      target.removeEventListener("pointercancel", stop);
      end(up);
    };
    target.addEventListener("pointermove", move);
    target.addEventListener("pointerup", stop);
    target.addEventListener("pointercancel", stop);
  }

  hover(e) {
    if (e.buttons) return;
    const { scene } = this;
    scene.pointer = e.offsetX;
    const task = this.hit(e);
    if (task !== scene.hovered) {
      scene.hovered = task;
      this.chart.classList.toggle("st-on-bar", task >= 0);
      this.tell("hover", { task });
    }
    this.tip.show(scene, task, e.offsetX, e.offsetY, this.stage);
    this.draw();
  }

  leave() {
    this.scene.pointer = null;
    this.scene.hovered = -1;
    this.tip.hide();
    this.draw();
  }

  wheel(e) {
    const ours = e.altKey || e.ctrlKey || e.metaKey || e.shiftKey;
    const focused = this.root.contains(this.root.ownerDocument.activeElement);
    if (this.options.wheel !== "zoom" && !ours && !focused) return;
    if (this.card.element.contains(e.target)) return;
    e.preventDefault();
    const unit = e.deltaMode === 1 ? 16 : e.deltaMode === 2 ? 200 : 1;
    const { scene } = this;
    const sideways = Math.abs(e.deltaX) > Math.abs(e.deltaY) && !e.altKey;
    if (sideways || (e.shiftKey && !e.altKey)) {
      const by = ((sideways ? e.deltaX : e.deltaY) * unit * (scene.end - scene.begin)) / scene.width;
      this.setRange(scene.begin + by, scene.end + by);
      return;
    }
    const delta = (e.deltaY || e.deltaX) * unit;
    const x = e.clientX - this.chart.getBoundingClientRect().left;
    const over = e.currentTarget === this.stage ? toTime(scene, Math.max(x, scene.gutter)) : undefined;
    this.zoom(Math.exp(Math.min(1, Math.max(-1, delta * 0.0022))), over);
  }

  // Shows `factor` times the time; `around` stays where it is.
  zoom(factor, around = (this.scene.begin + this.scene.end) / 2) {
    const { begin, end } = this.scene;
    this.setRange(around - (around - begin) * factor, around + (end - around) * factor);
  }

  zoomTo(task) {
    const { start, stop } = this.data.tasks;
    const margin = Math.max((stop[task] - start[task]) * 0.3, SHORTEST * 2);
    this.setRange(start[task] - margin, stop[task] + margin);
  }

  // Selects a task and makes sure that it can be seen.
  show(task) {
    const { scene } = this;
    const { start, stop } = this.data.tasks;
    this.select(task);
    if (task < 0) return;
    if (stop[task] < scene.begin || start[task] > scene.end) {
      const half = (scene.end - scene.begin) / 2;
      const middle = (start[task] + stop[task]) / 2;
      this.setRange(middle - half, middle + half);
    }
    const y = middleOf(scene, task);
    const space = scene.height - AXIS;
    if (y < scene.scroll + 20 || y > scene.scroll + space - 20) scene.scroll = this.clampScroll(y - space / 2);
    this.draw();
  }

  key(e) {
    if (e.altKey || e.ctrlKey || e.metaKey) return;
    const { scene } = this;
    const step = (scene.end - scene.begin) * 0.12;
    const move = (by) => this.setRange(scene.begin + by, scene.end + by);
    const scroll = (by) => { scene.scroll = this.clampScroll(scene.scroll + by); this.draw(); };
    const actions = {
      ArrowLeft: () => move(-step), ArrowRight: () => move(step),
      ArrowUp: () => this.step("row", -1) || scroll(-48), ArrowDown: () => this.step("row", 1) || scroll(48),
      PageUp: () => scroll(-scene.height / 2), PageDown: () => scroll(scene.height / 2),
      "+": () => this.zoom(1 / 1.4), "=": () => this.zoom(1 / 1.4), "-": () => this.zoom(1.4),
      0: () => this.fit(), Home: () => this.fit(), a: () => this.showArrows(!scene.arrowsShown),
      n: () => this.step("task", 1), p: () => this.step("task", -1), r: () => this.tell("refresh"),
      Enter: () => scene.selected >= 0 && this.zoomTo(scene.selected), Escape: () => this.select(-1),
      "/": () => this.filter.focus(),
    };
    if (!actions[e.key]) return;
    e.preventDefault();
    actions[e.key]();
  }

  // From the selected task to the next one of its row ("task") or to the nearest of the next row.
  step(kind, by) {
    const { tasks, rows } = this.data;
    const { selected } = this.scene;
    if (kind === "row" && selected < 0) return false;
    if (tasks.count === 0) return false;
    if (selected < 0) {
      this.show(rows[0].tasks[0]);
      return true;
    }
    const row = rows[tasks.row[selected] + (kind === "row" ? by : 0)];
    if (!row) return true;
    if (kind === "row") {
      const at = firstAfter(row.tasks, tasks.start, tasks.start[selected]);
      this.show(row.tasks[Math.max(0, at - 1)]);
      return true;
    }
    const next = row.tasks[row.tasks.indexOf(selected) + by];
    if (next !== undefined) this.show(next);
    return true;
  }

  // ---- drawing

  // The task under the pointer, or the nearest within some pixels; -1 if there is none.
  hit(e) {
    const { scene } = this;
    if (e.offsetX < scene.gutter || e.offsetY < AXIS) return -1;
    const place = rowAt(scene, e.offsetY - AXIS + scene.scroll);
    if (!place) return -1;
    const lane = place.row.lanes[place.lane];
    const { start, stop } = this.data.tasks;
    const after = firstAfter(lane, start, toTime(scene, e.offsetX));
    const distance = (i) =>
      Math.max(toX(scene, start[i]) - e.offsetX, e.offsetX - toX(scene, stop[i]), 0);
    const near = [lane[after - 1], lane[after]].filter((i) => i !== undefined && distance(i) <= NEAR);
    return near.length ? near.reduce((a, b) => (distance(b) < distance(a) ? b : a)) : -1;
  }

  clampScroll(value) {
    const most = this.scene.layout.height - (this.scene.height - AXIS);
    return Math.min(Math.max(0, value), Math.max(0, most));
  }

  resize() {
    const { scene } = this;
    scene.width = Math.max(200, this.stage.clientWidth);
    scene.height = Math.max(AXIS + 30, this.stage.clientHeight);
    scene.gutter = scene.width < 520 ? 88 : 124;
    const ratio = window.devicePixelRatio || 1;
    for (const [canvas, height] of [[this.chart, scene.height], [this.overview, OVERVIEW]]) {
      canvas.width = Math.round(scene.width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.load = null;
    this.paint();
  }

  draw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => this.paint());
  }

  // Paints now; how long that took, in milliseconds, and how many bars were drawn.
  paint() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const began = performance.now();
    const { scene } = this;
    scene.scroll = this.clampScroll(scene.scroll);
    this.load = this.load || concurrency(this.data.tasks, Math.round(scene.width));
    paintChart(this.chart.getContext("2d"), scene);
    paintOverview(this.overview.getContext("2d"), scene, this.load);
    return { ms: performance.now() - began, bars: scene.drawn };
  }

  tell(name, detail = {}) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

const count = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;
