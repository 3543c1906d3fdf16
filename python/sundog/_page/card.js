// card.js: what is known of one task, as a tip beside the pointer and as a card with everything.
// Names and ids come from programs: they are set as text, never as HTML.
import { colorOf, toX } from "./paint.js";
import { duration, OUTCOMES } from "./trace.js";

const LINKS_MAX = 24;

function node(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// The moments of a task, as spans: how long it waited for arguments, for a worker, and ran.
export function spans(tasks, task) {
  const args = tasks.args[task];
  const at = (us) => (us > 0 ? us - tasks.origin : NaN);
  const [submitted, ready, sent] = [at(args.submitted_us), at(args.ready_us), at(args.sent_us)];
  return {
    submitted,
    arguments: ready - submitted,
    queued: sent - ready,
    started: tasks.start[task] - (Number.isFinite(sent) ? sent : submitted),
    waited: tasks.start[task] - submitted,
    ran: tasks.stop[task] - tasks.start[task],
  };
}

export class Tip {
  constructor() {
    this.element = node("div", "st-tip");
    this.element.hidden = true;
    this.name = this.element.appendChild(node("b"));
    this.text = this.element.appendChild(node("span"));
  }

  show(scene, task, x, y, stage) {
    if (task < 0 || task === scene.selected) return this.hide(); // the card tells more
    const { tasks, rows } = scene.data;
    const times = spans(tasks, task);
    const outcome = OUTCOMES[tasks.outcome[task]];
    this.name.textContent = tasks.kinds[tasks.kind[task]];
    this.text.textContent = [
      duration(times.ran),
      times.waited >= 0 ? `after ${duration(times.waited)} of waiting` : "",
      rows[tasks.row[task]].label,
      outcome === "finished" ? "" : outcome,
    ].filter(Boolean).join(" · ");
    this.element.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const left = Math.max(4, Math.min(x + 14, stage.clientWidth - width - 6));
    const top = y + 18 + height > stage.clientHeight ? y - height - 10 : y + 18;
    this.element.style.transform = `translate(${left}px, ${Math.max(2, top)}px)`;
    return undefined;
  }

  hide() {
    this.element.hidden = true;
  }
}

export class Card {
  // `show` is called with a task whose name was clicked, `close` when the card is to go.
  constructor(show, close) {
    this.showTask = show;
    this.element = node("section", "st-card");
    this.element.setAttribute("aria-label", "Details of the selected task");
    this.element.hidden = true;
    this.title = this.element.appendChild(node("h3"));
    this.list = this.element.appendChild(node("dl"));
    const button = this.element.appendChild(node("button", "st-close", "×"));
    button.type = "button";
    button.title = "Close (Esc)";
    button.addEventListener("click", close);
    this.spoken = "";
  }

  show(scene, task) {
    this.element.hidden = task < 0;
    if (task < 0) return;
    const { tasks, rows, arrows } = scene.data;
    // On the side where it does not lie on the task that it tells about.
    const end = Math.min(toX(scene, tasks.stop[task]), scene.width);
    this.element.classList.toggle("st-left", end > scene.width - 320 && scene.width > 700);
    const args = tasks.args[task];
    const row = rows[tasks.row[task]];
    const times = spans(tasks, task);
    const outcome = OUTCOMES[tasks.outcome[task]];
    this.title.textContent = tasks.kinds[tasks.kind[task]];
    this.element.style.setProperty("--st-chip", colorOf(scene, task));
    this.list.replaceChildren();
    this.field("Outcome", outcome, outcome === "finished" ? "" : "st-bad");
    if (args.attempt > 0) this.field("Attempt", String(args.attempt + 1));
    this.field("Ran", `${duration(times.ran)}, from ${duration(tasks.start[task])} on`);
    this.time("Waited for inputs", times.arguments);
    this.time("Waited for a CPU", times.queued);
    this.time("Sent and started in", times.started);
    this.field("Worker", row.worker ? `pid ${row.worker}` : "none: it never ran");
    this.field("Node", row.nodeName);
    this.links(scene, "Inputs", arrows.into.get(task) || []);
    this.links(scene, "Used by", arrows.outOf.get(task) || []);
    const parent = tasks.byId.get(args.parent_id);
    if (parent !== undefined) this.links(scene, "Called by", [parent]);
    this.code("Task id", args.task_id);
    this.spoken = `${this.title.textContent}, ${outcome}, ran ${duration(times.ran)}, ${row.label}`;
  }

  field(name, value, className = "") {
    this.list.append(node("dt", "", name), node("dd", className, value));
  }

  time(name, us) {
    if (Number.isFinite(us) && us >= 0) this.field(name, duration(us));
  }

  code(name, text) {
    if (!text) return;
    const value = node("dd");
    value.append(node("code", "", text));
    this.list.append(node("dt", "", name), value);
  }

  // Other tasks, to go there.
  links(scene, name, others) {
    if (!others.length) return;
    const { tasks } = scene.data;
    const value = node("dd");
    for (const other of others.slice(0, LINKS_MAX)) {
      const label = `${tasks.kinds[tasks.kind[other]]} ${duration(tasks.stop[other] - tasks.start[other])}`;
      const link = node("button", "st-link", label);
      link.type = "button";
      link.addEventListener("click", () => this.showTask(other));
      value.append(link);
    }
    if (others.length > LINKS_MAX) value.append(`and ${others.length - LINKS_MAX} more`);
    this.list.append(node("dt", "", name), value);
  }
}
