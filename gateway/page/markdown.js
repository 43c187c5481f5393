// @ts-check
/**
 * A model's Markdown as elements, while it grows. What a model writes is a stranger's text: whoever can put words into
 * a picture or a page that it reads, writes here.
 *
 * 1. HTML in it is shown as text, and pictures become links: marked makes no element of its own choosing.
 * 2. DOMPurify lets a short list of elements and attributes pass, links to the web and to mail only.
 * 3. The page's Content-Security-Policy runs no inline script or style and loads nothing from elsewhere.
 */
import { Marked } from "./vendor/marked-18.2.1.esm.js";
import DOMPurify from "./vendor/dompurify-3.4.18.es.js";
import { copyButton } from "./copy.js";
import { element } from "./element.js";

const BELOW = 2; // The page has a heading, and every message one.
const LEAST_PAUSE = 40;
const LONG = 4000; // characters of one paragraph before its end: stars in more of them cost seconds to pair

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    heading({ tokens, depth }) {
      const level = Math.min(6, depth + BELOW);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`;
    },
    html({ text, block }) {
      return block ? `<p>${escaped(text.trim()).replaceAll("\n", "<br>")}</p>\n` : escaped(text);
    },
    image({ href, text }) {
      return `<a href="${escaped(href)}">${escaped(text || "picture")}</a>`;
    },
    checkbox({ checked }) {
      return checked ? "☑ " : "☐ ";
    },
  },
  tokenizer: {
    emStrong: (rest) => (rest.length > LONG ? undefined : false),
  },
});

const TAGS = "a blockquote br code del em h3 h4 h5 h6 hr li ol p pre strong table tbody td th thead tr ul";
const ALLOWED = {
  ALLOWED_TAGS: TAGS.split(" "),
  ALLOWED_ATTR: ["align", "class", "href", "start"],
  ADD_URI_SAFE_ATTR: ["align", "start"],
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

DOMPurify.addHook("uponSanitizeAttribute", (node, attribute) => {
  const language = node.nodeName === "CODE" && /^language-[\w.#+-]{1,40}$/.test(attribute.attrValue);
  if (attribute.attrName === "class" && !language) attribute.keepAttr = false;
});

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName !== "A") return;
  const href = node.getAttribute("href");
  if (!href) return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
  node.setAttribute("title", href); // where it really leads, whatever its text says
});

/** One text that grows, shown block by block: a block that has not changed is left alone, selection and all. */
export class Prose {
  /** @type {{raw: string, shown: Element}[]} */
  #blocks = [];
  #root;
  #text = "";
  #pause = LEAST_PAUSE;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  get text() {
    return this.#text;
  }

  /** More of it; shown soon. @param {string} text */
  append(text) {
    this.#text += text;
    this.#timer ??= setTimeout(() => this.#show(), this.#pause);
  }

  /** Exactly this, now. @param {string} text */
  set(text) {
    this.#text = text;
    this.#show();
  }

  /** No more will come: shows what is still to be shown. */
  settle() {
    this.#show(true);
  }

  #show(whole = false) {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const began = performance.now();
    const tokens = parsed(this.#text);
    // A definition at the end changes links far above it.
    if (whole && Object.keys(tokens.links).length) this.#cut(0);
    const blocks = tokens.filter((token) => token.type !== "space" && token.type !== "def");
    this.#cut(blocks.length);
    blocks.forEach((token, index) => {
      const before = this.#blocks[index];
      if (before?.raw === token.raw) return;
      const shown = element("div.block", { dir: "auto" }, rendered(token));
      if (before) before.shown.replaceWith(shown);
      else this.#root.append(shown);
      this.#blocks[index] = { raw: token.raw, shown };
    });
    // A long answer is shown in larger steps, lest the page does nothing else.
    this.#pause = Math.max(LEAST_PAUSE, 4 * (performance.now() - began));
  }

  /** @param {number} length */
  #cut(length) {
    for (const { shown } of this.#blocks.splice(length)) shown.remove();
  }
}

/** @typedef {import("./vendor/marked-18.2.1.esm.js").Token} Token */

/** @param {string} text */
function parsed(text) {
  try {
    return marked.lexer(text);
  } catch {
    // Nested deeper than a browser's stack: one block, shown as it is.
    return Object.assign([{ type: "plain", raw: text }], { links: {} });
  }
}

/** @param {Token | {type: "plain", raw: string}} token */
function rendered(token) {
  try {
    if (token.type !== "plain") return safe(marked.parser([/** @type {Token} */ (token)]));
  } catch {
    // As above: what can be parsed may still be too deep to be shown.
  }
  return element("p.plain", {}, token.raw);
}

/** @param {string} html @returns {DocumentFragment} */
function safe(html) {
  const fragment = /** @type {DocumentFragment} */ (/** @type {unknown} */ (DOMPurify.sanitize(html, ALLOWED)));
  for (const pre of fragment.querySelectorAll("pre")) pre.replaceWith(codeBlock(pre));
  for (const item of fragment.querySelectorAll("li")) {
    if (/^\s*[☐☑] /.test(item.textContent ?? "")) item.classList.add("task");
  }
  for (const table of fragment.querySelectorAll("table")) {
    const frame = element("div.table", { tabindex: 0, role: "group", "aria-label": "Table" });
    table.replaceWith(frame);
    frame.append(table);
  }
  return fragment;
}

/** @param {HTMLPreElement} pre */
function codeBlock(pre) {
  const language = pre.querySelector("code")?.className.replace("language-", "") ?? "";
  const code = pre.textContent ?? "";
  const label = language ? `Code, ${language}` : "Code";
  const frame = element("pre", { tabindex: 0, role: "group", "aria-label": label }, ...pre.childNodes);
  const head = element("div.code-head", {}, element("span", {}, language), copyButton("Copy the code", () => code));
  return element("div.code", { dir: "ltr" }, head, frame);
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
