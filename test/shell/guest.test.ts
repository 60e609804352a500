/**
 * `rivulet guest`: what it prints where, and what it refuses, over a shelf of guests that holds no
 * files.
 */
import { parseArgs } from "node:util";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { VmError } from "../../src/errors.ts";
import { guestCommand } from "../../src/shell/commands/guest.ts";
import { UsageError } from "../../src/shell/usage.ts";
import type { GuestInfo, GuestPreparation, World } from "../../src/shell/world.ts";

const test = suite("shell/guest");

const DEBIAN: GuestInfo = {
  name: "debian",
  release: "trixie",
  packages: [{ name: "linux-image", version: "6.12" }],
  folder: "/cache/debian",
  bytes: 3 << 20,
};

interface Fake {
  readonly world: World;
  out: string;
  err: string;
  readonly calls: string[];
  prepared: GuestInfo[];
  prepare: (options: GuestPreparation) => Promise<void>;
  signal: (status: number) => void;
}

function fake(isProgressLive = false): Fake {
  const state: Fake = {
    out: "",
    err: "",
    calls: [],
    prepared: [DEBIAN],
    prepare: async () => {},
    signal: () => {},
    world: {} as World,
  };
  const world: Partial<World> = {
    isProgressLive,
    print: (text) => (state.out += text),
    say: (text) => (state.err += text),
    onSignal: (listener) => {
      state.signal = listener;
      return () => {};
    },
    split: (args, types) =>
      parseArgs({
        args: [...args],
        options: Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { type }])),
        allowPositionals: true,
        strict: false,
        tokens: true,
      }).tokens,
    guests: {
      builtin: "builtin",
      preparable: ["debian"],
      list: () => state.prepared,
      remove: (name) => state.calls.push(`remove ${name}`),
      files: async () => null,
      prepare: async (name, options) => {
        state.calls.push(`prepare ${name} ${options.mirror ?? "-"} ${options.isReplacing}`);
        await state.prepare(options);
        return DEBIAN;
      },
    },
  };
  Object.assign(state.world, world);
  return state;
}

test("list shows each guest on a line; --json is one line with all of it", async () => {
  const shelf = fake();
  assert.is(await guestCommand(["list"], shelf.world), 0);
  assert.match(
    shelf.out,
    /^debian +3\.0 MiB +trixie: linux-image 6\.12\nbuiltin +part of rivulet\n$/,
  );
  const json = fake();
  assert.is(await guestCommand(["list", "--json"], json.world), 0);
  assert.equal(JSON.parse(json.out), { builtin: "builtin", prepared: [DEBIAN] });
  assert.is(json.err + shelf.err, "");
});

test("prepare hands its options on and reports on stderr alone", async () => {
  const shelf = fake();
  shelf.prepare = async ({ onProgress }) => {
    onProgress({ step: "lists" });
    for (const percent of [0, 10, 30, 60, 100]) onProgress({ step: "fetching", percent });
  };
  const args = ["prepare", "debian", "--mirror", "http://example.org/debian", "--force"];
  assert.is(await guestCommand(args, shelf.world), 0);
  assert.equal(shelf.calls, ["prepare debian http://example.org/debian true"]);
  assert.is(shelf.out, "");
  const lines = ["lists", "fetching", "  25 %", "  50 %", "  100 %"];
  assert.is(shelf.err, [...lines, "guest debian is ready: /cache/debian", ""].join("\n"));
});

test("on a terminal each step keeps to one line", async () => {
  const shelf = fake(true);
  shelf.prepare = async ({ onProgress }) => {
    for (const percent of [0, 50, 100]) onProgress({ step: "fetching", percent });
    onProgress({ step: "building" });
  };
  await guestCommand(["prepare", "debian"], shelf.world);
  const [first, second] = shelf.err.split("\n");
  assert.is(first.split("\r\x1b[K").at(-1), "fetching 100 %");
  assert.is(second, "building");
});

test("an interrupted prepare exits with the signal's status, a failed one with its error", async () => {
  const shelf = fake();
  shelf.prepare = async () => {
    shelf.signal(130);
    throw new VmError("io", "aborted");
  };
  assert.is(await guestCommand(["prepare", "debian"], shelf.world), 130);
  shelf.prepare = async () => {
    throw new VmError("io", "no network");
  };
  try {
    await guestCommand(["prepare", "debian"], shelf.world);
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).message, "no network");
  }
});

test("remove takes one name", async () => {
  const shelf = fake();
  assert.is(await guestCommand(["remove", "debian"], shelf.world), 0);
  assert.equal(shelf.calls, ["remove debian"]);
});

test("wrong command lines are refused with what was given and what is accepted", async () => {
  const cases: readonly [readonly string[], RegExp][] = [
    [[], /no command; accepted: prepare, list, remove/],
    [["fetch"], /"fetch"; accepted: prepare, list, remove/],
    [["prepare"], /no name; accepted: debian/],
    [["prepare", "plan9"], /"plan9"; accepted: debian/],
    [["prepare", "debian", "debian"], /"debian debian"/],
    [["prepare", "debian", "--fast"], /--fast; accepted: --mirror --force --help/],
    [["list", "debian"], /takes no name, given "debian"/],
    [["remove"], /no name/],
    [["remove", "a", "b"], /"a b"/],
  ];
  for (const [args, pattern] of cases) {
    const shelf = fake();
    try {
      await guestCommand(args, shelf.world);
      assert.unreachable(args.join(" "));
    } catch (error) {
      assert.instance(error, UsageError, args.join(" "));
      assert.match((error as Error).message, pattern);
    }
    assert.equal(shelf.calls, []);
  }
});

test.run();
