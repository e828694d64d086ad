// Shows how much of a file is uploaded: <form data-upload data-module="upload"> with a [data-upload-progress] in it.
// Without this script the form is sent as any other.
const shown = bytes => bytes > 1e9 ? `${(bytes / 2 ** 30).toFixed(1)} GB` : bytes > 1e5 ? `${(bytes / 2 ** 20).toFixed(1)} MB` : `${Math.ceil(bytes / 1024)} KB`;

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
    // The chosen file stays chosen: only what is written around it is renewed.
    const file = form.querySelector("[type=file]"), fresh = answer.querySelector("[type=file]");
    if (fresh) { file.className = fresh.className; fresh.replaceWith(file); }
    form.replaceWith(answer);
    bind(answer);
    answer.querySelector("[role=alert]")?.scrollIntoView({ block: "nearest" });
  });
  request.open("POST", form.action);
  request.send(new FormData(form));
}

function bind(form) {
  if (form.dataset.bound) return;
  form.dataset.bound = "1";
  form.addEventListener("submit", event => {
    if (!form.querySelector("[type=file]").files.length) return;
    event.preventDefault();
    start(form);
  });
}

const scan = () => document.querySelectorAll("form[data-upload]").forEach(bind);
document.addEventListener("trainer:scan", scan);
scan();
