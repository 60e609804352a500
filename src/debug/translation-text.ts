/**
 * translation-text: a translation for people: each level of the walk, the rights of the page.
 *
 * Used by monitor.ts and, through src/index.ts, by the shell.
 */
import type { PageRights, Translation } from "../machine/translate.ts";

const hex = (value: bigint) => `0x${value.toString(16)}`;

/** "rwx user accessed dirty". */
export function rightsText(rights: PageRights): string {
  const letter = (has: boolean, name: string) => (has ? name : "-");
  const words = [
    letter(rights.isReadable, "r") +
      letter(rights.isWritable, "w") +
      letter(rights.isExecutable, "x"),
    rights.isUser ? "user" : "supervisor",
    ...(rights.isGlobal ? ["global"] : []),
    ...(rights.isAccessed ? ["accessed"] : []),
    ...(rights.isDirty ? ["dirty"] : []),
  ];
  return words.join(" ");
}

/** 4096 as "4 KiB", 2 MiB and so on. */
function sizeText(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.floor(Math.log2(bytes) / 10);
  return `${bytes / 2 ** (10 * power)} ${units[power]}`;
}

/** Lines without a line feed at the end. */
export function translationText(translation: Translation): string {
  const { virtual, mode, physical, fault, pageBytes, rights, steps } = translation;
  const levels = steps.map(({ level, address, entry }) => {
    return `  level ${level}: entry ${hex(entry)} at ${hex(address)}`;
  });
  const end = physical === null ? `leads nowhere: ${fault}` : hex(physical);
  const page =
    rights === null || pageBytes === null
      ? []
      : [`  ${sizeText(pageBytes)} page, ${rightsText(rights)}`];
  return [`${hex(virtual)} -> ${end} (${mode})`, ...levels, ...page].join("\n");
}
