/**
 * shell: command lines of a session in a fake world, with what they said.
 *
 * Used by the suites of test/shell/families/.
 */
import type { World } from "../../../src/shell/world.ts";
import { fakeCaller, fakeWorld, spoken } from "../fake.ts";

/** What one line said. */
export interface Answer {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** A session over `files`; `change` replaces parts of its world. */
export function openShell(files: Map<string, Uint8Array>, change: Partial<World> = {}) {
  const said = spoken();
  const caller = fakeCaller({ ...fakeWorld(files, said), ...change }, said);
  const run = async (line: string): Promise<Answer> => {
    said.out = said.err = "";
    const options = { name: null, isKeepingGoing: false, label: "" };
    const status = await caller.session.run(line, caller, options);
    return { status, ...said };
  };
  /** Runs a line that must work; what it printed. */
  const need = async (line: string): Promise<string> => {
    const { status, out, err } = await run(line);
    if (status !== 0) throw new Error(`${line}: status ${status}: ${err}`);
    return out;
  };
  /** The JSON of a line that must work. */
  const json = async <T>(line: string): Promise<T> => JSON.parse(await need(`${line} --json`)) as T;
  return { ...caller, run, need, json };
}

/** What `openShell` gives. */
export type OpenShell = ReturnType<typeof openShell>;
