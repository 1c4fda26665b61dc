/** Numbers, times and names in words. */

const NAMES = new Intl.DisplayNames(["en"], { type: "language" });
const WHOLE = new Intl.NumberFormat("en");

/** `75.4` → `1:15`; `3700` → `1:01:40`. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds || 0));
  const tail = String(whole % 60).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${tail}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${tail}`;
}

/** `75.4` → `1 min 15 s`; what is shorter than ten seconds keeps a decimal. */
export function span(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} days`;
}

/** A guess at what is left, no more exact than it is. */
export function about(seconds) {
  if (seconds < 1.5) return "a moment";
  if (seconds < 90) return `about ${Math.ceil(seconds)} s`;
  if (seconds < 90 * 60) return `about ${Math.round(seconds / 60)} min`;
  return `about ${(seconds / 3600).toFixed(1)} h`;
}

/** `1536` → `1.5 kB`; powers of ten, as disks are sold. */
export function bytes(count) {
  for (const [size, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (count >= size) return `${(count / size).toFixed(count < 10 * size ? 1 : 0)} ${unit}`;
  }
  return `${count} B`;
}

/** `12345` → `12,345`. */
export function whole(count) {
  return WHOLE.format(count);
}

/** `1 job`, `2 jobs`. */
export function many(count, one, several = `${one}s`) {
  return `${whole(count)} ${count === 1 ? one : several}`;
}

/** `en-us` → `American English`. */
export function language(tag) {
  return tag ? NAMES.of(tag) : "Other";
}

/** A moment as this browser's user writes it: the time alone if it was today. */
export function moment(text) {
  const at = new Date(text);
  const today = at.toDateString() === new Date().toDateString();
  return at.toLocaleString([], today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

/** What a request is called: the beginning of its text on one line, or its file's name. */
export function title({ input, file }, most = 80) {
  const text = input ?? file?.name ?? "";
  const line = text.slice(0, most * 4).replace(/\s+/g, " ").trim();
  return line.length > most ? `${line.slice(0, most - 1).trimEnd()}…` : line;
}
