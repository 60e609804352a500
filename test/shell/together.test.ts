/**
 * Commands of several clients that meet, and changes that fail half-way: no machine is lost or left
 * over, no file has two writers, nobody waits for what has happened.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { builtinGuest, VmError } from "../../src/node.ts";
import { runWords } from "../../src/shell/session.ts";
import type { World } from "../../src/shell/world.ts";
import { type OpenShell, openShell } from "./families/shell.ts";

const test = suite("shell/together");
const MEBIBYTE = 1 << 20;
const CREATE = ["vm", "create"];
const SMALL = ["--memory", "16M"];
const BUILTIN = ["--guest", "builtin", ...SMALL];

type Files = Map<string, Uint8Array>;

async function withShell(
  work: (shell: OpenShell, files: Files) => Promise<void>,
  change: Partial<World> = {},
) {
  const files: Files = new Map([
    ["/here/Image", builtinGuest()],
    ["/here/d.img", new Uint8Array(MEBIBYTE)],
    ["/here/e.img", new Uint8Array(MEBIBYTE)],
  ]);
  const shell = openShell(files, change);
  try {
    await work(shell, files);
  } finally {
    await shell.fleet.dispose().catch(() => {});
  }
}

const at = (shell: OpenShell, line: string) => runWords(line.split(" "), shell, "");

/** Makes every guest one with a disk of its own. */
function giveOwnDisk({ world }: OpenShell): void {
  const files = async () => ({ kernel: builtinGuest(), disk: "/here/d.img" });
  Object.assign(world, { guests: { ...world.guests, files } });
}

async function machines({ fleet }: OpenShell): Promise<number> {
  return (await fleet.openHost()).stats().machines;
}

test("two changes at once are both made, one after the other", () =>
  withShell(async (shell) => {
    await runWords([...CREATE, "web", ...BUILTIN], shell, "");
    const changes = ["vm set web harts 2", "vm set web seed 7", "disk attach web d.img"];
    assert.equal(await Promise.all(changes.map((line) => at(shell, line))), [0, 0, 0]);
    const { spec, machine } = shell.fleet.get("web");
    assert.equal([spec.harts, spec.seed, spec.disks.length], [2, 7, 1]);
    assert.equal([machine.config.harts, machine.config.seed, await machines(shell)], [2, 7n, 1]);
  }));

test("a machine that is changed can be looked at all the time", () =>
  withShell(async (shell) => {
    await runWords([...CREATE, "web", "--kernel", "Image", ...SMALL], shell, "");
    let isOver = false;
    const change = at(shell, "vm set web harts 2").finally(() => {
      isOver = true;
    });
    let looks = 0;
    for (; !isOver && looks < 1000; looks++) assert.is(await at(shell, "vm list"), 0);
    assert.is(await change, 0);
    assert.ok(looks > 1);
  }));

test("a machine whose files are gone stays as it is, and the others are listed", () =>
  withShell(async (shell, files) => {
    files.set("/here/k", builtinGuest());
    await shell.need(
      "vm create web --kernel k --memory 16M; vm create db --guest builtin --memory 16M",
    );
    files.delete("/here/k");
    for (const line of ["vm set web harts 2", "vm destroy web --keep", "disk attach web d.img"]) {
      const { status, err } = await shell.run(line);
      assert.equal([status, err], [1, "/here/k: there is no such file\n"], line);
    }
    assert.match(await shell.need("vm list"), /^web +created[\s\S]*^db +created/m);
    await shell.need("vm start web; console wait web '> '; disk info d.img");
    assert.is(await machines(shell), 2);
  }));

test("a machine that is destroyed while it is changed leaves nothing", () =>
  withShell(async (shell) => {
    await runWords([...CREATE, "web", ...BUILTIN], shell, "");
    const change = at(shell, "vm set web harts 2");
    assert.is(await at(shell, "vm destroy web"), 0);
    assert.is(await change, 1);
    assert.is(await machines(shell), 0);
  }));

test("a file has one writer, whoever comes at the same time, by whatever way", () =>
  withShell(async (shell) => {
    const both = ["a", "b"].map((name) => {
      return runWords([...CREATE, name, ...BUILTIN, "--disk", "d.img"], shell, "");
    });
    assert.equal((await Promise.all(both)).sort(), [0, 1]);
    assert.is(await machines(shell), 1);
    giveOwnDisk(shell);
    const guest = await shell.run("vm create own --guest own --memory 16M");
    assert.equal([guest.status, guest.err.includes("writes to it")], [1, true]);
    await shell.need("vm destroy a").catch(() => shell.need("vm destroy b"));
    const twice = "vm create two --kernel Image --memory 16M --disk d.img --disk ./d.img";
    assert.match((await shell.run(twice)).err, /is a disk of the machine already/);
    await shell.need(twice.replaceAll("d.img", "d.img,ro"));
  }));

test("disks have the same numbers wherever they are shown", () =>
  withShell(async (shell) => {
    giveOwnDisk(shell);
    await shell.need("vm create own --guest own --memory 16M --disk e.img");
    assert.match(
      await shell.need("vm info own"),
      /^disk 0 +\/here\/d\.img[\s\S]*^disk 1 +\/here\/e\.img/m,
    );
    assert.match(await shell.need("disk list own"), /^own +1 .*\/here\/e\.img$/m);
  }));

test("who waits for a state hears of it, though another machine is in its place by then", () =>
  withShell(async (shell) => {
    await runWords([...CREATE, "web", ...BUILTIN], shell, "");
    const waiting = at(shell, "vm wait web running --timeout 60s");
    await shell.need("vm set web harts 2; vm start web");
    assert.is(await waiting, 0);
    const untilEnd = at(shell, "vm wait web --timeout 60s");
    await shell.need("vm destroy web --keep");
    assert.is(await untilEnd, 0);
  }));

test("one recording at a time, and one door for gdb", () => {
  let open = 0;
  const listenTcp: World["listenTcp"] = async () => {
    open++;
    return { port: 1, close: async () => void open-- };
  };
  return withShell(
    async (shell) => {
      await runWords([...CREATE, "web", ...BUILTIN], shell, "");
      const records = ["1.cast", "2.cast"].map((file) => at(shell, `console record web ${file}`));
      assert.equal((await Promise.all(records)).sort(), [0, 1]);
      await Promise.all([at(shell, "debug gdb web"), at(shell, "debug gdb web")]);
      assert.is(open, 1);
      // a wrong address closes nothing
      assert.is(await at(shell, "debug gdb web tpc://127.0.0.1:1"), 2);
      assert.is(open, 1);
      assert.is(await at(shell, "vm destroy web"), 0);
      assert.is(open, 0);
    },
    { listenTcp },
  );
});

test("what cannot be written whole is told, and ends nothing else", () => {
  const openWriter: World["openWriter"] = async () => ({
    write: () => {},
    close: () => Promise.reject(new VmError("io", "no space is left")),
  });
  return withShell(
    async (shell) => {
      for (const name of ["a", "b"]) await runWords([...CREATE, name, ...BUILTIN], shell, "");
      await shell.need("console record a a.cast");
      const error = await shell.fleet.dispose().then(
        () => null,
        (one) => one,
      );
      assert.is((error as VmError).code, "io");
      assert.is(await machines(shell), 0);
    },
    { openWriter },
  );
});

test("a shell that is full can still change what it has", () =>
  withShell(async (shell) => {
    for (let number = 0; number < 16; number++) {
      await shell.need(`vm create m${number} --guest builtin --memory 1M`);
    }
    const more = await shell.run("vm create more --guest builtin --memory 1M");
    assert.match(more.err, /^there are 16 machines: accepted are no more; `vm destroy`/);
    await shell.need("vm set m3 harts 2; vm start m3; vm destroy m3 --keep");
  }));

test("`vm create --start` of what does not boot leaves no machine", () =>
  withShell(async (shell, files) => {
    files.set("/here/bad", new Uint8Array(200).fill(0x78));
    assert.is((await shell.run("vm create web --kernel bad --start")).status, 1);
    assert.equal([shell.fleet.vms.length, await machines(shell)], [0, 0]);
  }));

test("a paused machine is not asked to stop: it could not hear", () =>
  withShell(async (shell) => {
    await shell.need("vm create web --guest builtin --memory 16M --start; vm pause web");
    assert.match((await shell.run("vm stop web")).err, /^web is paused: only a running one/);
  }));

test("a trace that ends early shows what there is, and says why", () =>
  withShell(async (shell) => {
    await shell.need("vm create web --guest builtin --memory 16M --clock host --start");
    await shell.need("console wait web '> '; vm pause web");
    const { status, out } = await shell.run("debug trace web 5 --timeout 50ms");
    assert.is(status, 1);
    assert.match(out, /web did not stop in time; it is paused\n$/);
    const document = await shell.run("debug trace web 5 --timeout 50ms --json");
    assert.match(JSON.parse(document.out).ended, /did not stop in time/);
  }));

test("an escape sequence that is cut where following begins is left out", () =>
  withShell(async (shell) => {
    await shell.need("vm create web --guest builtin --memory 16M");
    const { log } = shell.fleet.get("web");
    const say = (text: string) => log.append(new TextEncoder().encode(text));
    shell.said.out = "";
    say("one\x1b[3");
    const following = at(shell, "console log web --follow");
    for (let round = 0; shell.said.out === "" && round < 100; round++) await Promise.resolve();
    say("1mtwo\n");
    for (let round = 0; !shell.said.out.includes("\n") && round < 100; round++) {
      await Promise.resolve();
    }
    assert.is(shell.said.out, "onetwo\n");
    shell.signal.abort();
    assert.is(await following, 130);
  }));

test("a run whose machine is taken away by another says so, however that was done", () =>
  withShell(async (shell) => {
    for (const line of ["vm destroy builtin", "vm destroy builtin --keep"]) {
      shell.said.err = "";
      const run = runWords(["run", "--clock", "host", ...BUILTIN], shell, "");
      const isRunning = () => shell.fleet.vms.some((vm) => vm.isRunning);
      for (let round = 0; !isRunning() && round < 1000; round++) {
        await new Promise<void>((resolve) => shell.world.after(5, resolve));
      }
      assert.is(await at(shell, line), 0);
      assert.equal([await run, shell.said.err], [1, "builtin was destroyed\n"], line);
      assert.is(await machines(shell), 0);
    }
  }));

test("any length of text and of interval will do", () =>
  withShell(async (shell) => {
    await shell.need("vm create web --guest builtin --memory 16M --start");
    const text = "x".repeat(300_000);
    assert.equal(await shell.json(`console send web '${text}'`), { bytes: text.length });
    let now = 0;
    const after: World["after"] = (ms, wake) => {
      now += ms;
      queueMicrotask(wake);
      return () => {};
    };
    Object.assign(shell.world, { monotonicMs: () => now, after });
    const { intervalMs } = await shell.json<{ intervalMs: number }>("host stats --interval 1h");
    assert.is(intervalMs, 3_600_000);
  }));

test.run();
