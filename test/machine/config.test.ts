/**
 * config: defaults, and every value that must be refused with what was given and what is accepted.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { VmError } from "../../src/errors.ts";
import { type MachineConfig, parseBytes, resolveConfig } from "../../src/machine/config.ts";

const test = suite("machine/config");
const LIMITS = { poolBytes: 512 * 1024 * 1024 + 12_345, deviceKinds: new Map() };
const file = Uint8Array.of(1);

function refuses(config: MachineConfig, text: RegExp): void {
  try {
    resolveConfig(config, LIMITS);
  } catch (error) {
    assert.ok(error instanceof VmError, String(error));
    assert.is(error.code, "bad-config");
    assert.match(error.message, text);
    assert.match(error.message, /accepted are/);
    return;
  }
  assert.unreachable(`accepted, expected ${text}`);
}

test("an empty configuration gets defaults", () => {
  const config = resolveConfig({}, LIMITS);
  assert.is(config.memoryBytes, 256 * 1024 * 1024);
  assert.is(config.ramPages, 65536);
  assert.is(config.harts, 1);
  assert.is(config.clock, "virtual");
  assert.is(config.consoleInput, "closed");
  assert.is(config.seed, 0n);
});

test("sizes with units", () => {
  assert.is(parseBytes("256M"), 256 * 1024 * 1024);
  assert.is(parseBytes("1g"), 1024 ** 3);
  assert.is(parseBytes("64K"), 65536);
  assert.is(parseBytes("4096"), 4096);
  assert.is(parseBytes(8192), 8192);
  for (const bad of ["", "M", "1T", "-1M", "1.5G", "0x100", "1 M", "256MB"]) {
    assert.throws(() => parseBytes(bad), /accepted are/, bad);
  }
});

test("memory that is zero, odd, tiny, over the arena, or no number", () => {
  const most = "from 1M to 512M";
  const given = [0, "0", "0M", -4096, 4097, 1048577, "1048575", 4096, "1023K", 1.5, Number.NaN];
  for (const memoryBytes of [...given, Number.POSITIVE_INFINITY, "513M", "3G", "9999999999G"]) {
    refuses({ memoryBytes }, new RegExp(`memory .*${most}`));
  }
  assert.is(resolveConfig({ memoryBytes: "512M" }, LIMITS).ramPages, 131072);
  assert.is(resolveConfig({ memoryBytes: "1M" }, LIMITS).ramPages, 256);
});

test("memory is bounded by the stage-2 table on a large arena", () => {
  const limits = { ...LIMITS, poolBytes: 2 ** 32 };
  assert.is(resolveConfig({ memoryBytes: "2G" }, limits).memoryBytes, 2 ** 31);
  assert.throws(() => resolveConfig({ memoryBytes: 2 ** 31 + 4096 }, limits), /to 2048M/);
});

test("harts, quantum, seed, epoch", () => {
  for (const harts of [0, 9, -1, 1.5, Number.NaN]) refuses({ harts }, /harts .*from 1 to 8/);
  for (const quantum of [0, -5, 31, 32.5]) refuses({ quantum }, /quantum/);
  assert.is(resolveConfig({ quantum: 32 }, LIMITS).quantum, 32);
  for (const seed of [0.5, Number.NaN, 2 ** 60]) refuses({ seed }, /seed .*integers/);
  refuses({ epochMs: -1 }, /epochMs/);
  assert.is(resolveConfig({ seed: -1 }, LIMITS).seed, 0xffff_ffff_ffff_ffffn);
});

test("words that are not on the list", () => {
  refuses({ clock: "wall" as "host" }, /clock "wall": accepted are virtual, host/);
  refuses({ mmu: "sv32" as "sv39" }, /mmu "sv32"/);
  refuses({ consoleInput: "x" as "open" }, /consoleInput "x"/);
});

test("files and command line", () => {
  refuses({ kernel: new Uint8Array(0) }, /kernel of 0 bytes/);
  refuses({ firmware: new Uint8Array(0) }, /firmware of 0 bytes/);
  refuses({ kernel: file, initrd: new Uint8Array(0) }, /initrd of 0 bytes/);
  refuses({ kernel: "vmlinux" as unknown as Uint8Array }, /kernel string/);
  refuses({ initrd: file }, /initrd without a kernel/);
  refuses({ append: "a\0b" }, /append/);
  refuses({ append: "x".repeat(4096) }, /append of 4096 characters/);
  assert.is(resolveConfig({ append: "x".repeat(4095) }, LIMITS).append.length, 4095);
});

test("more disks than slots", () => {
  const disk = {
    bytes: 512,
    isReadOnly: true,
    read: () => {},
    write: () => {},
    flush: () => {},
    close: () => {},
  };
  refuses({ disks: new Array(67).fill(disk) }, /disks 67/);
});

test.run();
