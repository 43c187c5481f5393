// @ts-check
import { element, icon } from "./element.js";

const SHOWN = 1600;

/**
 * A button that copies what `text` gives at that moment, and says so.
 *
 * @param {string} label @param {() => string} text
 */
export function copyButton(label, text) {
  const word = element("span", {}, "Copy");
  const button = element("button.quiet.copy", { type: "button", "aria-label": label }, icon("copy"), word);
  button.addEventListener("click", async () => {
    const copied = await copy(text());
    word.textContent = copied ? "Copied" : "Not copied";
    button.querySelector("use")?.setAttribute("href", copied ? "#icon-check" : "#icon-close");
    button.setAttribute("aria-label", copied ? "Copied" : "Not copied");
    setTimeout(() => {
      word.textContent = "Copy";
      button.querySelector("use")?.setAttribute("href", "#icon-copy");
      button.setAttribute("aria-label", label);
    }, SHOWN);
  });
  return button;
}

/** @param {string} text @returns {Promise<boolean>} */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyTheOldWay(text);
  }
}

/** On plain HTTP there is no navigator.clipboard. @param {string} text */
function copyTheOldWay(text) {
  const field = /** @type {HTMLTextAreaElement} */ (element("textarea.visually-hidden", { readonly: true }));
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return copied;
}
