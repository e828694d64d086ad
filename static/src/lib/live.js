// One socket for everything live on the page: the server says what changed, the part fetches itself anew.
import htmx from "htmx.org";

let socket = null, watched = "", attempt = 0, timer = 0;

function topics() {
  const found = new Set();
  for (const element of document.querySelectorAll("[data-live]"))
    for (const part of element.dataset.live.split(/[\s,]+/)) if (part) found.add(part.split(":").pop());
  return [...found].sort().slice(0, 200).join(",");
}

function connect() {
  clearTimeout(timer);
  const wanted = topics();
  if (wanted === watched && socket && socket.readyState <= WebSocket.OPEN) return;
  if (socket) { socket.onclose = null; socket.close(); socket = null; }
  watched = wanted;
  if (!wanted) return;
  const own = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/live/?topics=${wanted}`);
  socket = own;
  let opened = false;
  own.onopen = () => {
    opened = true;
    // What changed while we were away is fetched at once.
    if (attempt) for (const id of wanted.split(",")) wake(id);
    attempt = 0;
    document.documentElement.dataset.liveState = "on";
  };
  own.onmessage = event => { const message = JSON.parse(event.data); if (message.changed) wake(message.changed); };
  own.onclose = event => {
    document.documentElement.dataset.liveState = "off";
    socket = null;
    if (event.code === 4404 || event.code === 4403) return;  // not for us; polling goes on
    attempt += 1;
    timer = setTimeout(connect, Math.min(30000, 500 * 2 ** attempt) * (.7 + .6 * Math.random()));
  };
}

const due = new Map();
/** Fires `live` on the parts that show the thing, at most every 500 ms each. */
function wake(id) {
  if (due.has(id)) return;
  due.set(id, setTimeout(() => {
    due.delete(id);
    for (const element of document.querySelectorAll(`[data-live*="${CSS.escape(id)}"]`)) htmx.trigger(element, "live");
  }, 400));
}

document.addEventListener("DOMContentLoaded", connect);
document.addEventListener("htmx:after:swap", () => setTimeout(connect, 50));
addEventListener("online", connect);
addEventListener("pageshow", event => event.persisted && connect());
