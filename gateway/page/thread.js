// @ts-check
import { Answer } from "./answer.js";
import { element, part } from "./element.js";
import { Question } from "./question.js";

/**
 * @typedef {import("../client.js").UserMessage} UserMessage
 * @typedef {import("../client.js").ModelMessage} ModelMessage
 * @typedef {import("./unanswered.js").Thumbnail} Thumbnail
 */

/** One turn as it stands in the page. */
export class TurnView {
  /** Not in the history: running, or failed. */
  open = true;
  answer = new Answer();
  root = element("li.turn");

  /** @param {{turn?: string | null, text?: string, pictures?: Thumbnail[]}} [asked] */
  constructor({ turn = null, text = "", pictures = [] } = {}) {
    this.turn = turn;
    this.question = new Question(text, pictures);
    this.question.root.hidden = !text && !pictures.length;
    this.root.append(this.question.root, this.answer.root);
  }

  /** @param {UserMessage} asked @param {ModelMessage} answered */
  settle(asked, answered) {
    this.open = false;
    if (this.question.text !== asked.text) {
      const told = new Question(asked.text, []);
      this.question.root.replaceWith(told.root);
      this.question = told;
    }
    this.question.root.hidden = false;
    this.question.settle(asked.images);
    this.answer.set(answered.text);
    this.answer.finish(answered);
  }
}

/** The conversation: what the history has, and below it at most one turn that it has not. */
export class Thread {
  #root = part("thread");
  /** @type {TurnView[]} */
  #views = [];

  /** @param {{turn?: string | null, text?: string, pictures?: Thumbnail[]}} asked */
  add(asked) {
    const view = new TurnView(asked);
    this.#views.push(view);
    this.#root.append(view.root);
    this.#welcome();
    return view;
  }

  /** @param {TurnView} view */
  remove(view) {
    this.#views = this.#views.filter((one) => one !== view);
    view.root.remove();
    this.#welcome();
  }

  /** The turn that the history has not. */
  get open() {
    return this.#views.find((view) => view.open) ?? null;
  }

  get empty() {
    return !this.#views.length;
  }

  clear() {
    for (const view of [...this.#views]) this.remove(view);
  }

  /**
   * Makes the page show this history: what it shows already stays untouched.
   *
   * @param {(UserMessage | ModelMessage)[]} messages
   */
  show(messages) {
    const known = new Map(this.#views.map((view) => [view.turn, view]));
    /** @type {TurnView[]} */
    const told = [];
    messages.forEach((asked, index) => {
      const answered = messages[index + 1];
      if (asked.role !== "user" || answered?.role !== "model") return;
      const turn = asked.id.replace(/-user$/, "");
      const view = known.get(turn) ?? new TurnView({ turn });
      if (view.open) view.settle(asked, answered);
      told.push(view);
    });
    for (const view of this.#views) if (!view.open && !told.includes(view)) view.root.remove();
    this.#views = [...told, ...this.#views.filter((view) => view.open)];
    this.#views.forEach((view, index) => {
      const there = this.#root.children[index];
      if (there !== view.root) this.#root.insertBefore(view.root, there ?? null);
    });
    this.#welcome();
  }

  #welcome() {
    part("welcome").hidden = !this.empty;
  }
}
