/** The parts of a job's view that only show: its way, its facts, its notes. */

import { byId, element, say } from "./element.js";
import { hasEnded } from "./follow.js";
import { about, many, moment, span, whole } from "./words.js";

const STAGES = ["queue", "plan", "render", "assemble", "end"];
const SHOWN_WARNINGS = 20;

/** Show how far a job is on its way. */
export function showWay(job, stage) {
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

/** Show what is known of a job. @param request what was asked for, if it was asked for here. */
export function showFacts(job, request) {
  const { metrics } = job;
  const facts = [
    ["Title", job.title],
    ["Author", job.author],
    ["Voice", request?.voice],
    ["Speed", request?.speed && request.speed !== 1 ? `${request.speed}×` : null],
    ["Lexicons", job.lexicons?.join(", ")],
    ["Characters", whole(job.input_chars)],
    ["Audio", job.progress.audio_s ? span(job.progress.audio_s) : null],
    ["Made", moment(job.created_at)],
    ["Kept until", job.expires_at ? moment(job.expires_at) : null],
    ["Waited", metrics.queue_s !== null ? span(metrics.queue_s) : null],
    ["Faster than speech", metrics.realtime_factor ? `${metrics.realtime_factor}×` : null],
    ["Engine", metrics.stand_in ? `${metrics.model}, a stand-in and not Kokoro` : metrics.model],
    ["Worker", metrics.worker],
    ["Batch", job.batch_id ? link(`#/batches/${job.batch_id}`, job.batch_id) : null],
    ["Made of", job.redo_of ? link(`#/jobs/${job.redo_of.job}`, `another job, passage ${job.redo_of.segment + 1} anew`) : null],
    ["Id", job.id],
  ];
  byId("facts").replaceChildren(...facts.filter(([, value]) => value).flatMap(([name, value]) =>
    [element("dt", {}, name), element("dd", {}, value)]));
  const reason = job.error ? [element("p", { class: "problem" }, `${job.error.message} (${job.error.code})`)] : [];
  byId("job-error").replaceChildren(...reason);
}

function link(href, text) {
  return element("a", { href }, text);
}

/** Show what a listener may want to know. */
export function showWarnings(job) {
  byId("warnings-box").hidden = job.warnings.length === 0;
  say(byId("warnings-count"), many(job.warnings.length, "note"));
  const shown = job.warnings.slice(0, SHOWN_WARNINGS);
  byId("warnings").replaceChildren(...shown.map(({ code, detail }) =>
    element("li", {}, detail ? `${code}: ${typeof detail === "string" ? detail : JSON.stringify(detail)}` : code)));
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
