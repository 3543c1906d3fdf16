// paint.js: draws a trace on a canvas. Stateless: everything that is drawn is in `scene`, and no
// frame costs more than the pixels it fills: rows and bars out of sight are skipped, bars thinner
// than a pixel are merged.
import { duration, firstAfter, tickLabel, ticks } from "./trace.js";

export const AXIS = 28; // height of the time axis
const NODE = 26; // height of a node's line
const LANE = 24;
const BAR = 17;
const ROW_PAD = 2;
const THIN = 1.6; // bars below this many pixels are merged with their neighbours
const ARROWS_MAX = 1500; // drawn at once; of more, every second, third … is drawn

// Where nodes and rows lie, from top to bottom; `height` is that of all.
export function layOut(rows) {
  const bands = [];
  let top = 0;
  let node = null;
  rows.forEach((row, index) => {
    if (row.node !== node) {
      node = row.node;
      const workers = rows.filter((r) => r.node === node && r.worker !== 0).length;
      bands.push({ node: row, workers, top, height: NODE });
      top += NODE;
    }
    const height = row.lanes.length * LANE + ROW_PAD;
    bands.push({ row, index, top, height });
    top += height;
  });
  return { bands, height: top, byRow: bands.filter((band) => band.row) };
}

// The middle of a task's bar, from the top of all rows.
export function middleOf(scene, task) {
  const { tasks } = scene.data;
  return scene.layout.byRow[tasks.row[task]].top + tasks.lane[task] * LANE + LANE / 2 + 1;
}

// The row at `y` from the top of all rows, and the lane in it; null between rows.
export function rowAt(scene, y) {
  const band = scene.layout.byRow.find((b) => y >= b.top && y < b.top + b.height);
  if (!band) return null;
  const lane = Math.min(band.row.lanes.length - 1, Math.floor((y - band.top) / LANE));
  return { row: band.row, lane };
}

// Pixel of a moment, and moment of a pixel.
export const toX = (scene, time) =>
  scene.gutter + ((time - scene.begin) / (scene.end - scene.begin)) * (scene.width - scene.gutter);
export const toTime = (scene, x) =>
  scene.begin + ((x - scene.gutter) / (scene.width - scene.gutter)) * (scene.end - scene.begin);

export function paintChart(ctx, scene) {
  const { width, height, colors } = scene;
  ctx.fillStyle = colors.back;
  ctx.fillRect(0, 0, width, height);
  const axis = ticks(scene.begin, scene.end, Math.max(2, (width - scene.gutter) / 110));
  ctx.save();
  ctx.beginPath();
  ctx.rect(0, AXIS, width, height - AXIS);
  ctx.clip();
  paintBands(ctx, scene);
  paintGrid(ctx, scene, axis);
  clipToBars(ctx, scene);
  paintWaiting(ctx, scene);
  paintBars(ctx, scene);
  if (scene.arrowsShown) paintArrows(ctx, scene);
  paintFocus(ctx, scene);
  ctx.restore();
  ctx.restore();
  paintGutter(ctx, scene);
  paintAxis(ctx, scene, axis);
  paintScrollbar(ctx, scene);
}

function clipToBars(ctx, scene) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(scene.gutter, AXIS, scene.width - scene.gutter, scene.height - AXIS);
  ctx.clip();
}

function visibleBands(scene) {
  const top = scene.scroll;
  const bottom = scene.scroll + scene.height - AXIS;
  return scene.layout.bands.filter((b) => b.top + b.height > top && b.top < bottom);
}
const screenY = (scene, y) => y - scene.scroll + AXIS;

function paintBands(ctx, scene) {
  const { colors } = scene;
  for (const band of visibleBands(scene)) {
    const y = Math.round(screenY(scene, band.top));
    if (band.node) ctx.fillStyle = colors.panel;
    else ctx.fillStyle = band.index % 2 ? colors.band : colors.back;
    ctx.fillRect(0, y, scene.width, band.height);
  }
}

function paintGrid(ctx, scene, axis) {
  ctx.fillStyle = scene.colors.line;
  for (const mark of axis.marks) {
    const x = Math.round(toX(scene, mark));
    if (x > scene.gutter) ctx.fillRect(x, AXIS, 1, scene.height - AXIS);
  }
}

function paintAxis(ctx, scene, axis) {
  const { colors, width, gutter } = scene;
  ctx.fillStyle = colors.panel;
  ctx.fillRect(0, 0, width, AXIS);
  ctx.fillStyle = colors.strongLine;
  ctx.fillRect(0, AXIS - 1, width, 1);
  ctx.font = scene.font;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  const pointer = pointerLabel(ctx, scene);
  for (const mark of axis.marks) {
    const x = Math.round(toX(scene, mark));
    if (x < gutter) continue;
    ctx.fillStyle = colors.strongLine;
    ctx.fillRect(x, AXIS - 7, 1, 6);
    ctx.fillStyle = colors.muted;
    const label = tickLabel(mark, axis.step, scene.end);
    const right = x + 5 + ctx.measureText(label).width;
    const hidden = pointer !== null && right > pointer.left - 4 && x < pointer.right;
    if (right < width && !hidden) ctx.fillText(label, x + 5, AXIS / 2);
  }
  ctx.fillStyle = colors.muted;
  ctx.fillText(`${duration(scene.end - scene.begin)} shown`, 12, AXIS / 2);
  if (pointer !== null) paintPointer(ctx, scene, pointer);
}

// The moment under the pointer, and where its label lies; null if the pointer is elsewhere.
function pointerLabel(ctx, scene) {
  if (scene.pointer === null || scene.pointer <= scene.gutter) return null;
  const x = Math.round(scene.pointer);
  const text = tickLabel(toTime(scene, x), (scene.end - scene.begin) / 1000, scene.end);
  const half = ctx.measureText(text).width / 2 + 6;
  const middle = Math.min(Math.max(x, scene.gutter + half), scene.width - half);
  return { x, text, left: middle - half, right: middle + half };
}

function paintPointer(ctx, scene, { x, text, left, right }) {
  const { colors } = scene;
  ctx.fillStyle = colors.accent;
  ctx.globalAlpha = 0.55;
  ctx.fillRect(x, AXIS, 1, scene.height - AXIS);
  ctx.globalAlpha = 1;
  box(ctx, left, 5, right - left, AXIS - 11, 5);
  ctx.fill();
  ctx.fillStyle = colors.back;
  ctx.fillText(text, left + 6, AXIS / 2);
}

function paintGutter(ctx, scene) {
  const { colors, gutter } = scene;
  ctx.save();
  ctx.beginPath();
  ctx.rect(0, AXIS, scene.width, scene.height - AXIS);
  ctx.clip();
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  for (const band of visibleBands(scene)) {
    const y = Math.round(screenY(scene, band.top));
    if (band.node) {
      ctx.fillStyle = colors.panel;
      ctx.fillRect(0, y, scene.width, band.height);
      ctx.font = scene.boldFont;
      ctx.fillStyle = colors.text;
      const name = shorten(ctx, scene, band.node.nodeName, scene.width / 2);
      ctx.fillText(name, 12, y + NODE / 2);
      const x = 12 + ctx.measureText(name).width + 8;
      ctx.font = scene.font;
      ctx.fillStyle = colors.muted;
      ctx.fillText(`${band.workers} worker${band.workers === 1 ? "" : "s"}`, x, y + NODE / 2);
    } else {
      ctx.fillStyle = band.index % 2 ? colors.band : colors.back;
      ctx.fillRect(0, y, gutter, band.height);
      ctx.font = scene.font;
      ctx.fillStyle = colors.muted;
      ctx.fillText(shorten(ctx, scene, band.row.label, gutter - 24), 12, y + LANE / 2 + 1);
      ctx.fillStyle = colors.strongLine;
      ctx.fillRect(gutter - 1, y, 1, band.height);
    }
  }
  ctx.restore();
}

function paintScrollbar(ctx, scene) {
  const space = scene.height - AXIS;
  if (scene.layout.height <= space) return;
  const length = Math.max(24, (space * space) / scene.layout.height);
  const at = (scene.scroll / (scene.layout.height - space)) * (space - length);
  ctx.fillStyle = scene.colors.muted;
  ctx.globalAlpha = 0.45;
  box(ctx, scene.width - 8, AXIS + at + 2, 5, length - 4, 2.5);
  ctx.fill();
  ctx.globalAlpha = 1;
}

// ---------------------------------------------------------------- bars

function paintBars(ctx, scene) {
  ctx.font = scene.font;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  const drawn = { bars: 0 };
  for (const band of visibleBands(scene)) {
    if (!band.row) continue;
    band.row.lanes.forEach((lane, l) => {
      const y = Math.round(screenY(scene, band.top) + l * LANE + (LANE - BAR) / 2 + 1);
      paintLane(ctx, scene, lane, y, drawn);
    });
  }
  scene.drawn = drawn.bars;
}

function paintLane(ctx, scene, lane, y, drawn) {
  const { tasks } = scene.data;
  const run = { from: 0, to: -1, task: -1 }; // neighbouring pixels of thin bars
  let i = firstAfter(lane, tasks.stop, scene.begin - pixel(scene));
  while (i < lane.length && tasks.start[lane[i]] <= scene.end) {
    const task = lane[i];
    const x0 = toX(scene, tasks.start[task]);
    const x1 = toX(scene, tasks.stop[task]);
    ++drawn.bars;
    if (x1 - x0 >= THIN) {
      endRun(ctx, scene, run, y);
      paintBar(ctx, scene, task, x0, x1, y);
      ++i;
      continue;
    }
    const at = Math.floor(x0);
    if (at > run.to || colorOf(scene, task) !== colorOf(scene, run.task)) {
      endRun(ctx, scene, run, y);
      run.from = at;
      run.task = task;
    }
    run.to = at + Math.max(1, x1 - at);
    // What ends within this pixel is covered by it already.
    const next = firstAfter(lane, tasks.stop, toTime(scene, at + 1), i + 1);
    i = Math.max(i + 1, next);
  }
  endRun(ctx, scene, run, y);
}

const pixel = (scene) => (scene.end - scene.begin) / (scene.width - scene.gutter);

function endRun(ctx, scene, run, y) {
  if (run.task < 0) return;
  ctx.fillStyle = colorOf(scene, run.task);
  ctx.globalAlpha = isDim(scene, run.task) ? 0.18 : 0.85;
  ctx.fillRect(run.from, y, Math.max(1, run.to - run.from), BAR);
  ctx.globalAlpha = 1;
  run.task = -1;
  run.to = -1;
}

export function colorOf(scene, task) {
  if (task < 0) return "";
  const { bars } = scene.colors;
  return bars[scene.data.tasks.kind[task] % bars.length];
}

const isBad = (scene, task) => scene.data.tasks.outcome[task] !== 0;
const isDim = (scene, task) =>
  scene.matches !== null && !scene.matches[scene.data.tasks.kind[task]];

function paintBar(ctx, scene, task, x0, x1, y) {
  const left = Math.max(x0, scene.gutter - 8);
  const right = Math.min(x1, scene.width + 8);
  // A hair of background keeps neighbours apart.
  const width = Math.max(1, right - left - (right - left > 4 ? 1 : 0));
  ctx.fillStyle = colorOf(scene, task);
  ctx.globalAlpha = isDim(scene, task) ? 0.18 : 1;
  if (width > 5) {
    box(ctx, left, y, width, BAR, 3.5);
    ctx.fill();
  } else {
    ctx.fillRect(left, y, width, BAR);
  }
  if (isBad(scene, task)) {
    ctx.fillStyle = scene.colors.bad;
    ctx.fillRect(left, y + BAR - 4, width, 4);
  }
  const from = Math.max(left, scene.gutter) + 6;
  if (left + width - from > 22) {
    ctx.fillStyle = scene.colors.barText;
    const name = scene.data.tasks.kinds[scene.data.tasks.kind[task]];
    const label = shorten(ctx, scene, name, left + width - from - 4);
    if (label) ctx.fillText(label, from, y + BAR / 2 + 0.5);
  }
  ctx.globalAlpha = 1;
}

// The text, or as much of it as fits with "…"; nothing if not even a letter does.
const WIDTHS_MAX = 5000;
function shorten(ctx, { widths }, text, space) {
  const key = `${ctx.font}|${text}`;
  let width = widths.get(key);
  if (width === undefined) {
    if (widths.size > WIDTHS_MAX) widths.clear();
    width = ctx.measureText(text).width;
    widths.set(key, width);
  }
  if (width <= space) return text;
  const letters = Math.floor((space / width) * text.length) - 1;
  return letters < 1 ? "" : `${text.slice(0, letters)}…`;
}

function box(ctx, x, y, width, height, radius) {
  const r = Math.min(radius, width / 2, height / 2);
  ctx.beginPath();
  ctx.moveTo(x + r, y);
  ctx.arcTo(x + width, y, x + width, y + height, r);
  ctx.arcTo(x + width, y + height, x, y + height, r);
  ctx.arcTo(x, y + height, x, y, r);
  ctx.arcTo(x, y, x + width, y, r);
  ctx.closePath();
}

// ---------------------------------------------------------------- arrows and marks

function paintArrows(ctx, scene) {
  const { arrows } = scene.data;
  const visible = [];
  for (let i = 0; i < arrows.from.length; ++i) {
    const arrow = place(scene, arrows.from[i], arrows.to[i]);
    if (arrow) visible.push(arrow);
  }
  const step = Math.ceil(visible.length / ARROWS_MAX);
  ctx.strokeStyle = scene.colors.arrow;
  ctx.fillStyle = scene.colors.arrow;
  ctx.globalAlpha = visible.length > 400 ? 0.22 : 0.8;
  ctx.lineWidth = 1.1;
  ctx.beginPath();
  for (let i = 0; i < visible.length; i += step) trace(ctx, visible[i]);
  ctx.stroke();
  if (visible.length <= 400) for (const arrow of visible) head(ctx, arrow, 5.5);
  ctx.globalAlpha = 1;
}

// An arrow's ends on the screen; null if it is out of sight or shorter than it is wide.
function place(scene, from, to) {
  const { tasks } = scene.data;
  const x0 = toX(scene, tasks.stop[from]);
  const x1 = toX(scene, tasks.start[to]);
  if (Math.max(x0, x1) < scene.gutter || Math.min(x0, x1) > scene.width) return null;
  const y0 = screenY(scene, middleOf(scene, from));
  const y1 = screenY(scene, middleOf(scene, to));
  if (Math.max(y0, y1) < AXIS || Math.min(y0, y1) > scene.height) return null;
  if (Math.abs(x1 - x0) < 3 && Math.abs(y1 - y0) < 3) return null;
  return { x0, y0, x1, y1 };
}

function trace(ctx, { x0, y0, x1, y1 }) {
  const bend = Math.min(60, Math.max(10, Math.abs(x1 - x0) / 2));
  ctx.moveTo(x0, y0);
  ctx.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
}

function head(ctx, { x1, y1 }, size) {
  ctx.beginPath();
  ctx.moveTo(x1 + 1, y1);
  ctx.lineTo(x1 - size, y1 - size * 0.6);
  ctx.lineTo(x1 - size, y1 + size * 0.6);
  ctx.closePath();
  ctx.fill();
}

// From when on the focused task could have run: a thin line to its bar.
function paintWaiting(ctx, scene) {
  const task = scene.selected >= 0 ? scene.selected : scene.hovered;
  if (task < 0) return;
  const { tasks } = scene.data;
  const since = tasks.args[task].submitted_us - tasks.origin;
  if (!(since < tasks.start[task])) return;
  const y = Math.round(screenY(scene, middleOf(scene, task)));
  const x0 = Math.max(scene.gutter - 4, toX(scene, since));
  ctx.fillStyle = scene.colors.wait;
  ctx.fillRect(x0, y - 1, toX(scene, tasks.start[task]) - x0, 2);
  ctx.fillRect(x0, y - 5, 2, 10);
}

function paintFocus(ctx, scene) {
  const focus = scene.selected >= 0 ? scene.selected : scene.hovered;
  if (focus >= 0) {
    const inward = (scene.data.arrows.into.get(focus) || []).map((from) => [from, focus]);
    const outward = (scene.data.arrows.outOf.get(focus) || []).map((to) => [focus, to]);
    ctx.strokeStyle = scene.colors.accent;
    ctx.fillStyle = scene.colors.accent;
    ctx.lineWidth = 1.8;
    for (const [from, to] of [...inward, ...outward].slice(0, ARROWS_MAX)) {
      const arrow = place(scene, from, to);
      if (!arrow) continue;
      ctx.beginPath();
      trace(ctx, arrow);
      ctx.stroke();
      head(ctx, arrow, 6);
    }
  }
  for (const [task, line] of [[scene.hovered, 1.5], [scene.selected, 2.5]]) {
    if (task < 0) continue;
    const { tasks } = scene.data;
    const x0 = toX(scene, tasks.start[task]);
    const x1 = Math.max(x0 + 2, toX(scene, tasks.stop[task]) - 1);
    const y = screenY(scene, middleOf(scene, task)) - BAR / 2;
    ctx.strokeStyle = scene.colors.text;
    ctx.lineWidth = line;
    box(ctx, x0 - 1, Math.round(y) - 1, x1 - x0 + 2, BAR + 2, 4.5);
    ctx.stroke();
  }
}

// ---------------------------------------------------------------- the overview

// The whole trace as the number of tasks that ran, and the part that the chart shows.
export function paintOverview(ctx, scene, load) {
  const { width, overview, colors } = scene;
  const base = overview - 5;
  const most = Math.max(1, ...load);
  ctx.fillStyle = colors.panel;
  ctx.fillRect(0, 0, width, overview);
  const step = width / load.length;
  ctx.fillStyle = colors.load;
  for (let i = 0; i < load.length; ++i) {
    if (load[i] <= 0) continue;
    const height = Math.max(1, (load[i] / most) * (base - 8));
    ctx.fillRect(i * step, base - height, step + 0.5, height);
  }
  const { left, right } = overviewWindow(scene);
  ctx.fillStyle = colors.back;
  ctx.globalAlpha = 0.66;
  ctx.fillRect(0, 0, left, overview);
  ctx.fillRect(right, 0, width - right, overview);
  ctx.globalAlpha = 1;
  ctx.strokeStyle = colors.accent;
  ctx.lineWidth = 1.5;
  box(ctx, left + 0.75, 1.75, Math.max(2, right - left - 1.5), overview - 4.5, 4);
  ctx.stroke();
  ctx.fillStyle = colors.accent;
  for (const x of [left, right]) {
    box(ctx, Math.min(Math.max(x - 3, 0), width - 6), overview / 2 - 9, 6, 17, 3);
    ctx.fill();
  }
}

export function overviewWindow(scene) {
  const { tasks } = scene.data;
  const whole = tasks.end - tasks.begin || 1;
  const at = (time) => Math.min(1, Math.max(0, (time - tasks.begin) / whole)) * scene.width;
  const left = at(scene.begin);
  return { left, right: Math.max(left + 4, at(scene.end)) };
}
