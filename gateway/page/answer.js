// @ts-check
import { copyButton } from "./copy.js";
import { element, icon } from "./element.js";
import { Prose } from "./markdown.js";

/**
 * @typedef {import("../client.js").Usage} Usage
 * @typedef {{message: string, retryable: boolean}} Failure
 * @typedef {{finish_reason?: string, model?: string, usage?: Usage, offline?: boolean, stopped?: boolean,
 *   created_at?: string}} Facts
 */

/** @type {Record<string, string>} Why a new attempt was begun. */
const RESETS = {
  worker_lost: "The worker that was answering went away. Another one begins the answer again.",
  worker_drained: "The worker that was answering is being replaced. Another one begins the answer again.",
};
const RESET = "Gemini broke off in mid-answer. It is asked again, and the answer begins anew.";

/** @type {Record<string, string>} Gemini's finish reasons but STOP. */
const CUTS = {
  MAX_TOKENS: "Cut off: the answer reached the greatest length that is set.",
  SAFETY: "Cut off by Gemini’s safety filter.",
  RECITATION: "Cut off by Gemini: too close to a text that it must not recite.",
  PROHIBITED_CONTENT: "Cut off by Gemini: content that it does not give.",
  BLOCKLIST: "Cut off by Gemini: a word that is on a list.",
  SPII: "Cut off by Gemini: personal data.",
  LANGUAGE: "Cut off by Gemini: a language that it does not speak.",
};

/** What the model says, from the waiting to the end. */
export class Answer {
  #name = element("span", {}, "Gemini");
  #note = element("p.note", { hidden: true });
  #body = element("div.prose");
  #prose = new Prose(this.#body);
  #dots = element("p.dots", { hidden: true }, element("span"), element("span"), element("span"));
  #ending = element("p.note.ending", { hidden: true });
  #failure = element("div.failure", { hidden: true });
  #facts = element("footer.facts", { hidden: true });
  root = element("article.message.model", { hidden: true });

  constructor() {
    const mark = element("img", { src: "ui/icon.svg", alt: "", width: 22, height: 22 });
    const heading = element("h2.by", {}, mark, this.#name);
    this.root.append(heading, this.#note, this.#body, this.#dots, this.#ending, this.#failure, this.#facts);
  }

  get text() {
    return this.#prose.text;
  }

  /** The text as it is read out: without the signs of Markdown, and the heads of code blocks. */
  get spoken() {
    const read = /** @type {HTMLElement} */ (this.#body.cloneNode(true));
    for (const head of read.querySelectorAll(".code-head")) head.remove();
    for (const end of read.querySelectorAll("br")) end.replaceWith(" ");
    return Array.from(read.children, (block) => block.textContent?.trim()).join(" ");
  }

  get failed() {
    return !this.#failure.hidden;
  }

  /** An answer is on its way. */
  begin() {
    this.#clear();
    this.root.hidden = false;
    this.#note.hidden = true;
    this.#wait(true);
  }

  /** @param {string} text */
  append(text) {
    this.#prose.append(text);
  }

  /** A new attempt: what came so far is void. @param {{attempt: number, reason: string}} event */
  reset({ reason }) {
    this.#clear();
    this.#note.textContent = RESETS[reason] ?? RESET;
    this.#note.hidden = false;
    this.#wait(true);
  }

  /** The whole text, as history has it. @param {string} text */
  set(text) {
    this.root.hidden = false;
    if (text !== this.text) this.#prose.set(text);
  }

  /** Nothing more will come. @param {Facts} facts */
  finish(facts) {
    this.#prose.settle();
    this.#wait(false);
    const { finish_reason: reason, stopped } = facts;
    const cut = reason && reason !== "STOP" ? (CUTS[reason] ?? `Ended early (${reason}).`) : "";
    const empty = this.text.trim() ? "" : "There is no text in this answer.";
    this.#ending.textContent = stopped ? "You stopped this answer." : cut || empty;
    this.#ending.hidden = !this.#ending.textContent;
    if (facts.offline) this.#name.textContent = "Offline stand-in";
    this.#showFacts(facts);
  }

  /** @param {Failure} failure @param {{onRetry: () => void, onEdit: () => void}} actions */
  fail({ message, retryable }, { onRetry, onEdit }) {
    this.root.hidden = false;
    this.#prose.settle();
    this.#wait(false);
    const button = (/** @type {string} */ symbol, /** @type {string} */ word, /** @type {() => void} */ onclick) =>
      element("button.pill", { type: "button", onclick }, icon(symbol), element("span", {}, word));
    const choices = element("div.choices", {}, retryable ? button("retry", "Try again", onRetry) : null);
    choices.append(button("edit", "Edit", onEdit));
    this.#failure.replaceChildren(element("p", {}, message), choices);
    this.#failure.hidden = false;
  }

  #clear() {
    this.#prose.set("");
    this.#failure.hidden = true;
    this.#ending.hidden = true;
    this.#facts.hidden = true;
  }

  /** @param {boolean} waiting */
  #wait(waiting) {
    this.#dots.hidden = !waiting;
    this.root.setAttribute("aria-busy", String(waiting));
  }

  /** @param {Facts} facts */
  #showFacts({ model, usage, created_at: at }) {
    const said = [model, tokens(usage)].filter(Boolean).join(" · ");
    const time = at ? element("time", { datetime: at }, when(new Date(at))) : null;
    const copy = this.text ? copyButton("Copy the answer", () => this.text) : null;
    this.#facts.replaceChildren(...[copy, element("span", {}, said), time].filter((part) => part !== null));
    this.#facts.hidden = false;
  }
}

/** @param {Usage} [usage] */
function tokens(usage) {
  const { input_tokens: input = 0, output_tokens: output = 0, total_tokens: total = 0 } = usage ?? {};
  return total ? `${input.toLocaleString()} tokens in, ${output.toLocaleString()} out` : "";
}

/** @param {Date} date */
function when(date) {
  const today = date.toDateString() === new Date().toDateString();
  /** @type {Intl.DateTimeFormatOptions} */
  const time = { hour: "numeric", minute: "2-digit" };
  return date.toLocaleString(undefined, today ? time : { ...time, day: "numeric", month: "short" });
}
