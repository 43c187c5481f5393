// @ts-check
/**
 * The client of gemini-gateway for browsers: one file, no dependencies.
 *
 *     import { GatewayClient } from "https://chat.example.com/client.js";
 *
 *     const chat = new GatewayClient();
 *     await chat.session();                                      // first: it sets the cookie
 *     await chat.attach(input.files, { onProgress: (share) => (bar.value = share) });
 *     for await (const event of chat.send("What is in this picture?")) {
 *       if (event.type === "text") answer.append(event.text);
 *       if (event.type === "reset") answer.textContent = "";     // a new attempt: what came so far is void
 *       if (event.type === "failed") answer.textContent = event.message;
 *     }
 *
 * After a reload, `for await (const event of chat.stream({ begin: false }))` goes on with the answer that is being
 * given, from its beginning, and ends at once where there is none. `chat.history()` has what was said before.
 *
 * **A stream never gives up by itself.** A lost connection, a gateway that ends, a service that is busy: it tells
 * (`waiting`), comes back by itself, tells that too (`connected`), and goes on exactly where it was. It ends after one
 * of `done`, `stopped`, `failed`, `expired`, or when you leave the loop or abort the signal; the turn itself runs on
 * then, until `stop()`. Where waiting will not help, or not within a minute, it throws a GatewayError.
 *
 * **Another origin's page** needs that origin in the gateway's CORS_ORIGIN, and a cookie that may travel
 * (COOKIE_SAMESITE=None over TLS, unless both share a site). The gateway's address is where this module came from; a
 * page that carries its own copy gives `baseUrl`.
 *
 * @module
 */

/**
 * @typedef {object} Usage  Tokens; thinking counts as output.
 * @property {number} [input_tokens]
 * @property {number} [output_tokens]
 * @property {number} [total_tokens]
 */

/**
 * @typedef {object} Session
 * @property {{message: boolean, images: number}} pending  What waits for a turn to take it.
 * @property {{id: string, state: string, attempt: number} | null} turn  The turn that is being answered.
 * @property {Usage} usage  Of the whole session.
 * @property {string} [model]  Not known while there is no worker.
 * @property {boolean} offline  The stand-in model answers, for want of an API key.
 * @property {{message_chars: number, upload_bytes: number, upload_files: number, image_pixels: number,
 *   session_seconds: number}} limits
 */

/** @typedef {{id: string, url: string, mime_type: string, width: number, height: number}} Picture */

/**
 * @typedef {object} UserMessage
 * @property {string} id
 * @property {"user"} role
 * @property {string} text
 * @property {Picture[]} images  Their urls are absolute.
 * @property {string} created_at  RFC 3339, UTC.
 */

/**
 * @typedef {object} ModelMessage
 * @property {string} id
 * @property {"model"} role
 * @property {string} text
 * @property {boolean} stopped
 * @property {string} [finish_reason]
 * @property {string} [model]
 * @property {boolean} [offline]  The stand-in model answered.
 * @property {Usage} [usage]
 * @property {string} created_at
 */

/**
 * What a stream says.
 *
 *     turn       the turn's id, once per stream, before anything else of it
 *     text       more of the answer: append it
 *     reset      a new attempt begins: drop the text so far
 *     waiting    cut off (`lost`) or turned away for now (`busy`); it tries again by itself after `delay` milliseconds
 *     connected  after `waiting`: here again
 *     done       the answer is whole
 *     stopped    somebody stopped it; what came stays in the history
 *     failed     no answer; the message and its pictures are pending again: `stream()` tries once more
 *     expired    what you follow is kept no longer; `history()` may have it
 *
 * @typedef {{type: "turn", turn: string}
 *   | {type: "text", text: string, id: string}
 *   | {type: "reset", attempt: number, reason: string, id: string}
 *   | {type: "waiting", reason: "lost" | "busy", delay: number}
 *   | {type: "connected"}
 *   | {type: "done", finish_reason: string, model: string, usage: Usage, offline?: boolean, id: string}
 *   | {type: "stopped", usage: Usage, id: string}
 *   | {type: "failed", error: string, message: string, retryable: boolean, id: string}
 *   | {type: "expired", id: string}} StreamEvent
 */

const ENDS = ["done", "stopped", "failed", "expired"];
const NAMED = ["reset", ...ENDS];
const FIRST_RETRY = 1000;
const LONGEST_RETRY = 10_000;
const LONGEST_WAIT = 60_000;

/** A refusal: `status` as in HTTP, `code` for programs, `message` for people. `turn`: the one that is in the way. */
export class GatewayError extends Error {
  /** @param {number} status @param {string} code @param {string} message @param {Headers} [headers] */
  constructor(status, code, message, headers) {
    super(message);
    this.name = "GatewayError";
    this.status = status;
    this.code = code;
    this.turn = headers?.get("X-Turn-Id") ?? null;
    /** Milliseconds to wait before another try; null where none was named. */
    this.retryAfter = Number(headers?.get("Retry-After")) * 1000 || null;
  }

  /** The same call can succeed later. */
  get passing() {
    return this.status === 408 || this.status === 429 || this.status >= 502;
  }
}

export class GatewayClient {
  #base;
  #credentials;
  #silence;

  /**
   * @param {object} [options]
   * @param {string | URL} [options.baseUrl]  Where the gateway is; by default where this module came from.
   * @param {RequestCredentials} [options.credentials]  "include": with the session's cookie, cross-origin too.
   * @param {number} [options.silence]  Milliseconds without a byte (the gateway's heartbeat is one each 15 s) after
   *   which a stream's connection counts as lost.
   */
  constructor({ baseUrl = new URL(".", import.meta.url), credentials = "include", silence = 45_000 } = {}) {
    this.#base = new URL(baseUrl, globalThis.location?.href);
    if (!this.#base.pathname.endsWith("/")) this.#base.pathname += "/";
    this.#credentials = credentials;
    this.#silence = silence;
  }

  /** Opens the session where there is none: a page's first call. @returns {Promise<Session>} */
  session() {
    return this.#json("GET", "session");
  }

  /** What was said, oldest first. @returns {Promise<(UserMessage | ModelMessage)[]>} */
  async history() {
    const { messages } = await this.#json("GET", "history");
    for (const { images } of messages) {
      for (const image of images ?? []) image.url = this.#url(image.url).href;
    }
    return messages;
  }

  /**
   * Uploads pictures for the next message. They take the place of those that were uploaded before.
   *
   * @param {Iterable<File> | ArrayLike<File>} files
   * @param {object} [options]
   * @param {(share: number) => void} [options.onProgress]  How much is sent, from 0 to 1.
   * @param {AbortSignal} [options.signal]
   * @returns {Promise<void>}
   */
  attach(files, { onProgress, signal } = {}) {
    const form = new FormData();
    for (const file of Array.from(files)) form.append("file", file, file.name || "picture");
    // fetch() tells nothing of what it has sent so far.
    const call = new XMLHttpRequest();
    const { promise, resolve, reject } = deferred();
    const abort = () => call.abort();
    call.open("POST", this.#url("upload"));
    call.withCredentials = this.#credentials === "include";
    if (onProgress) call.upload.onprogress = (sent) => onProgress(sent.total ? sent.loaded / sent.total : 0);
    call.onload = () => (call.status === 200 ? resolve() : reject(uploadError(call)));
    call.onerror = () => reject(new TypeError("The upload's connection was lost."));
    call.onabort = () => reject(signal?.reason ?? new DOMException("The upload was aborted.", "AbortError"));
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) call.onabort(/** @type {any} */ (null));
    else call.send(form);
    return promise.finally(() => signal?.removeEventListener("abort", abort));
  }

  /**
   * Sends a message, with the pictures that were attached, and follows its answer; begins when it is iterated. However
   * often it has to try, the message is taken once. Throws a GatewayError: `turn_running` while another answer is
   * being given (nothing is stored then), `too_large`, `bad_request`.
   *
   * @param {string} message
   * @param {{signal?: AbortSignal, key?: string}} [options]  `key`: an Idempotency-Key of your own.
   * @returns {AsyncGenerator<StreamEvent, void, void>}
   */
  send(message, { signal, key = randomKey() } = {}) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
    return this.#follow("chat", { method: "POST", headers, body: JSON.stringify({ message }) }, "", signal);
  }

  /**
   * Follows the answer that is being given, from its beginning; else begins one for what is pending (pictures without
   * a message, or a message that failed). With `begin: false` it never begins one, and ends at once where none is
   * being given.
   *
   * @param {{begin?: boolean, after?: string, signal?: AbortSignal}} [options]  `after`: the `id` of an event, to go
   *   on behind it.
   * @returns {AsyncGenerator<StreamEvent, void, void>}
   */
  async *stream({ begin = true, after = "", signal } = {}) {
    try {
      yield* this.#follow(begin ? "stream" : "stream?begin=0", {}, after, signal);
    } catch (error) {
      const nothing = error instanceof GatewayError && error.code === "nothing_pending";
      if (begin || !nothing) throw error;
    }
  }

  /** Stops the running turn, or the one named; false if there was none to stop. @param {string} [turn] */
  async stop(turn) {
    /** @type {boolean} */
    const stopped = (await this.#json("POST", "stop", turn ? { turn } : {})).stopped;
    return stopped;
  }

  /** Forgets the conversation with its pictures; a running turn is stopped. */
  async newConversation() {
    await this.#json("DELETE", "history");
  }

  /** Erases the session, cookie and all. */
  async forget() {
    await this.#json("DELETE", "session");
  }

  /**
   * One turn over as many connections as it takes.
   *
   * @param {string} path @param {RequestInit} request  How to ask while no event's id is known.
   * @param {string} after @param {AbortSignal} [signal]
   * @returns {AsyncGenerator<StreamEvent, void, void>}
   */
  async *#follow(path, request, after, signal) {
    const place = { id: after, retry: FIRST_RETRY };
    let known = "";
    let away = false;
    let failures = 0;
    for (;;) {
      const line = new Line(this.#silence, signal);
      /** @type {"lost" | "busy"} */
      let reason = "lost";
      let delay = 0;
      try {
        const response = await this.#ask(line, path, request, place.id);
        if (response.status === 204) return;
        const turn = response.headers.get("X-Turn-Id");
        if (turn) failures = 0;
        if (turn && away) yield { type: "connected" };
        if (turn && turn !== known) yield { type: "turn", turn: (known = turn) };
        away = !turn;
        for await (const event of line.events(response, place)) {
          yield event;
          if (ENDS.includes(event.type)) return;
        }
        // Ended in order, but not the turn: the gateway said when to come back.
        reason = turn ? "lost" : "busy";
        delay = place.retry;
      } catch (error) {
        signal?.throwIfAborted();
        const refused = error instanceof GatewayError ? error : null;
        const asked = refused?.retryAfter ?? null;
        if (refused && (!refused.passing || (asked ?? 0) > LONGEST_WAIT)) throw error;
        failures += 1;
        if (refused) reason = "busy";
        delay = asked ?? Math.min(LONGEST_RETRY, place.retry * 1.5 ** (failures - 1)) * (0.5 + Math.random() / 2);
      } finally {
        line.close();
      }
      away = true;
      yield { type: "waiting", reason, delay };
      await pause(delay, signal);
    }
  }

  /** @param {Line} line @param {string} path @param {RequestInit} request @param {string} id */
  async #ask(line, path, request, id) {
    const resume = { headers: { "Last-Event-ID": id } };
    const { headers, ...rest } = id ? resume : request;
    const response = await fetch(this.#url(id ? "stream" : path), {
      ...rest,
      headers: { ...headers, Accept: "text/event-stream" },
      credentials: this.#credentials,
      cache: "no-store",
      signal: line.signal,
    });
    line.alive();
    if (!response.ok) throw await refusal(response);
    return response;
  }

  /** @param {string} method @param {string} path @param {unknown} [body] @returns {Promise<any>} */
  async #json(method, path, body) {
    const response = await fetch(this.#url(path), {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
      credentials: this.#credentials,
      cache: "no-store",
      signal: AbortSignal.timeout(this.#silence),
    });
    if (!response.ok) throw await refusal(response);
    return response.json();
  }

  /** @param {string} path */
  #url(path) {
    return new URL(path.replace(/^\/+/, ""), this.#base);
  }
}

/** One connection of a stream: it ends when the caller aborts, and when nothing came for too long. */
class Line {
  #controller = new AbortController();
  #silence;
  #outer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #watch;
  #abort = () => this.#controller.abort(this.#outer?.reason);

  /** @param {number} silence @param {AbortSignal} [outer] */
  constructor(silence, outer) {
    this.#silence = silence;
    this.#outer = outer;
    outer?.addEventListener("abort", this.#abort);
    if (outer?.aborted) this.#abort();
    this.alive();
  }

  get signal() {
    return this.#controller.signal;
  }

  alive() {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#controller.abort(new Error("The connection went silent.")), this.#silence);
  }

  close() {
    clearTimeout(this.#watch);
    this.#outer?.removeEventListener("abort", this.#abort);
    this.#controller.abort();
  }

  /**
   * The events of a response; `place` is kept at the last event's id and the time to come back after.
   *
   * @param {Response} response @param {{id: string, retry: number}} place
   * @returns {AsyncGenerator<StreamEvent, void, void>}
   */
  async *events(response, place) {
    if (!response.body || !response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
      throw new GatewayError(500, "not_a_stream", "The answer is no event stream.");
    }
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const parser = new EventParser(place);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.alive();
      for (const { type, data } of parser.feed(decoder.decode(value, { stream: true }))) {
        if (type === "message") yield { type: "text", text: data, id: place.id };
        else if (NAMED.includes(type)) yield { ...JSON.parse(data), type, id: place.id };
      }
    }
  }
}

/** WHATWG HTML, 9.2.6 "Interpreting an event stream". */
class EventParser {
  #place;
  #rest = "";
  #afterCr = false;
  #id;
  #type = "";
  /** @type {string[]} */
  #data = [];

  /** @param {{id: string, retry: number}} place */
  constructor(place) {
    this.#place = place;
    this.#id = place.id;
  }

  /** Each event is given when `place` is at it. @param {string} text */
  *feed(text) {
    const halfEaten = this.#afterCr && text.startsWith("\n");
    const fresh = halfEaten ? text.slice(1) : text;
    if (text) this.#afterCr = fresh.endsWith("\r");
    const lines = (this.#rest + fresh).split(/\r\n|\r|\n/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line) this.#field(line);
      else yield* this.#dispatch();
    }
  }

  /** @param {string} line */
  #field(line) {
    const [, name, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (name === "data") this.#data.push(value ?? "");
    else if (name === "event") this.#type = value ?? "";
    else if (name === "id" && !value?.includes("\0")) this.#id = value ?? "";
    else if (name === "retry" && /^\d+$/.test(value ?? "")) this.#place.retry = Number(value);
  }

  *#dispatch() {
    this.#place.id = this.#id;
    const [type, data] = [this.#type || "message", this.#data];
    [this.#type, this.#data] = ["", []];
    if (data.length) yield { type, data: data.join("\n") };
  }
}

/** @param {Response} response */
async function refusal(response) {
  const said = await response.json().catch(() => null);
  return problem(response.status, said, response.headers);
}

/** @param {XMLHttpRequest} call */
function uploadError(call) {
  let said = null;
  try {
    said = JSON.parse(call.responseText);
  } catch {
    // Not from the gateway: some proxy's page.
  }
  const seconds = call.getResponseHeader("Retry-After");
  return problem(call.status, said, new Headers(seconds ? { "Retry-After": seconds } : {}));
}

/** @param {number} status @param {any} said @param {Headers} headers */
function problem(status, said, headers) {
  const message = said?.message ?? `The service answered with status ${status}.`;
  return new GatewayError(status, said?.error ?? "unknown", message, headers);
}

/** Milliseconds, or until the network is back. @param {number} delay @param {AbortSignal} [signal] */
async function pause(delay, signal) {
  signal?.throwIfAborted();
  const { promise, resolve } = deferred();
  const timer = setTimeout(resolve, delay);
  globalThis.addEventListener?.("online", resolve);
  signal?.addEventListener("abort", resolve);
  await promise;
  clearTimeout(timer);
  globalThis.removeEventListener?.("online", resolve);
  signal?.removeEventListener("abort", resolve);
  signal?.throwIfAborted();
}

function deferred() {
  /** @type {(value?: any) => void} */
  let resolve = () => {};
  /** @type {(reason: unknown) => void} */
  let reject = () => {};
  /** @type {Promise<void>} */
  const promise = new Promise((...both) => ([resolve, reject] = both));
  return { promise, resolve, reject };
}

/** 128 random bits. `crypto.randomUUID` is not there on plain HTTP. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
