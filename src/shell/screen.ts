/**
 * screen: what a terminal would show after a console's output: text, or a picture as SVG.
 *
 * Used by commands/vm.ts (`vm screendump`).
 */
import xterm from "@xterm/headless";

/** One cell's look. */
interface Style {
  readonly ink: string;
  readonly paper: string;
  readonly isBold: boolean;
  readonly isItalic: boolean;
  readonly isUnderlined: boolean;
}

/** Characters of one look, side by side. */
interface Span extends Style {
  readonly column: number;
  readonly width: number;
  readonly text: string;
}

/** A terminal's screen. */
export interface Screen {
  readonly columns: number;
  readonly rows: number;
  readonly cursor: { readonly column: number; readonly row: number };
  /** A line each, without blanks at its end. */
  readonly lines: readonly string[];
  readonly spans: readonly (readonly Span[])[];
}

const INK = "#d8d8d8";
const PAPER = "#181818";
const BASIC = [
  ["#181818", "#cc4444", "#4ea84e", "#c4a000", "#4a78c8", "#9a5fa8", "#2fa0a0", "#d0d0d0"],
  ["#606060", "#ef5959", "#8ae234", "#fce94f", "#7faae8", "#c08acb", "#4de0e0", "#ffffff"],
].flat();
const CUBE = [0, 95, 135, 175, 215, 255];

const hex = (value: number) => value.toString(16).padStart(2, "0");

/** Colour of the 256 that xterm knows. */
function paletteColour(index: number): string {
  if (index < 16) return BASIC[index];
  if (index >= 232) return `#${hex(8 + (index - 232) * 10).repeat(3)}`;
  const at = index - 16;
  const levels = [Math.floor(at / 36), Math.floor(at / 6) % 6, at % 6];
  return `#${levels.map((level) => hex(CUBE[level])).join("")}`;
}

type Cell = NonNullable<
  ReturnType<NonNullable<ReturnType<xterm.Terminal["buffer"]["active"]["getLine"]>>["getCell"]>
>;

function styleOf(cell: Cell): Style {
  const rgb = (value: number) => `#${value.toString(16).padStart(6, "0")}`;
  let ink = INK;
  if (cell.isFgPalette()) {
    // bold ink of the first eight is the bright one, as terminals have it
    const index = cell.getFgColor();
    ink = paletteColour(index < 8 && cell.isBold() ? index + 8 : index);
  } else if (cell.isFgRGB()) ink = rgb(cell.getFgColor());
  let paper = PAPER;
  if (cell.isBgPalette()) paper = paletteColour(cell.getBgColor());
  else if (cell.isBgRGB()) paper = rgb(cell.getBgColor());
  if (cell.isInverse()) [ink, paper] = [paper, ink];
  return {
    ink: cell.isInvisible() ? paper : ink,
    paper,
    isBold: cell.isBold() !== 0,
    isItalic: cell.isItalic() !== 0,
    isUnderlined: cell.isUnderline() !== 0,
  };
}

const STYLE_KEYS = ["ink", "paper", "isBold", "isItalic", "isUnderlined"] as const;

function spansOf(terminal: xterm.Terminal, row: number): Span[] {
  const buffer = terminal.buffer.active;
  const line = buffer.getLine(buffer.viewportY + row);
  const spans: Span[] = [];
  for (let column = 0; column < terminal.cols; column++) {
    const cell = line?.getCell(column);
    const width = cell?.getWidth() ?? 0;
    if (cell === undefined || width === 0) continue;
    const style = styleOf(cell);
    const text = cell.getChars() || " ";
    const last = spans.at(-1);
    if (last !== undefined && STYLE_KEYS.every((key) => last[key] === style[key])) {
      spans[spans.length - 1] = { ...last, text: last.text + text, width: last.width + width };
    } else spans.push({ ...style, column, width, text });
  }
  return spans;
}

/** The screen after these bytes. */
export async function screenOf(
  bytes: Uint8Array,
  size: { readonly columns: number; readonly rows: number },
): Promise<Screen> {
  const terminal = new xterm.Terminal({
    cols: size.columns,
    rows: size.rows,
    scrollback: 0,
    // whatever a guest sends is fine
    logLevel: "off",
    allowProposedApi: true,
  });
  try {
    await new Promise<void>((resolve) => terminal.write(bytes, resolve));
    const spans = Array.from({ length: size.rows }, (_, row) => spansOf(terminal, row));
    const { cursorX, cursorY } = terminal.buffer.active;
    return {
      ...size,
      cursor: { column: cursorX, row: cursorY },
      lines: spans.map((line) =>
        line
          .map(({ text }) => text)
          .join("")
          .trimEnd(),
      ),
      spans,
    };
  } finally {
    terminal.dispose();
  }
}

const CELL_WIDTH = 8.4;
const CELL_HEIGHT = 17;
const MARGIN = 8;

/** Characters that XML has no way to say (XML 1.0, 2.2). */
const NO_XML = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu;

const escapeXml = (text: string) =>
  text.replace(NO_XML, "\ufffd").replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

function spanSvg(span: Span, row: number): string {
  const x = (MARGIN + span.column * CELL_WIDTH).toFixed(1);
  const y = MARGIN + row * CELL_HEIGHT;
  const width = (span.width * CELL_WIDTH).toFixed(1);
  const parts: string[] = [];
  if (span.paper !== PAPER) {
    parts.push(
      `<rect x="${x}" y="${y}" width="${width}" height="${CELL_HEIGHT}" fill="${span.paper}"/>`,
    );
  }
  if (span.text.trim() !== "" || span.isUnderlined) {
    const look = [
      span.isBold ? ' font-weight="bold"' : "",
      span.isItalic ? ' font-style="italic"' : "",
      span.isUnderlined ? ' text-decoration="underline"' : "",
    ].join("");
    const place = `x="${x}" y="${y + 13}" textLength="${width}"`;
    parts.push(`<text ${place} fill="${span.ink}"${look}>${escapeXml(span.text)}</text>`);
  }
  return parts.join("");
}

/** The screen as a picture. */
export function screenSvg(screen: Screen, title: string): string {
  const width = Math.ceil(screen.columns * CELL_WIDTH + 2 * MARGIN);
  const height = screen.rows * CELL_HEIGHT + 2 * MARGIN;
  const x = (MARGIN + screen.cursor.column * CELL_WIDTH).toFixed(1);
  const y = MARGIN + screen.cursor.row * CELL_HEIGHT;
  const cursor = `<rect x="${x}" y="${y}" width="${CELL_WIDTH}" height="${CELL_HEIGHT}" fill="${INK}" opacity="0.6"/>`;
  const body = screen.spans.flatMap((line, row) => line.map((span) => spanSvg(span, row)));
  const font = 'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14"';
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" role="img">
<title>${escapeXml(title)}</title>
<rect width="100%" height="100%" fill="${PAPER}"/>
<g ${font} xml:space="preserve">
${body.filter((one) => one !== "").join("\n")}
${cursor}
</g>
</svg>
`;
}
