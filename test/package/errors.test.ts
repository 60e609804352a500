/**
 * errors: the codes of VmError, their documentation and their use agree.
 */
import { readdirSync, readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("package/errors");

const read = (path: string) => readFileSync(path, "utf8");
const union = /export type VmErrorCode =([^;]+);/.exec(read("src/errors.ts"))?.[1] ?? "";
const codes = [...union.matchAll(/"([a-z-]+)"/g)].map(([, code]) => code);
const sources = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => ({ name, text: read(`src/${name}`) }));

test("the codes are a closed set in alphabetical order", () => {
  assert.ok(codes.length >= 13, codes.join(", "));
  assert.equal(codes, [...new Set(codes)].sort());
});

test("docs/errors.md has a section for each code and no other", () => {
  const sections = [...read("docs/errors.md").matchAll(/^## (.+)$/gm)].map(([, title]) => title);
  assert.equal(sections, codes);
});

test("each code is thrown somewhere", () => {
  for (const code of codes) {
    const isUsed = sources.some(
      ({ text }) => text.includes(`"${code}"`) && text.includes("VmError"),
    );
    assert.ok(isUsed, `nothing throws "${code}"`);
  }
});

test("the library throws no other class", () => {
  for (const { name, text } of sources) {
    // the shell has errors of its own, which become lines and exit statuses; checks throw Error
    if (/^(shell|contract)\/|^cli\.ts$/.test(name)) continue;
    for (const [thrown] of text.matchAll(/throw new \w+\(/g)) {
      // virtio/transport.ts catches it: the guest's fault, which stops the device
      if (name.startsWith("device/virtio/") && thrown === "throw new BadQueue(") continue;
      // a simulated process that has died: whoever simulates it catches it
      if (name === "platform/sim/store-directory.ts" && thrown === "throw new Crash(") continue;
      assert.is(thrown, "throw new VmError(", name);
    }
  }
});

test.run();
