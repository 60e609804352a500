// How the pages are bundled into files that any static server serves from any folder.
import { fileURLToPath } from "node:url";

export default {
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "./",
  build: {
    target: "es2022",
    outDir: fileURLToPath(new URL("../../dist/browser", import.meta.url)),
    rolldownOptions: {
      input: ["index.html", "move.html"].map((name) =>
        fileURLToPath(new URL(name, import.meta.url)),
      ),
    },
    // The page's policy for scripts allows no data: URLs.
    assetsInlineLimit: 0,
  },
  worker: { format: "es" },
};
