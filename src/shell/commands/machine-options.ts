/**
 * machine-options: the options that say what a machine is made of, read into its specification.
 *
 * Used by commands/run.ts and commands/vm.ts.
 */
import { diskOf } from "../call.ts";
import { type Call, type CommandOption, UsageError } from "../command.ts";
import type { VmSpec } from "../vm-parts.ts";

/** Options of `run` and `vm create`. */
export const MACHINE_OPTIONS = {
  kernel: { value: "F", kind: "file", help: "Linux Image (plain or gzip) or ELF64" },
  initrd: { value: "F", kind: "file", help: "initial RAM disk for the kernel" },
  append: { value: "S", kind: "text", help: "kernel command line" },
  firmware: {
    value: "F",
    kind: "file",
    help: "M-mode firmware in front of the kernel, for instance OpenSBI",
  },
  guest: { value: "NAME", kind: "guest", help: 'a prepared guest: "debian", or "builtin"' },
  // read where the machine is made, which knows the limits
  memory: { value: "256M", kind: "text", help: "RAM; a number of bytes, or one with K, M or G" },
  harts: { value: "N", kind: "integer", least: 1, most: 8, help: "1 to 8" },
  disk: {
    value: "F[,ro|,cow]",
    kind: "disk",
    help: "virtio disk",
    isRepeated: true,
  },
  clock: {
    value: "KIND",
    kind: "choice",
    choices: ["virtual", "host"],
    help: "guest time: counted from instructions, or the host's",
  },
  seed: { value: "N", kind: "integer", help: "all that is random under the virtual clock" },
  mmu: {
    value: "FORMAT",
    kind: "choice",
    choices: ["sv39", "sv48", "sv57"],
    help: "deepest page tables; default sv57",
  },
  htif: { help: "serve tohost and fromhost of the ELF" },
} as const satisfies Readonly<Record<string, CommandOption>>;

/** The sources of code: one of FILE, --kernel and --guest, or --firmware alone. */
function sourcesOf(call: Call, command: string, given: { readonly file?: string }) {
  const { file } = given;
  const kernel = call.path("kernel");
  const guest = call.text("guest");
  if (kernel !== undefined && file !== undefined) {
    const both = `${call.text("FILE")} and ${call.text("kernel")}`;
    throw new UsageError(`${command}: one kernel or ELF is accepted, given ${both}`);
  }
  const source = kernel ?? file;
  if (guest !== undefined && source !== undefined) {
    const both = `--guest ${guest} and ${call.text("kernel") ?? call.text("FILE")}`;
    const accepted = "one of FILE, --kernel F and --guest NAME is accepted";
    throw new UsageError(`${command}: ${accepted}, given ${both}`);
  }
  if (guest === undefined && source === undefined && !call.has("firmware")) {
    const accepted = `${"file" in given ? "FILE, " : ""}--kernel F, --guest NAME, --firmware F`;
    throw new UsageError(`${command}: nothing to boot; accepted: ${accepted}`);
  }
  return { kernel: source, guest };
}

/** What the options say; `file` is the parameter FILE where there is one. Throws UsageError. */
export function specOf(
  call: Call,
  command: string,
  given: { readonly name?: string; readonly file?: string; readonly clock: VmSpec["clock"] },
): VmSpec {
  const { kernel, guest } = sourcesOf(call, command, given);
  return {
    name: given.name ?? guest ?? "machine",
    guest,
    kernel,
    initrd: call.path("initrd"),
    append: call.text("append"),
    firmware: call.path("firmware"),
    memoryBytes: call.text("memory") ?? "256M",
    harts: call.number("harts") ?? 1,
    seed: call.number("seed"),
    disks: call.all("disk").map((text) => diskOf(text, (path) => call.resolve(path))),
    clock: (call.text("clock") as VmSpec["clock"] | undefined) ?? given.clock,
    mmu: call.text("mmu") as VmSpec["mmu"],
    htif: call.has("htif"),
  };
}
