// Uploads files or a folder and shows how far it is: <form data-upload data-module="upload"> with a [data-upload-progress].
// Without this script the form is sent as any other.
const shown = bytes => bytes > 1e9 ? `${(bytes / 2 ** 30).toFixed(1)} GB` : bytes > 1e5 ? `${(bytes / 2 ** 20).toFixed(1)} MB` : `${Math.ceil(bytes / 1024)} KB`;

const inputs = form => [...form.querySelectorAll("[type=file]")];
const chosen = form => inputs(form).flatMap(input => [...input.files]);

function filled(form) {
  const data = new FormData(form);
  data.delete("file");
  for (const file of chosen(form)) {
    data.append("file", file);
    data.append("path", file.webkitRelativePath || file.name);
  }
  return data;
}

function start(form) {
  const box = form.querySelector("[data-upload-progress]");
  const bar = box.querySelector("[role=progressbar]"), fill = bar.querySelector("i");
  const text = box.querySelector("[data-upload-text]"), share = box.querySelector("[data-upload-share]");
  const button = form.querySelector("[type=submit]");
  const request = new XMLHttpRequest();
  const show = percent => { fill.style.width = `${percent}%`; bar.setAttribute("aria-valuenow", Math.round(percent)); };
  form.querySelectorAll(".error, .hint.bad").forEach(said => said.remove());
  form.querySelectorAll(".is-invalid").forEach(field => field.classList.remove("is-invalid"));
  box.hidden = false;
  button.disabled = true;
  text.textContent = text.dataset.uploading;
  request.upload.addEventListener("progress", event => {
    if (!event.lengthComputable) return;
    show(100 * event.loaded / event.total);
    share.textContent = `${shown(event.loaded)} / ${shown(event.total)}`;
  });
  request.upload.addEventListener("load", () => { show(100); text.textContent = text.dataset.checking; });
  const failed = () => { box.hidden = true; button.disabled = false; window.trainer.notice(window.trainer.say("The server does not answer. Trying again."), "bad"); };
  request.addEventListener("error", failed);
  request.addEventListener("load", () => {
    if (request.status < 400) { location.assign(request.responseURL); return; }
    const answer = new DOMParser().parseFromString(request.responseText, "text/html").querySelector("form[data-upload]");
    if (!answer) { failed(); return; }
    // What was chosen stays chosen: only what is written around it is renewed.
    const old = inputs(form);
    inputs(answer).forEach((fresh, place) => { old[place].className = fresh.className; fresh.replaceWith(old[place]); });
    form.replaceWith(answer);
    bind(answer);
    answer.querySelector("[role=alert]")?.scrollIntoView({ block: "nearest" });
  });
  request.open("POST", form.action);
  request.send(filled(form));
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
