/**
 * The page of examples/browser in Chromium: the guests boot and answer, and the buttons do what
 * they say.
 */

import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Terminal } from "@xterm/xterm";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { RemoteMachine } from "../../src/browser.ts";
import { CHROMIUM, DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";
import { type OpenPage, openPage, type Served, servePage } from "./chromium.ts";

const test = suite("browser/page");
const folder = mkdtempSync(join(tmpdir(), "rivulet-page-"));

/** What the page leaves for the curious. */
declare const window: Window & {
  readonly rivulet?: { readonly terminal: Terminal; readonly machine: RemoteMachine | null };
};

let served: Served | null = null;
let open: OpenPage | null = null;

/** Loads the page afresh; server and browser are started for the first test that needs them. */
async function visit(query = "", from?: Served): Promise<OpenPage> {
  served ??= await servePage();
  open ??= await openPage();
  open.complaints.length = 0;
  await open.page.goto(`${(from ?? served).url}${query}`);
  return open;
}

test.after(async () => {
  await open?.browser.close();
  await served?.stop();
  rmSync(folder, { recursive: true });
});

/** Waits until the terminal's buffer has a line that matches; that line. */
async function line({ page }: OpenPage, pattern: RegExp): Promise<string> {
  const found = await page.waitForFunction(
    ({ source }) => {
      const buffer = window.rivulet?.terminal.buffer.active;
      for (let row = 0; row < (buffer?.length ?? 0); row++) {
        const text = buffer?.getLine(row)?.translateToString(true) ?? "";
        if (new RegExp(source).test(text)) return text;
      }
      return null;
    },
    { source: pattern.source },
  );
  return (await found.jsonValue()) as string;
}

async function type({ page }: OpenPage, text: string): Promise<void> {
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
}

const instructions = ({ page }: OpenPage) =>
  page.evaluate(async () => (await window.rivulet?.machine?.stats())?.instructions ?? 0);

function nothingWrong({ complaints }: OpenPage): void {
  assert.equal(complaints, []);
}

testNeeding(test, [CHROMIUM], "the built-in guest boots at once and answers", async () => {
  const it = await visit();
  await line(it, /^>/);
  await type(it, "primes 1000");
  assert.is(await line(it, /^168 primes/), "168 primes up to 1000, the last 997");
  const isolated = await it.page.evaluate(() => [
    crossOriginIsolated,
    typeof SharedArrayBuffer === "undefined",
  ]);
  assert.equal(isolated, [false, true], "no special headers, no shared memory");
  const marks = await it.page.evaluate(
    "performance.getEntriesByType('mark').map(({ name }) => name)",
  );
  assert.equal(marks, ["rivulet:first-instruction", "rivulet:first-output"]);
  nothingWrong(it);
});

testNeeding(test, [CHROMIUM], "pause stands still, resume goes on, reset starts anew", async () => {
  const it = await visit("?memory=64M&harts=2");
  const { page } = it;
  await line(it, /64 MiB of memory/);
  await type(it, "primes 20000000");
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("status").getByText("paused", { exact: true }).waitFor();
  const before = await instructions(it);
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
  assert.is(await instructions(it), before, "a paused machine ran on");
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByRole("status").getByText("running", { exact: true }).waitFor();
  await page.waitForFunction(
    async (count) => ((await window.rivulet?.machine?.stats())?.instructions ?? 0) > count,
    before,
  );
  await page.getByLabel("Memory").selectOption("128M");
  assert.match(page.url(), /memory=128M/);
  await page.getByRole("button", { name: "Apply and reset" }).click();
  await line(it, /128 MiB of memory/);
  assert.ok((await instructions(it)) < before, "a reset machine began anew");
  await type(it, "poweroff");
  await line(it, /^\[poweroff with code 0\]/);
  assert.ok(await page.getByRole("button", { name: "Pause" }).isDisabled());
  nothingWrong(it);
});

testNeeding(test, [CHROMIUM], "F6 leads out of the console, Tab is the guest's", async () => {
  const it = await visit();
  await line(it, /^>/);
  await it.page.keyboard.press("Tab");
  const focused = () => it.page.evaluate(() => document.activeElement?.tagName);
  assert.is(await focused(), "TEXTAREA");
  await it.page.getByRole("button", { name: "Pause", disabled: false }).waitFor();
  await it.page.keyboard.press("F6");
  assert.is(await it.page.evaluate(() => document.activeElement?.id), "pause");
  await it.page.getByRole("button", { name: "Read the console aloud" }).press("Enter");
  await it.page.getByRole("list").getByText("Type help for the commands.").first().waitFor();
  for (const name of ["Guest", "Memory", "Harts", "Disk image"]) {
    assert.is(await it.page.getByLabel(name, { exact: true }).count(), 1, name);
  }
  nothingWrong(it);
});

testNeeding(test, [CHROMIUM], "a screenshot is a PNG of the console", async () => {
  const it = await visit();
  await line(it, /^>/);
  const [download] = await Promise.all([
    it.page.waitForEvent("download"),
    it.page.getByRole("button", { name: "Screenshot" }).click(),
  ]);
  assert.is(download.suggestedFilename(), "rivulet-builtin.png");
  const path = join(folder, "console.png");
  await download.saveAs(path);
  const bytes = readFileSync(path);
  assert.is(bytes.subarray(1, 4).toString("latin1"), "PNG");
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  const rows = await it.page.evaluate(() => window.rivulet?.terminal.rows);
  assert.is(height, ((rows as number) * 18 + 32) * 2);
  assert.ok(width > 1000, `${width} dots wide`);
  nothingWrong(it);
});

testNeeding(test, [CHROMIUM], "a disk that is none is refused with what is accepted", async () => {
  const it = await visit();
  await line(it, /^>/);
  const path = join(folder, "odd.img");
  writeFileSync(path, Buffer.alloc(1000));
  await it.page.getByLabel("Disk image").setInputFiles(path);
  await it.page.getByRole("button", { name: "Apply and reset" }).click();
  const alert = it.page.getByRole("alert");
  await alert.waitFor();
  assert.match((await alert.textContent()) ?? "", /odd\.img has 1000 bytes; accepted are/);
  nothingWrong(it);
});

testNeeding(
  test,
  [CHROMIUM, DEBIAN_GUEST],
  "Debian boots on two harts, says who it is, and reads a disk that is a file",
  async () => {
    const it = await visit("?guest=debian&harts=2");
    await line(it, /^BOOT-OK/);
    await line(it, /^~ #/);
    await type(it, "uname -a; nproc");
    assert.match(await line(it, /^Linux rivulet/), /^Linux rivulet 6\.\S+ .*riscv64 GNU\/Linux$/);
    await line(it, /^2$/);
    const disk = Buffer.from(Array.from({ length: 1 << 20 }, (_, at) => (at * 7) & 0xff));
    const path = join(folder, "disk.img");
    writeFileSync(path, disk);
    await it.page.getByLabel("Disk image").setInputFiles(path);
    await it.page.getByRole("button", { name: "Apply and reset" }).click();
    await line(it, /^~ #/);
    await type(it, "md5sum /dev/vda; echo changed > /dev/vda; sync; head -c 7 /dev/vda");
    const sum = createHash("md5").update(disk).digest("hex");
    await line(it, new RegExp(`^${sum}  /dev/vda`));
    await line(it, /^changed/);
    nothingWrong(it);
  },
);

testNeeding(test, [CHROMIUM], "without prepared guests Debian cannot be chosen", async () => {
  const empty = await servePage({ XDG_CACHE_HOME: folder });
  try {
    const it = await visit("?guest=debian", empty);
    await line(it, /^>/);
    const option = it.page.locator("option[value=debian]");
    assert.is(await option.textContent(), "Debian (not served here)");
    assert.ok(await option.evaluate((one) => (one as HTMLOptionElement).disabled));
    nothingWrong(it);
  } finally {
    await empty.stop();
  }
});

test.run();
