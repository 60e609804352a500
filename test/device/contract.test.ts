/**
 * contract: every registered device keeps src/contract/device.ts; every device of the folder is
 * registered.
 */
import { readdirSync, readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { deviceContract } from "../../src/contract/device.ts";
import { DEVICE_KINDS } from "../../src/device/registry.ts";
import { seedOf } from "../helpers/random.ts";

const test = suite("device/contract");
const SEED = seedOf(1);

for (const [kind, make] of Object.entries(DEVICE_KINDS)) {
  for (const { title, check } of deviceContract(kind, make, SEED)) test(`${kind} ${title}`, check);
}

test("every device of src/device is registered", () => {
  const files = readdirSync("src/device", { recursive: true, encoding: "utf8" });
  const kinds: string[] = [];
  for (const file of files.filter((name) => name.endsWith(".ts"))) {
    const source = readFileSync(`src/device/${file}`, "utf8");
    const found = /kind(?: = |: )"([a-z0-9-]+)"/.exec(source);
    if (found !== null && file !== "contract.ts") kinds.push(found[1]);
  }
  assert.ok(kinds.length >= 8, `found ${kinds.join(", ")}`);
  assert.equal(kinds.sort(), Object.keys(DEVICE_KINDS).sort());
});

test.run();
