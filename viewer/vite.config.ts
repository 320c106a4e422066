import { defineConfig } from "vite";
import { viteSingleFile } from "vite-plugin-singlefile";

// One self-contained page, put where the Python package serves it from.
export default defineConfig({
  plugins: [viteSingleFile()],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: { outDir: "../metta/view/page", emptyOutDir: true, target: "es2022" },
});
