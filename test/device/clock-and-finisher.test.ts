/**
 * clock-and-finisher: the small devices: real-time clock, generation id, finisher.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FakeContext } from "../../src/contract/fake-context.ts";
import { Finisher } from "../../src/device/finisher.ts";
import { GenerationId } from "../../src/device/genid.ts";
import { Rtc } from "../../src/device/rtc.ts";

const test = suite("device/clock-and-finisher");

const NS_PER_TICK = 100n;
const START = 1_767_225_600_000n * 1_000_000n;

function clock() {
  const context = new FakeContext();
  const rtc = new Rtc();
  rtc.attach(context);
  const now = () => BigInt(rtc.read(0, 4)) | (BigInt(rtc.read(4, 4)) << 32n);
  const set = (low: number, value: bigint) => {
    rtc.write(low + 4, 4, Number(value >> 32n));
    rtc.write(low, 4, Number(value & 0xffffffffn));
  };
  return { rtc, context, now, set };
}

test("the clock tells wall time in nanoseconds, and its halves fit", () => {
  const { rtc, context, now } = clock();
  assert.is(now(), START);
  const low = rtc.read(0, 4);
  context.ticks += 50_000_000; // five seconds: the low half has run over
  const high = rtc.read(4, 4);
  assert.is((BigInt(high) << 32n) | BigInt(low), START, "the high half was latched");
  assert.is(now(), START + 5_000_000_000n);
});

test("the guest can set it", () => {
  const { context, now, set } = clock();
  set(0, 1_000_000_000_000n);
  assert.is(now(), 1_000_000_000_000n);
  context.ticks += 10_000;
  assert.is(now(), 1_000_000_000_000n + 10_000n * NS_PER_TICK);
});

test("an alarm fires at its time, when enabled, until it is cleared", () => {
  const { rtc, context, set } = clock();
  rtc.write(0x10, 4, 1);
  set(8, START + 3_000_000n);
  assert.is(rtc.read(0x18, 4), 1);
  context.advance(rtc, 29_999);
  assert.is(context.irq, false);
  context.advance(rtc, 30_000);
  assert.is(context.irq, true);
  assert.is(rtc.read(0x18, 4), 0);
  rtc.write(0x1c, 4, 1);
  assert.is(context.irq, false);
});

test("an alarm in the past fires at once, a cleared one never", () => {
  const { rtc, context, set } = clock();
  rtc.write(0x10, 4, 1);
  set(8, START - 1n);
  assert.is(context.irq, true);
  rtc.write(0x1c, 4, 1);
  set(8, START + 1_000_000n);
  rtc.write(0x14, 4, 1);
  context.advance(rtc, 1_000_000);
  assert.is(context.irq, false);
});

test("the generation id reads like memory, cannot be written, lives through a reset", () => {
  const context = new FakeContext();
  const device = new GenerationId();
  device.attach(context);
  const { id } = device;
  assert.is(id.length, 16);
  for (let at = 0; at < 16; at++) assert.is(device.read(at, 1), id[at]);
  assert.is(device.read(4, 4), new DataView(id.buffer).getUint32(4, true));
  device.write(0, 4, 0);
  device.reset();
  assert.equal(device.id, id);
});

test("renewing the generation id changes it and pulses the interrupt", () => {
  const context = new FakeContext();
  const device = new GenerationId();
  device.attach(context);
  const { id } = device;
  device.renew();
  assert.not.equal(device.id, id);
  assert.equal(context.levels, [true, false]);
});

test("a restored machine keeps the generation id it had, and says nothing", () => {
  const [original, context] = [new GenerationId(), new FakeContext()];
  original.attach(new FakeContext());
  const copy = new GenerationId();
  context.entropy(5);
  copy.attach(context);
  assert.not.equal(copy.id, original.id);
  copy.restore(original.save());
  assert.equal(copy.id, original.id);
  assert.equal(context.levels, []);
});

test("the finisher knows its three words and ignores the others", () => {
  const context = new FakeContext();
  const device = new Finisher();
  device.attach(context);
  device.write(0, 4, 0x5555);
  device.write(0, 4, 0x7777);
  device.write(0, 4, (42 << 16) | 0x3333);
  device.write(0, 4, 0x1234);
  device.write(4, 4, 0x5555);
  assert.equal(context.requests, [
    { kind: "poweroff", code: 0 },
    { kind: "reboot" },
    { kind: "failure", code: 42 },
  ]);
});

test.run();
