/**
 * Files that are chosen or dropped onto the form: a plain text is read here and can be edited; books,
 * Markdown and subtitles are left to the server.
 */

import { byId } from "./element.js";
import { problem } from "./notices.js";
import { bytes } from "./words.js";

const MOST_BYTES = 24_000_000; // no text of two million characters is larger

const DOCUMENT = /\.(md|markdown|srt|epub)$/i;

/** @param onText gets a file's text. @param onDocument gets a file that the server reads. */
export function startFiles(onText, onDocument) {
  const zone = byId("drop");
  const chooser = byId("file");
  byId("choose-file").addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", () => {
    if (chooser.files.length) take(chooser.files[0], onText, onDocument);
    chooser.value = "";
  });
  let depth = 0; // children enter and leave too
  zone.addEventListener("dragenter", () => { depth += 1; zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => { depth -= 1; zone.classList.toggle("over", depth > 0); });
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    depth = 0;
    zone.classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (!file) return; // dragged text: the browser puts it where it was dropped
    event.preventDefault();
    take(file, onText, onDocument);
  });
}

async function take(file, onText, onDocument) {
  const place = byId("speak-problem");
  place.replaceChildren();
  try {
    if (DOCUMENT.test(file.name)) onDocument(file);
    else onText(await textOf(file));
  } catch (error) {
    problem(place, error);
  }
}

async function textOf(file) {
  if (file.size > MOST_BYTES) {
    throw new Error(`${file.name} has ${bytes(file.size)}; a text may have at most ${bytes(MOST_BYTES)}.`);
  }
  const data = await file.arrayBuffer();
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(data);
  } catch {
    throw new Error(`${file.name} is not a text in UTF-8. Save it as plain text in UTF-8 and drop it again.`);
  }
}
