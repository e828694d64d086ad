// Uploads files or a folder in pieces that survive a lost connection, a reload and a restart of the server (tus), then
// sends the form with their ids: <form data-upload data-uploads="URL" data-project="ID" data-module="upload"> with a
// [data-upload-progress] in it. Without this script the form is sent as any other.
import { Upload } from "tus-js-client";

const PIECE = 8 * 2 ** 20;
const MARKED = 64 * 1024;  // bytes at both ends of what has arrived, by which a file is known again
const DELAYS = [0, 500, 1000, 2000, 3000, ...Array(120).fill(5000)];  // ms; ten minutes without a server
const shown = bytes => bytes > 1e9 ? `${(bytes / 2 ** 30).toFixed(1)} GB` : bytes > 1e5 ? `${(bytes / 2 ** 20).toFixed(1)} MB` : `${Math.ceil(bytes / 1024)} KB`;
const inputs = form => [...form.querySelectorAll("[type=file]")];
const chosen = form => inputs(form).flatMap(input => [...input.files]);
const place = file => file.webkitRelativePath || file.name;
const idOf = url => url.split("/").filter(Boolean).at(-1);
const sizeOf = files => files.reduce((sum, file) => sum + file.size, 0);
const finished = new Map();  // files that are on the server and did not become a version yet -> their ids

const headers = form => ({ "X-CSRFToken": form.querySelector("[name=csrfmiddlewaretoken]").value, "X-Project": form.dataset.project });

function progress(form) {
  const box = form.querySelector("[data-upload-progress]");
  const bar = box.querySelector("[role=progressbar]"), text = box.querySelector("[data-upload-text]");
  const pause = box.querySelector("[data-upload-pause]"), button = form.querySelector("[type=submit]");
  return {
    pause,
    show(done, total) {
      const percent = total ? 100 * done / total : 100;
      bar.querySelector("i").style.width = `${percent}%`;
      bar.setAttribute("aria-valuenow", Math.round(percent));
      box.querySelector("[data-upload-share]").textContent = `${shown(done)} / ${shown(total)}`;
    },
    phase(word) { text.textContent = text.dataset[word]; pause.hidden = word === "checking"; },
    busy(is) { box.hidden = !is; button.disabled = is; },
  };
}

/** CRC-32, going on from what was counted before; hashes of the browser's own need a secure connection. */
function crc(bytes, before = 0) {
  let sum = ~before;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xEDB88320 : 0);
  }
  return ~sum >>> 0;
}

/** The file's mark as the server tells it of so many bytes that have arrived. */
async function mark(file, received) {
  const part = async (from, to) => new Uint8Array(await file.slice(from, to).arrayBuffer());
  if (!received) return 0;
  return crc(await part(Math.max(received - MARKED, 0), received), crc(await part(0, Math.min(MARKED, received))));
}

/** The uploads of such a file that the server keeps. Without an answer nothing is sure, so it is waited for. */
async function kept(form, file, shows) {
  const asked = new URLSearchParams({ project: form.dataset.project, path: place(file), size: file.size });
  for (const delay of DELAYS) {
    await new Promise(resolve => { setTimeout(resolve, delay); });
    const answer = await fetch(`${form.dataset.uploads}?${asked}`, { headers: { Accept: "application/json" } }).catch(() => null);
    if (answer?.ok) return (await answer.json()).results;
    if (answer && answer.status < 500) throw Object.assign(new Error("refused"), { status: answer.status, body: await answer.text() });
    shows.phase("retrying");
  }
  throw new Error("no answer");
}

/** The address of the one that this file began in another browser, as far as can be told; null without one. */
async function begun(form, file, uploads) {
  for (const one of uploads) {
    const same = one.modified === String(file.lastModified) && await mark(file, one.received) === one.mark;
    if (same) return `${form.dataset.uploads}${one.id}/`;
  }
  return null;
}

/** Goes on with what has arrived; says so when what this browser remembers is not kept any more. */
async function resume(form, file, upload, shows) {
  const uploads = await kept(form, file, shows), remembered = await upload.findPreviousUploads();
  const earlier = remembered.find(one => uploads.some(({ id }) => id === idOf(one.uploadUrl)));
  const url = earlier?.uploadUrl ?? await begun(form, file, uploads);
  if (url) {
    upload.resumeFromPreviousUpload({ uploadUrl: url, urlStorageKey: earlier?.urlStorageKey ?? null });
  } else if (remembered.length) {
    for (const one of remembered) await upload.options.urlStorage.removeUpload(one.urlStorageKey);
    window.trainer.notice(window.trainer.say("What had arrived of this file is not kept any more. It is sent from the beginning."));
  }
  upload.start();
}

/** How much there is of the folder that a file comes from, so that the server can say how much of it has arrived. */
function folderOf(file, files) {
  if (!file.webkitRelativePath) return {};
  const folder = `${place(file).split("/")[0]}/`, inside = files.filter(one => place(one).startsWith(folder));
  return { folder_files: String(inside.length), folder_size: String(sizeOf(inside)) };
}

/** Sends one file of all that were chosen from where it stopped; gives the id of the upload. */
async function send(form, file, files, shows, told) {
  if (finished.has(file)) return finished.get(file);
  const id = await new Promise((resolve, reject) => {
    const upload = new Upload(file, {
      endpoint: form.dataset.uploads,
      chunkSize: PIECE,
      retryDelays: DELAYS,
      headers: headers(form),
      metadata: { filename: file.name, path: place(file), modified: String(file.lastModified), ...folderOf(file, files) },
      fingerprint: async () => ["upload", form.dataset.project, place(file), file.size, file.lastModified].join("/"),
      removeFingerprintOnSuccess: true,
      onProgress: sent => { shows.phase("uploading"); told(sent); },
      // Asked how far it is, the server may fail. Only "not found" means that nothing is kept; else tus would begin anew.
      onAfterResponse: (request, response) => {
        const status = response.getStatus();
        if (request.getMethod() === "HEAD" && status >= 400 && status !== 404) throw Object.assign(new Error("no offset"), { status });
      },
      onShouldRetry: error => {
        const status = error.causingError?.status ?? error.originalResponse?.getStatus() ?? 0;
        const writing = error.originalRequest?.getMethod() === "PATCH";
        const again = !status || status >= 500 || (writing && (status === 409 || status === 423));
        if (again) shows.phase("retrying");
        return again;
      },
      onError: reject,
      onSuccess: () => resolve(idOf(upload.url)),
    });
    let going = true;
    shows.pause.textContent = shows.pause.dataset.pause;
    shows.pause.disabled = true;
    shows.pause.onclick = () => {
      going = !going;
      shows.pause.textContent = going ? shows.pause.dataset.pause : shows.pause.dataset.resume;
      shows.phase(going ? "uploading" : "paused");
      if (going) upload.start(); else upload.abort();
    };
    resume(form, file, upload, shows).then(() => { shows.pause.disabled = false; }, reject);
  });
  finished.set(file, id);
  return id;
}

/** Why the server refused, in its own words or those of a proxy before it; or else that it does not answer. */
function reason(status, body) {
  try {
    const { detail } = JSON.parse(body);
    if (detail) return detail;
  } catch { /* a page, plain text or nothing */ }
  if (status < 400 || status >= 500) return window.trainer.say("The server does not answer. What has arrived is kept: upload again to go on from there.");
  const page = new DOMParser().parseFromString(body, "text/html");
  return page.querySelector(".lead")?.textContent || page.title || page.body.textContent;
}

function refuse(form, error) {
  const status = error.status ?? error.originalResponse?.getStatus() ?? 0;
  const line = document.createElement("span");
  line.className = "error";
  line.setAttribute("role", "alert");
  line.textContent = reason(status, error.body ?? error.originalResponse?.getBody());
  inputs(form)[0].classList.add("is-invalid");
  inputs(form)[0].after(line);
}

async function start(form) {
  const shows = progress(form), files = chosen(form);
  const total = sizeOf(files);
  form.querySelectorAll(".error, .hint.bad").forEach(said => said.remove());
  form.querySelectorAll(".is-invalid").forEach(field => field.classList.remove("is-invalid"));
  shows.busy(true);
  const data = new FormData(form), ids = [];
  data.delete("file");
  let before = 0;
  try {
    for (const file of files) {
      ids.push(await send(form, file, files, shows, sent => shows.show(before + sent, total)));
      before += file.size;
    }
  } catch (error) {
    shows.busy(false);
    refuse(form, error);
    return;
  }
  data.set("uploads", ids.join());
  shows.show(total, total);
  shows.phase("checking");
  await submit(form, data, files, shows);
}

async function submit(form, data, files, shows) {
  let status = 0, text = "";
  try {
    const answer = await fetch(form.action, { method: "POST", body: data });
    if (answer.ok) { location.assign(answer.url); return; }
    ({ status } = answer);
    text = await answer.text();
  } catch { /* said below */ }
  const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("form[data-upload]");
  if (!fresh) {
    shows.busy(false);
    window.trainer.notice(reason(status, text), "bad");
    return;
  }
  // Files that were refused are of no use any more; with a wrong name they wait for a better one.
  if (inputs(fresh)[0].classList.contains("is-invalid")) {
    for (const file of files) {
      fetch(`${form.dataset.uploads}${finished.get(file)}/`, { method: "DELETE", headers: { ...headers(form), "Tus-Resumable": "1.0.0" } });
      finished.delete(file);
    }
  }
  // What was chosen stays chosen: only what is written around it is renewed.
  const old = inputs(form);
  inputs(fresh).forEach((input, number) => { old[number].className = input.className; input.replaceWith(old[number]); });
  form.replaceWith(fresh);
  bind(fresh);
  fresh.querySelector("[role=alert]")?.scrollIntoView({ block: "nearest" });
}

function bind(form) {
  if (form.dataset.bound) return;
  form.dataset.bound = "1";
  form.querySelector("[data-upload-folder]").hidden = false;
  form.addEventListener("submit", event => {
    if (!chosen(form).length) return;
    event.preventDefault();
    start(form);
  });
}

const scan = () => document.querySelectorAll("form[data-upload]").forEach(bind);
document.addEventListener("trainer:scan", scan);
scan();
