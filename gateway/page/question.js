// @ts-check
import { element } from "./element.js";
import { shown } from "./pictures.js";

/**
 * @typedef {import("./unanswered.js").Thumbnail} Thumbnail
 * @typedef {import("../client.js").Picture} Picture
 */

/** What the user said. Their text is shown as it is. */
export class Question {
  #pictures = element("ul.pictures", { hidden: true });
  #sending = element("div.sending", { hidden: true });
  #bar = /** @type {HTMLProgressElement} */ (element("progress", { max: 1, value: 0, "aria-label": "Upload" }));
  #share = element("span");
  /** @type {Thumbnail[]} */
  pictures = [];

  /** @param {string} text @param {Thumbnail[]} pictures */
  constructor(text, pictures) {
    this.text = text;
    this.#sending.append(this.#bar, this.#share);
    const bubble = element("div.bubble", { hidden: !text, dir: "auto" }, text);
    const heading = element("h2.visually-hidden", {}, "You");
    this.root = element("article.message.user", {}, heading, this.#pictures, bubble, this.#sending);
    this.showThumbnails(pictures);
  }

  /** @param {Thumbnail[]} pictures */
  showThumbnails(pictures) {
    this.pictures = pictures;
    this.#show(pictures.map((picture, index) => shown(picture, alt(index, pictures.length, picture.name))));
  }

  /** How much of the pictures has been sent, from 0 to 1; null: that is over. @param {number | null} share */
  set progress(share) {
    this.#sending.hidden = share === null;
    this.#bar.value = share ?? 0;
    this.#share.textContent = share === 1 ? "Checking…" : `Uploading… ${Math.round(100 * (share ?? 0))} %`;
  }

  /** Its pictures are on their way. */
  get sending() {
    return !this.#sending.hidden;
  }

  /** The pictures as the service keeps them, in place of the thumbnails. @param {Picture[]} images */
  async settle(images) {
    this.progress = null;
    if (images.length === this.#pictures.querySelectorAll("a").length) return;
    const links = images.map(({ url, width, height }, index) => {
      const name = alt(index, images.length);
      const loading = this.pictures.length ? null : "lazy";
      const attributes = { src: url, alt: name, width, height, loading };
      const image = /** @type {HTMLImageElement} */ (element("img.picture", attributes));
      image.addEventListener("error", () => image.replaceWith(shown({ src: "", name: "no longer kept" }, name)));
      return { image, link: element("a", { href: url, target: "_blank", rel: "noopener" }, image) };
    });
    // A thumbnail makes room when its picture can be shown, and not before.
    if (this.pictures.length) await Promise.allSettled(links.map(({ image }) => image.decode()));
    this.#show(links.map(({ link }) => link));
  }

  /** @param {Element[]} shownPictures */
  #show(shownPictures) {
    this.#pictures.replaceChildren(...shownPictures.map((picture) => element("li", {}, picture)));
    this.#pictures.hidden = !shownPictures.length;
    this.#pictures.classList.toggle("single", shownPictures.length === 1);
  }
}

/** @param {number} index @param {number} count @param {string} [name] */
function alt(index, count, name) {
  const which = count > 1 ? `Picture ${index + 1} of ${count}` : "Picture";
  return name ? `${which}: ${name}` : which;
}
