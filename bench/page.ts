/**
 * page: loads the page of examples/browser in headless Chromium, time after time, and reads the
 * marks that it sets.
 *
 * Used by suites/embed.ts.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import { ROOT } from "./toolchain.ts";

/** Milliseconds from the start of navigation, one of each per load. */
export interface PageLoads {
  readonly instruction: number[];
  readonly output: number[];
}

const MARKS = ["rivulet:first-instruction", "rivulet:first-output"] as const;
const FLAGS = [
  ...["--no-sandbox", "--disable-gpu-sandbox", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

/** Loads the page `count` times; null without Chromium. */
export async function pageLoads(count: number): Promise<PageLoads | null> {
  const found = spawnSync("sh", ["-c", "command -v chromium"], { encoding: "utf8" });
  const executablePath = found.stdout.trim();
  if (executablePath === "") return null;
  const server = spawn(process.execPath, ["examples/browser/serve.mjs", "--port", "0"], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [url] = (await once(createInterface({ input: server.stdout }), "line")) as [string];
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  const loads: PageLoads = { instruction: [], output: [] };
  try {
    for (let load = 0; load < count; load++) {
      const page = await browser.newPage();
      await page.goto(url);
      // functions, not texts: the page's content security policy knows no eval
      await page.waitForFunction((name) => performance.getEntriesByName(name).length > 0, MARKS[1]);
      const [instruction, output] = await page.evaluate(
        (names) => names.map((name) => performance.getEntriesByName(name)[0].startTime),
        [...MARKS],
      );
      loads.instruction.push(instruction);
      loads.output.push(output);
      await page.close();
    }
  } finally {
    await browser.close();
    server.kill();
  }
  return loads;
}
