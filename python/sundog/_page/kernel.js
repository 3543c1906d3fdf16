// kernel.js: a page in a notebook's output asks the kernel behind that notebook.
//
//   const data = await askKernel("a.target", kernelId);   // what the kernel sends through a comm
//
// Notebook 6 lends its kernel object. JupyterLab and Notebook 7 lend none, but a page in their output
// is of their origin: it opens a connection of its own to the kernel, as their own pages do. A page
// of another origin (VS Code) cannot ask; then the promise is rejected. A kernel that runs a cell
// answers when the cell has ended: the promise has no deadline.

const hex = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

function askNotebook6(kernel, target) {
  return new Promise((resolve, reject) => {
    const comm = kernel.comm_manager.new_comm(target, {});
    comm.on_msg((message) => resolve(message.content.data));
    comm.on_close(() => reject(new Error("the kernel has no answer")));
  });
}

// Where the server of the page around has this kernel's messages.
function channels(kernelId, session) {
  const { document: page, location } = window.parent;
  const server = JSON.parse(page.getElementById("jupyter-config-data").textContent);
  const url = new URL(server.wsUrl || server.baseUrl, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.pathname += `api/kernels/${kernelId}/channels`;
  url.searchParams.set("session_id", session);
  if (server.token) url.searchParams.set("token", server.token);
  return url;
}

function askServer(kernelId, target) {
  return new Promise((resolve, reject) => {
    const session = hex();
    const comm = hex();
    const socket = new WebSocket(channels(kernelId, session));
    const end = (settle, value) => {
      socket.onclose = null;
      socket.close();
      settle(value);
    };
    socket.onopen = () =>
      socket.send(JSON.stringify({
        channel: "shell",
        header: {
          msg_id: hex(), msg_type: "comm_open", session, username: "",
          date: new Date().toISOString(), version: "5.3",
        },
        parent_header: {}, metadata: {}, buffers: [],
        content: { comm_id: comm, target_name: target, data: {} },
      }));
    socket.onmessage = ({ data }) => {
      const message = typeof data === "string" ? JSON.parse(data) : {}; // ours has no buffers
      if (!message.content || message.content.comm_id !== comm) return;
      if (message.msg_type === "comm_msg") end(resolve, message.content.data);
      if (message.msg_type === "comm_close") end(reject, new Error("the kernel has no answer"));
    };
    socket.onclose = () => reject(new Error("the kernel is not there"));
  });
}

export async function askKernel(target, kernelId) {
  const { Jupyter } = window.parent;
  if (Jupyter && Jupyter.notebook && Jupyter.notebook.kernel)
    return askNotebook6(Jupyter.notebook.kernel, target);
  if (!kernelId) throw new Error("this page knows no kernel");
  return askServer(kernelId, target);
}
