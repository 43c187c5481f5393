// @ts-check
/**
 * The message that has no answer yet, as this browser remembers it. The service tells it only once it is answered, and
 * a page that reloads in mid-answer, or a second tab, wants to show what was asked. It lies in the browser's storage
 * until the turn's end.
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
    return JSON.parse(localStorage.getItem(KEY) ?? "null");
  } catch {
    return null;
  }
}

/** @param {Unanswered} message */
export function remember(message) {
  try {
    localStorage.setItem(KEY, JSON.stringify(message));
  } catch {
    rememberLess(message);
  }
}

export function forget() {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // Storage is off: nothing was remembered.
  }
}

/** Where the pictures find no room. @param {Unanswered} message */
function rememberLess(message) {
  try {
    const pictures = message.pictures.map(({ name }) => ({ src: "", name }));
    localStorage.setItem(KEY, JSON.stringify({ ...message, pictures }));
  } catch {
    // Storage is full or off: a reload shows the answer without its question.
  }
}
