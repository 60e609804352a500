/**
 * window: a page that has nothing but the package, as `window.rivulet`, for tests that say what it
 * does.
 *
 * Used by the suites beside it.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { build } from "vite";
import { type OpenPage, openPage, serveFolder } from "./chromium.ts";

/** The page, until it is ended. */
export interface RivuletWindow extends OpenPage {
  /** Loads it afresh, as a process that starts again. */
  load(): Promise<void>;
  end(): Promise<void>;
}

const HTML = `<!doctype html><title>rivulet</title><link rel="icon" href="data:," />
<script type="module" src="./main.js"></script>
`;

/** Bundles the build and opens the page. */
export async function openRivulet(): Promise<RivuletWindow> {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-window-"));
  const entry = JSON.stringify(resolve("dist/src/browser.js"));
  writeFileSync(join(folder, "index.html"), HTML);
  writeFileSync(
    join(folder, "main.js"),
    `import * as rivulet from ${entry};\nObject.assign(window, { rivulet });\n`,
  );
  await build({ root: folder, configFile: false, logLevel: "error" });
  const served = await serveFolder(join(folder, "dist"));
  const open = await openPage();
  const load = async () => {
    await open.page.goto(served.url);
    await open.page.waitForFunction("window.rivulet !== undefined");
  };
  await load();
  return {
    ...open,
    load,
    end: async () => {
      await open.browser.close();
      await served.stop();
      rmSync(folder, { recursive: true });
    },
  };
}
