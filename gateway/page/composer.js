// @ts-check
import { element, icon, part } from "./element.js";
import { shown, sorted, thumbnail } from "./pictures.js";

/**
 * @typedef {import("./unanswered.js").Thumbnail} Thumbnail
 * @typedef {import("../client.js").Session["limits"]} Limits
 * @typedef {{file: File, thumbnail: Promise<Thumbnail>, item: HTMLElement}} Chosen
 * @typedef {{text: string, chosen: Chosen[]}} Message
 */

/** The key is an input method's, for choosing characters. Safari tells by the number. @param {KeyboardEvent} event */
export function composing(event) {
  return event.isComposing || event.keyCode === 229;
}

/** Where a message is written. Pictures go up when it is sent: until then they can be taken out again. */
export class Composer {
  #field = /** @type {HTMLTextAreaElement} */ (part("message"));
  #files = /** @type {HTMLInputElement} */ (part("files"));
  #tray = part("tray");
  #problem = part("problem");
  #onSend;
  #onStop;
  /** @type {Chosen[]} */
  #chosen = [];
  #answering = false;
  #waiting = 0;
  /** @type {Limits | null} */
  limits = null;

  /** @param {{onSend: (message: Message) => void, onStop: () => void}} actions */
  constructor({ onSend, onStop }) {
    this.#onSend = onSend;
    this.#onStop = onStop;
    part("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#field.addEventListener("keydown", (event) => this.#key(event));
    this.#field.addEventListener("input", () => {
      this.complain("");
      this.#fit();
    });
    part("attach").addEventListener("click", () => this.#files.click());
    this.#files.addEventListener("change", () => {
      this.add(this.#files.files ?? []);
      this.#files.value = "";
    });
    part("stop").addEventListener("click", () => this.#onStop());
    this.#takePasted();
    this.#takeDropped();
  }

  /** Between the sending of a message and the end of its answer. @param {boolean} answering */
  set answering(answering) {
    this.#answering = answering;
    const stop = /** @type {HTMLButtonElement} */ (part("stop"));
    const held = document.activeElement === stop;
    part("send").hidden = answering;
    stop.hidden = !answering;
    stop.disabled = false;
    if (held && !answering) this.focus();
  }

  /** It was asked for; it takes a moment. */
  stopping() {
    /** @type {HTMLButtonElement} */ (part("stop")).disabled = true;
    this.focus();
  }

  /** Writing goes on here, where no keyboard would open over half a phone's screen. */
  focus() {
    if (matchMedia("(pointer: fine)").matches) this.#field.focus({ preventScroll: true });
  }

  /** A sentence about what cannot be sent; "" takes it back. @param {string} sentence */
  complain(sentence) {
    this.#problem.textContent = sentence;
    this.#problem.hidden = !sentence;
  }

  /** How many pictures the service still holds for the next message. @param {number} count */
  set waiting(count) {
    this.#waiting = count;
    this.#showWaiting();
  }

  get waiting() {
    return this.#waiting;
  }

  #showWaiting() {
    const count = this.#waiting;
    const note = part("waiting-pictures");
    const pictures = count === 1 ? "The picture uploaded before goes" : `The ${count} pictures uploaded before go`;
    note.textContent = `${pictures} along with your next message, unless you add others.`;
    note.hidden = !count || this.#chosen.length > 0;
  }

  /** Text to go on with, as for a suggestion. @param {string} text */
  write(text) {
    this.#fill(text);
    this.#field.focus({ preventScroll: true });
  }

  /** What could not be sent is back to be changed; what was written meanwhile stays, too. @param {Message} message */
  restore({ text, chosen }) {
    const written = this.#field.value;
    const parts = written === text ? [text] : [text, written];
    this.write(parts.filter((part) => part.trim()).join("\n\n"));
    for (const one of chosen) this.#keep(one);
  }

  /** @param {Iterable<File>} files */
  add(files) {
    const { pictures, others } = sorted(files);
    const most = this.limits?.upload_files ?? Infinity;
    const room = most - this.#chosen.length;
    for (const file of pictures.slice(0, Math.max(0, room))) {
      const item = element("li");
      const ready = thumbnail(file);
      const chosen = { file, thumbnail: ready, item };
      const name = file.name || "picture";
      const onclick = () => this.#drop(chosen);
      item.append(
        element("span.picture.loading"),
        element("button.round.remove", { type: "button", "aria-label": `Remove ${name}`, onclick }, icon("close")),
      );
      ready.then((small) => item.firstElementChild?.replaceWith(shown(small, name)));
      this.#keep(chosen);
    }
    this.complain("");
    if (others.length) this.complain(`Only pictures can be added (PNG, JPEG, WebP, GIF): ${others[0]?.name}.`);
    else if (pictures.length > room) this.complain(`A message takes ${most} pictures at most.`);
    this.focus();
  }

  #send() {
    const text = this.#field.value;
    const chosen = this.#chosen;
    if (this.#answering || (!text.trim() && !chosen.length)) return;
    const bytes = chosen.reduce((sum, { file }) => sum + file.size, 0);
    const chars = this.limits?.message_chars ?? Infinity;
    const most = this.limits?.upload_bytes ?? Infinity;
    if ([...text].length > chars) return this.complain(`A message has ${chars.toLocaleString()} characters at most.`);
    if (bytes > most) return this.complain(`The pictures are larger than ${Math.floor(most / 2 ** 20)} MB together.`);
    this.#chosen = [];
    this.#tray.replaceChildren();
    this.#tray.hidden = true;
    this.complain("");
    this.#fill("");
    this.focus();
    this.#onSend({ text: text.trim() ? text : "", chosen });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || composing(event)) return;
    event.preventDefault();
    this.#send();
  }

  /** @param {string} text */
  #fill(text) {
    this.#field.value = text;
    this.#fit();
  }

  #fit() {
    if (CSS.supports("field-sizing", "content")) return;
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }

  /** @param {Chosen} chosen */
  #keep(chosen) {
    this.#chosen.push(chosen);
    this.#tray.append(chosen.item);
    this.#tray.hidden = false;
    this.#showWaiting();
  }

  /** @param {Chosen} chosen */
  #drop(chosen) {
    this.#chosen = this.#chosen.filter((one) => one !== chosen);
    chosen.item.remove();
    this.#tray.hidden = !this.#chosen.length;
    this.#showWaiting();
    this.complain("");
    this.focus();
  }

  #takePasted() {
    document.addEventListener("paste", (event) => {
      const { files = [], types = [] } = event.clipboardData ?? {};
      // Office programs add a picture of the text that they copy.
      const written = types.includes("text/plain") && types.includes("text/html");
      if (!files.length || written) return;
      event.preventDefault();
      this.add(files);
    });
  }

  #takeDropped() {
    const curtain = part("drop");
    /** @param {DragEvent} event */
    const holdsFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;
    addEventListener("dragover", (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault(); // or the browser opens the file in the page's place
      curtain.classList.add("open");
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) curtain.classList.remove("open");
    });
    addEventListener("drop", (event) => {
      curtain.classList.remove("open");
      if (!holdsFiles(event)) return;
      event.preventDefault();
      this.add(event.dataTransfer?.files ?? []);
    });
  }
}
