// Keeps relative times fresh and shows moments in the reader's own time zone.
import { language, say } from "./words.js";

const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
const full = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
const hour = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const both = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

function relative(moment) {
  const seconds = (Date.now() - moment) / 1000;
  if (seconds < 60) return say("just now");
  if (seconds < 3600) return say("%s min ago", Math.floor(seconds / 60));
  if (seconds < 86400) return say("%s h ago", Math.floor(seconds / 3600));
  if (seconds < 172800) return say("yesterday");
  if (seconds < 604800) return say("%s days ago", Math.floor(seconds / 86400));
  return day.format(moment);
}

const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };

function refresh() {
  const now = new Date();
  for (const element of document.querySelectorAll("time[data-ago], time[data-clock]")) {
    const moment = new Date(element.dateTime);
    if (isNaN(moment)) continue;
    element.title = full.format(moment);
    if ("ago" in element.dataset) put(element, relative(moment));
    else put(element, (moment.toDateString() === now.toDateString() ? hour : both).format(moment));
  }
}

function countdown() {
  for (const element of document.querySelectorAll("[data-until]")) {
    const left = Math.max(0, Math.round((new Date(element.dataset.until) - Date.now()) / 1000));
    put(element, left >= 3600 ? `${Math.floor(left / 3600)}:${String(Math.floor(left / 60) % 60).padStart(2, "0")}:${String(left % 60).padStart(2, "0")}`
      : `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`);
  }
}

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `zone=${encodeURIComponent(zone)};path=/;max-age=31536000;samesite=lax`;
const all = () => { refresh(); countdown(); };
document.addEventListener("DOMContentLoaded", all);
document.addEventListener("htmx:after:swap", all);
setInterval(refresh, 20000);
setInterval(countdown, 1000);
