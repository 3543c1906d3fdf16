// trace.js: a Chrome trace as columns that can be drawn: tasks, the rows they lie on, the arrows
// between them. Pure functions of their arguments; nothing here knows of a page.

export const OUTCOMES = ["finished", "failed", "retried", "crashed", "cancelled"];

// Reads what `sundog.timeline()` gives: an array of events, or an object with `traceEvents`.
//
// Times are microseconds from `origin`, the earliest moment of the trace. A task is an index into
// the columns; a row is one worker process; a row whose tasks overlap (async actors) has several
// lanes, and within a lane tasks are sorted by start and never overlap.
export function readTrace(trace) {
  const events = Array.isArray(trace) ? trace : (trace && trace.traceEvents) || [];
  const names = rowNames(events);
  const bars = events.filter((e) => e.ph === "X");
  const origin = bars.reduce((least, e) => Math.min(least, e.ts, submittedAt(e)), Infinity);
  const tasks = columns(bars, Number.isFinite(origin) ? origin : 0);
  const rows = makeRows(bars, tasks, names);
  const dropped = Number((trace && trace.otherData && trace.otherData.dropped_events) || 0);
  return { tasks, rows, arrows: readArrows(events, tasks, rows), dropped };
}

function submittedAt(event) {
  const at = event.args && event.args.submitted_us;
  return at > 0 ? at : event.ts;
}

// Names of nodes (by pid) and of rows (by "pid/tid").
function rowNames(events) {
  const names = { nodes: new Map(), rows: new Map() };
  for (const e of events) {
    if (e.ph !== "M" || !e.args) continue;
    if (e.name === "process_name") names.nodes.set(e.pid, String(e.args.name));
    if (e.name === "thread_name") names.rows.set(`${e.pid}/${e.tid}`, String(e.args.name));
  }
  return names;
}

function columns(bars, origin) {
  const count = bars.length;
  const kinds = new Map(); // task name -> index
  const tasks = {
    count,
    origin,
    begin: 0,
    end: 0,
    start: new Float64Array(count),
    stop: new Float64Array(count),
    kind: new Int32Array(count),
    outcome: new Uint8Array(count),
    row: new Int32Array(count),
    lane: new Int32Array(count),
    kinds: [],
    args: new Array(count),
    byId: new Map(), // task id -> its last attempt
  };
  bars.forEach((e, i) => {
    const name = String(e.name);
    if (!kinds.has(name)) kinds.set(name, kinds.size);
    tasks.start[i] = e.ts - origin;
    tasks.stop[i] = tasks.start[i] + (e.dur > 0 ? e.dur : 0);
    tasks.kind[i] = kinds.get(name);
    tasks.args[i] = e.args || {};
    tasks.outcome[i] = Math.max(0, OUTCOMES.indexOf(tasks.args[i].outcome));
    if (tasks.args[i].task_id) tasks.byId.set(tasks.args[i].task_id, i);
    tasks.end = Math.max(tasks.end, tasks.stop[i]);
  });
  tasks.kinds = [...kinds.keys()];
  return tasks;
}

// Rows in the order of nodes, then of workers; tasks that never ran are last.
function makeRows(bars, tasks, names) {
  const rows = new Map();
  bars.forEach((e, i) => {
    const key = `${e.pid}/${e.tid}`;
    if (!rows.has(key)) {
      rows.set(key, {
        key,
        worker: e.tid,
        node: e.pid,
        nodeName: names.nodes.get(e.pid) || `node ${e.pid}`,
        label: names.rows.get(key) || `worker ${e.tid}`,
        tasks: [],
        lanes: [],
      });
    }
    rows.get(key).tasks.push(i);
  });
  const sorted = [...rows.values()].sort(
    (a, b) => a.node - b.node || (a.worker === 0) - (b.worker === 0) || a.worker - b.worker,
  );
  sorted.forEach((row, index) => {
    row.tasks.sort((a, b) => tasks.start[a] - tasks.start[b] || tasks.stop[a] - tasks.stop[b]);
    row.lanes = lanesOf(row.tasks, tasks);
    row.lanes.forEach((lane, l) =>
      lane.forEach((i) => {
        tasks.row[i] = index;
        tasks.lane[i] = l;
      }),
    );
  });
  return sorted;
}

const LANES_MAX = 12; // more concurrent calls of one process share the last lane

function lanesOf(sorted, tasks) {
  const lanes = [];
  const ends = [];
  for (const i of sorted) {
    let lane = ends.findIndex((end) => end <= tasks.start[i] + 1e-3);
    if (lane < 0) lane = Math.min(lanes.length, LANES_MAX - 1);
    if (!lanes[lane]) lanes[lane] = [];
    lanes[lane].push(i);
    ends[lane] = Math.max(ends[lane] || 0, tasks.stop[i]);
  }
  return lanes.length ? lanes : [[]];
}

// Flow events come in pairs of one id: "s" inside the bar that an arrow leaves, "f" inside the one
// that it meets.
function readArrows(events, tasks, rows) {
  const byKey = new Map(rows.map((row) => [row.key, row]));
  const open = new Map();
  const from = [];
  const to = [];
  for (const e of events) {
    if (e.ph !== "s" && e.ph !== "f") continue;
    const row = byKey.get(`${e.pid}/${e.tid}`);
    const task = row ? taskAt(row.tasks, tasks, e.ts - tasks.origin) : -1;
    if (e.ph === "s") {
      open.set(e.id, task);
    } else if (task >= 0 && open.get(e.id) >= 0) {
      from.push(open.get(e.id));
      to.push(task);
    }
  }
  const arrows = { from: Int32Array.from(from), to: Int32Array.from(to), into: new Map() };
  arrows.outOf = new Map();
  from.forEach((task, i) => add(arrows.outOf, task, to[i]));
  to.forEach((task, i) => add(arrows.into, task, from[i]));
  return arrows;
}

function add(map, key, value) {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

// The task of a sorted list that runs at `time`; -1 if none does.
export function taskAt(sorted, tasks, time) {
  const slack = 1e-3; // times were written with three decimals
  for (let i = firstAfter(sorted, tasks.start, time + slack) - 1, n = 0; i >= 0 && n < 16; --i, ++n)
    if (tasks.stop[sorted[i]] >= time - slack) return sorted[i];
  return -1;
}

// The first position in `sorted`, from `begin` on, whose value is greater than `limit`.
export function firstAfter(sorted, values, limit, begin = 0) {
  let low = begin;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[sorted[middle]] > limit) high = middle;
    else low = middle + 1;
  }
  return low;
}

// How many tasks run, on average, in each of `count` equal slices of the whole trace.
export function concurrency(tasks, count) {
  const load = new Float64Array(count + 1);
  const width = (tasks.end - tasks.begin) / count || 1;
  for (let i = 0; i < tasks.count; ++i) {
    const a = (tasks.start[i] - tasks.begin) / width;
    const b = (tasks.stop[i] - tasks.begin) / width;
    const first = Math.min(count - 1, Math.floor(a));
    const last = Math.min(count - 1, Math.floor(b));
    if (first === last) {
      load[first] += b - a;
      continue;
    }
    load[first] += first + 1 - a;
    load[last] += b - last;
    // A long bar covers few slices of a short trace: the loop is bounded by tasks × count only
    // when bars overlap, and then by the number of workers.
    for (let s = first + 1; s < last; ++s) load[s] += 1;
  }
  return load.subarray(0, count);
}

// "4.21 ms", "1.204 s": three or four digits that tell something.
export function duration(us) {
  const abs = Math.abs(us);
  if (abs < 1000) return `${abs < 10 ? us.toFixed(1) : us.toFixed(0)} µs`;
  if (abs < 1e6) return `${(us / 1e3).toFixed(abs < 1e4 ? 2 : abs < 1e5 ? 1 : 0)} ms`;
  if (abs < 6e7) return `${(us / 1e6).toFixed(abs < 1e7 ? 3 : 2)} s`;
  const minutes = Math.floor(abs / 6e7);
  if (minutes < 60) return `${minutes} min ${((abs - minutes * 6e7) / 1e6).toFixed(1)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// Moments for about `count` marks between begin and end: 1, 2 or 5 times a power of ten.
export function ticks(begin, end, count) {
  const raw = (end - begin) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw || 1));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= raw) || power;
  const marks = [];
  for (let n = Math.ceil(begin / step); n * step <= end; ++n) marks.push(n * step);
  return { step, marks };
}

// A mark's label. All marks up to `end` share a unit, and show the digits that their step needs.
export function tickLabel(us, step, end) {
  const [unit, size] = end >= 1e6 ? ["s", 1e6] : end >= 1e3 ? ["ms", 1e3] : ["µs", 1];
  const digits = Math.max(0, Math.ceil(-Math.log10(step / size) - 1e-9));
  return `${(us / size).toFixed(Math.min(6, digits))} ${unit}`;
}
