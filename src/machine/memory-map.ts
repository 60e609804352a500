/**
 * memory-map: what is where in a machine's RAM, and what it shares with another one.
 *
 * Used by tools: the commands of family `memory`.
 * Holds   looking changes nothing, and brings no page in.
 */
import { KIND_FRAME, KIND_ZERO } from "../../assembly/layout.ts";
import type { MachineView } from "../core/machine-view.ts";
import type { RetainedRoot } from "../core/root.ts";

/** Never written, in a frame, or not in memory: in a snapshot's file, for instance. */
export type PageState = "zero" | "here" | "absent";

/** Pages in a row that are alike; the first is `page`, counted from the start of RAM. */
export interface PageRun {
  readonly page: number;
  readonly count: number;
  readonly state: PageState;
}

function stateOf(kind: number): PageState {
  if (kind === KIND_ZERO) return "zero";
  return kind === KIND_FRAME ? "here" : "absent";
}

/** All of RAM, in order. */
export function memoryMap(view: MachineView): PageRun[] {
  const runs: { page: number; count: number; state: PageState }[] = [];
  for (let page = 0; page < view.ramPages; page++) {
    const state = stateOf(view.pageKind(page));
    const last = runs.at(-1);
    if (last?.state === state) last.count++;
    else runs.push({ page, count: 1, state });
  }
  return runs;
}

/** Pages that are not zero under both roots, and one frame. Roots of one host and equal RAM. */
export function sharedPages(first: RetainedRoot, second: RetainedRoot): number {
  let count = 0;
  for (const batch of first.pages()) count += batch.length;
  const others = new Set<number>();
  for (const batch of second.diff(first)) for (const page of batch) others.add(page);
  for (const batch of first.pages()) {
    for (const page of batch) if (others.has(page)) count--;
  }
  return count;
}
