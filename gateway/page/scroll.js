// @ts-check
import { part } from "./element.js";

const NEAR = 96;

/** Keeps the newest in sight while it grows, unless the reader has scrolled up; then a button leads back down. */
export class Scroll {
  #scroller = part("scroller");
  #jump = part("jump");
  #pinned = true;
  #last = 0;

  constructor() {
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
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
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    // Content that shrinks moves the view up too; only a reader who scrolls up lets go.
    const up = scrollTop < this.#last;
    this.#last = scrollTop;
    const near = scrollHeight - scrollTop - clientHeight < NEAR;
    if (near) this.#pinned = true;
    else if (up) this.#pinned = false;
    this.#showJump();
  }

  #toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#showJump();
  }

  #showJump() {
    this.#jump.hidden = this.#pinned;
  }
}
