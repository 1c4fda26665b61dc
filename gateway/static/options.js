/** How a text shall be spoken: what the form beside it says, as the API has it. */

import { askJson, isMissing } from "./api.js";
import { byId, element, say } from "./element.js";
import { language } from "./words.js";

const LEXICONS = "kc-lexicons";

let main = null; // the voice that is chosen

/** @param onChange is called when anything but the voice is said otherwise. */
export function startOptions(onChange) {
  byId("speed").addEventListener("input", showSpeed);
  byId("mix-voice").addEventListener("change", showMix);
  byId("mix-share").addEventListener("input", showMix);
  byId("format").addEventListener("change", showBook);
  for (const name of ["input", "change"]) byId("options").addEventListener(name, onChange);
  byId("lexicons-chosen").addEventListener("change", () => {
    localStorage.setItem(LEXICONS, JSON.stringify(chosenLexicons()));
  });
  showSpeed();
  showBook();
}

/** Offer languages and voices to mix with. */
export function offerOptions(voices) {
  const tags = [...new Set(voices.map((voice) => voice.language).filter(Boolean))];
  const before = byId("language").value;
  byId("language").replaceChildren(
    element("option", { value: "" }, "As the voice"),
    ...tags.map((tag) => element("option", { value: tag }, language(tag))),
  );
  byId("language").value = tags.includes(before) ? before : "";
  byId("mix-voice").replaceChildren(
    element("option", { value: "" }, "None"),
    ...voices.map(({ id, name, language: tag }) => element("option", { value: id }, `${name} · ${language(tag)}`)),
  );
  showMix();
}

/** Offer the lexicons that there are; those chosen once are chosen again. */
export async function offerLexicons() {
  let found;
  try {
    found = (await askJson("v1/lexicons")).data;
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  const chosen = new Set(JSON.parse(localStorage.getItem(LEXICONS) ?? "[]"));
  byId("lexicons-none").hidden = found.length > 0;
  byId("lexicons-chosen").replaceChildren(...found.map((lexicon) => element("label", { class: "check" },
    element("input", { type: "checkbox", value: lexicon.name, checked: chosen.has(lexicon.name) }),
    element("span", {}, lexicon.name, " ",
      element("span", { class: "quiet" }, lexicon.language ? language(lexicon.language) : "all languages")))));
}

/** The voice that is chosen changed. */
export function useVoice(voice) {
  main = voice ?? null;
  showMix();
}

/** Show the options that only a file has. */
export function useFile(file) {
  byId("srt-row").hidden = !/\.srt$/i.test(file?.name ?? "");
  byId("lines-row").hidden = file !== null;
}

/** Whether each line is to be a job of its own. */
export function byLines() {
  return !byId("lines-row").hidden && byId("lines").checked;
}

/** Whether the silences between subtitles are kept. */
export function keepsTiming() {
  return !byId("srt-row").hidden && byId("srt-timing").checked;
}

/** What is said of a job beside its text. */
export function options() {
  const asked = { voice: voice(), speed: Number(byId("speed").value), response_format: byId("format").value };
  const lexicons = chosenLexicons();
  if (byId("language").value) asked.language = byId("language").value;
  if (byId("timestamps").checked) asked.timestamps = true;
  if (byId("patient").checked) asked.priority = "batch";
  if (!byId("normalize").checked) asked.normalize = false;
  if (lexicons.length) asked.lexicons = lexicons;
  if (byId("work-title").value.trim()) asked.title = byId("work-title").value.trim();
  if (byId("work-author").value.trim()) asked.author = byId("work-author").value.trim();
  if (byId("split").checked) asked.split = "chapters";
  if (byId("loudness").value) asked.loudness_lufs = Number(byId("loudness").value);
  return asked;
}

function chosenLexicons() {
  return [...byId("lexicons-chosen").querySelectorAll("input:checked")].map(({ value }) => value);
}

/** The voice, or the mix of two. */
function voice() {
  const second = byId("mix-voice").value;
  if (!second || second === main.id) return main.id;
  const share = Number(byId("mix-share").value);
  return `${main.id}(${100 - share})+${second}(${share})`;
}

function showSpeed() {
  say(byId("speed-value"), `${Number(byId("speed").value).toFixed(2).replace(/0$/, "")}×`);
}

function showMix() {
  const second = byId("mix-voice").value;
  byId("mix-share-row").hidden = !second;
  const share = Number(byId("mix-share").value);
  say(byId("mix-value"), `${100 - share} % ${main?.id ?? ""}, ${share} % ${second}`);
}

/** Who asks for an audiobook is shown what one has. */
function showBook() {
  if (byId("format").value === "m4b") byId("book-options").open = true;
}
