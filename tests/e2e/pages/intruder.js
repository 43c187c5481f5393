// A page that its user never meant to let near the gateway. Each attempt tells what it could see of the answer.

async (gateway) => {
  const withCookies = { credentials: "include" };
  const seen = {};
  const attempt = async (name, act) => {
    try {
      seen[name] = await act();
    } catch (error) {
      seen[name] = error.name;
    }
  };
  const read = async (answer) => `${answer.type} ${answer.status} ${await answer.text()}`;
  const ask = (path, more) => async () => read(await fetch(gateway + path, { ...withCookies, ...more }));
  const element = (name, path) => () =>
    new Promise((resolve) => {
      const made = document.createElement(name);
      made.onload = () => resolve("loaded");
      made.onerror = () => resolve("error");
      made.src = gateway + path;
      document.body.append(made);
    });

  const file = () => {
    const dot = Uint8Array.from(atob("R0lGODdhAQABAIEAAAAAAAAAAAAAAAAAACwAAAAAAQABAAAIBAABBAQAOw=="), (c) => c.charCodeAt(0));
    return new File([dot], "dot.gif", { type: "image/gif" });
  };
  const form = (path, enctype, fill) => () =>
    new Promise((resolve) => {
      const frame = document.createElement("iframe");
      frame.name = `frame${Math.random()}`;
      document.body.append(frame);
      const made = document.createElement("form");
      Object.assign(made, { action: gateway + path, method: "POST", enctype, target: frame.name });
      made.append(fill());
      document.body.append(made);
      frame.onload = () => {
        try {
          resolve(`read ${frame.contentWindow.document.body.textContent}`);
        } catch (error) {
          resolve(error.name);
        }
      };
      made.submit();
    });
  const input = (name, value) => Object.assign(document.createElement("input"), { name, value });
  const fileInput = () => {
    const made = Object.assign(document.createElement("input"), { type: "file", name: "file" });
    const files = new DataTransfer();
    files.items.add(file());
    made.files = files.files;
    return made;
  };
  const events = () =>
    new Promise((resolve) => {
      const source = new EventSource(`${gateway}/stream`, { withCredentials: true });
      source.onmessage = (event) => (source.close(), resolve(`read ${event.data}`));
      source.onopen = () => (source.close(), resolve("opened"));
      source.onerror = () => (source.close(), resolve("error"));
    });
  const sandboxed = () =>
    new Promise((resolve) => {
      const act = `fetch("${gateway}/chat", { method: "POST", mode: "no-cors", credentials: "include", body: '${words}' })`;
      const frame = document.createElement("iframe");
      frame.sandbox = "allow-scripts";
      frame.srcdoc = `<script>${act}.then((answer) => answer.type, (error) => error.name)
        .then((said) => parent.postMessage(said, "*"))</${"script"}>`;
      addEventListener("message", (event) => resolve(event.data), { once: true });
      document.body.append(frame);
    });
  const upload = () => {
    const body = new FormData();
    body.append("file", file());
    return body;
  };
  const json = { "Content-Type": "application/json" };
  const words = JSON.stringify({ message: "from the intruder" });

  await attempt("reads the history", ask("/history"));
  await attempt("reads the session", ask("/session"));
  await attempt("fetches the history blindly", ask("/history", { mode: "no-cors" }));
  await attempt("says something", ask("/chat", { method: "POST", headers: json, body: words }));
  await attempt("says something blindly", ask("/chat", { method: "POST", mode: "no-cors", body: words }));
  await attempt("says something by a form", form("/chat", "text/plain", () => input(words.slice(0, -1) + ',"x":"', '"}')));
  await attempt("says something from a sandbox", sandboxed);
  await attempt("uploads", ask("/upload", { method: "POST", body: upload() }));
  await attempt("uploads blindly", ask("/upload", { method: "POST", mode: "no-cors", body: upload() }));
  await attempt("uploads by a form", form("/upload", "multipart/form-data", fileInput));
  await attempt("begins a turn by EventSource", events);
  await attempt("begins a turn blindly", ask("/stream", { mode: "no-cors" }));
  await attempt("begins a turn by an image", element("img", "/stream"));
  await attempt("begins a turn by a script", element("script", "/stream"));
  await attempt("begins a turn by a frame", async () => {
    const loaded = await element("iframe", "/stream")();
    const frame = document.querySelector(`iframe[src="${gateway}/stream"]`);
    return frame.contentDocument ? `read ${frame.contentDocument.body.textContent}` : loaded;
  });
  await attempt("stops", ask("/stop", { method: "POST", mode: "no-cors" }));
  await attempt("stops by a beacon", async () => navigator.sendBeacon(`${gateway}/stop`, "{}"));
  await attempt("deletes the history", ask("/history", { method: "DELETE" }));
  await attempt("deletes the session", ask("/session", { method: "DELETE" }));
  return seen;
};
