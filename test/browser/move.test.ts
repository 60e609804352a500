/**
 * examples/browser/move.mjs and its page in Chromium: Debian counts in Node, moves into the tab,
 * goes on counting, and moves back; twice.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CHROMIUM, DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";
import { type OpenPage, openPage, type Served, servePage } from "./chromium.ts";

const test = suite("browser/move");

/** What the page leaves for the curious: what the guest has said, by turn. */
declare const window: Window & { readonly rivulet?: { readonly said: (string | undefined)[] } };

let served: Served | null = null;
let open: OpenPage | null = null;

test.after(async () => {
  await open?.browser.close();
  await served?.stop();
});

/** Waits until the guest has said so many numbers in a turn. */
function counted({ page }: OpenPage, turn: number, numbers: number) {
  return page.waitForFunction(
    ([turn, numbers]) => {
      const text = window.rivulet?.said[turn] ?? "";
      return [...text.matchAll(/^count \d+\r$/gm)].length >= numbers;
    },
    [turn, numbers] as const,
  );
}

testNeeding(
  test,
  [CHROMIUM, DEBIAN_GUEST],
  "Debian counts in Node, in the tab and in Node again, and no number is lost or said twice",
  async () => {
    served = await servePage({}, "move.mjs");
    open = await openPage();
    const { page, complaints } = open;
    await page.goto(served.url);
    const button = (name: string) => page.getByRole("button", { name, disabled: false });
    const state = (text: string) => page.getByRole("status").getByText(text).waitFor();
    await counted(open, 0, 5);
    for (const turn of [1, 3]) {
      await button("Bring it here").click();
      await state("running in this tab");
      await counted(open, turn, 5);
      await button("Send it back").click();
      await state("running in Node");
      await counted(open, turn + 1, 5);
    }
    const said = await page.evaluate(() => window.rivulet?.said ?? []);
    assert.is(said.length, 5);
    const numbers = [...said.join("").matchAll(/^count (\d+)\r$/gm)].map(([, text]) =>
      Number(text),
    );
    assert.equal(
      numbers,
      numbers.map((_, at) => at + 1),
    );
    assert.is(await page.textContent("#moves"), "4");
    assert.match((await page.textContent("#downtime")) ?? "", /^\d+\.\d ms$/);
    assert.equal(complaints, []);
  },
);

test.run();
