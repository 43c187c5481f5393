// @ts-check
import { Run, sentence } from "./run.js";
import { Tabs } from "./tabs.js";
import * as unanswered from "./unanswered.js";

/**
 * @typedef {import("../client.js").GatewayClient} GatewayClient
 * @typedef {import("../client.js").Session} Session
 * @typedef {import("../client.js").StreamEvent} StreamEvent
 * @typedef {import("../client.js").UserMessage} UserMessage
 * @typedef {import("../client.js").ModelMessage} ModelMessage
 * @typedef {import("./thread.js").TurnView} TurnView
 * @typedef {import("./composer.js").Message} Message
 * @typedef {import("./unanswered.js").Unanswered} Unanswered
 * @typedef {import("./answer.js").Failure} Failure
 */

/** The course of the conversation: what is sent, stopped and tried again, and what the service holds. */
export class Conversation {
  #client;
  #thread;
  #composer;
  #status;
  #scroll;
  #tabs = new Tabs(() => this.#refresh());
  /** @type {Run | null} */
  #run = null;
  #reading = false;
  #stale = false;

  /**
   * @param {{client: GatewayClient, thread: import("./thread.js").Thread, composer: import("./composer.js").Composer,
   *   status: import("./status.js").Status, scroll: import("./scroll.js").Scroll}} parts
   */
  constructor({ client, thread, composer, status, scroll }) {
    this.#client = client;
    this.#thread = thread;
    this.#composer = composer;
    this.#status = status;
    this.#scroll = scroll;
  }

  /** There is nothing to lose. */
  get empty() {
    return this.#thread.empty && !this.#composer.waiting;
  }

  /** Shows what the service holds, and goes on with an answer that is being given. */
  async open() {
    for (let pause = 500; ; pause = Math.min(8000, pause * 2)) {
      try {
        await this.#read();
        return this.#status.back();
      } catch (error) {
        this.#status.away(`${sentence(error)} Trying again…`);
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  }

  /** @param {Message} message */
  async send(message) {
    const left = this.#thread.open;
    if (left) this.#thread.remove(left);
    // Pictures of a message that failed wait at the service, and go along where no others take their place.
    const pictures = message.chosen.length ? [] : (left?.question.pictures ?? []);
    const text = message.text || left?.question.text || "";
    const asked = { turn: null, text, pictures, at: new Date().toISOString() };
    const run = this.#begin(this.#thread.add(asked), asked, true);
    const { signal } = run;
    this.#scroll.down();
    try {
      if (message.chosen.length) await run.upload(message);
      await run.follow(message.text ? this.#client.send(message.text, { signal }) : this.#client.stream({ signal }));
    } catch (error) {
      if (!run.asked.turn) return this.#takeBack(run, message, error);
      this.#complain(run, error);
    }
    await this.#end(run);
  }

  /** The message that failed, once more. */
  async retry() {
    const view = this.#thread.open;
    if (!view || this.#run) return;
    const { text, pictures } = view.question;
    const run = this.#begin(view, { turn: null, text, pictures, at: new Date().toISOString() }, true);
    this.#composer.focus(); // The button is gone.
    try {
      await run.follow(this.#client.stream({ signal: run.signal }));
    } catch (error) {
      if (!run.signal.aborted) this.#fail(view, { message: sentence(error), retryable: true });
    }
    await this.#end(run);
  }

  /** The message that failed, to be changed. */
  edit() {
    const view = this.#thread.open;
    if (view) this.#composer.restore({ text: view.question.text, chosen: [] });
  }

  async stop() {
    const run = this.#run;
    if (!run || run.stopping) return;
    this.#composer.stopping();
    try {
      await run.stop();
    } catch (error) {
      this.#complain(run, error);
      if (this.#run === run) this.#composer.answering = true;
    }
  }

  async restart() {
    this.#leave();
    try {
      await this.#client.newConversation();
    } catch (error) {
      this.#composer.complain(sentence(error));
      return this.#refresh();
    }
    this.#leave(); // It may have been found anew meanwhile.
    unanswered.forget();
    this.#thread.clear();
    this.#composer.waiting = 0;
    this.#status.announce("A new conversation.");
    this.#tabs.tell();
    this.#composer.focus();
  }

  // One turn.

  /** @param {TurnView} view @param {Unanswered} asked @param {boolean} own  This page begins it. */
  #begin(view, asked, own) {
    this.#composer.waiting = 0;
    this.#composer.answering = true;
    this.#run = new Run(
      {
        client: this.#client,
        status: this.#status,
        onTurn: () => own && this.#tabs.tell(),
        onFailure: (failed, failure) => this.#fail(failed, failure),
      },
      view,
      asked,
    );
    return this.#run;
  }

  /** @param {Run} run @param {AsyncIterable<StreamEvent>} events */
  async #attend(run, events) {
    try {
      await run.follow(events);
    } catch (error) {
      this.#complain(run, error);
    }
    await this.#end(run);
  }

  /** @param {Run} run */
  async #end(run) {
    if (this.#run !== run) return;
    this.#close();
    this.#tabs.tell();
    await this.#refresh();
    if (run.end === "expired" && run.view.open) this.#composer.complain("This answer is no longer kept.");
  }

  /**
   * The service has not taken the message: it is back in the composer.
   *
   * @param {Run} run @param {Message} message @param {unknown} error
   */
  async #takeBack(run, message, error) {
    if (this.#run !== run) return;
    this.#complain(run, error);
    this.#close();
    this.#thread.remove(run.view);
    this.#composer.restore(message);
    unanswered.withdraw();
    // A message that was stopped on its way may have arrived all the same.
    if (run.stopping) await this.#client.stop().catch(() => false);
    await this.#refresh();
  }

  /** Out of a turn that runs on. */
  #leave() {
    const run = this.#run;
    this.#close();
    run?.leave();
  }

  #close() {
    this.#run = null;
    this.#composer.answering = false;
    this.#status.back();
  }

  /** @param {Run} run @param {unknown} error */
  #complain(run, error) {
    if (this.#run === run && !run.signal.aborted) this.#composer.complain(sentence(error));
  }

  /** @param {TurnView} view @param {Failure} failure */
  #fail(view, failure) {
    view.answer.fail(failure, { onRetry: () => this.retry(), onEdit: () => this.edit() });
  }

  // What the service holds.

  async #refresh() {
    try {
      await this.#read();
    } catch (error) {
      // The next message, word of a tab or look at the page asks again.
      console.info("The conversation could not be read just now.", error);
    }
  }

  async #read() {
    this.#stale = true;
    if (this.#reading) return;
    this.#reading = true;
    try {
      while (this.#stale && !this.#run) {
        this.#stale = false;
        const session = await this.#client.session();
        const messages = await this.#client.history();
        this.#show(session, messages);
      }
    } finally {
      this.#reading = false;
    }
  }

  /** @param {Session} session @param {(UserMessage | ModelMessage)[]} messages */
  #show(session, messages) {
    this.#status.show(session);
    this.#composer.limits = session.limits;
    if (this.#run) return; // A message was sent meanwhile.
    this.#thread.show(messages);
    const memory = unanswered.recall();
    const { turn, pending } = session;
    const open = this.#thread.open;
    this.#composer.waiting = pending.images;
    if (turn) return this.#attach(turn.id, memory, open);
    const answered = messages.findLast(({ role }) => role === "user")?.text === memory?.text;
    // This page was loaded anew before the service had it; of its pictures it may have some.
    const unsent = memory?.text && !memory.turn && !pending.message && !answered;
    if (!unsent && (pending.message || (pending.images && (memory || open)))) return this.#showPending(memory, open);
    if (open) this.#thread.remove(open);
    unanswered.forget();
    if (unsent) this.#composer.restore({ text: memory.text, chosen: [] });
  }

  /**
   * Goes on with an answer that is being given.
   *
   * @param {string} turn @param {Unanswered | null} memory @param {TurnView | null} open
   */
  #attach(turn, memory, open) {
    if (open && open.turn !== turn) this.#thread.remove(open);
    const ours = memory && (memory.turn === turn || !memory.turn);
    /** @type {Unanswered} */
    const asked = { at: "", text: "", pictures: [], ...(ours && memory), turn };
    delete asked.failure;
    const view = open?.turn === turn ? open : this.#thread.add(asked);
    const run = this.#begin(view, asked, false);
    void this.#attend(run, this.#client.stream({ begin: false, signal: run.signal }));
  }

  /**
   * What failed, or was sent and never streamed.
   *
   * @param {Unanswered | null} memory @param {TurnView | null} open
   */
  #showPending(memory, open) {
    if (open?.answer.failed) return;
    const message = memory ? "This message has not been answered." : "A message of yours has not been answered.";
    this.#fail(open ?? this.#thread.add(memory ?? {}), memory?.failure ?? { message, retryable: true });
  }
}
