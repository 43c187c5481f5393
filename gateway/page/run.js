// @ts-check
import { GatewayError } from "../client.js";
import * as unanswered from "./unanswered.js";

/**
 * @typedef {import("../client.js").GatewayClient} GatewayClient
 * @typedef {import("../client.js").StreamEvent} StreamEvent
 * @typedef {import("./thread.js").TurnView} TurnView
 * @typedef {import("./composer.js").Message} Message
 * @typedef {import("./unanswered.js").Unanswered} Unanswered
 * @typedef {import("./answer.js").Failure} Failure
 *
 * @typedef {object} Surroundings
 * @property {GatewayClient} client
 * @property {import("./status.js").Status} status
 * @property {() => void} onTurn  The service has taken the message.
 * @property {(view: TurnView, failure: Failure) => void} onFailure
 */

const SPOKEN = 600; // characters of an answer that a screen reader is read without asking

/** One turn on its way through this page: its events become what the page shows. */
export class Run {
  #around;
  #abort = new AbortController();
  /** Cut off, or not admitted yet. */
  #away = false;
  #stopping = false;
  /** The type of the last event, or "". */
  end = "";

  /** @param {Surroundings} around @param {TurnView} view @param {Unanswered} asked */
  constructor(around, view, asked) {
    this.#around = around;
    this.view = view;
    this.asked = asked;
    view.answer.begin();
  }

  get signal() {
    return this.#abort.signal;
  }

  get stopping() {
    return this.#stopping;
  }

  /** Ends this page's part in it. The turn itself runs on. */
  leave() {
    this.#abort.abort();
  }

  /** @param {Message} message */
  async upload({ chosen }) {
    const { question, answer } = this.view;
    answer.root.hidden = true;
    this.asked.pictures = await Promise.all(chosen.map(({ thumbnail }) => thumbnail));
    unanswered.remember(this.asked);
    question.showThumbnails(this.asked.pictures);
    question.root.hidden = false;
    question.progress = 0;
    const onProgress = (/** @type {number} */ share) => (question.progress = share);
    await this.#around.client.attach(chosen.map(({ file }) => file), { onProgress, signal: this.signal });
    question.progress = null;
    answer.begin();
  }

  /** To the turn's end. Throws what the service refuses the message with. @param {AsyncIterable<StreamEvent>} events */
  async follow(events) {
    unanswered.remember(this.asked);
    for await (const event of events) this.#take(event);
    if (this.end === "failed") return;
    const { status } = this.#around;
    unanswered.forget();
    if (this.end === "stopped") status.announce("Stopped.");
    else if (this.end === "done") status.announce(`Gemini: ${this.#spoken()}`);
  }

  /** Throws when the service cannot be told. */
  async stop() {
    if (this.#stopping) return;
    this.#stopping = true;
    const { turn } = this.asked;
    if (turn) await this.#stopTurn(turn);
    // Not admitted, or its pictures are still on their way: it is taken back. Else its number is about to come.
    else if (this.#away || this.view.question.sending) this.leave();
  }

  /** @param {StreamEvent} event */
  #take(event) {
    this.end = event.type;
    const { answer } = this.view;
    switch (event.type) {
      case "turn":
        return this.#taken(event.turn);
      case "text":
        return answer.append(event.text);
      case "reset":
        answer.reset(event);
        return this.#around.status.announce("The answer was interrupted and begins anew.");
      case "waiting":
        return this.#waits(event.reason);
      case "connected":
        this.#away = false;
        return this.#around.status.back();
      case "done":
        return answer.finish(event);
      case "stopped":
        return answer.finish({ ...event, stopped: true });
      case "failed":
        unanswered.remember({ ...this.asked, failure: event });
        this.#around.status.announce(`There is no answer. ${event.message}`);
        return this.#around.onFailure(this.view, event);
    }
  }

  /** @param {string} turn */
  #taken(turn) {
    this.view.turn = this.asked.turn = turn;
    this.#away = false;
    unanswered.remember(this.asked);
    this.#around.status.back();
    this.#around.status.announce("Answering.");
    this.#around.onTurn();
    if (this.#stopping) this.#stopTurn(turn).catch((error) => console.warn("The turn could not be stopped.", error));
  }

  /** @param {"lost" | "busy"} reason */
  #waits(reason) {
    this.#away = true;
    if (this.#stopping && !this.asked.turn) this.leave();
    else if (reason === "lost" || this.asked.turn) this.#around.status.away("The connection is lost. Trying again…");
    else this.#explain().catch((error) => console.info("The service does not say why it is busy.", error));
  }

  async #explain() {
    const { client, status } = this.#around;
    status.away("The service is busy. Trying again…");
    const { model } = await client.session();
    if (this.#away && !model) status.away("Nobody is there to answer just now. Trying again until somebody is…");
  }

  /** @param {string} turn */
  async #stopTurn(turn) {
    try {
      await this.#around.client.stop(turn);
    } catch (error) {
      this.#stopping = false;
      throw error;
    }
  }

  #spoken() {
    const words = this.view.answer.spoken;
    return words.length > SPOKEN ? `${words.slice(0, SPOKEN)}… The answer goes on.` : words;
  }
}

/** What went wrong, for people. @param {unknown} error */
export function sentence(error) {
  if (error instanceof GatewayError) return error.message;
  return "The service cannot be reached. Check your connection.";
}
