// page.js: the page that sundog.task_timeline() makes: one timeline, its data in the page itself.
import { askKernel } from "./kernel.js";
import { TaskTimeline } from "./timeline.js";

const COMM = "sundog.timeline"; // the name under which a kernel answers with new data
const ANSWER_MS = 3000;
const BUSY = "The kernel is busy: new tasks come when its cell has ended.";

async function unpack(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

async function refreshNotebook(view, { kernel, refresh }) {
  const busy = setTimeout(() => view.note(BUSY), ANSWER_MS);
  try {
    const { trace } = await askKernel(COMM, kernel);
    view.setData(await unpack(trace));
  } catch {
    view.note(refresh); // a page of another origin, or a kernel that is not there any more
  } finally {
    clearTimeout(busy);
  }
}

// The program may have written the file again since this page was read.
function reread(view, config) {
  if (sessionStorage.getItem(COMM) === config.made) return view.note(config.refresh);
  sessionStorage.setItem(COMM, config.made);
  location.reload();
  return undefined;
}

async function main() {
  const config = JSON.parse(document.getElementById("sundog-config").textContent);
  const data = document.getElementById("sundog-data").textContent.trim();
  const view = new TaskTimeline(document.getElementById("sundog-timeline"), {
    title: config.title,
    wheel: config.inline ? "alt" : "zoom",
  });
  window.sundogTimeline = view; // for the console
  view.setData(await unpack(data));
  if (config.arrows) view.showArrows(true);
  view.addEventListener("refresh", () =>
    config.inline ? refreshNotebook(view, config) : reread(view, config));
  view.paint();
  performance.mark("sundog-shown");
  document.documentElement.dataset.ready = "yes";
}

main();
