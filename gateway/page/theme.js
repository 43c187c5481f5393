// @ts-check
// Light or dark: the system's choice until a person makes another one. A plain script in the head, so that the page is
// never painted in the wrong colours first.
(() => {
  const KEY = "gemini-gateway-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;

  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };

  /** @param {string | null} theme */
  const store = (theme) => {
    try {
      if (theme) localStorage.setItem(KEY, theme);
      else localStorage.removeItem(KEY);
    } catch {
      // Storage is off: the choice lasts as long as the page.
    }
  };

  /** @param {string | null} theme */
  const apply = (theme) => {
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };

  const isDark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

  const show = () => document.getElementById("theme")?.setAttribute("aria-pressed", String(isDark()));

  apply(stored());
  addEventListener("storage", (event) => {
    if (event.key === KEY) apply(event.newValue);
    show();
  });
  system.addEventListener("change", show);
  addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme")?.addEventListener("click", () => {
      const wanted = isDark() ? "light" : "dark";
      // Back at what the system says: follow the system again.
      const theme = (wanted === "dark") === system.matches ? null : wanted;
      store(theme);
      apply(theme);
      show();
    });
  });
})();
