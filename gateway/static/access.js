/** The API key: asked for when the server wants one, and by the button at the top. */

import { key, setKey, signals } from "./api.js";
import { byId, say } from "./element.js";

/** @param onKey is called when another key is in use. */
export function startAccess(onKey) {
  const dialog = byId("key-dialog");
  const field = byId("key");
  const openDialog = (why) => {
    say(byId("key-why"), why);
    if (dialog.open) return; // somebody is writing in it
    field.value = key();
    dialog.showModal();
    field.select();
  };
  byId("key-open").addEventListener("click", () => openDialog(""));
  byId("key-close").addEventListener("click", () => dialog.close());
  signals.addEventListener("keywanted", () => openDialog(key()
    ? "The server does not know this key, or it was revoked."
    : "This server asks for an API key. Whoever runs it makes one with “kokoro-cluster keys add”."));
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    setKey(field.value.trim());
    dialog.close();
    showState();
    onKey();
  });
  showState();
}

function showState() {
  byId("key-open").dataset.set = key() !== "";
  say(byId("key-state"), key() ? "Key set" : "API key");
}
