/** The form: a text, how it shall be spoken, and its submission. */

import { askJson } from "./api.js";
import { lengthOf } from "./codepoints.js";
import { byId, element, say } from "./element.js";
import { keepJob } from "./keep.js";
import { problem } from "./notices.js";
import { VoicePicker } from "./voices.js";
import { bytes, language, many, whole } from "./words.js";

export const MAX_CHARS = 2_000_000;

const form = byId("speak-form");
const input = byId("input");
let attached = null; // a file in place of the text
const picker = new VoicePicker(onVoice, (error) => problem(byId("speak-problem"), error));

export function startSpeak() {
  input.addEventListener("input", count);
  byId("speed").addEventListener("input", showSpeed);
  byId("mix-voice").addEventListener("change", showMix);
  byId("mix-share").addEventListener("input", showMix);
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
  count();
  showSpeed();
}

/** Offer what this cluster has. */
export function offer(voices, model) {
  picker.show(voices, model.id);
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
  onVoice(picker.chosen);
  byId("submit").disabled = voices.length === 0;
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
}

function onVoice(voice) {
  say(byId("voice-chosen"), voice ? `${voice.name}, ${language(voice.language)}` : "–");
  showMix();
}

function count() {
  const chars = lengthOf(input.value);
  const over = chars - MAX_CHARS;
  say(byId("count"), over > 0
    ? `${many(chars, "character")}: ${whole(over)} too many for one job`
    : many(chars, "character"));
  input.setCustomValidity(over > 0 ? "The text is too long for one job." : "");
}

function showSpeed() {
  say(byId("speed-value"), `${Number(byId("speed").value).toFixed(2).replace(/0$/, "")}×`);
}

function showMix() {
  const second = byId("mix-voice").value;
  byId("mix-share-row").hidden = !second;
  const share = Number(byId("mix-share").value);
  say(byId("mix-value"), `${100 - share} % ${picker.chosen?.id ?? ""}, ${share} % ${second}`);
}

/** The voice, or the mix of two. */
function voice() {
  const first = picker.chosen.id;
  const second = byId("mix-voice").value;
  if (!second || second === first) return first;
  const share = Number(byId("mix-share").value);
  return `${first}(${100 - share})+${second}(${share})`;
}

function request() {
  const asked = { voice: voice(), speed: Number(byId("speed").value) };
  const format = byId("format").value;
  if (byId("language").value) asked.language = byId("language").value;
  if (byId("timestamps").checked) asked.timestamps = true;
  if (byId("patient").checked) asked.priority = "batch";
  asked.response_format = format;
  return attached ? { ...asked, file: attached } : { ...asked, input: input.value };
}

async function submit() {
  const place = byId("speak-problem");
  place.replaceChildren();
  if (!attached && !input.value.trim()) {
    problem(place, new Error("There is no text yet. Write one above, or drop a file there."));
    input.focus();
    return;
  }
  byId("submit").disabled = true;
  try {
    const asked = request();
    const job = await create(asked);
    await keepJob(job.id, asked);
    location.hash = `#/jobs/${job.id}`;
  } catch (error) {
    problem(place, error);
  } finally {
    byId("submit").disabled = false;
  }
}

/** Submit a request, which has an `input` or a `file`; the same again after a broken connection makes no second job. */
export async function create(asked) {
  const once = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16)).join("");
  const options = { method: "POST", headers: { "Idempotency-Key": once } };
  const { file, ...job } = asked;
  if (!file) return askJson("v1/jobs", { ...options, json: job });
  const form = new FormData();
  form.append("job", JSON.stringify(job));
  form.append("file", file, file.name);
  return askJson("v1/jobs", { ...options, body: form });
}
