/**
 * The built-in guest in QEMU: the same file, the same conversation, the same exit status as here.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { builtinGuest } from "../../src/guest/index.ts";
import { QEMU, testNeeding } from "../helpers/need.ts";
import {
  expectedTranscript,
  maskTimes,
  TRANSCRIPT_CODE,
  TRANSCRIPT_MIB,
  typedLines,
} from "./transcript.ts";

const test = suite("guest/qemu");
const GUARD_MS = 120_000;

/** Types each line when a prompt has come, until the guest ends the machine. */
function converse(kernel: string): Promise<{ text: string; code: number | null }> {
  const options = ["-M", "virt", "-m", `${TRANSCRIPT_MIB}M`, "-nographic", "-bios", "none"];
  const qemu = spawn(QEMU.name, [...options, "-kernel", kernel], { timeout: GUARD_MS });
  const lines = typedLines();
  let text = "";
  let seen = 0;
  qemu.stdout.on("data", (bytes: Uint8Array) => {
    text += Buffer.from(bytes).toString("latin1");
    for (;;) {
      const prompt = text.indexOf("\n> ", seen);
      if (prompt < 0) return;
      seen = prompt + 3;
      const line = lines.shift();
      if (line !== undefined) qemu.stdin.write(line + "\r");
    }
  });
  return new Promise((resolve, reject) => {
    qemu.on("error", reject);
    qemu.on("close", (code) => resolve({ text, code }));
  });
}

const HOLDS = "the guest holds its conversation in QEMU and ends it with the code asked for";
testNeeding(test, [QEMU], HOLDS, async () => {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-guest-"));
  try {
    const kernel = join(folder, "guest.elf");
    writeFileSync(kernel, builtinGuest());
    const { text, code } = await converse(kernel);
    assert.is(maskTimes(text), expectedTranscript());
    assert.is(code, TRANSCRIPT_CODE);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
