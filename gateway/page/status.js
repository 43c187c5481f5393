// @ts-check
import { part } from "./element.js";

/** @typedef {import("../client.js").Session} Session */

const PATIENCE = 800; // ms: a connection that is back sooner is nobody's business

/** What the page says about the service: model, tokens, the connection; and what a screen reader is told. */
export class Status {
  #connection = part("connection");
  #announcer = part("announcer");
  #sentence = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {Session} session */
  show({ model, offline, usage }) {
    const chip = part("model");
    const name = model ? (offline ? "offline stand-in" : model) : "no worker";
    chip.hidden = false;
    chip.classList.toggle("warn", !model || offline);
    /** @type {HTMLElement} */ (chip.lastElementChild).textContent = name;
    part("offline").hidden = !offline;
    const total = usage.total_tokens ?? 0;
    part("tokens").textContent = total ? `${total.toLocaleString()} tokens used` : "";
  }

  /** The connection is lost, or the service busy. @param {string} sentence */
  away(sentence) {
    this.#sentence = sentence;
    if (!this.#connection.hidden) this.#connection.textContent = sentence;
    this.#timer ??= setTimeout(() => {
      this.#connection.textContent = this.#sentence;
      this.#connection.hidden = false;
    }, PATIENCE);
  }

  back() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#connection.hidden) this.announce("Connected again.");
    this.#connection.hidden = true;
    this.#connection.textContent = "";
  }

  /** For screen readers alone. @param {string} sentence */
  announce(sentence) {
    this.#announcer.textContent = "";
    // The same words again are news only if the region was empty between.
    setTimeout(() => (this.#announcer.textContent = sentence), 60);
  }
}
