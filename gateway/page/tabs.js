// @ts-check
/** Tells the browser's other tabs of this page that something has changed; what, they ask the service. */
export class Tabs {
  #channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("gemini-gateway");

  /** @param {() => void} onChange  Called on another tab's word, and when this tab comes to the front. */
  constructor(onChange) {
    this.#channel?.addEventListener("message", onChange);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") onChange();
    });
    // Back from the browser's cache of pages, where nothing was heard.
    addEventListener("pageshow", (event) => {
      if (event.persisted) onChange();
    });
  }

  tell() {
    this.#channel?.postMessage("changed");
  }
}
