// Writes down which sources the built page was made from; tests/view compares.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const files = readdirSync("src", { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name).replaceAll("\\", "/"))
  .concat(["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts", "../metta/view/palette.json"])
  .sort();
const hash = createHash("sha256");
for (const file of files) hash.update(`${file}\n`).update(readFileSync(file));
writeFileSync("../metta/view/page/sources.sha256", `${hash.digest("hex")}\n`);
