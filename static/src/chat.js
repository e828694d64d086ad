// The playground: answers word by word over a socket. Without this script the form asks and waits.
// The page's <template> elements hold the pieces and the words, in the reader's language.
const play = document.getElementById("play");
const box = document.getElementById("messages"), form = document.getElementById("ask"), field = form.elements.text;
const stopButton = form.querySelector("[data-stop]"), sendButton = form.querySelector("[data-send]");
const refusal = document.getElementById("refusal"), words = document.getElementById("t-words").dataset;
const piece = id => document.getElementById(id).content.firstElementChild.cloneNode(true);
const WRITING = "writing";
let socket = null, attempt = 0, answer = null, text = "", frame = 0, editing = false, gone = false;

play.classList.add("with-script");

// --- the messages -----------------------------------------------------------------------------
const atEnd = () => box.scrollHeight - box.scrollTop - box.clientHeight < 60;
const toEnd = () => { box.scrollTop = box.scrollHeight; };

function draw(element, content) {
  if (window.trainerMarkdown) window.trainerMarkdown(element, content);
  else element.textContent = content;
}

/** Draws the answer once a frame, however many pieces came. */
function paint() {
  frame = 0;
  if (!answer) return;
  const follow = atEnd();
  draw(answer.querySelector(".words"), text);
  if (follow) toEnd();
}

function show(message) {
  const element = piece(message.role === "user" ? "t-me" : "t-bot");
  element.dataset.message = message.id;
  element.dataset.messageState = message.state;
  element.dataset.raw = message.content;
  if (message.role === "user") element.querySelector(".words").textContent = message.content;
  box.querySelector("[data-empty]")?.remove();
  box.append(element);
  return element;
}

/** Puts the buttons under the last question and the last answer. */
function tools() {
  for (const old of box.querySelectorAll(".tools, .edit")) old.remove();
  if (answer) return;
  const answers = box.querySelectorAll(".reply"), questions = box.querySelectorAll(".mine");
  const last = answers[answers.length - 1], question = questions[questions.length - 1];
  if (last && last === box.lastElementChild && last.dataset.messageState !== WRITING) last.querySelector("footer").append(piece("t-tools"));
  if (question) question.append(piece("t-edit"));
}

function footer(element, message) {
  const parts = [];
  const add = (content, kind = "") => { const span = document.createElement("span"); span.className = kind; span.textContent = content; parts.push(span); };
  if (message.state === "stopped") add(words.stopped);
  if (message.state === "failed") add(message.error, "bad");
  if (message.usage.first_ms !== undefined) add(words.first.replace("%s", message.usage.first_ms));
  if (message.usage.tokens_per_second) add(words.rate.replace("%s", message.usage.tokens_per_second));
  element.querySelector("footer").replaceChildren(...parts);
}

// --- what the server says ------------------------------------------------------------------------
const told = {
  begin({ question, answer: begun, title }) {
    refuse("");
    for (const place of document.querySelectorAll("#main .head h1, #talks a.on b")) if (place.textContent !== title) place.textContent = title;
    // What came after the question is about to be answered anew.
    const known = box.querySelector(`[data-message="${question.id}"]`);
    if (known) {
      while (known.nextElementSibling) known.nextElementSibling.remove();
      known.querySelector(".words").textContent = question.content;
      known.dataset.raw = question.content;
    } else show(question);
    text = "";
    answer = show(begun);
    if (editing || field.value.trim() === question.content.trim()) { field.value = ""; edit(false); }
    busy(true);
    tools();
    toEnd();
  },
  piece(message) {
    text += message.text;
    frame ||= requestAnimationFrame(paint);
  },
  end(message) {
    paint();
    if (answer) {
      if (message.answer) {
        draw(answer.querySelector(".words"), message.answer.content);
        answer.dataset.raw = message.answer.content;
        answer.dataset.messageState = message.answer.state;
        footer(answer, message.answer);
      } else answer.remove();
    }
    const follow = atEnd();
    answer = null;
    busy(false);
    tools();
    if (follow) toEnd();
    window.htmx?.trigger(document.getElementById("talk-head"), "live");
  },
  refused(message) {
    refuse(message.message, message.deploy);
    busy(false);
  },
};

function refuse(message, deploy = false) {
  refusal.hidden = !message;
  refusal.querySelector("[data-text]").textContent = message;
  refusal.querySelector("[data-deploy]").hidden = !deploy;
}

function busy(on) {
  play.classList.toggle("busy", on);
  stopButton.disabled = !on;
  sendButton.disabled = on;
}

// --- the socket ------------------------------------------------------------------------------------
function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}${play.dataset.socket}`);
  socket.onopen = () => {
    if (attempt) refuse("");
    attempt = 0;
    play.dataset.socketState = "open";
  };
  socket.onmessage = event => { const message = JSON.parse(event.data); told[message.type]?.(message); };
  socket.onclose = event => {
    play.dataset.socketState = "closed";
    if (answer) {  // the server keeps what was written; a reload shows it
      answer.dataset.messageState = "stopped";
      answer.querySelector("footer").textContent = words.stopped;
      answer = null;
      busy(false);
    }
    if (event.code === 4404) { gone = true; return refuse(words.gone); }
    attempt += 1;
    if (attempt > 1) refuse(words.lost);
    setTimeout(connect, Math.min(15000, 400 * 2 ** attempt));
  };
}

function send(message) {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(message));
  return true;
}

// --- what the reader does -----------------------------------------------------------------------------
function edit(on, element = null) {
  editing = on;
  form.classList.toggle("editing", on);
  sendButton.querySelector("[data-send-text]").textContent = on ? words.resend : words.send;
  if (on) { field.value = element.dataset.raw ?? element.querySelector(".words").textContent; field.focus(); grow(); }
  for (const each of box.querySelectorAll(".mine.edited")) each.classList.remove("edited");
  element?.classList.add("edited");
}

function grow() {
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight + 2, 220)}px`;
}

form.addEventListener("submit", event => {
  if (gone) return event.preventDefault();
  if (!field.value.trim()) { event.preventDefault(); return; }
  // Without a socket the form goes the slow way by itself.
  if (!send({ type: editing ? "edit" : "ask", text: field.value })) return;
  event.preventDefault();
  sendButton.disabled = true;
});
field.addEventListener("input", grow);
field.addEventListener("keydown", event => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    if (!sendButton.disabled) form.requestSubmit();
  }
});
document.addEventListener("keydown", event => {
  if (event.key !== "Escape" || event.target.closest("dialog, .dropdown-menu")) return;
  if (answer) send({ type: "stop" });
  else if (editing) { field.value = ""; edit(false); grow(); }
});
stopButton.addEventListener("click", () => send({ type: "stop" }));
box.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  const message = button.closest("[data-message]");
  if ("regenerate" in button.dataset) send({ type: "again" });
  else if ("edit" in button.dataset) edit(true, message);
  else if ("copyAnswer" in button.dataset) navigator.clipboard?.writeText(message.dataset.raw ?? message.querySelector(".words").innerText).then(() => window.trainer?.notice(words.copied));
});

// --- the panels at the sides ----------------------------------------------------------------------------
const narrow = matchMedia("(max-width: 991px)");
function panel(name, open, keep = true) {
  play.classList.toggle(`with-${name}`, open);
  document.querySelector(`[data-panel="${name}"]`)?.setAttribute("aria-expanded", open);
  try { if (keep) localStorage.setItem(`chat.${name}`, open ? "1" : ""); } catch { /* private windows */ }
}
const kept = (name, otherwise) => { try { return localStorage.getItem(`chat.${name}`) ?? otherwise; } catch { return otherwise; } };
for (const button of document.querySelectorAll("[data-panel]")) button.addEventListener("click", () => panel(button.dataset.panel, !play.classList.contains(`with-${button.dataset.panel}`)));
panel("list", !narrow.matches && kept("list", "1") === "1", false);
panel("settings", !narrow.matches && kept("settings", "") === "1", false);

for (const element of box.querySelectorAll("[data-message]")) element.dataset.raw = element.querySelector(".words").textContent;
// Answers are drawn again when the Markdown script arrives after the first pieces.
document.addEventListener("trainer:markdown", paint);
tools();
toEnd();
grow();
if (!narrow.matches) field.focus({ preventScroll: true });
connect();
