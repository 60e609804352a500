/**
 * cases: what must be there for the examples of the commands: a machine `web`, files, what was done
 * before.
 *
 * Used by test/shell/commands.test.ts.
 */
import type { Fleet } from "../../src/shell/fleet.ts";
import { guestProgramFiles } from "./case-files.ts";
import { fakeCaller, fakeWorld, spoken } from "./fake.ts";

/** A shell in a fake world. */
export type Shell = Awaited<ReturnType<typeof setUp>>;

/** Examples whose right status is not 0. */
export const EXPECTED_STATUS: Readonly<Record<string, number>> = { exit: 3 };

/** Commands that need a Linux, and the test that runs them with one. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  "vm exec": "boot/shell.test.ts",
  receive: "shell/families/migrate.test.ts",
  "migrate recover": "shell/families/migrate.test.ts",
};

/** Where machine `web` is not running, prompt reached, when the example runs. */
const BEFORE: Readonly<Record<string, string>> = {
  "vm create": "vm destroy web",
  "vm start": "vm destroy web --keep",
  "vm resume": "vm pause web",
  "vm restore": "vm checkpoint web before",
  "vm rename": "vm destroy web --keep",
  "vm set": "vm destroy web --keep",
  "vm wait": "console send web 'poweroff\\n'",
  "console attach": "console send web 'poweroff\\n'",
  "console wait": "console send web 'echo login: \\n'",
  "debug step": "vm destroy web --keep; vm start web --paused",
  "debug trace": "vm destroy web --keep; vm start web --paused",
  "debug continue": "vm destroy web --keep; vm start web --paused; debug break web 0x80000000",
  "disk attach": "vm destroy web --keep",
  "disk detach": "vm destroy web --keep; disk attach web root.img",
};

const MOUNT = "snapshot mount-store snapshots";
const BASE = `${MOUNT}; snapshot create web base --type full`;
const MORE = `${BASE}; snapshot create web more`;
/** Snapshots that are there before an example of their family. */
const SNAPSHOTS: Readonly<Record<string, string>> = {
  "mount-store": "",
  create: MOUNT,
  merge: MORE,
  flatten: MORE,
  diff: MORE,
  prune: MORE,
  import: `${BASE}; snapshot export web/base base.rvs; snapshot delete web/base`,
};

/** Where the other shell takes machines in. */
export const OTHER = "tcp://127.0.0.1:7000";
const MOVE = `migrate start web ${OTHER}`;
/** So slow that it goes on for as long as the example does. */
const SLOWLY = `${MOVE} --background --bandwidth 4096`;
/** Migrations that are there before an example of their family. */
const MIGRATIONS: Readonly<Record<string, string>> = {
  status: MOVE,
  report: MOVE,
  history: MOVE,
  watch: `${MOVE} --background`,
  resolve: MOVE,
  list: SLOWLY,
  info: SLOWLY,
  cancel: SLOWLY,
  pause: SLOWLY,
  resume: `${SLOWLY}; migrate pause web`,
  "set-downtime": SLOWLY,
  "set-bandwidth": SLOWLY,
  "set-policy": SLOWLY,
  postcopy: SLOWLY,
};

function before(name: string): string | undefined {
  const [family, word] = name.split(" ");
  if (family === "snapshot") return SNAPSHOTS[word] ?? BASE;
  return family === "migrate" ? MIGRATIONS[word] : BEFORE[name];
}

/** Does what must have been done before the command's example. */
export async function prepare(name: string, shell: Shell): Promise<void> {
  if (name.startsWith("migrate ")) await shell.openOther();
  const lines = before(name);
  if (lines === undefined) return;
  const status = await shell.run(lines);
  if (status !== 0) throw new Error(`before ${name}: ${shell.said.err}`);
}

/** Machine `web` at its prompt. */
export async function setUp() {
  const said = spoken();
  const names = new Map<string, string>();
  const caller = fakeCaller(fakeWorld(guestProgramFiles(), said, names), said);
  const run = (line: string) =>
    caller.session.run(line, caller, { name: null, isKeepingGoing: false, label: "" });
  const status = await run(
    "vm create web --guest builtin --memory 16M --clock virtual --start; console wait web '> '",
  );
  if (status !== 0) throw new Error(said.err);
  const others: Fleet[] = [];
  /** Another process, as it were, that takes machines in at OTHER. */
  const openOther = async () => {
    const other = fakeCaller(fakeWorld());
    others.push(other.fleet);
    names.set(
      OTHER,
      await other.fleet.migrations.receive("tcp://127.0.0.1:0", {
        disks: [],
        folder: null,
        onArrived: (vm) => vm.begin(),
      }),
    );
    return other.fleet;
  };
  const dispose = async () => {
    await caller.fleet.dispose();
    for (const other of others) await other.dispose();
  };
  return { ...caller, run, openOther, dispose };
}
