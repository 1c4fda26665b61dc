/**
 * What this browser keeps: the texts of jobs made here (the server forgets a text once it is
 * planned) and the voices' samples. Bounded; without IndexedDB nothing is kept, and all else works.
 */

const NAME = "kokoro-cluster";
const TEXTS_MOST = 100;
const CHARS_MOST = 10_000_000;

let opening = null;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore("jobs", { keyPath: "id" });
      asked.result.createObjectStore("samples");
    };
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
  return opening;
}

async function within(store, mode, work) {
  try {
    const made = (await open()).transaction(store, mode);
    const asked = work(made.objectStore(store));
    return await new Promise((resolve, reject) => {
      made.oncomplete = () => resolve(asked?.result ?? null);
      made.onerror = made.onabort = () => reject(made.error);
    });
  } catch {
    return null; // a private window, or a full disk: nothing is kept
  }
}

/** Keep a job's request, with its text or its file. */
export async function keepJob(id, request) {
  await within("jobs", "readwrite", (store) => store.put({ id, request, at: Date.now() }));
  const kept = (await keptJobs()).sort((a, b) => b.at - a.at);
  let chars = 0;
  for (const [index, job] of kept.entries()) {
    chars += job.request.input?.length ?? job.request.file?.size ?? 0;
    if (index > 0 && (index >= TEXTS_MOST || chars > CHARS_MOST)) await forgetJob(job.id);
  }
}

/** What was kept of a job: `{id, request, at}`, or null. */
export function keptJob(id) {
  return within("jobs", "readonly", (store) => store.get(id));
}

/** All that is kept of jobs. */
export async function keptJobs() {
  return (await within("jobs", "readonly", (store) => store.getAll())) ?? [];
}

export function forgetJob(id) {
  return within("jobs", "readwrite", (store) => store.delete(id));
}

export function forgetAllJobs() {
  return within("jobs", "readwrite", (store) => store.clear());
}

/** A voice's sample, a Blob, or null. */
export function keptSample(name) {
  return within("samples", "readonly", (store) => store.get(name));
}

export function keepSample(name, blob) {
  return within("samples", "readwrite", (store) => store.put(blob, name));
}
