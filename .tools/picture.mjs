// Renders a captured terminal session (plain text on stdin) as docs/terminal.svg, for the README.
//
//   node .tools/picture.mjs < session.txt
import { readFileSync, writeFileSync } from "node:fs";

const COLUMNS = 96;
const LINE = 18;
const lines = readFileSync(0, "utf8").replaceAll("\r", "").trimEnd().split("\n");
const escaped = (text) =>
  text.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);
const height = (lines.length + 2) * LINE;
const rows = lines.map((line, index) => {
  const isPrompt = /^(\$|~ #)/.test(line);
  const fill = isPrompt ? "#7ee787" : "#d0d7de";
  const text = escaped(line.slice(0, COLUMNS));
  return `<text x="16" y="${(index + 2) * LINE - 4}" fill="${fill}" xml:space="preserve">${text}</text>`;
});
writeFileSync(
  "docs/terminal.svg",
  `<svg xmlns="http://www.w3.org/2000/svg" width="820" height="${height}" font-family="monospace" font-size="14">
<title>A terminal: rivulet boots Debian and runs a few commands</title>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
${rows.join("\n")}
</svg>
`,
);
