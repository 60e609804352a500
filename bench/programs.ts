/**
 * programs: the C programs of guest/, how much work each does, and what it must answer.
 *
 * Used by toolchain (build), suites/hart, profile, compare.
 * Holds   each runs for 0.7 to 0.9 CPU seconds under QEMU 7.2; `checksum` is what the native build of the same source
 *         prints (test/bench/programs.test.ts compares them), so a contender that computes wrongly has no time.
 */

/** Which promise a program counts towards. */
export type Group = "start" | "integer" | "float" | "fused";

/** One bench program: guest/NAME.c run for `rounds` rounds. */
export interface Program {
  name: string;
  group: Group;
  /** What of a hart it exercises. */
  about: string;
  rounds: number;
  /** 16 hexadecimal digits. */
  checksum: string;
}

/** Does nothing: its CPU seconds are start-up, and are taken off every other program of the same round. */
export const START: Program = {
  name: "null",
  group: "start",
  about: "start-up",
  rounds: 1,
  checksum: "0000000000000001",
};

function program(
  group: Group,
  name: string,
  about: string,
  rounds: number,
  checksum: string,
): Program {
  return { name, group, about, rounds, checksum };
}

/** Every program that is timed. */
export const PROGRAMS: readonly Program[] = [
  program("integer", "sieve", "integer", 180, "1cf9d69857ed1360"),
  program("integer", "crc", "integer", 1200, "f7a42b7b32f300d1"),
  program("integer", "digest", "integer", 2900, "22d1e21eafde54f0"),
  program("integer", "matrix", "integer", 400, "d0605dabb0ee2240"),
  program("integer", "sort", "branchy", 200, "ebd0ba55d23a1f72"),
  program("integer", "queens", "branchy", 500, "6a03461dcdcdf2c6"),
  program("integer", "interpreter", "branchy", 170, "4c97ef5bec943c93"),
  program("integer", "search", "branchy", 4500, "04d70a3b1852b37e"),
  program("integer", "recurse", "calls", 2800, "45b3fda545f81bea"),
  program("integer", "dispatch", "calls", 11000, "b02081453912519b"),
  program("integer", "chase", "memory", 56, "5157991ef8b053ec"),
  program("integer", "table", "memory", 250, "c398ed547806796a"),
  program("integer", "copy", "memory", 3000, "73fe774bacc0c367"),
  program("float", "bodies", "add mul div sqrt", 500, "d545d97b7ec31950"),
  program("float", "mandelbrot", "add mul compare", 110, "4b1c6951d29ccccc"),
  program("float", "spectral", "add mul div convert", 1900, "601c86ba8ae95117"),
  program("float", "filter", "single add mul div", 380, "0573899a5eaea003"),
  program("fused", "fused", "double fma, loads", 270, "927ffdfcf8d034ae"),
  program("fused", "polynomial", "double fma, chains", 1600, "bb181fddd0752c56"),
];

/** The program of that name, `null` included; undefined when there is none. */
export function programNamed(name: string): Program | undefined {
  return [START, ...PROGRAMS].find((one) => one.name === name);
}
