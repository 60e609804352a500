/**
 * capture: law 1: run N is the same as capture, adopt, run N, bit by bit, at random points of
 * guests that print, sleep and drive a disk; and what is refused when a saved machine is not whole.
 *
 * SEED=... reruns the random points.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { SectionWriter } from "../../src/device/section.ts";
import {
  type BlockBackend,
  builtinGuest,
  type Device,
  type Host,
  type Machine,
  type MachineCapture,
  type MachineConfig,
  MemoryBackend,
  OverlayBackend,
  type SavedMachine,
  VmError,
} from "../../src/node.ts";
import { DISK_SECTORS, emitDiskGuest } from "../helpers/disk-guest.ts";
import { elfProgram, emitHang, smallHost } from "../helpers/guest-program.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("machine/capture");
const SEED = seedOf(20_261_123);
const DISK_BYTES = DISK_SECTORS * 512;

/** A disk that answers after some turns of the event loop. */
class LateBackend extends MemoryBackend {
  override read(offset: number, target: Uint8Array): never {
    return Promise.resolve().then(() => super.read(offset, target)) as never;
  }

  override write(offset: number, bytes: Uint8Array): never {
    return new Promise<void>((resolve) => {
      setImmediate(() => {
        super.write(offset, bytes);
        resolve();
      });
    }) as never;
  }
}

async function booted(host: Host, config: MachineConfig): Promise<Machine> {
  const machine = host.createMachine({ memoryBytes: "4M", ...config });
  await machine.boot();
  return machine;
}

async function run(machine: Machine, instructions: number): Promise<void> {
  if (machine.state === "paused") machine.resume();
  assert.is((await machine.run(instructions)).kind, "budget");
}

const DISKS: Record<string, () => BlockBackend> = {
  "in place": () => new MemoryBackend(new Uint8Array(DISK_BYTES)),
  overlay: () => new OverlayBackend(new MemoryBackend(new Uint8Array(DISK_BYTES))),
  late: () => new LateBackend(new Uint8Array(DISK_BYTES)),
};

/** At random points: a fresh machine, a used one and the same one later go on as the first did. */
async function checkLaw(config: () => MachineConfig, points: number, most: number): Promise<void> {
  const random = new Random(SEED);
  const host = await smallHost({ machinesMax: 8 });
  const other = await smallHost();
  const machine = await booted(host, config());
  let used: Machine | null = null;
  for (let point = 0; point < points; point++) {
    const where = `SEED=${SEED}, point ${point}`;
    await run(machine, random.between(1, most));
    const capture = machine.capture();
    const digest = machine.stateDigest();
    assert.is(capture.digest(), digest, where);
    const beyond = random.between(1, most);
    const copies: Machine[] = [
      await host.createFrom(capture, {}, { identity: "same" }),
      await other.createFrom(capture, {}, { identity: "same" }),
    ];
    if (used !== null) {
      await used.adopt(capture, { identity: "same" });
      copies.push(used);
    }
    for (const copy of copies) assert.is(copy.stateDigest(), digest, `${where}: at once`);
    await run(machine, beyond);
    const after = machine.stateDigest();
    for (const copy of copies) {
      await run(copy, beyond);
      assert.is(copy.stateDigest(), after, `${where}: ${beyond} on`);
    }
    assert.is(capture.digest(), digest, `${where}: the capture stays`);
    if (random.chance(30)) {
      await machine.adopt(capture, { identity: "same" });
      assert.is(machine.stateDigest(), digest, `${where}: back`);
      await run(machine, beyond);
      assert.is(machine.stateDigest(), after, `${where}: again`);
    }
    used?.dispose();
    copies[1].dispose();
    [used] = copies;
    capture.release();
  }
  host.dispose();
  other.dispose();
}

for (const [kind, make] of Object.entries(DISKS)) {
  test(`law 1 with a disk, ${kind}, and requests under way`, async () => {
    const kernel = elfProgram(emitDiskGuest);
    await checkLaw(() => ({ kernel, disks: [make()] }), 25, 9000);
  });
}

for (const harts of [1, 4]) {
  test(`law 1 with the built-in guest on ${harts} harts, with input that waits`, async () => {
    const kernel = builtinGuest();
    let text = "";
    for (let count = 0; count < 400; count++) text += "help\nmem\n";
    const config = { kernel, memoryBytes: "8M", harts, quantum: 300 };
    const host = await smallHost({ machinesMax: 8 });
    const machine = await booted(host, config);
    machine.console.write(text);
    const random = new Random(SEED + harts);
    let points = 0;
    for (let isOver = false; !isOver; points++) {
      const far = (one: Machine, most: number) => one.run(most).then(({ kind }) => kind);
      await far(machine, random.between(1, 30_000));
      const capture = machine.capture();
      const copy = await host.createFrom(capture, {}, { identity: "same" });
      assert.is(copy.console.inputPending, machine.console.inputPending);
      copy.resume();
      const beyond = random.between(1, 30_000);
      const end = await far(machine, beyond);
      assert.is(await far(copy, beyond), end);
      assert.is(copy.stateDigest(), machine.stateDigest(), `SEED=${SEED}, point ${points}`);
      copy.dispose();
      capture.release();
      isOver = end === "idle" || points === 30;
    }
    assert.ok(points > 8, `${points} points`);
    assert.ok(machine.console.inputPending < text.length - 300, "the guest took input");
    host.dispose();
  });
}

test("law 1 with a request that the host is late with at that moment", async () => {
  const host = await smallHost({ machinesMax: 8 });
  const kernel = elfProgram(emitDiskGuest);
  const machine = await booted(host, { kernel, disks: [DISKS["late"]()] });
  const length = 400_000;
  const running = machine.run(length);
  const captures: MachineCapture[] = [];
  let held = 0;
  for (let count = 0; count < 60; count++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!machine.hasRun) break;
    if (machine.devices.hub.isHeldByDevice) held++;
    if (count % 3 === 0) captures.push(machine.capture());
  }
  assert.is((await running).kind, "budget");
  assert.ok(held > 5, `${held} times the host was late`);
  for (const [index, capture] of captures.entries()) {
    const copy = await host.createFrom(capture, {}, { identity: "same" });
    await run(copy, length - capture.instructions);
    assert.is(copy.stateDigest(), machine.stateDigest(), `capture ${index}`);
    copy.dispose();
    capture.release();
  }
  host.dispose();
});

test("the same machine draws the same random numbers, whatever its host's default", async () => {
  const host = await smallHost({ machinesMax: 8 });
  const machine = await booted(host, { kernel: elfProgram(emitHang), seed: 77 });
  await run(machine, 100);
  const capture = machine.capture();
  const same = await host.createFrom(capture, {}, { identity: "same" });
  const seeded = [
    await host.createFrom(capture, {}, { seed: 5n }),
    await host.createFrom(capture, {}, { seed: 5n }),
    await host.createFrom(capture),
  ];
  const idOf = (one: Machine) => one.devices.bus.find(0x10_2000)?.save().bytes.join();
  const idOfChild = async (one: Machine) => idOf((await one.fork(1))[0]);
  assert.is(await idOfChild(same), await idOfChild(machine));
  assert.is(idOf(seeded[0]), idOf(seeded[1]), "a seed that is given decides");
  assert.is(new Set([machine, seeded[0], seeded[2]].map(idOf)).size, 3);
});

test("a run under way goes on, and a capture from within a device's output is refused", async () => {
  const host = await smallHost();
  const machine = await booted(host, {
    kernel: elfProgram(emitDiskGuest),
    disks: [DISKS["in place"]()],
  });
  const codes = new Set<string>();
  let captures = 0;
  machine.console.onOutput(() => {
    try {
      machine.capture().release();
      captures++;
    } catch (error) {
      codes.add((error as VmError).code);
    }
  });
  const running = machine.run(3_000_000);
  for (let count = 0; count < 5; count++) {
    await new Promise((resolve) => setImmediate(resolve));
    machine.capture().release();
  }
  assert.is((await running).kind, "budget");
  assert.ok(captures > 0, "output that is handed over between slices is no hindrance");
  assert.ok(codes.size === 0 || (codes.size === 1 && codes.has("busy")), [...codes].join());
  host.dispose();
});

test("a capture wants a booted machine, and gives everything back", async () => {
  const host = await smallHost();
  const free = host.stats().framesFree;
  const machine = host.createMachine({ memoryBytes: "4M", kernel: elfProgram(emitHang) });
  const refusal = (work: () => unknown) => {
    try {
      work();
    } catch (error) {
      return (error as VmError).code;
    }
  };
  assert.is(
    refusal(() => machine.capture()),
    "bad-state",
  );
  await machine.boot();
  await machine.run(100);
  const used = host.stats().framesFree;
  const capture = machine.capture();
  capture.release();
  capture.release();
  assert.is(host.stats().framesFree, used);
  assert.is(
    refusal(() => capture.digest()),
    "disposed",
  );
  machine.dispose();
  assert.is(
    refusal(() => machine.capture()),
    "disposed",
  );
  assert.is(host.stats().framesFree, free);
});

/** A saved machine with `change` made to its sections. */
function changed(
  saved: SavedMachine,
  change: (sections: SavedMachine["sections"]) => SavedMachine["sections"],
): SavedMachine {
  const { shape, wallMs, sections } = saved;
  return { shape, wallMs, sections: change(sections), fill: (view) => saved.fill(view) };
}

async function refused(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (error instanceof VmError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return assert.unreachable("it was taken") as never;
}

test("a section that is missing, newer, strange or damaged: refused by name, nothing changes", async () => {
  const host = await smallHost();
  const config = { kernel: elfProgram(emitDiskGuest), agent: true };
  const machine = await booted(host, { ...config, disks: [DISKS["in place"]()] });
  await run(machine, 20_000);
  const capture = machine.capture({ disks: null });
  await run(machine, 5000);
  const digest = machine.stateDigest();
  const frames = host.stats().framesFree;
  const names = capture.sections.map(({ name }) => name);
  assert.ok(["core", "hub", "htif", "console", "agent"].every((name) => names.includes(name)));
  assert.ok(names.includes("device/virtio0") && names.includes("device/plic0"));
  for (const name of names) {
    const bare = name.replace("device/", "");
    const edit = (how: (bytes: Uint8Array, version: number) => [Uint8Array, number]) =>
      changed(capture, (sections) =>
        sections.map((section) => {
          if (section.name !== name) return section;
          const [bytes, version] = how(section.bytes, section.version);
          return { name, version, bytes };
        }),
      );
    const wrong = {
      missing: changed(capture, (sections) => sections.filter((one) => one.name !== name)),
      short: edit((bytes, version) => [bytes.subarray(0, bytes.length - 1), version]),
      long: edit((bytes, version) => [Uint8Array.of(...bytes, 0), version]),
      newer: edit((bytes) => [bytes, 99]),
    };
    for (const [what, saved] of Object.entries(wrong)) {
      const text = await refused(() => machine.adopt(saved));
      assert.match(text, /^bad-section: /, `${name} ${what}`);
      assert.ok(text.includes(bare), `${name} ${what}: ${text}`);
      assert.is(machine.stateDigest(), digest, `${name} ${what}`);
    }
  }
  const stranger = new SectionWriter("NONE").finish("device/turbo", 1);
  const more = changed(capture, (sections) => [...sections, stranger]);
  assert.match(await refused(() => machine.adopt(more)), /^bad-section: .*device\/turbo/);
  const twice = changed(capture, (sections) => [...sections, sections[1]]);
  assert.match(await refused(() => machine.adopt(twice)), /^bad-section: /);
  const fails = {
    ...changed(capture, (all) => all),
    fill: () => assert.not(true, "the file broke"),
  };
  await Promise.resolve()
    .then(() => machine.adopt(fails))
    .then(
      () => assert.unreachable(),
      (error) => assert.match(error.message, /the file broke/),
    );
  assert.is(machine.stateDigest(), digest);
  assert.is(host.stats().framesFree, frames, "nothing is left behind");
  await machine.adopt(capture, { identity: "same" });
  assert.is(machine.stateDigest(), capture.digest(), "the real one is taken");
});

test("another shape is refused with both", async () => {
  const host = await smallHost();
  const kernel = elfProgram(emitHang);
  const machine = await booted(host, { kernel });
  const capture = machine.capture();
  const wants = async (config: MachineConfig, pattern: RegExp) => {
    const other = host.createMachine({ memoryBytes: "4M", kernel, ...config });
    assert.match(await refused(() => other.adopt(capture)), pattern);
    other.dispose();
  };
  await wants({ memoryBytes: "8M" }, /^bad-config: .*ramBytes 4194304: it has 8388608/);
  await wants({ harts: 2 }, /harts 1: it has 2/);
  await wants({ quantum: 77 }, /quantum 10000: it has 77/);
  await wants({ clock: "host" }, /clock virtual: it has host/);
  await wants({ agent: true }, /agent false: it has true/);
  await wants({ disks: [DISKS["in place"]()] }, /virtio-blk/);
});

test("devices are frozen in the order of their addresses and thawed in reverse", async () => {
  const host = await smallHost();
  const log: string[] = [];
  host.registerDevice("logger", ({ name, base, irq }): Device => {
    return {
      ...{ name, base, irq, kind: "logger", bytes: 4096 },
      attach: () => {},
      read: () => 0,
      write: () => {},
      alarm: () => {},
      retry: () => {},
      reset: () => {},
      node: () => null,
      freeze: () => void log.push(`freeze ${name}`),
      thaw: () => void log.push(`thaw ${name}`),
      save: () => {
        log.push(`save ${name}`);
        return { name, version: 1, bytes: new Uint8Array(1) };
      },
      restore: () => void log.push(`restore ${name}`),
    };
  });
  const devices = [
    { kind: "logger", name: "b", base: 0x1200_0000 },
    { kind: "logger", name: "a", base: 0x1100_0000 },
  ];
  const machine = await booted(host, { kernel: elfProgram(emitHang), devices });
  const capture = machine.capture();
  const frozen = ["freeze a", "freeze b"];
  const thawed = ["thaw b", "thaw a"];
  assert.equal(log.splice(0), [...frozen, "save a", "save b", ...thawed]);
  await machine.adopt(capture);
  const middle = log.filter((line) => !line.startsWith("save"));
  assert.equal(middle, [...frozen, "restore a", "restore b", ...thawed]);
});

test("clock jump is for machines under the host's clock", async () => {
  const host = await smallHost();
  const machine = await booted(host, { kernel: elfProgram(emitHang) });
  const capture = machine.capture();
  const text = await refused(() => machine.adopt(capture, { clock: "jump" }));
  assert.match(text, /^bad-argument: .*resume/);
});

test("while its disks are made another machine's, it is neither captured nor forked", async () => {
  const host = await smallHost();
  const kernel = elfProgram(emitDiskGuest);
  const machine = await booted(host, { kernel, disks: [DISKS["late"]()] });
  using capture = machine.capture();
  await machine.devices.disks[0].write(0, new Uint8Array(4096).fill(7));
  const adopted = machine.adopt(capture, { identity: "same" });
  for (const work of [() => machine.capture(), () => machine.fork()]) {
    try {
      await work();
      assert.unreachable();
    } catch (error) {
      assert.is((error as VmError).code, "busy");
    }
  }
  await adopted;
  machine.capture().release();
  assert.is((await machine.fork()).length, 1);
  host.dispose();
});

test.run();
