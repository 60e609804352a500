/**
 * render: tables, help texts and units for people.
 *
 * Used by session.ts, docs.ts and the families.
 */
import Table from "cli-table3";
import { COMMON_OPTIONS, commandName, parameterUsage } from "./call.ts";
import type { CommandOption, CommandSpec } from "./command.ts";

const NO_BORDERS = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};

/** A column: its head, and "right" for figures. */
export type Column = string | { readonly name: string; readonly align: "right" };

/** Rows under heads, without borders; no line has blanks at its end. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const heads = columns.map((column) => (typeof column === "string" ? column : column.name));
  const out = new Table({
    head: heads,
    chars: NO_BORDERS,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0, compact: true },
    colAligns: columns.map((column) => (typeof column === "string" ? "left" : column.align)),
  });
  out.push(...rows.map((row) => [...row]));
  return trimEnds(out.toString());
}

function trimEnds(text: string): string {
  const lines = text.split("\n").map((line) => line.trimEnd());
  return `${lines.join("\n")}\n`;
}

/** Two columns, the left as wide as its widest. */
export function pairs(rows: readonly (readonly [string, string])[], indent = "  "): string {
  const width = Math.max(0, ...rows.map(([left]) => left.length)) + 2;
  return rows.map(([left, right]) => `${indent}${left.padEnd(width)}${right}`.trimEnd()).join("\n");
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/** 268435456 as "256 MiB". */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

/** 83500 as "1m23s", 950 as "950ms". */
export function durationText(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${Number(seconds.toFixed(1))}s`;
  return `${Math.floor(seconds / 60)}m${Math.floor(seconds % 60)}s`;
}

// ---- help ----

/** True when `rivulet FAMILY COMMAND` can do it, without a shell. */
export function runsAlone(spec: CommandSpec): boolean {
  if (spec.isShellOnly === true) return false;
  return !spec.parameters.some(({ kind, isOptional }) => kind === "machine" && isOptional !== true);
}

/** True for what works on the session alone: variables, aliases, history, its end. */
export function needsSession({ family, isShellOnly }: CommandSpec): boolean {
  return family === "" && isShellOnly === true;
}

/** Lines of help for options. */
export function optionHelp(options: Readonly<Record<string, CommandOption>>): string {
  return pairs(
    Object.entries(options).map(([name, option]) => {
      const choices = option.choices === undefined ? "" : ` (${option.choices.join(", ")})`;
      const again = option.isRepeated === true ? "; may be given again" : "";
      const value = option.value === undefined ? "" : ` ${option.value}`;
      return [`--${name}${value}`, `${option.help}${choices}${again}`];
    }),
  );
}

/** "vm create NAME [options]", with `rivulet` in front where that works. */
export function usageOf(spec: CommandSpec): string {
  const words = [commandName(spec), ...spec.parameters.map(parameterUsage), "[options]"];
  return `${runsAlone(spec) ? "rivulet " : ""}${words.join(" ")}`;
}

/** The example as it is typed: with `rivulet` in front where that works. */
export function exampleOf(spec: CommandSpec): string {
  const isAlone = runsAlone(spec) && !spec.example.includes(";");
  return `${isAlone ? "rivulet " : ""}${spec.example}`;
}

/** Everything about one command. */
export function commandHelp(spec: CommandSpec): string {
  const options = { ...spec.options, ...COMMON_OPTIONS };
  const parameters = spec.parameters.map(({ name, help, choices }) => {
    return [name, `${help}${choices === undefined ? "" : ` (${choices.join(", ")})`}`] as const;
  });
  const blocks = [
    `Usage: ${usageOf(spec)}`,
    `${spec.summary[0].toUpperCase()}${spec.summary.slice(1)}.`,
    ...(parameters.length === 0 ? [] : [pairs(parameters)]),
    `Options:\n${optionHelp(options)}`,
    ...(spec.details === undefined ? [] : [spec.details.trim()]),
    `Example:\n  ${exampleOf(spec)}`,
  ];
  return `${blocks.join("\n\n")}\n`;
}

/** The commands of a family, a line each. */
export function familyHelp(family: string, commands: readonly CommandSpec[]): string {
  const mine = commands.filter((spec) => spec.family === family);
  const rows = mine.map((spec) => {
    const words = [spec.name, ...spec.parameters.map(parameterUsage)];
    return [words.join(" "), spec.summary] as const;
  });
  const prefix = mine.some(runsAlone) ? "rivulet " : "";
  return `Usage: ${prefix}${family} COMMAND [arguments] [options]

${pairs(rows)}

\`help ${family} COMMAND\` says more.

Example:
  ${exampleOf(mine[0])}
`;
}

/** What each family is about, for the overview. */
export const FAMILIES: Readonly<Record<string, string>> = {
  guest: "kernels and initial RAM disks to boot by name",
  vm: "machines: create, start, pause, stop, look at, run commands in",
  console: "a machine's console: attach, send, wait, log, record",
  disk: "disk images, and the disks of machines",
  device: "the devices of a machine",
  snapshot: "whole states of machines, kept in a store",
  migrate: "live migration: machines that move to another process or host",
  memory: "a machine's RAM: where it is, who writes it, what is in it",
  debug: "registers, memory, breakpoints, traces, gdb",
  host: "what all machines of this process share",
};

/** The families and the single commands. */
export function overview(commands: readonly CommandSpec[]): string {
  const families = [...new Set(commands.map(({ family }) => family))].filter((one) => one !== "");
  const rows = families.map((family) => [family, FAMILIES[family] ?? ""] as const);
  const single = commands.filter(({ family }) => family === "");
  return `${pairs(rows)}

${pairs(single.map((spec) => [spec.name, spec.summary] as const))}
`;
}

/** Time of day of a moment, in UTC: "07:15:00.250Z". */
export function timeText(wallMs: number): string {
  const ms = Math.floor(wallMs) % 86_400_000;
  const two = (value: number) => `${Math.floor(value)}`.padStart(2, "0");
  const clock = [ms / 3_600_000, (ms / 60_000) % 60, (ms / 1000) % 60].map(two).join(":");
  return `${clock}.${`${ms % 1000}`.padStart(3, "0")}Z`;
}
