// Shows <c-log>: the tail of a growing file at once, what is appended as it comes, earlier lines on demand.
//   Socket  data-ws[?offset=N]  without an offset the server starts at the tail; messages {"offset", "next", "text"} in bytes
//           of the file, {"end": true} when no more will come. After a break we ask from our `next`.
//   HTTP    GET data-url?before=OFFSET answers the same form with the bytes before; also used when sockets fail (?offset=N).
import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { Terminal } from "@xterm/xterm";
import { say } from "./lib/words.js";

const ICONS = {
  up: "m18 15-6-6-6 6", down: "m6 9 6 6 6-6", full: "M8 3H5a2 2 0 0 0-2 2v3M21 8V5a2 2 0 0 0-2-2h-3M3 16v3a2 2 0 0 0 2 2h3M16 21h3a2 2 0 0 0 2-2v-3",
  save: "M12 15V3M21 15v4a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2v-4M7 10l5 5 5-5", follow: "M12 5v14M19 12l-7 7-7-7",
};
const icon = name => `<svg class="icon sm" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;
const KEEP = 2_000_000;  // characters kept in the page; older ones are loaded again on demand

class Log {
  constructor(element) {
    this.element = element;
    this.set = element.dataset;
    this.start = null; this.next = null; this.text = ""; this.pending = []; this.attempt = 0; this.follow = true; this.over = false;
    this.build();
    this.terminal = new Terminal({
      convertEol: true, disableStdin: true, scrollback: 20000, fontSize: 12.5, lineHeight: 1.2, cursorInactiveStyle: "none", cursorBlink: false, screenReaderMode: false,
      fontFamily: '"JetBrains Mono", ui-monospace, Menlo, Consolas, "Noto Sans Mono CJK SC", monospace', allowProposedApi: true,
      theme: { background: "#0f1420", foreground: "#cdd6e6", cursor: "#0f1420", selectionBackground: "#3b4f8a", brightBlack: "#6b7890", blue: "#8fb5ff", yellow: "#ffd479", red: "#ff9a9a", green: "#7fdca4" },
    });
    this.fit = new FitAddon(); this.search = new SearchAddon();
    this.terminal.loadAddon(this.fit); this.terminal.loadAddon(this.search);
    this.terminal.open(this.screen);
    this.terminal.textarea?.setAttribute("tabindex", "-1");
    this.observer = new ResizeObserver(() => this.screen.clientWidth && this.fit.fit());
    this.observer.observe(this.screen);
    this.terminal.onScroll(() => this.scrolled());
    this.screen.addEventListener("wheel", () => setTimeout(() => this.scrolled(), 30), { passive: true });
    this.connect();
  }

  build() {
    const bar = document.createElement("div");
    bar.className = "logbar";
    this.label = document.createElement("span");
    this.label.setAttribute("role", "status");
    this.earlier = this.button("up", say("Load earlier"), () => this.loadEarlier(), true);
    this.earlier.hidden = true;
    const end = document.createElement("span");
    end.className = "end";
    this.field = document.createElement("input");
    this.field.type = "search"; this.field.placeholder = say("Search the log"); this.field.setAttribute("aria-label", say("Search the log"));
    this.field.oninput = () => this.find(true, true);
    this.field.onkeydown = event => {
      if (event.key === "Enter") { event.preventDefault(); this.find(!event.shiftKey); }
      if (event.key === "Escape") { this.field.value = ""; this.search.clearDecorations(); this.terminal.clearSelection(); }
    };
    this.followButton = this.button("follow", say("Follow"), () => this.setFollow(!this.follow), true);
    end.append(this.field, this.button("up", say("Previous match"), () => this.find(false)), this.button("down", say("Next match"), () => this.find(true)), this.followButton);
    if (this.set.download) {
      const link = document.createElement("a");
      link.href = this.set.download; link.innerHTML = icon("save"); link.setAttribute("aria-label", say("Download")); link.title = say("Download"); link.setAttribute("download", "");
      end.append(link);
    }
    end.append(this.button("full", say("Full screen"), () => document.fullscreenElement ? document.exitFullscreen() : this.element.requestFullscreen()));
    bar.append(this.label, this.earlier, end);
    this.screen = document.createElement("div");
    this.screen.className = "screen";
    this.screen.style.height = `${+this.set.height || 320}px`;
    this.element.replaceChildren(bar, this.screen);
    this.setFollow(true);
  }

  button(name, text, press, words = false) {
    const button = document.createElement("button");
    button.type = "button"; button.innerHTML = icon(name); button.title = text; button.setAttribute("aria-label", text); button.onclick = press;
    if (words) { const span = document.createElement("span"); span.textContent = text; button.append(span); }
    return button;
  }

  setFollow(yes) {
    this.follow = yes;
    this.followButton.setAttribute("aria-pressed", yes);
    if (yes) this.terminal?.scrollToBottom();
  }

  scrolled() {
    const buffer = this.terminal.buffer.active, bottom = buffer.viewportY >= buffer.baseY - 1;
    if (bottom !== this.follow && !this.writing) this.setFollow(bottom);
    this.earlier.hidden = !(this.start > 0 && buffer.viewportY < 40) && !(this.start > 0);
    if (this.start > 0 && buffer.viewportY === 0 && buffer.baseY > 0 && !this.writing) this.loadEarlier();
  }

  state(text) { this.label.textContent = say(text); }

  connect() {
    if (!this.set.ws || !this.element.isConnected) return this.poll();
    this.state("connecting");
    const address = new URL(this.set.ws, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (this.next !== null) address.searchParams.set("offset", this.next);
    const socket = new WebSocket(address);
    this.socket = socket;
    socket.onopen = () => { this.attempt = 0; this.state("live"); };
    socket.onmessage = event => {
      const message = JSON.parse(event.data);
      if (message.text !== undefined || message.next !== undefined) this.take(message);
      if (message.end) { this.over = true; this.state("ended"); socket.close(); }
    };
    socket.onclose = event => {
      if (this.over || !this.element.isConnected) return;
      if (event.code === 4404 || event.code === 4403) { this.over = true; this.state("not to be read"); return; }
      this.attempt += 1;
      this.state("not connected, trying again");
      this.timer = setTimeout(() => this.attempt > 3 ? this.poll() : this.connect(), Math.min(15000, 400 * 2 ** this.attempt));
    };
  }

  /** Without a socket: ask by HTTP every few seconds. */
  async poll() {
    if (!this.set.url || this.over || !this.element.isConnected) return;
    try {
      const message = await this.ask(this.next === null ? {} : { offset: this.next });
      this.take(message);
      if (message.end) { this.over = true; this.state("ended"); return; }
      this.state("live");
    } catch { this.state("not connected, trying again"); }
    this.timer = setTimeout(() => (this.attempt += 1) % 5 ? this.poll() : this.connect(), 3000);
  }

  async ask(query) {
    const address = new URL(this.set.url, location.href);
    for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value);
    const answer = await fetch(address, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.status);
    return answer.json();
  }

  take(message) {
    const text = message.text || "";
    if (this.start === null) this.start = message.offset ?? 0;
    // The server began anew further on (the reader was away too long): what is between is left to "earlier".
    else if (message.offset !== undefined && message.offset > this.next) { this.terminal.reset(); this.text = ""; this.start = message.offset; }
    // The file is another one than before (a new attempt): begin anew.
    else if (message.offset !== undefined && message.offset < this.next) { this.terminal.reset(); this.text = ""; this.start = message.offset; }
    if (message.next !== undefined) this.next = message.next;
    if (text) {
      this.text += text;
      if (this.text.length > 2 * KEEP) this.text = this.text.slice(-KEEP);
      this.pending.push(text);
      this.flush();
    }
    this.earlier.hidden = !(this.start > 0);
  }

  /** Writes what has come in one go per frame. */
  flush() {
    if (this.writing || !this.pending.length) return;
    this.writing = true;
    requestAnimationFrame(() => {
      const text = this.pending.join("");
      this.pending = [];
      this.terminal.write(text, () => {
        if (this.follow) this.terminal.scrollToBottom();
        this.writing = false;
        this.flush();
      });
    });
  }

  async loadEarlier() {
    if (this.loading || !(this.start > 0) || !this.set.url) return;
    this.loading = true;
    try {
      const message = await this.ask({ before: this.start });
      const before = this.terminal.buffer.active.length;
      this.start = message.offset ?? 0;
      this.text = (message.text || "") + this.text;
      this.writing = true;
      this.terminal.options.scrollback = Math.max(20000, Math.ceil(this.text.length / 40));
      this.terminal.reset();
      this.terminal.write(this.text, () => {
        this.writing = false;
        this.setFollow(false);
        this.terminal.scrollToLine(Math.max(0, this.terminal.buffer.active.length - before));
        this.flush();
      });
    } catch { this.state("not connected, trying again"); } finally { this.loading = false; this.earlier.hidden = !(this.start > 0); }
  }

  find(forward, incremental = false) {
    const word = this.field.value;
    if (!word) return this.search.clearDecorations();
    this.setFollow(false);
    const options = { incremental, decorations: { matchBackground: "#5c4a12", activeMatchBackground: "#8a6d1a", matchOverviewRuler: "#ffd479", activeMatchColorOverviewRuler: "#fff" } };
    const found = forward ? this.search.findNext(word, options) : this.search.findPrevious(word, options);
    this.field.setAttribute("aria-invalid", !found);
    this.field.title = found ? "" : say("no match");
  }

  destroy() { clearTimeout(this.timer); this.over = true; this.socket?.close(); this.observer.disconnect(); this.terminal.dispose(); }
}

const logs = new Set();
function scan() {
  for (const log of logs) if (!log.element.isConnected) { log.destroy(); logs.delete(log); }
  for (const element of document.querySelectorAll("[data-log]")) if (!element.log) logs.add(element.log = new Log(element));
}
document.addEventListener("trainer:scan", scan);
scan();
