// Reviewing rows with the keyboard: a key presses the button that names it in data-key.
document.addEventListener("keydown", event => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const target = event.target instanceof Element ? event.target : document.body;
  if (target.matches("input, textarea, select, [contenteditable]")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  const button = [...document.querySelectorAll("#review [data-key]")].find(one => one.dataset.key === event.key.toLowerCase());
  if (!button || button.disabled) return;
  event.preventDefault();
  button.click();
});
