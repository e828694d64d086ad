// The keyboard: / searches, arrows go through rows, Enter opens, Escape leaves the field.
const typing = element => element.matches("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]") || element.closest(".xterm");

document.addEventListener("keydown", event => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target instanceof Element ? event.target : document.body;
  if (event.key === "Escape" && target.matches(".find input")) return target.blur();
  if (typing(target) && !(target.matches(".find input") && event.key === "ArrowDown")) return;
  if (event.key === "/") {
    const field = [...document.querySelectorAll("[data-search-field]")].find(each => each.offsetParent) || document.querySelector("[data-search-field]");
    if (field) { event.preventDefault(); field.focus(); field.select(); }
    return;
  }
  if (event.key === "ArrowDown" || event.key === "ArrowUp") moveRow(event, target);
});

function moveRow(event, target) {
  if (target.closest("[role=menu], .dropdown-menu, [role=tablist], [role=radiogroup], dialog")) return;
  const links = [...document.querySelectorAll("table[data-rows] tbody tr")].map(row => row.querySelector("a[href]")).filter(link => link?.offsetParent);
  if (!links.length) return;
  const here = links.findIndex(link => link.closest("tr").contains(target));
  // Arrows scroll as ever until the reader is in a list, or the page has nothing to scroll.
  if (here < 0 && document.documentElement.scrollHeight > innerHeight + 4 && !target.matches(".find input")) return;
  event.preventDefault();
  links[Math.min(links.length - 1, Math.max(0, here + (event.key === "ArrowDown" ? 1 : -1)))].focus();
}
