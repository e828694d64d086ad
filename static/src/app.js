// What every page runs. How the pages use it:
//
//   Live parts   <div id="x" data-live="job:UUID" hx-get="/fragment/" hx-trigger="live, every 10s" hx-swap="outerMorph">
//                One socket for all of them; "live" fires on the element when its thing changed. Several: data-live="U1,U2".
//   Modules      An element with data-chart, data-log or data-markdown loads charts.js, terminal.js, markdown.js by itself.
//                An own module: put static/src/NAME.js there (it is built by itself) and data-module="NAME" on an element.
//                It may listen for `trainer:scan` on document, fired with detail.root at load and after each htmx swap.
//   Dialogs      <button data-dialog="ID"> opens <dialog id="ID"> (see c-confirm); [data-close] inside closes it. One that comes open is shown.
//   Menus        data-bs-toggle="dropdown" / "collapse" as in Bootstrap.
//   Copy         <button data-copy="text"> or data-copy-from="#selector".
//   Rows         <table class="list" data-rows>: arrow keys move through rows whose first link Enter opens; a click opens too.
//   Autosubmit   <form data-autosubmit> submits itself when a select, checkbox or radio in it changes.
//   Times        <time datetime data-ago> and <time datetime data-clock> (filters `ago`, `clock`) are kept fresh.
//   Countdown    <span data-until="ISO"> shows the time left as m:ss.
//   CSRF, 422    htmx sends the token by itself (body) and swaps 422 answers (forms with errors).
import htmx from "htmx.org";
import "@tabler/core";
import "./lib/live.js";
import "./lib/times.js";
import "./lib/keys.js";
import { data, say } from "./lib/words.js";

window.htmx = htmx;
const root = document.documentElement;

// --- modules that only some pages need ---------------------------------------------------------
const loaded = new Set();
function load(name) {
  if (loaded.has(name) || !data.modules[name]) return;
  loaded.add(name);
  const script = document.createElement("script");
  script.src = data.modules[name];
  document.head.append(script);
}
const NEEDS = { charts: "[data-chart]", terminal: "[data-log]", markdown: "[data-markdown]" };
function scan(part) {
  for (const [name, selector] of Object.entries(NEEDS)) if (part.matches?.(selector) || part.querySelector(selector)) load(name);
  for (const element of part.querySelectorAll("[data-module]")) load(element.dataset.module);
  if (part.dataset?.module) load(part.dataset.module);
  document.dispatchEvent(new CustomEvent("trainer:scan", { detail: { root: part } }));
}
document.addEventListener("DOMContentLoaded", () => scan(document.body));
document.addEventListener("DOMContentLoaded", () => {
  // The tab that one is on may lie beyond the edge of a phone.
  for (const tab of document.querySelectorAll("nav.seg [aria-current]")) {
    const over = tab.getBoundingClientRect().right - tab.parentElement.getBoundingClientRect().right;
    if (over > 0) tab.parentElement.scrollLeft += over;
  }
});
document.addEventListener("htmx:after:swap", () => scan(document.body));
document.addEventListener("DOMContentLoaded", () => {
  // What was wrong in a dialog is told in it.
  const dialog = document.querySelector("dialog[open]");
  dialog?.close();
  dialog?.showModal();
});

// --- nothing jumps ---------------------------------------------------------------------------
// A part that polls is left alone while the reader has a menu or dialog of it open.
document.addEventListener("htmx:before:request", event => {
  const element = event.target;
  if (element.matches?.("[data-live], [hx-trigger*=every]") && element.querySelector(".dropdown-menu.show, dialog[open], :popover-open")) event.preventDefault();
});
htmx.registerExtension("trainer-morph", {
  // What the reader unfolded, typed or scrolled stays when a live part is renewed around it.
  htmx_before_morph_attr: (element, detail) => !(detail.attrName === "open" && element.tagName === "DETAILS"),
  htmx_before_morph_node: (element, detail) => {
    const old = detail.oldNode;
    return !(old instanceof Element && (old.matches("[data-keep], .uplot, .xterm") || (old === document.activeElement && old.matches("input, textarea, select"))));
  },
});

// --- theme -----------------------------------------------------------------------------------
const system = matchMedia("(prefers-color-scheme: dark)");
function paint(choice) {
  const dark = choice === "dark" || (choice === "auto" && system.matches);
  root.dataset.bsTheme = dark ? "dark" : "light";
  root.dataset.theme = choice;
  // The cookie also says what is shown, so that the server renders it without a flash.
  document.cookie = `theme=${choice}-${dark ? "dark" : "light"};path=/;max-age=31536000;samesite=lax`;
  for (const item of document.querySelectorAll("[data-set-theme]")) item.setAttribute("aria-pressed", item.dataset.setTheme === choice);
  document.dispatchEvent(new CustomEvent("trainer:theme"));
}
document.addEventListener("DOMContentLoaded", () => paint(root.dataset.theme || "auto"));
system.addEventListener("change", () => paint(root.dataset.theme || "auto"));

// --- clicks and changes, one listener each -----------------------------------------------------
async function copy(button) {
  const from = button.dataset.copyFrom && document.querySelector(button.dataset.copyFrom);
  const text = button.dataset.copy || from?.value || from?.textContent || "";
  try {
    await navigator.clipboard.writeText(text.trim());
    notice(say("Copied"));
  } catch {
    if (from) getSelection().selectAllChildren(from);
    notice(say("Copying is not allowed here. Select the text and copy it yourself."));
  }
}

/** Tells the reader something that goes away by itself. */
export function notice(text, kind = "") {
  const box = document.getElementById("notices");
  if (!box) return;
  const item = document.createElement("div");
  item.className = `notice ${kind}`;
  item.textContent = text;
  box.append(item);
  setTimeout(() => item.remove(), 5000);
}
window.trainer = { notice, say };

document.addEventListener("click", event => {
  const target = event.target.closest("[data-dialog], [data-close], [data-copy], [data-copy-from], [data-set-theme], [data-dismiss]");
  if (target) {
    const set = target.dataset;
    if (set.dialog) document.getElementById(set.dialog)?.showModal();
    else if (set.setTheme) paint(set.setTheme);
    else if ("dismiss" in set) target.closest(set.dismiss || ".notice")?.remove();
    else if ("close" in set) target.closest("dialog")?.close();
    else copy(target);
    return;
  }
  if (event.target.matches("dialog")) event.target.close();  // the backdrop
  const row = event.target.closest("table[data-rows] tbody tr");
  if (row && !event.target.closest("a, button, input, label, select, summary, form, .dropdown-menu") && !getSelection().toString()) row.querySelector("a[href]")?.click();
});
document.addEventListener("change", event => event.target.form?.matches("[data-autosubmit]") && event.target.matches("select, [type=checkbox], [type=radio]") && event.target.form.requestSubmit());
// A button that sends is not pressed twice.
document.addEventListener("submit", event => {
  const form = event.target;
  if ((form.getAttribute("method") || "get").toLowerCase() === "get" || form.matches("[hx-post], [hx-put], [hx-delete], [data-again]")) return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "1";
  event.submitter?.classList.add("is-busy");
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach(form => { delete form.dataset.sent; form.querySelector(".is-busy")?.classList.remove("is-busy"); }));

// --- what was refused before any page saw it: too much, or no room for it ----------------------
document.addEventListener("htmx:after:request", event => {
  const { response, text } = event.detail.ctx;
  if (![413, 507].includes(response.status)) return;
  event.preventDefault();  // the page stays as it is
  notice(text, "bad");
});

// --- htmx could not reach the server -----------------------------------------------------------
let told = 0;
document.addEventListener("htmx:error", () => { if (Date.now() - told > 20000) { told = Date.now(); notice(say("The server does not answer. Trying again."), "bad"); } });
