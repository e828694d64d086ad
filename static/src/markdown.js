// Answers written in Markdown, made safe: no HTML of the model's own, nothing that runs, links open apart.
import DOMPurify from "dompurify";
import MarkdownIt from "markdown-it";

const markdown = new MarkdownIt({ html: false, linkify: true, breaks: true });
DOMPurify.addHook("afterSanitizeAttributes", node => {
  if (node.tagName === "A") { node.setAttribute("target", "_blank"); node.setAttribute("rel", "noopener noreferrer nofollow"); }
});

/** Draws Markdown text into an element. */
export function draw(element, text) {
  element.classList.add("markdown");
  element.innerHTML = DOMPurify.sanitize(markdown.render(text), { FORBID_TAGS: ["img", "style", "form", "input"], FORBID_ATTR: ["style"] });
}
window.trainerMarkdown = draw;

function scan(root) {
  for (const element of root.querySelectorAll("[data-markdown]:not([data-drawn])")) {
    element.dataset.drawn = "";
    draw(element, element.textContent.trim());
  }
}
document.addEventListener("trainer:scan", event => scan(event.detail.root));
scan(document);
document.dispatchEvent(new CustomEvent("trainer:markdown"));
