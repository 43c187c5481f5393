// @ts-check
import { GatewayClient } from "../client.js";
import { Composer, composing } from "./composer.js";
import { Conversation } from "./conversation.js";
import { part } from "./element.js";
import { Scroll } from "./scroll.js";
import { Status } from "./status.js";
import { Thread } from "./thread.js";

const client = new GatewayClient();
const composer = new Composer({
  onSend: (message) => conversation.send(message),
  onStop: () => conversation.stop(),
});
const conversation = new Conversation({
  client,
  composer,
  thread: new Thread(),
  status: new Status(),
  scroll: new Scroll(),
});

const ask = /** @type {HTMLDialogElement} */ (part("ask"));
ask.addEventListener("close", () => {
  if (ask.returnValue === "delete") conversation.restart();
});
part("restart").addEventListener("click", () => {
  ask.returnValue = "";
  if (conversation.empty) composer.focus();
  else ask.showModal();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !ask.open && !composing(event)) conversation.stop();
});
for (const suggestion of document.querySelectorAll(".suggestion")) {
  suggestion.addEventListener("click", () => composer.write(suggestion.textContent ?? ""));
}

if (!navigator.cookieEnabled) composer.complain("This page needs cookies: without one it forgets every message.");
await conversation.open();
composer.focus();
