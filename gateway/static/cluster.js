/** What the cluster is doing: its queue, its pace, its workers. */

import { askJson, isMissing } from "./api.js";
import { byId, element, say } from "./element.js";
import { problem } from "./notices.js";
import { bytes, many, span, whole } from "./words.js";

const AGAIN_MS = 2000;
const STATUSES = ["queued", "processing", "succeeded", "failed", "canceled", "expired"];

let timer = null;
let turn = 0;

export function openCluster() {
  closeCluster();
  look();
}

export function closeCluster() {
  clearTimeout(timer);
  turn += 1;
}

async function look() {
  const mine = turn;
  if (document.hidden) {
    timer = setTimeout(look, AGAIN_MS);
    return;
  }
  try {
    const [workers, cluster] = await Promise.all([askJson("v1/workers"), summary()]);
    if (mine !== turn) return;
    byId("cluster-problem").replaceChildren();
    showSummary(cluster);
    showWorkers(workers.data);
  } catch (error) {
    if (mine === turn) problem(byId("cluster-problem"), error);
  }
  if (mine === turn) timer = setTimeout(look, AGAIN_MS);
}

async function summary() {
  try {
    return await askJson("v1/cluster");
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function showSummary(cluster) {
  byId("tiles").hidden = cluster === null;
  byId("by-status").hidden = cluster === null;
  if (cluster === null) return;
  say(byId("tile-queued"), whole(cluster.queued_jobs));
  say(byId("tile-queued-more"), many(cluster.queued_chars, "character"));
  say(byId("tile-oldest"), cluster.oldest_queued_s ? span(cluster.oldest_queued_s) : "–");
  say(byId("tile-pace"), cluster.audio_s_per_s ? `${cluster.audio_s_per_s.toFixed(1)}×` : "–");
  say(byId("tile-pace-more"), cluster.chars_per_s ? `${whole(Math.round(cluster.chars_per_s))} characters a second` : "nothing spoken just now");
  say(byId("tile-workers"), whole(cluster.workers));
  byId("by-status").replaceChildren(...STATUSES.map((status) => element("li", {},
    element("span", { class: "chip", data: { status } }, status),
    element("span", {}, whole(cluster.jobs_by_status[status] ?? 0)))));
}

function showWorkers(workers) {
  byId("workers-none").hidden = workers.length > 0;
  byId("workers").replaceChildren(...workers.map(card));
}

function recycles(worker) {
  const reasons = Object.entries(worker.recycled ?? {}).map(([reason, times]) => `${reason.replaceAll("_", " ")} ${times}`);
  return reasons.length ? `${worker.recycles} (${reasons.join(", ")})` : worker.recycles;
}

function card(worker) {
  const share = worker.shift_s > 0 ? worker.busy_s / worker.shift_s : null;
  const facts = [
    ["Device", worker.device],
    ["Model", worker.model],
    ["Memory", worker.resident_bytes ? bytes(worker.resident_bytes) : null],
    ["Device memory", worker.device_total_bytes ? `${bytes(worker.device_bytes)} of ${bytes(worker.device_total_bytes)}` : null],
    ["Batch", worker.batch ? many(worker.batch, "segment") : null],
    ["Busy while there is work", share !== null ? `${Math.round(100 * Math.min(1, share))} %` : null],
    ["Children", worker.children],
    ["Recycled", recycles(worker)],
    ["Killed at a deadline", worker.deadline_kills || null],
    ["Up for", span(Math.max(0, (Date.now() - new Date(worker.started_at)) / 1000))],
  ].filter(([, value]) => value !== null && value !== undefined);
  return element("li", { class: "card worker", data: { role: worker.role } },
    element("h3", {}, worker.id, " ", element("span", { class: "chip", data: { state: worker.state } }, worker.state)),
    element("dl", { class: "facts" }, facts.flatMap(([name, value]) =>
      [element("dt", {}, name), element("dd", {}, String(value))])));
}
