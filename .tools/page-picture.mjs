// Takes docs/browser.png: the page of examples/browser in Chromium, with Debian at its prompt. Needs chromium and the
// prepared guest (npm run setup).
//
//   node .tools/page-picture.mjs [FILE]
import { openPage, servePage } from "../dist/test/browser/chromium.js";

const COMMANDS = ["uname -a", "nproc; free -m | head -2", "ls /; uptime"];
const PROMPT = "~ #";

const served = await servePage();
const { browser, page, complaints } = await openPage();
try {
  await page.goto(`${served.url}?guest=debian&harts=4`);
  /** Waits until the terminal shows `count` prompts, the last one in its last line. */
  const prompts = (count) =>
    page.waitForFunction(
      ([prompt, wanted]) => {
        const buffer = window.rivulet?.terminal.buffer.active;
        const lines = Array.from({ length: buffer?.length ?? 0 }, (_, row) =>
          buffer.getLine(row).translateToString(true),
        ).filter((text) => text !== "");
        const isThere = lines.filter((text) => text.startsWith(prompt)).length === wanted;
        return isThere && lines.at(-1).trim() === prompt;
      },
      [PROMPT, count],
    );
  await prompts(1);
  for (const [index, command] of COMMANDS.entries()) {
    await page.keyboard.type(command);
    await page.keyboard.press("Enter");
    await prompts(index + 2);
  }
  const path = process.argv[2] ?? "docs/browser.png";
  await page.screenshot({ path });
  console.log(path);
  if (complaints.length > 0) throw new Error(complaints.join("\n"));
} finally {
  await browser.close();
  await served.stop();
}
