/**
 * The built-in guest in QEMU: the same file, the same conversation, the same exit status as here.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { builtinGuest } from "../../src/guest/index.ts";
import { QEMU, testNeeding } from "../helpers/need.ts";
import { converse } from "./converse.ts";
import { expectedTranscript, maskTimes, TRANSCRIPT_CODE, TRANSCRIPT_MIB } from "./transcript.ts";

const test = suite("guest/qemu");
const HOLDS = "the guest holds its conversation in QEMU and ends it with the code asked for";

testNeeding(test, [QEMU], HOLDS, async () => {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-guest-"));
  try {
    const kernel = join(folder, "guest.elf");
    writeFileSync(kernel, builtinGuest());
    const machine = ["-M", "virt", "-m", `${TRANSCRIPT_MIB}M`, "-nographic"];
    const boot = ["-bios", "none", "-kernel", kernel];
    const { text, errors, code } = await converse(QEMU.name, [...machine, ...boot]);
    assert.is(maskTimes(text), expectedTranscript(), errors);
    assert.is(code, TRANSCRIPT_CODE);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
