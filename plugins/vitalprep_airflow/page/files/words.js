// Formats numbers and states. Every state has a sign in addition to its colour.

const STATES = {
  success: ["✓", "done", "good"], done: ["✓", "done", "good"], published: ["✓", "published", "good"],
  failed: ["✗", "failed", "bad"], refused: ["✗", "refused", "bad"], upstream_failed: ["✗", "not run: an earlier task failed", "bad"],
  running: ["▶", "running", ""], harmonizing: ["▶", "harmonizing", ""], building: ["▶", "building", ""],
  up_for_retry: ["↻", "will be retried soon", ""], up_for_reschedule: ["…", "waits for its next poll", ""],
  stopped: ["■", "stopped", ""], skipped: ["–", "skipped: nothing to do", ""], removed: ["–", "removed", ""],
  queued: ["…", "queued", ""], scheduled: ["…", "queued", ""], deferred: ["▶", "running", ""], restarting: ["↻", "restarting", ""],
  planned: ["…", "planned", ""], waiting: ["…", "waiting", ""],
};

/** Sign, word and kind ("good", "bad" or "") of a state; an unknown state is shown as it is. */
export const state = (name) => STATES[name] ?? ["…", name ? String(name) : "waiting", ""];

export const number = (value) => (Number.isFinite(value) ? value.toLocaleString("en") : "–");

export const megabytes = (bytes) => (Number.isFinite(bytes) && bytes > 0 ? (bytes / 1e6).toFixed(1) : "–");

/** Seconds in a readable unit: 45 s, 3 min, 1 h 20 min. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function time(text) {
  const moment = new Date(text ?? NaN);
  return Number.isNaN(moment.getTime()) ? "–" : moment.toLocaleString("sv").slice(0, 16);
}

export const secondsBetween = (from, to) => (new Date(to) - new Date(from)) / 1000;

/** Dollars with cents, small amounts with two significant digits: 12.30, 0.42, 0.0031. */
export const money = (value) => (value >= 0.1 || value === 0 ? value.toFixed(2) : value.toPrecision(2));

/** Cost of tries. `price` has the hourly price on spot and on demand; NaN without one. */
export function dollars(tries, price, now) {
  if (!price || "problem" in price) return NaN;
  const begun = tries.filter((one) => one.start_date);
  return begun.reduce((sum, one) => sum
    + Math.max(0, secondsBetween(one.start_date, one.end_date ?? now)) / 3600 * (one.spot ? price.spot : price.on_demand), 0);
}

/** {"truncated": 2} as "2 truncated". */
export const counts = (found) => Object.entries(found ?? {}).map(([name, count]) => `${number(count)} ${name}`).join(", ");
