// Reads how a suite went from what uvu printed and how its process ended.

function last(output, label) {
  const found = [...output.matchAll(new RegExp(`^\\s*${label}:\\s+(\\d+)\\s*$`, "gm"))].at(-1);
  return found === undefined ? null : Number(found[1]);
}

/**
 * What one suite's output counts for. `ended` is its exit status, or what ended it instead. A suite that crashed, or
 * that held no test, counts as one failure; with `isCi` every skip does.
 */
export function judge({ output, ended }, { isCi }) {
  const total = last(output, "Total") ?? 0;
  const passed = last(output, "Passed") ?? 0;
  const skipped = last(output, "Skipped") ?? 0;
  const notes = [];
  let failed = Math.max(0, total - passed - skipped);
  if (ended !== 0 && failed === 0) {
    failed = 1;
    notes.push(typeof ended === "number" ? `exit status ${ended}` : `${ended}`);
  }
  if (total === 0 && failed === 0) {
    failed = 1;
    notes.push("held no test, or ended before it said how it went");
  }
  if (isCi && skipped > 0) {
    notes.push(`${skipped} skipped, which CI=true does not allow`);
    return { passed, failed: failed + skipped, skipped: 0, notes };
  }
  return { passed, failed, skipped, notes };
}
