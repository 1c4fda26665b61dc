/**
 * Calls to the gateway that served this page, with the key if there is one.
 *
 * In: paths such as `v1/jobs`. Out: answers, or an `ApiError` with the server's own words, or
 * `Unreachable`. The page never follows URLs out of answers: they may name another origin.
 */

const ROOT = new URL("../", import.meta.url);
const KEY = "kc-key";
const PROBE_MS = 2000;

/** The server refused; `message` says what to do. */
export class ApiError extends Error {
  constructor(status, detail, retryAfterS) {
    super(detail.message);
    Object.assign(this, { status, code: detail.code, param: detail.param, retryAfterS });
  }
}

/** Nobody answered. */
export class Unreachable extends Error {
  constructor() {
    super("The server can’t be reached. This page goes on as soon as it answers.");
  }
}

/** Fires `reachable`, `unreachable` and `keywanted`. */
export const signals = new EventTarget();

let reachable = true;

/** The key, kept for this tab only. */
export function key() {
  return sessionStorage.getItem(KEY) ?? "";
}

/** Use another key from now on; an empty one is none. */
export function setKey(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

/** The address of a path, for links of which the browser takes care itself. */
export function address(path) {
  return new URL(path, ROOT).href;
}

/**
 * Ask, and return the `Response` once it is a good one.
 *
 * @throws ApiError, Unreachable, or AbortError when `signal` fires.
 */
export async function ask(path, { method = "GET", json, body, headers = {}, signal } = {}) {
  const all = new Headers(headers);
  const used = key();
  if (used) all.set("Authorization", `Bearer ${used}`);
  if (json !== undefined) {
    all.set("Content-Type", "application/json");
    body = JSON.stringify(json);
  }
  let answer;
  try {
    answer = await fetch(address(path), { method, headers: all, body, signal, cache: "no-cache" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    lost();
    throw new Unreachable();
  }
  found();
  if (answer.ok) return answer;
  const error = await asError(answer);
  // A late answer to a key that was changed meanwhile is no news.
  if (error.status === 401 && used === key()) signals.dispatchEvent(new CustomEvent("keywanted"));
  throw error;
}

/** Ask for JSON. */
export async function askJson(path, options) {
  const answer = await ask(path, options);
  return answer.status === 204 ? null : answer.json();
}

/** Whether the same may well work in a moment: nobody answered, or the system is away or full. */
export function isTemporary(error) {
  return error instanceof Unreachable || error.status >= 500 || error.status === 429;
}

/** Whether an error says that this gateway has no such route. */
export function isMissing(error) {
  return error instanceof ApiError && error.code === "not_found";
}

async function asError(answer) {
  let detail = null;
  try {
    detail = (await answer.json()).error;
  } catch {
    // Not from the gateway: a proxy in between has its own pages.
  }
  detail ??= { message: `The server answered with status ${answer.status}.`, code: "unknown" };
  return new ApiError(answer.status, detail, Number(answer.headers.get("Retry-After")) || null);
}

function found() {
  if (reachable) return;
  reachable = true;
  signals.dispatchEvent(new CustomEvent("reachable"));
}

function lost() {
  if (!reachable) return;
  reachable = false;
  signals.dispatchEvent(new CustomEvent("unreachable"));
  probe();
}

async function probe() {
  while (!reachable) {
    await new Promise((resolve) => setTimeout(resolve, PROBE_MS));
    try {
      if ((await fetch(address("health/live"), { cache: "no-store" })).ok) found();
    } catch {
      // Still away.
    }
  }
}
