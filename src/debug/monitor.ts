/**
 * monitor: what gdb's `monitor ...` does: things of the machine that the protocol has no packet
 * for.
 *
 * Used by gdb-session.ts.
 * Holds   one line in, lines of text out; a line that is none says what is accepted.
 */
import { REGISTER_NAMES } from "../asm/register.ts";
import { VmError } from "../errors.ts";
import type { Machine } from "../machine/machine.ts";
import { translationText } from "./translation-text.ts";

/** What a monitor command may look at and change beside the machine. */
export interface MonitorState {
  readonly machine: Machine;
  /** The hart that gdb looks at. */
  readonly hart: number;
  /** Addresses in gdb's memory packets are guest physical. */
  isPhysical: boolean;
}

interface MonitorCommand {
  readonly usage: string;
  readonly help: string;
  run(words: readonly string[], state: MonitorState): string;
}

/** A number, or what a register of the hart holds. */
function addressOf(text: string | undefined, { machine, hart }: MonitorState): bigint {
  const { x, pc } = machine.debugger.registers(hart);
  if (text === "pc") return pc;
  const register = (REGISTER_NAMES as readonly string[]).indexOf(text ?? "");
  if (register >= 0) return x[register];
  if (text !== undefined && /^(\d+|0x[0-9a-f]+)$/i.test(text)) {
    const value = BigInt(text);
    if (value < 1n << 64n) return value;
  }
  const given = text === undefined ? "an address is missing" : `address "${text}"`;
  throw new VmError("bad-argument", `${given}: accepted are numbers, pc and registers such as sp`);
}

function choose(text: string | undefined, yes: string, no: string): boolean {
  if (text === yes) return true;
  if (text === no) return false;
  throw new VmError("bad-argument", `"${text ?? ""}": accepted are ${yes} and ${no}`);
}

function info(machine: Machine): string {
  const { name, config } = machine;
  const stats = machine.stats();
  const harts = Array.from({ length: machine.debugger.harts }, (_, index) => {
    return `  hart ${index}: ${hartText(machine, index)}`;
  });
  return [
    `${name}: ${config.memoryBytes / 2 ** 20} MiB, ${harts.length} harts, clock ${config.clock}`,
    `  ${stats.instructions} instructions, guest time ${stats.ticks / 1e7} s`,
    ...harts,
  ].join("\n");
}

/** "S at 0xffffffff80001234, waits for an interrupt". */
export function hartText(machine: Machine, hart: number): string {
  const { privilege, pc, isWaiting, isStopped } = machine.debugger.registers(hart);
  const more = isStopped ? ", not started" : isWaiting ? ", waits for an interrupt" : "";
  return `${privilege} at 0x${pc.toString(16)}${more}`;
}

const COMMANDS: Readonly<Record<string, MonitorCommand>> = {
  info: {
    usage: "info",
    help: "the machine and its harts",
    run: (_, { machine }) => info(machine),
  },
  digest: {
    usage: "digest",
    help: "SHA-256 of the machine's whole state: equal digests are equal machines",
    run: (_, { machine }) => machine.stateDigest(),
  },
  translate: {
    usage: "translate ADDRESS",
    help: "the way of a virtual address of this hart through its page tables",
    run([address], state) {
      const { machine, hart } = state;
      return translationText(machine.debugger.translate(hart, addressOf(address, state)));
    },
  },
  memory: {
    usage: "memory virtual|physical",
    help: "what addresses mean to x, print, set and the like",
    run([kind], state) {
      state.isPhysical = choose(kind, "physical", "virtual");
      return `addresses are ${kind} now; \`flushregs\` drops what gdb remembers`;
    },
  },
  ebreak: {
    usage: "ebreak on|off",
    help: "whether an EBREAK of the guest's own stops before it traps",
    run([value], { machine }) {
      machine.debugger.catchesEbreak = choose(value, "on", "off");
      return `EBREAK ${value === "on" ? "stops" : "is the guest's alone"}`;
    },
  },
  reset: {
    usage: "reset",
    help: "reset the machine when it goes on",
    run(_, { machine }) {
      machine.devices.hub.request ??= { kind: "reboot" };
      return "the machine is reset when it goes on";
    },
  },
};

function help(): string {
  const rows = Object.values(COMMANDS).map(({ usage, help: text }) => {
    return `  monitor ${usage.padEnd(26)}${text}`;
  });
  return rows.join("\n");
}

/** Runs one line; the text that gdb prints. */
export function runMonitor(line: string, state: MonitorState): string {
  const [name = "help", ...words] = line.trim().split(/\s+/);
  if (name === "help" || name === "") return help();
  if (!Object.hasOwn(COMMANDS, name)) return `"${name}" is none of these:\n${help()}`;
  try {
    return COMMANDS[name].run(words, state);
  } catch (error) {
    if (error instanceof VmError) return error.message;
    throw error;
  }
}
