/**
 * `host`: figures that add up, limits that hold, events in order and as they come.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { runWords } from "../../../src/shell/session.ts";
import { type OpenShell, openShell } from "./shell.ts";

const test = suite("shell/families/host");
const CREATE = "vm create web --guest builtin --memory 16M --clock virtual";

async function withShell(work: (shell: OpenShell) => Promise<void>) {
  const shell = openShell(new Map());
  try {
    await work(shell);
  } finally {
    await shell.fleet.dispose();
  }
}

test("info names what runs here, also without a machine", async () => {
  await withShell(async (shell) => {
    const info = await shell.json<Record<string, unknown>>("host info");
    const { version, engine, platform, cores, machines, machinesMax } = info;
    assert.equal(
      [version, engine, platform, cores, machines, machinesMax],
      ["0.0.0", "fake 1", "none", 2, 0, 16],
    );
    assert.ok((info["features"] as string[]).includes("virtio-blk"));
    assert.match(await shell.need("host info"), /^platform +none, 2 cores, 1 GiB$/m);
  });
});

interface Stats {
  readonly intervalMs: number;
  readonly frames: { readonly total: number; readonly free: number; readonly used: number };
  readonly machines: readonly {
    readonly name: string;
    readonly mips: number;
    readonly load: number;
    readonly framesUsed: number;
  }[];
  readonly mips: number;
}

test("stats are of the interval: a machine that works shows it, a paused one stands", async () => {
  await withShell(async (shell) => {
    await shell.need(
      `${CREATE} --start; console wait web '> '; console send web 'primes 9999999\\n'`,
    );
    const busy = await shell.json<Stats>("host stats --interval 150ms");
    const [web] = busy.machines;
    assert.ok(web.mips > 0 && web.load > 0, JSON.stringify(busy));
    assert.is(busy.frames.free + busy.frames.used, busy.frames.total);
    assert.ok(busy.frames.used >= web.framesUsed);
    assert.ok(busy.intervalMs >= 150);
    await shell.need("vm pause web");
    const idle = await shell.json<Stats>("host stats --interval 20ms");
    assert.equal([idle.machines[0].mips, idle.mips], [0, 0]);
    assert.match(await shell.need("host stats --interval 20ms"), /^web +paused +0\.0 +0 %/m);
  });
});

test("an interrupted measurement ends at once", async () => {
  await withShell(async (shell) => {
    const measured = runWords(["host", "stats", "--interval", "10m"], shell, "");
    shell.signal.abort();
    assert.is(await measured, 130);
  });
});

test("limits are those that machines are held to", async () => {
  await withShell(async (shell) => {
    const limits =
      await shell.json<{ name: string; value: number; meaning: string }[]>("host limits");
    const of = (name: string) => limits.find((limit) => limit.name === name)?.value ?? Number.NaN;
    for (const { name, meaning } of limits) assert.ok(meaning.length > 0, name);
    const refused = await shell.run(`vm create big --guest builtin --harts ${of("harts") + 1}`);
    assert.match(refused.err, new RegExp(`to ${of("harts")}`));
    const small = await shell.run(
      `vm create s --guest builtin --memory ${of("memoryBytesMin") - 4096}`,
    );
    assert.match(small.err, /from 1M/);
    const large = await shell.run(
      `vm create l --guest builtin --memory ${of("framesBytes") + 2 ** 20}`,
    );
    assert.match(large.err, /multiples of 4096 bytes from 1M to/);
    assert.match(await shell.need("host limits"), /^disks +66 +disks of a machine$/m);
  });
});

interface Event {
  readonly sequence: number;
  readonly vm: string;
  readonly kind: string;
  readonly detail: string;
}

test("events are listed in order, the last ones, those of one machine", async () => {
  await withShell(async (shell) => {
    await shell.need(`${CREATE}; vm create db --guest builtin --memory 16M; vm start web`);
    await shell.need("vm pause web; vm resume web; vm destroy web");
    const all = await shell.json<Event[]>("host events");
    assert.equal(
      all.map(({ sequence }) => sequence),
      all.map((_, index) => index + 1),
    );
    const web = await shell.json<Event[]>("host events --vm web");
    assert.ok(web.every(({ vm }) => vm === "web"));
    const kinds = web.map(({ kind, detail }) => `${kind} ${detail}`.trim());
    assert.is(kinds[0], "created");
    assert.is(kinds.at(-1), "removed");
    assert.ok(kinds.includes("state running -> paused (user)"), kinds.join("; "));
    assert.equal(await shell.json<Event[]>("host events --tail 2"), all.slice(-2));
    assert.equal(await shell.json<Event[]>("host events --tail 0"), []);
    const text = await shell.need("host events --tail 1");
    assert.match(text, /^\d\d:\d\d:\d\d\.\d{3}Z +web +removed\n$/);
  });
});

test("--follow prints what comes until it is interrupted, of one machine when asked", async () => {
  await withShell(async (shell) => {
    const { said } = shell;
    await shell.need(CREATE);
    said.out = "";
    const words = ["host", "events", "--follow", "--tail", "0", "--vm", "web", "--json"];
    const following = runWords(words, shell, "");
    shell.fleet.events.add({ ticks: 10_000_000, vm: "web", kind: "state", detail: "a" });
    shell.fleet.events.add({ ticks: null, vm: "db", kind: "state", detail: "b" });
    shell.fleet.events.add({ ticks: null, vm: "web", kind: "end", detail: "c" });
    shell.signal.abort();
    assert.is(await following, 130);
    shell.fleet.events.add({ ticks: null, vm: "web", kind: "end", detail: "too late" });
    const lines = said.out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Event);
    const details = lines.map(({ detail }) => detail);
    assert.equal(details.slice(0, 2), ["a", "c"]);
    assert.not.ok(details.includes("too late"));
  });
});

test.run();
