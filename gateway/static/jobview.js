/** One job: its way, its sound, its text, its files. */

import { ask, askJson, key } from "./api.js";
import { Captions } from "./captions.js";
import { below } from "./codepoints.js";
import { download } from "./download.js";
import { byId, element, say } from "./element.js";
import { FilePlayer, playableFormat } from "./fileplayer.js";
import { Follower, hasEnded } from "./follow.js";
import { forgetJob, keepJob, keptJob } from "./keep.js";
import { problem } from "./notices.js";
import { SegmentPlayer } from "./player.js";
import { Reader } from "./reader.js";
import { create, write } from "./speak.js";
import { about, bytes, clock, many, moment, span, title, whole } from "./words.js";

const STAGES = ["queue", "plan", "render", "assemble", "end"];
const BACK_S = 10;
const SHOWN_WARNINGS = 20;
const CAPTIONS = {
  srt: ["Captions as SRT", "captions.srt", "srt"],
  vtt: ["Captions as WebVTT", "captions.vtt", "vtt"],
  words: ["Words as JSON", "captions.json", "json"],
};

let open = null;

export function startJobView() {
  byId("play").addEventListener("click", () => open?.playOrPause());
  byId("back").addEventListener("click", () => open?.skip(-BACK_S));
  byId("forward").addEventListener("click", () => open?.skip(BACK_S));
  byId("seek").addEventListener("input", (event) => open?.player.seek(Number(event.target.value)));
  byId("job-cancel").addEventListener("click", () => open?.cancel());
  byId("job-retry").addEventListener("click", () => open?.retry());
  byId("job-edit").addEventListener("click", () => open?.edit());
  byId("job-delete").addEventListener("click", () => open?.remove());
}

/** Show a job until `closeJob`. */
export function openJob(id) {
  closeJob();
  open = new JobView(id);
}

export function closeJob() {
  open?.close();
  open = null;
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
    this.follower.addEventListener("change", () => this.#show());
    this.follower.addEventListener("error", ({ error }) => this.#problem(error));
    this.captions.addEventListener("change", () => this.#showText());
    byId("job-problem").replaceChildren();
    delete byId("downloads").dataset.shown;
    byId("job-body").hidden = true;
    say(byId("job-title"), "…");
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
    if (!to) return; // not rendered yet
    this.player.seek(to.start_s);
    if (this.player.state === "paused") this.player.play();
  }

  #show() {
    const { job, stage } = this.follower;
    byId("job-body").hidden = false;
    say(byId("job-title"), this.#kept ? title(this.#kept.request) : job.custom_id ?? job.id);
    const status = byId("job-status");
    say(status, job.status);
    status.dataset.status = job.status;
    this.#showWay(job, stage);
    this.#showFacts(job);
    this.#showActions(job);
    this.#showFiles(job);
    this.#showWarnings(job);
    this.#showText();
    this.#draw();
  }

  #showWay(job, stage) {
    const at = STAGES.indexOf(stage);
    const done = job.status === "succeeded";
    byId("way").dataset.status = job.status;
    for (const [index, item] of [...byId("way").children].entries()) {
      const passed = index < at && (done || !hasEnded(job));
      item.dataset.state = passed ? "done" : index === at && !hasEnded(job) ? "now" : "later";
      if (item.dataset.state === "now") item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
    const { segments_total: total, segments_done: ready, segments_reused: reused } = job.progress;
    const bar = byId("progress");
    bar.max = Math.max(1, total);
    bar.value = ready;
    const left = job.eta_s !== null && !hasEnded(job) ? `, ${about(job.eta_s)} left` : "";
    say(byId("way-words"), inWords(job, stage) + left);
    const parts = total ? `${whole(ready)} of ${many(total, "segment")}` : "";
    say(byId("way-count"), reused ? `${parts}, ${whole(reused)} spoken before` : parts);
  }

  #showFacts(job) {
    const request = this.#kept?.request;
    const { metrics } = job;
    const facts = [
      ["Voice", request?.voice],
      ["Speed", request?.speed && request.speed !== 1 ? `${request.speed}×` : null],
      ["Characters", whole(job.input_chars)],
      ["Audio", job.progress.audio_s ? span(job.progress.audio_s) : null],
      ["Made", moment(job.created_at)],
      ["Kept until", job.expires_at ? moment(job.expires_at) : null],
      ["Waited", metrics.queue_s !== null ? span(metrics.queue_s) : null],
      ["Faster than speech", metrics.realtime_factor ? `${metrics.realtime_factor}×` : null],
      ["Engine", metrics.stand_in ? `${metrics.model}, a stand-in and not Kokoro` : metrics.model],
      ["Worker", metrics.worker],
      ["Id", job.id],
    ];
    byId("facts").replaceChildren(...facts.filter(([, value]) => value).flatMap(([name, value]) =>
      [element("dt", {}, name), element("dd", {}, value)]));
    const reason = job.error ? [element("p", { class: "problem" }, `${job.error.message} (${job.error.code})`)] : [];
    byId("job-error").replaceChildren(...reason);
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

  #showFiles(job) {
    const files = job.output ? [job.output, ...job.output.others] : [];
    const captions = job.output?.captions ?? [];
    const wanted = [...files, ...captions].map((file) => file.format).join();
    const place = byId("downloads");
    if (place.dataset.shown === wanted) return;
    place.dataset.shown = wanted;
    byId("downloads-none").hidden = files.length > 0;
    place.replaceChildren(
      ...files.map((file) => this.#file(
        `${file.format.toUpperCase()} · ${bytes(file.bytes)}`,
        `audio?format=${file.format}${key() ? "&redirect=false" : ""}`,
        file.format,
      )),
      ...captions.map(({ format }) => this.#file(...CAPTIONS[format])),
    );
  }

  #file(label, tail, extension) {
    const { id, path } = this.follower;
    const button = element("button", {
      type: "button", class: "file", data: { file: extension },
      onclick: async () => {
        button.disabled = true;
        try {
          await download(`${path}/${tail}`, `${id}.${extension}`);
        } catch (error) {
          this.#problem(error);
        } finally {
          button.disabled = false;
        }
      },
    }, label);
    return element("li", {}, button);
  }

  #showWarnings(job) {
    byId("warnings-box").hidden = job.warnings.length === 0;
    say(byId("warnings-count"), many(job.warnings.length, "note"));
    const shown = job.warnings.slice(0, SHOWN_WARNINGS);
    byId("warnings").replaceChildren(...shown.map(({ code, detail }) =>
      element("li", {}, detail ? `${code}: ${typeof detail === "string" ? detail : JSON.stringify(detail)}` : code)));
  }

  #showText() {
    const input = this.#kept?.request.input;
    const { sentences } = this.captions;
    const wanted = input ? "text" : sentences.length ? String(sentences.length) : "";
    byId("reader").hidden = wanted === "";
    byId("reader-none").hidden = wanted !== "";
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

function inWords(job, stage) {
  const ahead = job.queue_position;
  switch (stage) {
    case "queue":
      return ahead ? `Waiting: ${many(ahead, "job")} ahead` : "Waiting for its turn";
    case "plan":
      return "Planning how it is spoken";
    case "render":
      return "Speaking";
    case "assemble":
      return "Putting the audio together";
    default:
      return {
        succeeded: `Done in ${span((new Date(job.completed_at) - new Date(job.created_at)) / 1000)}`,
        failed: "It failed",
        canceled: "Canceled",
        expired: "It took longer than it was given",
      }[job.status];
  }
}
