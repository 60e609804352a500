/**
 * transcript: the conversation with the built-in guest that QEMU and this machine must both hold.
 *
 * Used by test/guest/*.test.ts.
 * Holds   answers are compared after `maskTimes`; everything else is equal to the byte.
 */

/** RAM that the conversation is written for. */
export const TRANSCRIPT_MIB = 64;
/** Exit status that the last command asks for. */
export const TRANSCRIPT_CODE = 7;

const BANNER = `
Rivulet built-in guest: RV64, S-mode, Sv39, 64 MiB of memory
Type help for the commands.
`;

/** What is typed at each prompt, and what the guest prints until the next one. */
export const TRANSCRIPT: readonly (readonly [typed: string, answer: string])[] = [
  ["", ""],
  ["info", "isa: rv64imafdc\ntranslation: satp mode 8\ninterrupts: timer 0, uart any 1\n"],
  ["mem", "memory: 65536 KiB, FREE KiB free, 0 pages mapped on demand\n"],
  ["mem 8", "checked 8 MiB: ok\nmemory: 65536 KiB, FREE KiB free, 2048 pages mapped on demand\n"],
  ["mem 64", "out of memory: trap: cause 15, pc PC, value VALUE\n"],
  ["reboot", BANNER],
  ["time", "TIME s\n"],
  ["sleep 20", "slept 20 ms\n"],
  ["sleep", "slept 1000 ms\n"],
  ["info", "isa: rv64imafdc\ntranslation: satp mode 8\ninterrupts: timer 2, uart any 1\n"],
  ["primes", "168 primes up to 1000, the last 997\n"],
  ["primes 100000", "9592 primes up to 100000, the last 99991\n"],
  ["primes ten", "usage: primes [N] (at most 10000000)\n"],
  ["primes 99999999999999999999", "usage: primes [N] (at most 10000000)\n"],
  ["   echo   hello  there", "hello  there\n"],
  ["echox\x7f hi", "hi\n"],
  ["mem", "memory: 65536 KiB, FREE KiB free, 25 pages mapped on demand\n"],
  ["fault", "trap: cause 13, pc PC, value 0x3000000008\n"],
  ["bogus 1", "unknown command: bogus 1 (help lists what there is)\n"],
  ["poweroff 256", "usage: poweroff [CODE] (at most 255)\n"],
];

/** What the guest prints before its first prompt. */
export const TRANSCRIPT_BANNER = BANNER;

/**
 * The same text without carriage returns, times, and the figures that move with the code's size.
 */
export function maskTimes(text: string): string {
  return text
    .replaceAll("\r", "")
    .replace(/^\d+\.\d{3} s$/gm, "TIME s")
    .replace(/\d+ KiB free/g, "FREE KiB free")
    .replace(/pc 0x[0-9a-f]+/g, "pc PC")
    .replace(/(cause 15, .*)value 0x[0-9a-f]+/g, "$1value VALUE");
}

/** What the terminal shows of a typed line: backspace is a key, not a character. */
export function echoOf(typed: string): string {
  return typed.replaceAll("\x7f", "\b \b");
}

/** All that the guest prints, from power-on to power-off, masked. */
export function expectedTranscript(): string {
  const lines = TRANSCRIPT.map(([typed, answer]) => `> ${echoOf(typed)}\n${answer}`);
  return `${BANNER}${lines.join("")}> poweroff ${TRANSCRIPT_CODE}\n`;
}

/** Every line to type, in order. */
export function typedLines(): string[] {
  return [...TRANSCRIPT.map(([typed]) => typed), `poweroff ${TRANSCRIPT_CODE}`];
}
