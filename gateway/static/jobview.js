/** One job: its way, its sound, its text, its files. */

import { ask, askJson } from "./api.js";
import { Captions } from "./captions.js";
import { below, CodePoints } from "./codepoints.js";
import { byId, say } from "./element.js";
import { FilePlayer, playableFormat } from "./fileplayer.js";
import { Follower, hasEnded } from "./follow.js";
import { JobFiles } from "./jobfiles.js";
import { showFacts, showWarnings, showWay } from "./jobparts.js";
import { forgetJob, keepJob, keptJob } from "./keep.js";
import { problem } from "./notices.js";
import { SegmentPlayer } from "./player.js";
import { Reader } from "./reader.js";
import { closeRedo, openRedo, startRedo } from "./redo.js";
import { create } from "./requests.js";
import { write } from "./speak.js";
import { clock, title } from "./words.js";

const BACK_S = 10;

let open = null;
let voicesAtHand = () => [];

/** @param voices returns the voices that are loaded. */
export function startJobView(voices) {
  voicesAtHand = voices;
  startRedo();
  byId("play").addEventListener("click", () => open?.playOrPause());
  byId("back").addEventListener("click", () => open?.skip(-BACK_S));
  byId("forward").addEventListener("click", () => open?.skip(BACK_S));
  byId("seek").addEventListener("input", (event) => open?.player.seek(Number(event.target.value)));
  byId("job-cancel").addEventListener("click", () => open?.cancel());
  byId("job-retry").addEventListener("click", () => open?.retry());
  byId("job-edit").addEventListener("click", () => open?.edit());
  byId("job-delete").addEventListener("click", () => open?.remove());
  byId("redo-open").addEventListener("click", () => open?.redo());
}

/** Show a job until `closeJob`. */
export function openJob(id) {
  closeJob();
  open = new JobView(id);
}

export function closeJob() {
  open?.close();
  open = null;
  closeRedo();
}

class JobView {
  #frame = null;
  #filed = false; // whether the file is played, the segments being gone
  #kept = null;
  #shown = ""; // what the reader shows: "", "text", or how many sentences

  constructor(id) {
    this.follower = new Follower(id);
    this.captions = new Captions(this.follower);
    this.reader = new Reader(byId("reader"), (point) => this.#goTo(point));
    this.files = new JobFiles(this.follower, (seconds) => this.#playFrom(seconds), (error) => this.#problem(error));
    this.follower.addEventListener("change", () => this.#show());
    this.follower.addEventListener("error", ({ error }) => this.#problem(error));
    this.captions.addEventListener("change", () => this.#showText());
    byId("job-problem").replaceChildren();
    byId("job-body").hidden = true;
    say(byId("job-title"), "…");
    say(byId("job-status"), ""); // that of the job shown before
    this.#use(new SegmentPlayer(this.follower));
    this.#begin();
  }

  async #begin() {
    this.#kept = await keptJob(this.follower.id);
    this.follower.start();
  }

  close() {
    cancelAnimationFrame(this.#frame);
    this.follower.stop();
    this.player.close();
    this.reader.close();
  }

  playOrPause() {
    if (this.player.state === "playing" || this.player.state === "waiting") this.player.pause();
    else this.player.play();
    this.#draw();
  }

  skip(seconds) {
    this.player.seek(this.player.currentTime + seconds);
  }

  async cancel() {
    await this.#doing("job-cancel", async () => {
      this.follower.take(await askJson(`${this.follower.path}/cancel`, { method: "POST" }));
    });
  }

  async retry() {
    await this.#doing("job-retry", async () => {
      const job = await create(this.#kept.request);
      await keepJob(job.id, this.#kept.request);
      location.hash = `#/jobs/${job.id}`;
    });
  }

  edit() {
    write(this.#kept.request.input);
    location.hash = "#/speak";
  }

  async remove() {
    if (!confirm("Delete this job, its audio and its text?")) return;
    await this.#doing("job-delete", async () => {
      await ask(this.follower.path, { method: "DELETE" });
      await forgetJob(this.follower.id);
      location.hash = "#/jobs";
    });
  }

  /** Have a passage said anew: the one that is selected in the text, or that is heard. */
  redo() {
    this.player.pause();
    const { segments } = this.follower;
    const point = this.reader.selected();
    const at = point === null
      ? below(segments, ({ end_s: end }) => end <= this.player.currentTime)
      : below(segments, ({ text }) => text.end <= point);
    const from = segments[Math.min(at, segments.length - 1)].index;
    openRedo(this.follower, from, (segment) => this.#said(segment), voicesAtHand(), async (job, segment, asked) => {
      const request = this.#kept?.request;
      if (request?.input) await keepJob(job.id, { ...request, input: replaced(request.input, segment.text, asked.input) });
      location.hash = `#/jobs/${job.id}`;
    });
  }

  /** What a segment says: from the text as it was written, or as captions have it. */
  #said(segment) {
    const input = this.#kept?.request.input;
    if (input) {
      const points = new CodePoints(input);
      return input.slice(points.toUtf16(segment.text.start), points.toUtf16(segment.text.end));
    }
    return this.captions.sentences.filter((one) => one.segment === segment.index).map(({ text }) => text).join(" ");
  }

  async #doing(button, work) {
    byId(button).disabled = true;
    byId("job-problem").replaceChildren();
    try {
      await work();
    } catch (error) {
      this.#problem(error);
    } finally {
      byId(button).disabled = false;
    }
  }

  #problem(error) {
    problem(byId("job-problem"), error);
  }

  #use(player) {
    this.player?.close();
    this.player = player;
    player.addEventListener("change", () => this.#draw());
    player.addEventListener("error", ({ error }) => this.#onSilence(error));
  }

  /** A segment was not to be had: where there is a file, that is played from the same place. */
  #onSilence(error) {
    const { job } = this.follower;
    if (this.#filed || job.status !== "succeeded" || !playableFormat(job)) {
      this.#problem(error);
      return;
    }
    this.#filed = true;
    const at = this.player.currentTime;
    this.#use(new FilePlayer(this.follower));
    this.player.seek(at);
    this.player.play();
  }

  #goTo(point) {
    const word = this.captions.in(point);
    const { segments } = this.follower;
    const spoken = segments.filter((segment) => !segment.pause);
    const segment = spoken[below(spoken, ({ text }) => text.end <= point)];
    const to = word ?? segment;
    if (to) this.#playFrom(to.start_s); // else it is not rendered yet
  }

  #playFrom(seconds) {
    this.player.seek(seconds);
    if (this.player.state === "paused") this.player.play();
  }

  #show() {
    const { job, stage } = this.follower;
    byId("job-body").hidden = false;
    say(byId("job-title"), this.#kept ? title(this.#kept.request) : job.title ?? job.custom_id ?? job.id);
    const status = byId("job-status");
    say(status, job.status);
    status.dataset.status = job.status;
    showWay(job, stage);
    showFacts(job, this.#kept?.request);
    this.#showActions(job);
    this.files.show();
    showWarnings(job);
    this.#showText();
    this.#draw();
  }

  #showActions(job) {
    const ended = hasEnded(job);
    byId("job-cancel").hidden = ended;
    byId("job-delete").hidden = !ended;
    byId("job-retry").hidden = !ended;
    byId("job-retry").disabled = !this.#kept;
    byId("job-edit").hidden = !this.#kept?.request.input;
    byId("job-forgotten").hidden = !ended || this.#kept !== null;
  }

  #showText() {
    const input = this.#kept?.request.input;
    const { sentences } = this.captions;
    const wanted = input ? "text" : sentences.length ? String(sentences.length) : "";
    byId("reader").hidden = wanted === "";
    byId("reader-none").hidden = wanted !== "";
    byId("redo-row").hidden = wanted === "" || this.follower.job.status !== "succeeded" || this.follower.segments.length === 0;
    if (wanted === this.#shown) return;
    this.#shown = wanted;
    if (input) this.reader.show(input);
    else this.reader.showSentences(sentences);
  }

  /** Draw what moves with the sound. */
  #draw() {
    cancelAnimationFrame(this.#frame);
    const { player } = this;
    const { job, ended, segments } = this.follower;
    const { state, duration, currentTime: at } = player;
    const play = byId("play");
    play.dataset.state = state;
    play.setAttribute("aria-label", state === "playing" || state === "waiting" ? "Pause" : "Play");
    const silent = job !== null && ended && job.status !== "succeeded" && segments.length === 0;
    play.disabled = job === null || silent;
    const seek = byId("seek");
    seek.max = Math.max(0.1, duration);
    seek.value = at;
    seek.disabled = duration === 0;
    seek.setAttribute("aria-valuetext", `${clock(at)} of ${clock(duration)}`);
    seek.style.setProperty("--part", duration ? `${(100 * at) / duration}%` : "0%");
    say(byId("time"), `${clock(at)} / ${clock(duration)}${ended ? "" : "…"}`);
    say(byId("play-state"), state === "waiting" ? "Waiting for the next words to be spoken" : "");
    this.#drawMark(at, state);
    this.files.mark(at);
    this.captions.reach(at);
    if (state === "playing" || state === "waiting") this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #drawMark(at, state) {
    const begun = state !== "paused" || at > 0;
    const { segments } = this.follower;
    const segment = segments[below(segments, ({ end_s: end }) => end <= at)];
    const word = this.captions.at(at);
    const fresh = word && segment && word.segment === segment.index;
    if (!begun || state === "ended") this.reader.mark(null);
    else if (fresh) this.reader.mark(word.span);
    else if (segment && !segment.pause && this.captions.words.length === 0) this.reader.mark(segment.text);
  }
}

/** A text with another in a stretch of it, `{start, end}` in code points: as the server counts the new job's. */
function replaced(text, { start, end }, other) {
  const points = new CodePoints(text);
  return text.slice(0, points.toUtf16(start)) + other + text.slice(points.toUtf16(end));
}
