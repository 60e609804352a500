/**
 * debugger: `machine.debugger`: stops as results and as pauses, steps, registers, CSRs, memory; and
 * law 0 with devices, SBI and a console: the built-in guest, stopped hundreds of times, is the same
 * machine.
 */
import { setImmediate as turn } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { KIND_BASE } from "../../assembly/layout.ts";
import { RAM_BASE } from "../../src/core/memory-view.ts";
import { builtinGuest, type DebugStop, type Machine, type RunResult } from "../../src/index.ts";
import {
  emitHang,
  emitPoweroff,
  imageProgram,
  KERNEL,
  smallHost,
  UART,
} from "../helpers/guest-program.ts";
import { rejects, throwsCode } from "./refusal.ts";

const test = suite("debug/debugger");
const host = await smallHost({ machinesMax: 16 });

async function guest(harts = 1): Promise<Machine> {
  const machine = host.createMachine({
    name: "guest",
    kernel: builtinGuest(),
    memoryBytes: "16M",
    harts,
    clock: "virtual",
    seed: 7,
  });
  await machine.boot();
  machine.console.write(new TextEncoder().encode("help\nharts\ntime\npoweroff\n"));
  machine.console.closeInput();
  return machine;
}

/** Three additions at "loop", again and again. */
async function looping(): Promise<Machine> {
  const kernel = imageProgram((a) => {
    a.li("sp", KERNEL + 0x4000);
    a.label("loop");
    a.addi("a0", "a0", 1);
    a.sd("a0", "sp", -16);
    a.addi("a1", "a1", 2);
    a.j("loop");
  });
  const machine = host.createMachine({ kernel, memoryBytes: "16M", clock: "virtual" });
  await machine.boot();
  return machine;
}

const BODY = BigInt(KERNEL + 64);

function isStop(result: RunResult): DebugStop {
  if (result.kind !== "break") assert.unreachable(`ended with ${result.kind}`);
  return result as DebugStop;
}

test("a breakpoint ends the run with a result, and the next run goes on", async () => {
  const machine = await looping();
  const { debugger: dbg } = machine;
  const result = await machine.run({ instructions: 10 });
  assert.is(result.kind, "budget");
  const loop = dbg.registers().pc;
  assert.ok(dbg.points.setBreakpoint(loop));
  assert.not(dbg.points.setBreakpoint(loop));
  for (let round = 0; round < 3; round++) {
    const before = machine.instructions;
    const stop = isStop(await machine.run());
    assert.is(stop.cause, "breakpoint");
    assert.is(stop.pc, loop);
    assert.is(machine.instructions - before, round === 0 ? 0 : 4);
    assert.is(machine.state, "paused");
    assert.is(machine.reason, "breakpoint");
  }
  assert.ok(dbg.points.clearBreakpoint(loop));
  assert.is((await machine.run(100)).kind, "budget");
  assert.is(machine.state, "running");
  machine.dispose();
});

test("a debugger that holds gets the stop, and the run stays under way", async () => {
  const machine = await looping();
  const { debugger: dbg } = machine;
  dbg.isHolding = true;
  dbg.points.setWatchpoint(BigInt(KERNEL + 0x4000 - 16), 8, "write");
  const stops: DebugStop[] = [];
  machine.on("stop", (stop) => {
    stops.push(stop);
    assert.is(machine.state, "paused");
    assert.ok(machine.hasRun);
    if (stops.length === 3) dbg.points.clear();
    machine.resume();
  });
  assert.is((await machine.run(1000)).kind, "budget");
  assert.is(stops.length, 3);
  assert.is(stops[0].cause, "watchpoint");
  assert.is(stops[0].access, "write");
  assert.is(stops[0].watchpoint?.bytes, 8);
  machine.dispose();
});

test("steps go one instruction at a time, also while a run is held", async () => {
  const machine = await looping();
  const { debugger: dbg } = machine;
  const path: bigint[] = [];
  for (let count = 0; count < 4; count++) {
    path.push(isStop(await dbg.step()).pc);
  }
  assert.is(machine.instructions, 4);
  assert.is(isStop(await dbg.step(0, 100)).cause, "step");
  assert.is(machine.instructions, 104);
  dbg.isHolding = true;
  const run = machine.run(1_000_000_000);
  machine.pause();
  const before = machine.instructions;
  assert.is(isStop(await dbg.step(0, 3)).cause, "step");
  assert.is(machine.instructions, before + 3);
  machine.stop();
  assert.is((await run).kind, "stopped");
  machine.dispose();
});

test("an aborted step lets go of a hart that waits for ever", async () => {
  const kernel = imageProgram((a) => {
    a.label("again");
    a.wfi();
    a.j("again");
  });
  const machine = host.createMachine({
    kernel,
    memoryBytes: "16M",
    clock: "virtual",
    consoleInput: "open",
  });
  await machine.boot();
  const controller = new AbortController();
  const step = machine.debugger.step(0, 10, controller.signal);
  for (let turns = 0; turns < 20; turns++) await turn();
  controller.abort();
  assert.is((await step).kind, "stopped");
  assert.is(machine.state, "paused");
  machine.dispose();
});

test("registers, CSRs and memory are read and written", async () => {
  const machine = await looping();
  const { debugger: dbg } = machine;
  await dbg.step(0, 5);
  dbg.setRegister(0, "a5", -1n);
  dbg.setRegister(0, "ft3", 5n);
  dbg.setRegister(0, "x0", 5n);
  const registers = dbg.registers();
  assert.equal([registers.x[0], registers.x[15], registers.f[3]], [0n, (1n << 64n) - 1n, 5n]);
  assert.is(registers.privilege, "S");
  dbg.setCsr(0, "stvec", 0x8020_0100n);
  assert.is(dbg.csr(0, "stvec"), 0x8020_0100n);
  assert.is(dbg.csr(0, 0x7ff), null);
  throwsCode(() => dbg.setCsr(0, "mhartid", 1n), "bad-argument", /read-only/);
  throwsCode(() => dbg.setRegister(0, "pc", 1n), "bad-argument", /even/);
  throwsCode(() => dbg.registers(1), "bad-argument", /accepted is 0$/);
  const far = BigInt(RAM_BASE) + 0x80_0ffen;
  assert.equal([...dbg.readMemory(far, 4)], [0, 0, 0, 0]);
  dbg.writeMemory(far, Uint8Array.of(1, 2, 3, 4));
  assert.equal([...dbg.readMemory(far, 4)], [1, 2, 3, 4]);
  const end = BigInt(RAM_BASE + 16 * 1024 * 1024);
  assert.is(dbg.readMemory(end - 2n, 4).length, 2);
  for (const bytes of [-1, 0.5, Number.NaN, 2 ** 40]) {
    throwsCode(() => dbg.readMemory(far, bytes), "bad-argument", /accepted are 0 to 1073741824/);
  }
  throwsCode(() => dbg.writeMemory(end - 2n, new Uint8Array(4)), "bad-argument", /outside RAM/);
  assert.equal(dbg.translate(0, BODY).physical, BODY);
  machine.dispose();
});

test("memory that is not here yet is told as such, not as nothing nor as zeros", async () => {
  const machine = await looping();
  const { debugger: dbg, view } = machine;
  const page = (KERNEL - RAM_BASE) / 4096;
  assert.is(view.pagesLeave(page, 1, KIND_BASE, 0), 1);
  const at = BigInt(KERNEL);
  throwsCode(() => dbg.readMemory(at, 4), "not-found", /not in memory yet/);
  throwsCode(() => dbg.writeMemory(at, new Uint8Array(4)), "not-found", /not in memory yet/);
  assert.is(dbg.readMemory(at - 4n, 8).length, 4, "as far as it goes");
  dbg.setCsr(0, "satp", (8n << 60n) | (at >> 12n));
  assert.is(dbg.translate(0, 0n).fault, "a page table not in memory yet");
  dbg.setCsr(0, "satp", (8n << 60n) | 1n);
  assert.is(dbg.translate(0, 0n).fault, "a page table outside RAM");
  machine.dispose();
});

test("code that the debugger writes is what runs", async () => {
  const machine = await looping();
  const { debugger: dbg } = machine;
  await machine.run(400);
  // li sp is over: the loop stands still from its first instruction on
  const pc = dbg.registers().pc;
  dbg.writeMemory(pc, Uint8Array.of(0x6f, 0, 0, 0));
  const before = dbg.registers().x[10];
  await machine.run(400);
  assert.is(dbg.registers().pc, pc);
  assert.is(dbg.registers().x[10], before);
  machine.dispose();
});

test("owners take away their own points only, and limits are told", async () => {
  const machine = await looping();
  const { debugger: dbg } = machine;
  const mine = dbg.openPoints();
  dbg.points.setBreakpoint(0x100n);
  mine.setBreakpoint(0x100n);
  mine.setBreakpoint(0x200n);
  assert.equal(dbg.breakpoints, [0x100n, 0x200n]);
  mine.close();
  assert.equal(dbg.breakpoints, [0x100n]);
  throwsCode(() => dbg.points.setBreakpoint(0x101n), "bad-argument", /even/);
  for (let at = 1n; at < 128n; at++) dbg.points.setBreakpoint(at * 0x1000n);
  throwsCode(() => dbg.points.setBreakpoint(0x2n), "limit", /at most 128/);
  throwsCode(() => dbg.points.setWatchpoint(0n, 0, "read"), "bad-argument", /accepted are 1 to/);
  for (const kind of ["read", "write", "access"] as const) {
    assert.ok(dbg.points.setWatchpoint(0x1000n, 8, kind));
    assert.not(dbg.points.setWatchpoint(0x1000n, 8, kind));
  }
  assert.is(dbg.watchpoints.length, 3);
  const kind = "store" as "write";
  throwsCode(() => dbg.points.setWatchpoint(0n, 8, kind), "bad-argument", /read, write, access/);
  machine.dispose();
  dbg.points.close();
});

test("what is asked at the wrong time is refused", async () => {
  const machine = host.createMachine({ kernel: imageProgram(emitHang), memoryBytes: "16M" });
  await rejects(machine.debugger.step(), "bad-state", /boot it first/);
  await machine.boot();
  const run = machine.run();
  await rejects(machine.debugger.step(), "bad-state", /pause it first/);
  throwsCode(() => machine.debugger.setRegister(0, "a0", 1n), "bad-state", /pause it first/);
  machine.stop();
  await run;
  const { debugger: dbg } = machine;
  machine.dispose();
  throwsCode(() => dbg.registers(), "disposed", /disposed/);
});

test("a stop at the instruction that ends the machine is told first", async () => {
  const machine = host.createMachine({ kernel: imageProgram(emitPoweroff), memoryBytes: "16M" });
  await machine.boot();
  machine.debugger.points.setWatchpoint(0x10_0000n, 4, "write");
  const result = await machine.run();
  // the request belongs to the store that has retired: the machine is off, and that is the news
  assert.is(result.kind, "poweroff");
  machine.dispose();
});

for (const harts of [1, 8]) {
  test(`the built-in guest with ${harts} harts does not notice hundreds of stops`, async () => {
    const plain = await guest(harts);
    assert.is((await plain.run()).kind, "poweroff");
    const digest = plain.stateDigest();
    const watched = await guest(harts);
    const { debugger: dbg } = watched;
    const onDevice = dbg.openPoints();
    onDevice.setWatchpoint(BigInt(UART), 8, "access");
    const causes = new Map<string, number>();
    let result: RunResult = { kind: "budget" };
    for (let stops = 0; stops < 600; stops++) {
      if (stops < 300 && stops % 3 === 0) dbg.points.setBreakpoint(dbg.registers(stops % harts).pc);
      result = stops % 7 === 0 ? await dbg.step(0, 3) : await watched.run(stops < 300 ? 997 : 9973);
      if (result.kind === "break") causes.set(result.cause, (causes.get(result.cause) ?? 0) + 1);
      else if (result.kind !== "budget") break;
      if (stops === 300) dbg.points.clear();
      if (stops === 550) onDevice.close();
    }
    if (result.kind === "budget" || result.kind === "break") result = await watched.run();
    assert.is(result.kind, "poweroff");
    assert.is(watched.instructions, plain.instructions);
    assert.is(watched.stateDigest(), digest);
    for (const cause of ["breakpoint", "watchpoint", "step"]) {
      assert.ok((causes.get(cause) ?? 0) > 3, `${cause}: ${JSON.stringify([...causes])}`);
    }
    plain.dispose();
    watched.dispose();
  });
}

test.run();
