// Translated words and addresses that base.html leaves for the scripts in #trainer-data.
const element = document.getElementById("trainer-data");
export const data = element ? JSON.parse(element.textContent) : { words: {}, modules: {} };

/** The translation of an English phrase, with its %s replaced in order. */
export function say(phrase, ...values) {
  let text = data.words[phrase] ?? phrase;
  for (const value of values) text = text.replace("%s", value);
  return text;
}

export const language = document.documentElement.lang || "en";
export const token = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
