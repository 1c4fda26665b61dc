/** A short text spoken once and left nowhere: a voice's sample, a word of a lexicon. */

import { ApiError, ask, askJson } from "./api.js";

/** The name such a job has in lists, for as long as it is there. */
export const SPOKEN_ID = "voice-sample";

/**
 * Return the audio of a request as a Blob.
 *
 * @throws ApiError, Unreachable, AbortError, or an Error with why the job failed.
 */
export async function spoken(request, signal) {
  const json = { ...request, custom_id: SPOKEN_ID, ttl_s: 3600 };
  const headers = { Prefer: "wait=20" };
  let job = await askJson("v1/jobs", { method: "POST", json, headers, signal });
  const path = `v1/jobs/${job.id}`;
  try {
    while (job.status === "queued" || job.status === "processing") {
      await new Promise((resolve) => setTimeout(resolve, 500));
      job = await askJson(path, { signal });
    }
    if (job.error) throw new Error(job.error.message);
    return await (await ask(`${path}/audio?redirect=false`, { signal })).blob();
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

/** Buttons that are heard one at a time: a second press, or another's, ends the sound. */
export class Listening {
  #sounding = null;

  /** @param onError gets why something was not to be heard. */
  constructor(onError) {
    this.onError = onError;
  }

  /** Play what `fetchBlob(signal)` gives, and show on the button how it stands. */
  async press(button, fetchBlob) {
    const again = this.#sounding?.button === button;
    this.hush();
    if (again) return;
    const audio = new Audio();
    const stopping = new AbortController();
    this.#sounding = { button, audio, stopping };
    button.dataset.state = "loading";
    button.setAttribute("aria-pressed", "true");
    try {
      const blob = await fetchBlob(stopping.signal);
      if (this.#sounding?.audio !== audio) return;
      audio.src = URL.createObjectURL(blob);
      audio.addEventListener("ended", () => this.#sounding?.audio === audio && this.hush());
      await audio.play();
      button.dataset.state = "playing";
    } catch (error) {
      if (this.#sounding?.audio === audio) this.hush();
      if (error.name !== "AbortError") this.onError(error);
    }
  }

  hush() {
    if (!this.#sounding) return;
    const { button, audio, stopping } = this.#sounding;
    this.#sounding = null;
    stopping.abort();
    audio.pause();
    if (audio.src) URL.revokeObjectURL(audio.src);
    delete button.dataset.state;
    button.setAttribute("aria-pressed", "false");
  }
}
