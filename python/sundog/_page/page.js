// page.js: the page that sundog.task_timeline() makes: one timeline, its data in the page itself.
import { TaskTimeline } from "./timeline.js";

const COMM = "sundog.timeline"; // the name under which a kernel answers with new data
const ANSWER_MS = 3000;

async function unpack(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// The kernel of the notebook around, where the notebook lets us reach it (Notebook 6; JupyterLab
// and Notebook 7 when they expose their application); null elsewhere.
function openComm(onData) {
  try {
    const { Jupyter, jupyterapp } = window.parent;
    if (Jupyter && Jupyter.notebook && Jupyter.notebook.kernel) {
      const comm = Jupyter.notebook.kernel.comm_manager.new_comm(COMM, {});
      comm.on_msg((message) => onData(message.content.data.trace));
      return true;
    }
    const panel = jupyterapp && jupyterapp.shell.currentWidget;
    const kernel = panel && panel.sessionContext && panel.sessionContext.session.kernel;
    if (!kernel) return false;
    const comm = kernel.createComm(COMM);
    comm.onMsg = (message) => onData(message.content.data.trace);
    comm.open({});
    return true;
  } catch {
    return false; // a page of another origin, or a notebook that we do not know
  }
}

function refreshNotebook(view, sentence) {
  let answered = false;
  const asked = openComm(async (base64) => {
    answered = true;
    view.setData(await unpack(base64));
  });
  if (!asked) return view.note(sentence);
  setTimeout(() => answered || view.note(sentence), ANSWER_MS);
  return undefined;
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
    config.inline ? refreshNotebook(view, config.refresh) : reread(view, config));
  view.paint();
  performance.mark("sundog-shown");
  document.documentElement.dataset.ready = "yes";
}

main();
