/**
 * guest: the commands of family `guest`: kernels with what they boot with, kept for this user, that
 * `run` and `vm create` know by name.
 *
 * Used by src/shell/registry.ts.
 * Holds   results go to stdout, progress to stderr; a guest is there whole or not at all.
 */
import { z } from "zod";
import { isElf, isImage, VmError } from "../../index.ts";
import { type Call, type CommandSpec, checkSignal, command, UsageError } from "../command.ts";
import { progressOf } from "../progress.ts";
import { bytesText, pairs, table } from "../render.ts";
import { thereAre } from "../wording.ts";
import type { GuestDetails, GuestInfo } from "../world.ts";

const Guest = z.object({
  name: z.string(),
  release: z.string().describe('of Debian; "imported" for one that was brought along'),
  packages: z.array(z.object({ name: z.string(), version: z.string() })),
  folder: z.string(),
  bytes: z.number(),
});

function guestOf({ name, release, packages, folder, bytes }: GuestInfo): z.output<typeof Guest> {
  return {
    ...{ name, release, folder, bytes },
    packages: packages.map((one) => ({ name: one.name, version: one.version })),
  };
}

const packagesText = (packages: GuestInfo["packages"]) =>
  packages.map(({ name, version }) => `${name} ${version}`).join(", ");

// ---- prepare ----

const prepare = command({
  family: "guest",
  name: "prepare",
  summary: "fetch a guest with this machine's apt into the user's cache directory",
  details: `
Kernel and busybox come from the Debian archive that this machine's apt trusts, and are checked by
apt. Where the package lists of an archive are not those of its release file, as on a mirror that is
being updated, packages that this version knows are taken, checked against their SHA-256. Nothing is
installed and no privileges are needed. A guest that is there is left as it is.`,
  parameters: [{ name: "NAME", kind: "text", choices: ["debian"], help: "a guest that is known" }],
  options: {
    mirror: {
      value: "URI",
      kind: "text",
      help: "Debian archive; default: the one in this machine's apt sources",
    },
    force: { help: "prepare again though it is there, for a newer kernel" },
  },
  example: "guest prepare debian",
  result: Guest,
  async run(call) {
    const { preparable } = call.world.guests;
    const name = call.text("NAME") as string;
    if (!preparable.includes(name)) {
      throw new UsageError(`guest prepare: given "${name}"; accepted: ${preparable.join(", ")}`);
    }
    const progress = progressOf(call);
    try {
      const guest = await call.world.guests.prepare(name, {
        mirror: call.text("mirror"),
        isReplacing: call.has("force"),
        signal: call.signal,
        onProgress: ({ step, percent }) => progress.show(step, percent),
      });
      progress.end();
      call.streams.say(`guest ${guest.name} is ready: ${guest.folder}\n`);
      return guestOf(guest);
    } catch (error) {
      progress.end();
      checkSignal(call.signal);
      throw error;
    }
  },
  text: () => "",
});

// ---- import ----

/** Names that would hide, or be hidden by, a guest that comes another way. */
function checkFree(name: string, { builtin, preparable }: Call["world"]["guests"]): void {
  if (name === builtin) {
    throw new VmError(
      "bad-argument",
      `guest "${name}" is part of rivulet: accepted is another name`,
    );
  }
  if (!preparable.includes(name)) return;
  const how = `\`guest prepare ${name}\` makes that`;
  throw new VmError("bad-argument", `guest "${name}": ${how}; accepted is another name`);
}

async function kernelOf(call: Call): Promise<Uint8Array> {
  const path = call.path("kernel");
  if (path === undefined) throw new UsageError("guest import: --kernel F is missing");
  const kernel = await call.world.readFile(path);
  if (isElf(kernel) || isImage(kernel)) return kernel;
  const accepted = "accepted are a RISC-V Linux Image, plain or packed by gzip, and an ELF64";
  throw new VmError("bad-file", `${path}: no kernel; ${accepted}`);
}

const importGuest = command({
  family: "guest",
  name: "import",
  summary: "keep a kernel, with initrd and disk, as a guest of your own",
  details: `
The files are copied, so that they may go afterwards. \`run --guest NAME\` and \`vm create --guest
NAME\` boot them, with the command line given here unless another is given. A disk becomes the first
one of each such machine, copied on write: what a machine writes to it is gone with the machine.`,
  parameters: [{ name: "NAME", kind: "text", help: "lower-case letters, digits and dashes" }],
  options: {
    kernel: { value: "F", kind: "file", help: "Linux Image (plain or gzip) or ELF64; needed" },
    initrd: { value: "F", kind: "file", help: "initial RAM disk" },
    append: { value: "S", kind: "text", help: "kernel command line" },
    disk: { value: "F", kind: "file", help: "raw disk image" },
    force: { help: "take the place of a guest of that name" },
  },
  example: "guest import mine --kernel Image --append console=ttyS0",
  result: Guest,
  async run(call) {
    const { world } = call;
    const name = call.text("NAME") as string;
    checkFree(name, world.guests);
    const kernel = await kernelOf(call);
    const initrd = call.path("initrd");
    const disk = call.path("disk");
    const progress = progressOf(call);
    try {
      const guest = await world.guests.import(name, {
        kernel,
        initrd: initrd === undefined ? undefined : await world.readFile(initrd),
        append: call.text("append") ?? "",
        disk,
        isReplacing: call.has("force"),
        signal: call.signal,
        onPercent: (percent) => progress.show(`copying ${call.text("disk")}`, percent),
      });
      progress.end();
      call.streams.say(`guest ${guest.name} is ready: ${guest.folder}\n`);
      return guestOf(guest);
    } catch (error) {
      progress.end();
      checkSignal(call.signal);
      throw error;
    }
  },
  text: () => "",
});

// ---- list, info, remove ----

const list = command({
  family: "guest",
  name: "list",
  summary: "list the guests that `run --guest NAME` boots",
  parameters: [],
  options: {},
  example: "guest list",
  result: z.object({
    builtin: z.string().describe("the guest that is always there"),
    prepared: z.array(Guest),
  }),
  run: async ({ world: { guests } }) => ({
    builtin: guests.builtin,
    prepared: guests.list().map(guestOf),
  }),
  text({ builtin, prepared }) {
    const rows = prepared.map(({ name, bytes, release, packages }) => {
      return [name, bytesText(bytes), release, packagesText(packages)];
    });
    rows.push([builtin, "", "part of rivulet", ""]);
    return table(["NAME", { name: "SIZE", align: "right" }, "RELEASE", "PACKAGES"], rows);
  },
});

const Info = Guest.extend({
  folder: z.string().nullable().describe("null for the guest that is part of rivulet"),
  append: z.string().describe("kernel command line, unless another is given"),
  files: z.array(
    z.object({
      role: z.enum(["kernel", "initrd", "disk", "other"]),
      name: z.string(),
      bytes: z.number(),
      sha256: z.string().nullable(),
    }),
  ),
});

function infoOf(guest: GuestDetails): z.output<typeof Info> {
  const { append, files } = guest;
  return {
    ...guestOf(guest),
    append,
    files: files.map(({ role, name, bytes, sha256 }) => ({ role, name, bytes, sha256 })),
  };
}

async function builtinInfo({ world }: Call): Promise<z.output<typeof Info>> {
  const { builtin } = world.guests;
  const { length } = (await world.guests.files(builtin))?.kernel ?? new Uint8Array(0);
  return {
    ...{ name: builtin, release: "part of rivulet", packages: [], folder: null, append: "" },
    bytes: length,
    files: [{ role: "kernel", name: builtin, bytes: length, sha256: null }],
  };
}

/** The error for a name that no guest has. */
function unknownGuest(name: string, { world: { guests } }: Call): VmError {
  const names = [...guests.list().map((guest) => guest.name), guests.builtin];
  const hint = guests.preparable.includes(name) ? `; \`guest prepare ${name}\` fetches it` : "";
  return new VmError("not-found", `guest "${name}": ${thereAre(names)}${hint}`);
}

const info = command({
  family: "guest",
  name: "info",
  summary: "say what a guest is made of: files, packages, command line",
  parameters: [{ name: "NAME", kind: "guest", help: "a guest of `guest list`" }],
  options: {},
  example: "guest info builtin",
  result: Info,
  async run(call) {
    const { guests } = call.world;
    const name = call.text("NAME") as string;
    if (name === guests.builtin) return builtinInfo(call);
    const guest = guests.details(name);
    if (guest === null) throw unknownGuest(name, call);
    return infoOf(guest);
  },
  text({ name, release, packages, folder, append, files }) {
    const rows = [
      ["name", name],
      ["release", release],
      ["packages", packagesText(packages)],
      ["append", append],
      ["folder", folder ?? ""],
    ] as const;
    const columns = ["FILE", "ROLE", { name: "SIZE", align: "right" }, "SHA-256"] as const;
    const lines = files.map((file) => {
      return [file.name, file.role, bytesText(file.bytes), file.sha256 ?? ""];
    });
    const known = pairs(
      rows.filter(([, value]) => value !== ""),
      "",
    );
    return `${known}\n\n${table(columns, lines)}`;
  },
});

const remove = command({
  family: "guest",
  name: "remove",
  summary: "delete a prepared or imported guest",
  details: "Machines that were made from it go on; they cannot be made anew.",
  parameters: [{ name: "NAME", kind: "guest", help: "a guest of `guest list`" }],
  options: {},
  example: "guest remove debian",
  result: z.object({ name: z.string() }),
  async run(call) {
    const name = call.text("NAME") as string;
    if (name === call.world.guests.builtin) {
      throw new VmError("bad-argument", `guest "${name}" is part of rivulet: it stays`);
    }
    call.world.guests.remove(name);
    return { name };
  },
  text: () => "",
});

/** The family, in the order of its help. */
export const guestCommands: readonly CommandSpec[] = [prepare, importGuest, list, info, remove];
