/** The form: a text, its estimate, and its submission; how it is spoken is `options.js`'s. */

import { lengthOf } from "./codepoints.js";
import { byId, say } from "./element.js";
import { Estimator } from "./estimate.js";
import { keepJob } from "./keep.js";
import { problem } from "./notices.js";
import { byLines, keepsTiming, offerLexicons, offerOptions, options, startOptions, useFile, useVoice } from "./options.js";
import { create, createBatch } from "./requests.js";
import { VoicePicker } from "./voices.js";
import { bytes, language, many, whole } from "./words.js";

export const MAX_CHARS = 2_000_000;
const MOST_LINES = 1000;

const form = byId("speak-form");
const input = byId("input");
let attached = null; // a file in place of the text
const picker = new VoicePicker(onVoice, (error) => problem(byId("speak-problem"), error));
const estimator = new Estimator(request);

export function startSpeak() {
  input.addEventListener("input", count);
  startOptions(() => estimator.soon());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  byId("detach").addEventListener("click", () => {
    attach(null);
    input.focus();
  });
  useFile(null);
  count();
}

/** The form is shown: what can be chosen may have changed elsewhere. */
export async function openSpeak() {
  estimator.soon();
  try {
    await offerLexicons();
  } catch {
    // The form tells of a server that is away when it is used; there is nothing to choose meanwhile.
  }
}

export function closeSpeak() {
  estimator.stop();
}

/** Offer what this cluster has. */
export function offer(voices, model) {
  picker.show(voices, model.id);
  offerOptions(voices);
  onVoice(picker.chosen);
  byId("submit").disabled = voices.length === 0;
}

/** The voices that are loaded, the one that is chosen first. */
export function voicesAtHand() {
  const { chosen, voices } = picker;
  return chosen ? [chosen, ...voices.filter((voice) => voice !== chosen)] : voices;
}

/** Put a text into the form. */
export function write(text) {
  attach(null);
  input.value = text;
  count();
}

/** Speak a file in place of what is written; null to speak that again. */
export function attach(file) {
  attached = file;
  byId("attached").hidden = file === null;
  byId("written").hidden = file !== null;
  if (file) say(byId("attached-name"), `${file.name} · ${bytes(file.size)}`);
  useFile(file);
  estimator.soon();
}

function onVoice(voice) {
  say(byId("voice-chosen"), voice ? `${voice.name}, ${language(voice.language)}` : "–");
  useVoice(voice);
  estimator.soon();
}

function count() {
  const chars = lengthOf(input.value);
  const over = chars - MAX_CHARS;
  say(byId("count"), over > 0
    ? `${many(chars, "character")}: ${whole(over)} too many for one job`
    : many(chars, "character"));
  input.setCustomValidity(over > 0 ? "The text is too long for one job." : "");
  estimator.soon();
}

/** What would be submitted now, or null while there is nothing to speak or to speak with. */
function request() {
  if (!picker.chosen || (!attached && !input.value.trim())) return null;
  if (!attached) return { ...options(), input: input.value };
  return { ...options(), file: attached, ...(keepsTiming() ? { timing: true } : {}) };
}

async function submit() {
  const place = byId("speak-problem");
  place.replaceChildren();
  const asked = request();
  if (!asked) {
    problem(place, new Error("There is no text yet. Write one above, or drop a file there."));
    input.focus();
    return;
  }
  estimator.stop();
  byId("submit").disabled = true;
  try {
    if (byLines()) {
      location.hash = `#/batches/${(await submitLines(asked)).id}`;
    } else {
      const job = await create(asked);
      await keepJob(job.id, asked);
      location.hash = `#/jobs/${job.id}`;
    }
  } catch (error) {
    problem(place, error);
  } finally {
    byId("submit").disabled = false;
  }
}

/** A batch of the lines of a text. */
async function submitLines({ input: text, ...shared }) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  if (lines.length > MOST_LINES) {
    throw new Error(`A batch has at most ${whole(MOST_LINES)} lines; these are ${whole(lines.length)}.`);
  }
  const items = lines.map((line, index) => ({
    priority: "batch", ...shared, input: line, custom_id: name(line, index + 1),
  }));
  return createBatch(items);
}

/** What a line's job is called in lists: an id is unique, and of at most 64 printable characters. */
function name(line, number) {
  const plain = line.replace(/[^\p{L}\p{N}\p{P}\p{Sc} ]/gu, "");
  return `${number}: ${[...plain].slice(0, 48).join("")}`.trim();
}
