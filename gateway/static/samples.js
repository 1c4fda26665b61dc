/** A spoken sample of each voice, made by the cluster itself and kept in this browser. */

import { keepSample, keptSample } from "./keep.js";
import { spoken } from "./spoken.js";

const SENTENCES = {
  "en-us": "Every morning the harbour wakes slowly, and the first boats slip out into the mist.",
  "en-gb": "Every morning the harbour wakes slowly, and the first boats slip out into the mist.",
  es: "Cada mañana el puerto despierta despacio y los primeros barcos salen entre la niebla.",
  fr: "Chaque matin, le port s’éveille lentement et les premiers bateaux glissent dans la brume.",
  hi: "हर सुबह बंदरगाह धीरे-धीरे जागता है और पहली नावें धुंध में निकल जाती हैं।",
  it: "Ogni mattina il porto si sveglia piano e le prime barche scivolano nella nebbia.",
  "pt-br": "Todas as manhãs o porto acorda devagar e os primeiros barcos saem pela névoa.",
  ja: "毎朝、港はゆっくりと目を覚まし、最初の船が霧の中へ出ていきます。",
  zh: "每天清晨，港口慢慢醒来，第一批船驶入薄雾之中。",
};

/**
 * Return a voice's sample as a Blob; made once for each voice of each model.
 *
 * @throws ApiError, Unreachable, AbortError.
 */
export async function sampleOf(voice, model, signal) {
  const name = `${model}/${voice.id}`;
  const kept = await keptSample(name);
  if (kept) return kept;
  const request = {
    input: SENTENCES[voice.language] ?? SENTENCES["en-us"],
    voice: voice.id,
    language: voice.language ?? "en-us",
  };
  const blob = await spoken(request, signal);
  await keepSample(name, blob);
  return blob;
}
