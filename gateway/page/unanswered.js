// @ts-check
/**
 * The message that has no answer yet, as this browser remembers it. The service tells it only once it is answered, and
 * a page that reloads in mid-answer, or a second tab, wants to show what was asked. Until the service has taken it, it
 * belongs to the tab that sends it; then to all of them, until the turn's end.
 *
 * @typedef {{src: string, name: string}} Thumbnail  `src` is empty where the browser cannot show the picture.
 * @typedef {object} Unanswered
 * @property {string | null} turn  Not known before the service has it.
 * @property {string} text
 * @property {Thumbnail[]} pictures
 * @property {string} at  When it was sent, RFC 3339.
 * @property {{message: string, retryable: boolean}} [failure]  How its turn failed.
 */

const KEY = "gemini-gateway-unanswered";

/** @returns {Unanswered | null} */
export function recall() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY) ?? "null");
  } catch {
    return null;
  }
}

/** @param {Unanswered} message */
export function remember(message) {
  try {
    store(message);
  } catch {
    rememberLess(message);
  }
}

/** The tab's own, which the service has not taken; one that failed before it is still the unanswered one. */
export function withdraw() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Storage is off: nothing was remembered.
  }
}

export function forget() {
  try {
    sessionStorage.removeItem(KEY);
    localStorage.removeItem(KEY);
  } catch {
    // Storage is off: nothing was remembered.
  }
}

/** Where the pictures find no room. @param {Unanswered} message */
function rememberLess(message) {
  try {
    const pictures = message.pictures.map(({ name }) => ({ src: "", name }));
    store({ ...message, pictures });
  } catch {
    // Storage is full or off: a reload shows the answer without its question.
  }
}

/** @param {Unanswered} message */
function store(message) {
  const text = JSON.stringify(message);
  if (!message.turn) return sessionStorage.setItem(KEY, text);
  localStorage.setItem(KEY, text);
  sessionStorage.removeItem(KEY);
}
