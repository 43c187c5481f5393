// A frontend on an origin of its own: everything, with credentials. Each function returns what it could read.

async (gateway) => {
  const mine = { credentials: "include" };
  const call = async (method, path, more = {}) => {
    const answer = await fetch(gateway + path, { ...mine, method, ...more });
    return { status: answer.status, turn: answer.headers.get("X-Turn-Id"), body: await answer.text() };
  };
  const json = (body) => ({ headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

  const picture = async () => {
    const canvas = new OffscreenCanvas(8, 8);
    canvas.getContext("2d").fillRect(0, 0, 4, 4);
    const form = new FormData();
    form.append("file", await canvas.convertToBlob({ type: "image/png" }), "square.png");
    return form;
  };

  const stream = () =>
    new Promise((resolve) => {
      const source = new EventSource(`${gateway}/stream`, { withCredentials: true });
      let text = "";
      source.onmessage = (event) => (text += event.data);
      const end = (kind) => () => (source.close(), resolve({ kind, text }));
      for (const kind of ["done", "failed", "stopped", "expired"]) source.addEventListener(kind, end(kind));
      source.onerror = () => source.readyState === EventSource.CLOSED && resolve({ kind: "error", text });
    });

  const shows = (path) =>
    new Promise((resolve) => {
      const image = new Image();
      image.crossOrigin = "use-credentials";
      image.onload = () => resolve(image.naturalWidth);
      image.onerror = () => resolve(0);
      image.src = gateway + path;
    });

  window.api = {
    session: () => call("GET", "/session"),
    upload: async () => call("POST", "/upload", { body: await picture() }),
    chat: (message) => call("POST", "/chat", json({ message })),
    chatOnce: (message, key) => {
      const told = json({ message });
      return call("POST", "/chat", { ...told, headers: { ...told.headers, "Idempotency-Key": key, Accept: "text/event-stream" } });
    },
    stream,
    stop: () => call("POST", "/stop", json({})),
    history: () => call("GET", "/history"),
    shows,
    text: (prompt) => call("POST", "/generate_text", json({ prompt })),
    plainText: async (prompt) => {
      const answer = await fetch(`${gateway}/generate_text`, { method: "POST", credentials: "omit", ...json({ prompt }) });
      return { status: answer.status, body: await answer.text() };
    },
    clear: () => call("DELETE", "/history"),
    leave: () => call("DELETE", "/session"),
  };
};
