/**
 * fpExecute around the arithmetic: which encodings are legal, NaN boxing, moves, x0, accrued flags
 * and HART_FP_FAST.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { DOUBLE, DZ, NV, NX, nanOf, SINGLE } from "../helpers/float-reference.ts";
import { encode, OPERATIONS } from "./fp-operations.ts";
import { FpProbe, OLD_F, OLD_X, type ProbeCase, type ProbeResult } from "./fp-probe.ts";

const test = suite("isa/fp-encoding");
const probe = new FpProbe();

const BOX = 0xffffffff00000000n;
const ONE_S = BOX | 0x3f800000n;
const ONE_D = 0x3ff0000000000000n;
const THIRD_D = 0x3fd5555555555555n;
const NAN_S = BOX | nanOf(SINGLE);

function run(raw: number, values: Partial<ProbeCase> = {}): ProbeResult {
  const one: ProbeCase = {
    raw: raw >>> 0,
    flags: 0,
    frm: 0,
    f: [ONE_D, ONE_D, ONE_D],
    x: 0n,
    ...values,
  };
  return probe.run([one])[0];
}

/**
 * The legal OP-FP function codes by the tables of the chapter "RV32/64G Instruction Set
 * Listings" (Unprivileged): which rs2 and rm they admit.
 */
function isLegal(raw: number, frm: number): boolean {
  const funct5 = raw >>> 27;
  const fmt = (raw >>> 25) & 3;
  const rs2 = (raw >>> 20) & 31;
  const rm = (raw >>> 12) & 7;
  const isMode = rm < 5 || (rm === 7 && frm < 5);
  if (fmt > 1) return false;
  if ((raw & 0x7f) !== 0x53) return isMode;
  if (funct5 <= 3) return isMode;
  if (funct5 === 4 || funct5 === 0x14) return rm <= 2;
  if (funct5 === 5) return rm <= 1;
  if (funct5 === 8) return isMode && rs2 === 1 - fmt;
  if (funct5 === 0x0b) return isMode && rs2 === 0;
  if (funct5 === 0x18 || funct5 === 0x1a) return isMode && rs2 < 4;
  if (funct5 === 0x1c) return rs2 === 0 && rm <= 1;
  if (funct5 === 0x1e) return rs2 === 0 && rm === 0;
  return false;
}

test("exactly the assigned encodings are legal, for every funct5, fmt, rs2, rm and frm", () => {
  const cases: ProbeCase[] = [];
  for (const opcode of [0x53, 0x43, 0x47, 0x4b, 0x4f]) {
    for (let top = 0; top < 4096; top++) {
      for (let rm = 0; rm < 8; rm++) {
        // For rm 7 every frm, else one that must not matter.
        for (let frm = rm === 7 ? 0 : 7; frm < 8; frm++) {
          const raw = ((top << 20) | (1 << 15) | (rm << 12) | (4 << 7) | opcode) >>> 0;
          cases.push({ raw, flags: 0, frm, f: [ONE_D, ONE_D, ONE_D], x: 1n });
        }
      }
    }
  }
  const results = probe.run(cases);
  let legal = 0;
  for (let i = 0; i < cases.length; i++) {
    const want = isLegal(cases[i].raw, cases[i].frm);
    const text = `${cases[i].raw.toString(16)} frm ${cases[i].frm}`;
    assert.is(results[i].isLegal, want, text);
    if (want) legal++;
    else {
      const { f, x, flags } = results[i];
      assert.ok(f === OLD_F && x === OLD_X && flags === 0, `${text} changed something`);
    }
  }
  assert.ok(legal > 50_000 && legal < cases.length / 2, `${legal} of ${cases.length}`);
});

test("fpWritesInteger names the operations whose destination is an integer register", () => {
  for (const operation of OPERATIONS) {
    assert.is(probe.writesInteger(operation.raw), operation.target === null, operation.name);
  }
  assert.is(probe.writesInteger(encode(0x1c, DOUBLE, 0)), true);
  assert.is(probe.writesInteger(encode(0x1e, DOUBLE, 0)), false);
});

test("a single that is not NaN-boxed reads as the canonical NaN where it is computed with", () => {
  for (const broken of [0x3f800000n, 0xfffffffe3f800000n, 0x7fffffff3f800000n]) {
    for (const operation of OPERATIONS) {
      if (operation.source !== SINGLE || operation.arity === 0) continue;
      for (let at = 0; at < operation.arity; at++) {
        const f: [bigint, bigint, bigint] = [ONE_S, ONE_S, ONE_S];
        const boxedNan: [bigint, bigint, bigint] = [ONE_S, ONE_S, ONE_S];
        f[at] = broken;
        boxedNan[at] = NAN_S;
        const got = run(operation.raw, { f });
        assert.equal(got, run(operation.raw, { f: boxedNan }), `${operation.name} operand ${at}`);
      }
    }
  }
});

test("FMV.X.W takes the low half as it is and sign-extends it; FMV.X.D takes all", () => {
  const f: [bigint, bigint, bigint] = [0x000000018000deadn, 0n, 0n];
  assert.is(run(encode(0x1c, SINGLE, 0), { f }).x, 0xffffffff8000deadn);
  assert.is(run(encode(0x1c, DOUBLE, 0), { f }).x, 0x000000018000deadn);
  const signaling: [bigint, bigint, bigint] = [BOX | 0x7f800001n, 0n, 0n];
  assert.is(run(encode(0x1c, SINGLE, 0), { f: signaling }).x, 0x7f800001n);
});

test("FMV.W.X boxes the low half; FMV.D.X copies all", () => {
  const x = 0x12345678_7f800001n;
  assert.is(run(encode(0x1e, SINGLE, 0), { x }).f, BOX | 0x7f800001n);
  assert.is(run(encode(0x1e, DOUBLE, 0), { x }).f, x);
});

test("sign injection keeps a NaN's payload", () => {
  const payload = 0x7ff4000000001234n;
  const f: [bigint, bigint, bigint] = [payload, 1n << 63n, 0n];
  const got = run(encode(4, DOUBLE, 2), { f });
  assert.is(got.f, payload | (1n << 63n));
  assert.is(got.flags, 0);
});

test("flags accrue: what was set stays set, and only what the instruction raised is added", () => {
  const divide = encode(3, DOUBLE, 2);
  for (let flags = 0; flags < 32; flags++) {
    assert.is(run(divide, { flags, f: [ONE_D, 0n, 0n] }).flags, flags | DZ);
    assert.is(run(divide, { flags, f: [0n, 0n, 0n] }).flags, flags | NV);
    assert.is(run(divide, { flags, f: [ONE_D, ONE_D, 0n] }).flags, flags);
    assert.is(run(divide, { flags, f: [ONE_D, THIRD_D, 0n] }).flags, flags | NX);
  }
});

test("x0 stays 0, and the flags are raised all the same", () => {
  const discard = (raw: number): number => (raw & ~(31 << 7)) >>> 0;
  const signaling: [bigint, bigint, bigint] = [0x7ff0000000000001n, ONE_D, 0n];
  for (const raw of [encode(0x18, DOUBLE, 2), encode(0x14, DOUBLE, 2, 1)]) {
    const got = run(discard(raw), { f: signaling });
    assert.is(got.flags, NV);
    assert.is(got.x, OLD_X);
    assert.is(probe.x0, 0n);
  }
  run(discard(encode(0x1c, DOUBLE, 0)));
  assert.is(probe.x0, 0n);
});

test("f0 is an ordinary destination", () => {
  const got = run((encode(0, DOUBLE, 2) & ~(31 << 7)) >>> 0);
  assert.ok(got.isLegal);
  assert.is(got.f, OLD_F);
});

test("HART_FP_FAST is 1 only when FS is Dirty, frm is RNE and NX is set", () => {
  for (let fs = 0n; fs < 4n; fs++) {
    for (let frm = 0; frm < 8; frm++) {
      for (let flags = 0; flags < 32; flags++) {
        const want = fs === 3n && frm === 0 && (flags & NX) !== 0 ? 1 : 0;
        assert.is(probe.fastUpdate((fs << 13n) | 0x8000000a00000000n, frm, flags), want);
        assert.is(probe.fastUpdate(~(3n << 13n) | (fs << 13n), frm, flags), want);
      }
    }
  }
});

test("the instruction that sets NX turns HART_FP_FAST on", () => {
  const dirty = 3n << 13n;
  probe.fastUpdate(dirty, 0, 0);
  run(encode(3, DOUBLE, 2), { f: [ONE_D, ONE_D, 0n] });
  assert.is(probe.fast, 0);
  run(encode(3, DOUBLE, 2), { f: [ONE_D, THIRD_D, 0n] });
  assert.is(probe.fast, 1);
  probe.fastUpdate(0n, 0, 0);
  run(encode(3, DOUBLE, 2), { f: [ONE_D, THIRD_D, 0n] });
  assert.is(probe.fast, 0);
});

test.run();
