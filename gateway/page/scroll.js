// @ts-check
import { part } from "./element.js";

const NEAR = 96;
const AT_END = 2;

/** Keeps the newest in sight while it grows, unless the reader has scrolled up; then a button leads back down. */
export class Scroll {
  #scroller = part("scroller");
  #jump = part("jump");
  #pinned = true;
  #top = 0;
  #height = 0;

  constructor() {
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    // Before the first step is taken, lest an answer that grows that moment takes it back.
    this.#scroller.addEventListener("wheel", ({ deltaY }) => deltaY < 0 && this.#letGo(), { passive: true });
    this.#jump.addEventListener("click", () => {
      this.down();
      this.#scroller.focus({ preventScroll: true });
    });
    const watch = new ResizeObserver(() => {
      if (this.#pinned) this.#toEnd();
      else this.#showJump();
    });
    watch.observe(this.#scroller);
    watch.observe(part("thread"));
  }

  /** To the end, and on with it. */
  down() {
    this.#pinned = true;
    this.#toEnd();
  }

  #scrolled() {
    const { scrollTop, scrollHeight } = this.#scroller;
    // Content that shrinks moves the view up too; only a reader who scrolls up lets go.
    const up = scrollTop < this.#top && scrollHeight >= this.#height;
    this.#note();
    const rest = this.#rest;
    if (rest < AT_END || (rest < NEAR && !up)) this.#pinned = true;
    else if (up) this.#pinned = false;
    this.#showJump();
  }

  #letGo() {
    const { scrollHeight, clientHeight } = this.#scroller;
    if (scrollHeight > clientHeight) this.#pinned = false;
  }

  /** What is below the view. */
  get #rest() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  #note() {
    this.#top = this.#scroller.scrollTop;
    this.#height = this.#scroller.scrollHeight;
  }

  #toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#note();
    this.#showJump();
  }

  #showJump() {
    this.#jump.hidden = this.#pinned;
  }
}
