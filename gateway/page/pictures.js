// @ts-check
import { element, icon } from "./element.js";

/** @typedef {import("./unanswered.js").Thumbnail} Thumbnail */

const SIDE = 480;
const TYPES = /^image\/(png|jpeg|webp|gif)$/;

/** Files by drag, paste or choice, of which only pictures can go along. @param {Iterable<File>} files */
export function sorted(files) {
  /** @type {{pictures: File[], others: File[]}} */
  const found = { pictures: [], others: [] };
  for (const file of files) (TYPES.test(file.type) ? found.pictures : found.others).push(file);
  return found;
}

/** A small copy, as a data: address. @param {File} file @returns {Promise<Thumbnail>} */
export async function thumbnail(file) {
  try {
    const picture = await createImageBitmap(file);
    const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(picture.width * scale));
    canvas.height = Math.max(1, Math.round(picture.height * scale));
    canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
    picture.close();
    return { src: canvas.toDataURL("image/webp", 0.82), name: file.name };
  } catch {
    // Damaged, or larger than this browser can show: the service has the last word.
    return { src: "", name: file.name };
  }
}

/** A picture as it stands in a message or the tray. @param {Thumbnail} picture @param {string} alt */
export function shown({ src, name }, alt) {
  if (src) return element("img.picture", { src, alt, title: name || null, decoding: "async" });
  return element("span.picture.unseen", { title: name || null }, icon("file"), element("span", {}, name || alt));
}
