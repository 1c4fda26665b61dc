/** A spoken sample of each voice, made by the cluster itself and kept in this browser. */

import { ApiError, ask, askJson } from "./api.js";
import { keepSample, keptSample } from "./keep.js";

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

/** The name a sample's job has in lists, for as long as it is there. */
export const SAMPLE_ID = "voice-sample";

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
    custom_id: SAMPLE_ID,
    ttl_s: 3600,
  };
  let job = await askJson("v1/jobs", {
    method: "POST", json: request, headers: { Prefer: "wait=20" }, signal,
  });
  const path = `v1/jobs/${job.id}`;
  try {
    while (job.status === "queued" || job.status === "processing") {
      await new Promise((resolve) => setTimeout(resolve, 500));
      job = await askJson(path, { signal });
    }
    const blob = await (await ask(`${path}/audio?redirect=false`, { signal })).blob();
    await keepSample(name, blob);
    return blob;
  } finally {
    await discard(path, job);
  }
}

async function discard(path, job) {
  try {
    if (job.completed_at === null) await ask(`${path}/cancel`, { method: "POST" });
    await ask(path, { method: "DELETE" });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // It has ended or gone meanwhile; else its time to live takes it.
  }
}
